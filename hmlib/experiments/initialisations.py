"""What the experiments on starts have in common: machines that see as much, and images that are the same.

A Helmholtz machine starts at zero, at random, or with the stages of the image pyramid, of which
there are two: "pyramid", whose stages are wake-sleep with the images where data are seen, and
"clamped", whose stages hold both layers of a pair at their levels of the pyramid. To compare starts
is to give each the same number of presentations in all: those that go into stages the others get as
ordinary training.
"""

from typing import NamedTuple

import numpy as np

from hmlib._checks import as_generator, check_count
from hmlib.experiments.provenance import generator
from hmlib.helmholtz import HelmholtzMachine
from hmlib.pyramid import PyramidInitializer

__all__ = [
    "LAYERED",
    "STARTS",
    "Images",
    "class_samples",
    "make_machine",
    "n_stage_epochs",
    "validation_split",
]

STARTS = ("zero", "random", "pyramid", "clamped")
LAYERED = ("pyramid", "clamped")  # those with stages


class Images(NamedTuple):
    """Images and their labels.

    Attributes
    ----------
    x : ndarray, shape (n_images, n_pixels)
        Grey values, an image row by row.
    y : ndarray, shape (n_images,)
        Classes.
    """

    x: np.ndarray
    y: np.ndarray


def make_machine(
    start,
    hidden,
    *,
    n_epochs,
    stage_epochs,
    learning_rate,
    batch_size,
    random_state=None,
    pyramid=None,
    **settings,
):
    """Make a machine, not yet trained, that sees every sample ``n_epochs`` times in all.

    Its defaults are those of the printed algorithm: grey pixels are fed as they are, a random start
    is N(0, 0.1^2) with biases of zero, a zero start is zero throughout, and the rate is constant.

    Parameters
    ----------
    start : {"zero", "random", "pyramid", "clamped"}
        How the weights start; the last is a pyramid with ``clamped=True``.
    hidden : sequence of int
        Sizes of the hidden layers, data side first; for a pyramid squares of smaller and smaller
        sides, unless ``pyramid`` says otherwise.
    n_epochs : int
        Epochs in all. With a pyramid ``len(hidden) * stage_epochs`` of them are its stages, and the
        ``n_epochs`` of the machine are the rest; with the other starts the machine has them all.
    stage_epochs : int
        Epochs of each stage, one for each hidden layer; only a pyramid has any.
    learning_rate : float or sequence of float
        As for :class:`hmlib.helmholtz.HelmholtzMachine`, in the stages and after them.
    batch_size : int
        Samples in a mini-batch.
    random_state : None, int or numpy.random.Generator
        The source of randomness.
    pyramid : dict, optional
        Further arguments of :class:`hmlib.pyramid.PyramidInitializer`.
    **settings
        Further arguments of the machine, instead of the defaults.

    Returns
    -------
    HelmholtzMachine
        With float32 data it computes in float32.

    Raises
    ------
    ValueError
        If ``start`` is unknown or the stages alone take more than ``n_epochs``.
    """
    n_epochs = check_count(n_epochs, "n_epochs", minimum=0)
    n_stages = n_stage_epochs(start, hidden, stage_epochs)
    if n_stages > n_epochs:
        raise ValueError(
            f"n_epochs must be at least {n_stages}, {stage_epochs} for each of {len(hidden)} "
            f"stages, got {n_epochs}"
        )
    stages = PyramidInitializer(stage_epochs, clamped=start == "clamped", **(pyramid or {}))
    return HelmholtzMachine(
        tuple(hidden),
        n_epochs=n_epochs - n_stages,
        learning_rate=learning_rate,
        batch_size=batch_size,
        init=stages if start in LAYERED else start,
        random_state=random_state,
        **{"binarize": "none", **settings},
    )


def n_stage_epochs(start, hidden, stage_epochs):
    """Count the epochs that a start spends before ordinary training begins."""
    if start not in STARTS:
        raise ValueError(f"start must be one of {', '.join(STARTS)}, got {start!r}")
    return len(hidden) * check_count(stage_epochs, "stage_epochs") if start in LAYERED else 0


def class_samples(images, n, key):
    """Draw ``n`` images with as many of each class, or one more: the same ones for the same key.

    Of two sets with the same key the smaller is the beginning of the larger. Classes take turns, in
    random order within each turn.

    Parameters
    ----------
    images : hmlib.datasets.Dataset or pair of ndarray
        A data set, of which the training images are taken, or images and labels.
    n : int
        How many.
    key : dict or numpy.random.Generator
        What the choice depends on, such as ``{"seed": 3}``, see
        :func:`hmlib.experiments.generator`: leave out what machines differ in that are to see the
        same. Or a generator.

    Returns
    -------
    Images
        ``x`` (n, n_pixels) and ``y`` (n,).

    Raises
    ------
    ValueError
        If a class has not enough images.
    """
    x, y = _labelled(images)
    rows = _balanced_rows(y, check_count(n, "n"), _rng(key, "class samples"))
    return Images(x[rows], y[rows])


def validation_split(dataset, n_validation, key):
    """Split training images into those to learn from, and some of every class to choose by.

    Parameters
    ----------
    dataset : hmlib.datasets.Dataset or pair of ndarray
        A data set, of which the training images are taken, or images and labels.
    n_validation : int
        Images to choose by, as many of each class as in :func:`class_samples`.
    key : dict or numpy.random.Generator
        As for :func:`class_samples`.

    Returns
    -------
    train : Images
        The rest, in the order in which they were.
    validation : Images
        Those to choose by. The test images of a data set are in neither.

    Raises
    ------
    ValueError
        If a class has not enough images.
    """
    x, y = _labelled(dataset)
    chosen = _balanced_rows(y, check_count(n_validation, "n_validation"), _rng(key, "validation"))
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    return Images(x[rest], y[rest]), Images(x[chosen], y[chosen])


def _labelled(images):
    """Return images and labels: the training set of a data set, or the pair itself."""
    return (images.x_train, images.y_train) if hasattr(images, "x_train") else images


def _rng(key, what):
    return generator(what=what, **key) if isinstance(key, dict) else as_generator(key)


def _balanced_rows(y, n, rng):
    """Choose ``n`` rows: turn by turn one of every class, the classes of each turn in random order."""
    classes, counts = np.unique(y, return_counts=True)
    n_turns = -(-n // len(classes))
    if n_turns > counts.min():
        raise ValueError(
            f"n must be at most {len(classes) * counts.min()}: the smallest of {len(classes)} "
            f"classes has {counts.min()} images, got {n}"
        )
    by_class = np.array([rng.permutation(np.flatnonzero(y == c))[: counts.min()] for c in classes])
    order = rng.permuted(np.tile(np.arange(len(classes)), (counts.min(), 1)), axis=1)
    return by_class[order, np.arange(counts.min())[:, None]].ravel()[:n]
