"""Pictures: one style for the whole book, mosaics of images, and drawings of networks.

Figures have a white ground, so that they read the same in a light and a dark page, and in print.
The colours are those of Okabe and Ito, which people with any common colour vision can tell apart
(Wong, 2011); where lines share an axis they differ in dash or marker as well.
"""

import matplotlib.pyplot as plt
import numpy as np

from hmlib._checks import check_array, check_count

__all__ = ["COLORS", "draw_machine", "show_images", "use_style"]

COLORS = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "orange": "#E69F00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "black": "#000000",
    "grey": "#767676",
}
"""Colour-blind-safe colours by name (Okabe and Ito), and a grey that is legible on white."""


def use_style():
    """Set the matplotlib style of the book, for all figures that follow."""
    cycle = plt.cycler(color=[COLORS[name] for name in list(COLORS)[:6]])
    dashes = plt.cycler(linestyle=["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1))])
    plt.rcParams.update(
        {
            "figure.figsize": (5.6, 3.1),
            "figure.dpi": 144,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "font.size": 10.5,
            "axes.prop_cycle": cycle + dashes,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "axes.grid": True,
            "grid.color": "#dddddd",
            "lines.linewidth": 1.8,
            "legend.frameon": False,
            "image.cmap": "gray_r",
        }
    )


def show_images(images, shape=None, *, n_columns=10, titles=None, ax=None):
    """Show images as a mosaic: 0 is white, 1 is black, as ink on paper.

    Parameters
    ----------
    images : array_like, shape (n, n_pixels)
        Pixels in [0, 1].
    shape : (int, int) or None
        Height and width of one image; None means square.
    n_columns : int
        Images in a row.
    titles : sequence of str or None
        One label below each image.
    ax : matplotlib.axes.Axes or None
        Where to draw; None makes a figure that fits.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with everything but the images removed.

    Raises
    ------
    ValueError
        If ``images`` is empty, leaves [0, 1], is not two-dimensional, or does not fit ``shape``.
    """
    images = check_array(images, "images", ndim=2, low=0, high=1)
    if images.size == 0:
        raise ValueError(f"images must hold at least one image, got shape {images.shape}")
    side = int(np.sqrt(images.shape[1]))
    height, width = (side, side) if shape is None else shape
    if height * width != images.shape[1]:
        raise ValueError(f"shape must have {images.shape[1]} pixels, got {(height, width)}")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"titles must be {len(images)}, one for each image, got {len(titles)}")
    n_columns = min(check_count(n_columns, "n_columns"), len(images))
    n_rows = -(-len(images) // n_columns)
    if ax is None:
        # a cell as wide as the page allows, up to 0.9 inch, and room below for the titles
        cell = min(0.9, 5.6 / n_columns)
        extra = 0.0 if titles is None else 0.25
        size = (cell * n_columns, (cell * height / width + extra) * n_rows)
        ax = plt.subplots(figsize=size)[1]
    step_x, step_y = 1.15 * width, (1.15 if titles is None else 1.5) * height
    for i, image in enumerate(images):
        left, top = i % n_columns * step_x, i // n_columns * step_y
        box = (left, left + width, top + height, top)
        ax.imshow(image.reshape(height, width), extent=box, vmin=0, vmax=1, interpolation="nearest")
        ax.add_patch(plt.Rectangle((left, top), width, height, fill=False, ec="#767676", lw=0.5))
        if titles is not None:
            ax.text(left + width / 2, top + 1.04 * height, titles[i], ha="center", va="top", size=8)
    ax.set(xlim=(-0.02 * width, n_columns * step_x), ylim=(n_rows * step_y, -0.02 * height))
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


def draw_machine(sizes, *, names=None, ax=None):
    """Draw a Helmholtz machine: dreaming downwards on the left, explaining upwards on the right.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, data first. At most seven units are drawn per layer.
    names : sequence of str or None
        Label of each layer, data first.
    ax : matplotlib.axes.Axes or None
        Where to draw; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    ValueError
        If there are fewer than two layers, or names that do not match them.
    """
    sizes = [check_count(size, f"sizes[{i}]") for i, size in enumerate(sizes)]
    if len(sizes) < 2:
        raise ValueError(f"sizes must name at least two layers, got {len(sizes)}")
    if names is not None and len(names) != len(sizes):
        raise ValueError(f"names must be {len(sizes)}, one for each layer, got {len(names)}")
    ax = plt.subplots(figsize=(5.2, 0.9 * len(sizes) + 0.6))[1] if ax is None else ax
    networks = [("generative network G", 0.0, COLORS["blue"]),
                ("recognition network R", 4.8, COLORS["vermilion"])]  # fmt: skip
    for title, centre, color in networks:
        points = [_layer_points(size, centre, height) for height, size in enumerate(sizes)]
        for below, above in zip(points, points[1:]):
            for a, b in ((a, b) for a in above for b in below):
                tail, head = (a, b) if centre == 0 else (b, a)
                ax.annotate("", head, tail, arrowprops={"arrowstyle": "-|>", "color": color,
                            "lw": 0.6, "alpha": 0.55, "shrinkA": 7, "shrinkB": 7})  # fmt: skip
        xy = np.concatenate(points)
        ax.scatter(*xy.T, s=110, facecolor="white", edgecolor=color, linewidth=1.6, zorder=3)
        ax.text(centre, -0.45, title, ha="center", va="top", color=color)
    for height, name in enumerate(names or []):
        ax.text(2.4, height, name, ha="center", va="center")
    ax.set(xlim=(-1.9, 6.7), ylim=(-0.8, len(sizes) - 0.6))
    ax.axis("off")
    return ax


def _layer_points(size, centre, height):
    n = min(size, 7)
    return np.column_stack([centre + 0.5 * (np.arange(n) - (n - 1) / 2), np.full(n, float(height))])
