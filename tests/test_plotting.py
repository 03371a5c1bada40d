"""Pictures and sliders: what they contain, and what they refuse."""

import html as escape
import json
import re

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from hmlib import plotting, widgets


@pytest.fixture(autouse=True)
def no_figure_left_behind():
    yield
    plt.close("all")


def test_a_mosaic_holds_every_image_with_zero_white_and_one_black():
    images = np.random.default_rng(0).random((7, 12))
    with plt.rc_context():
        plotting.use_style()
        ax = plotting.show_images(images, (3, 4), n_columns=5, titles=list("abcdefg"))
    assert len(ax.images) == 7 and len(ax.texts) == 7
    np.testing.assert_array_equal(ax.images[3].get_array(), images[3].reshape(3, 4))
    shade = ax.images[0].cmap(ax.images[0].norm([0.0, 1.0]))[:, 0]
    assert shade[0] == 1 and shade[1] == 0


def test_a_drawing_names_both_networks_and_every_layer():
    ax = plotting.draw_machine([16, 5, 2], names=["data", "hidden", "top"])
    text = {t.get_text() for t in ax.texts}
    assert {"generative network G", "recognition network R", "data", "hidden", "top"} <= text


def test_every_pair_of_colours_differs_in_lightness_or_hue_for_dichromats():
    """Simulate red- and green-blindness (Vienot, 1999, linear RGB) and compare the first four lines."""
    rgb = np.array(
        [matplotlib.colors.to_rgb(plotting.COLORS[c]) for c in list(plotting.COLORS)[:4]]
    )
    linear = rgb**2.2
    for matrix in (
        [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    ):
        seen = np.clip(linear @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=2)
        assert distance[np.triu_indices(4, 1)].min() > 0.2


def slider(**kwargs):
    options = {"label": "epochs", "alt": "after {} epochs".format, "caption": "Move the slider."}
    return widgets.frames(lambda v: plt.plot([0, v])[0].axes, [1, 5, 25], **(options | kwargs))


def test_frames_show_the_first_picture_and_hide_the_others():
    html = slider()._repr_html_()
    images = re.findall(r"<img[^>]*>", html)
    assert [bool(re.search(r" hidden>$", image)) for image in images] == [False, True, True]
    assert re.findall('alt="([^"]*)"', html) == [f"after {n} epochs" for n in (1, 5, 25)]
    assert 'min="0" max="2" value="0"' in html and "Move the slider." in html
    assert not plt.get_fignums()


def test_labels_of_frames_are_escaped_and_survive_as_json():
    odd = '<5 & "6"'
    html = slider(format_value=lambda v: odd)._repr_html_()
    assert odd not in html
    values = re.search(r'data-values="([^"]*)"', html).group(1)
    assert json.loads(escape.unescape(values)) == [odd] * 3


def test_the_text_form_says_what_it_is():
    assert repr(slider()) == "<3 pictures under a slider over epochs>"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.show_images(np.zeros((0, 9))), "at least one image"),
        (lambda: plotting.show_images(np.zeros((2, 10))), "shape must have 10 pixels"),
        (lambda: plotting.show_images(np.full((2, 9), 3)), "images must lie in"),
        (lambda: plotting.show_images(np.zeros((2, 9)), titles=["a"]), "titles must be 2"),
        (lambda: plotting.show_images(np.zeros((2, 9)), n_columns=0), "n_columns must be"),
        (lambda: plotting.draw_machine([3]), "at least two layers"),
        (lambda: plotting.draw_machine([3, 0]), r"sizes\[1\] must be"),
        (lambda: plotting.draw_machine([3, 2], names=["a"]), "names must be 2"),
        (lambda: slider(caption=" "), "must say something"),
        (lambda: slider(alt=lambda v: ""), "must say something"),
        (
            lambda: widgets.frames(plt.plot, [], label="a", alt=str, caption="b"),
            "at least one value",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
