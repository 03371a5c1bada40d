"""Sliders that work on a static page: all frames are drawn beforehand, the browser picks one.

The output is plain HTML with a native range input and no library behind it, so it works without a
kernel, without a network, from a file, and in a running notebook. Without JavaScript the first
frame stays in view.
"""

import base64
import html
import io
import json

import matplotlib.pyplot as plt

__all__ = ["Frames", "frames"]

# One line of JavaScript, inline because a notebook has no other place for it.
_ON_INPUT = (
    "const f=this.closest('figure'),v=JSON.parse(this.dataset.values)[this.value];"
    "f.querySelectorAll('img').forEach((m,i)=>{m.hidden=i!=this.value});"
    "f.querySelector('output').textContent=v;this.setAttribute('aria-valuetext',v)"
)
_DPI = 110  # a page holds every frame, so each is drawn smaller than a figure


class Frames:
    """Pictures under a slider, as a Jupyter output.

    Parameters
    ----------
    pngs : list of bytes
        The pictures, PNG.
    values : list of str
        What the slider shows at each.
    alts : list of str
        The text alternative of each: what a reader who cannot see it needs to know.
    label : str
        What the slider changes.
    caption : str
        What to do and what to see, below the slider.
    """

    def __init__(self, pngs, values, alts, label, caption):
        self.pngs, self.values, self.alts = pngs, values, alts
        self.label, self.caption = label, caption

    def _repr_html_(self):
        images = "\n".join(
            f'<img alt="{html.escape(alt)}" style="max-width:100%;height:auto" '
            f'src="data:image/png;base64,{base64.b64encode(png).decode()}"{" hidden" if i else ""}>'
            for i, (png, alt) in enumerate(zip(self.pngs, self.alts))
        )
        label, caption, first = map(html.escape, (self.label, self.caption, self.values[0]))
        values, on_input = html.escape(json.dumps(self.values)), html.escape(_ON_INPUT)
        return (
            f'<figure class="hm-frames">\n{images}\n'
            f'<label style="display:block">{label}: <output>{first}</output> '
            f'<input type="range" min="0" max="{len(self.pngs) - 1}" value="0" step="1" '
            f'style="display:block;width:100%" autocomplete="off" aria-valuetext="{first}" '
            f'data-values="{values}" oninput="{on_input}"></label>\n'
            f"<figcaption>{caption}</figcaption>\n</figure>"
        )

    def __repr__(self):
        return f"<{len(self.pngs)} pictures under a slider over {self.label}>"


def frames(draw, values, *, label, alt, caption, format_value=str):
    """Draw one picture for each value and put them under a slider.

    Parameters
    ----------
    draw : callable
        ``draw(value)`` draws into the current figure, or returns the Figure or Axes it made.
    values : sequence
        What the slider runs through; the first is what a reader without JavaScript sees.
    label : str
        What the slider changes, for example ``"epochs of training"``.
    alt : callable
        ``alt(value)`` describes the picture in a sentence.
    caption : str
        What to do and what to see.
    format_value : callable
        Turns a value into the text beside the slider.

    Returns
    -------
    Frames
        Displayed by Jupyter as HTML.

    Raises
    ------
    ValueError
        If there is no value, or a text alternative or the caption is empty.

    Notes
    -----
    The page carries every picture: a dozen of them are about 150 kB.
    """
    values = list(values)
    if not values:
        raise ValueError("values must hold at least one value")
    alts = [alt(value) for value in values]
    if not all(text.strip() for text in [*alts, label, caption]):
        raise ValueError("alt, label and caption must say something: they describe the pictures")
    pngs = [_draw_png(draw, value) for value in values]
    return Frames(pngs, [format_value(value) for value in values], alts, label, caption)


def _draw_png(draw, value):
    """Draw one picture and return it as PNG; no figure is left open."""
    before = set(plt.get_fignums())
    drawn = draw(value)
    figure = getattr(drawn, "figure", drawn) or plt.gcf()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    for number in set(plt.get_fignums()) - before:
        plt.close(number)
    return buffer.getvalue()
