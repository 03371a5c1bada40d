"""Pictures that travel in records as text."""

import numpy as np
import pytest

from hmlib.experiments import decode_pictures, encode_pictures, filters


def test_what_was_encoded_is_decoded_to_8_bits():
    pictures = np.random.default_rng(0).random((3, 49))
    text = encode_pictures(pictures)
    assert text.isascii()
    decoded = decode_pictures(text, 49)
    assert decoded.shape == (3, 49)
    assert np.abs(decoded - pictures).max() <= 1 / 510 + 1e-12
    np.testing.assert_array_equal(decode_pictures(encode_pictures(decoded), 49), decoded)


def test_no_picture_is_no_problem():
    assert decode_pictures(encode_pictures(np.zeros((0, 4))), 4).shape == (0, 4)


@pytest.mark.parametrize("pictures", [[[1.1]], [[np.nan]], [0.5], [[-0.1, 0.5]]])
def test_what_is_no_table_of_grey_values_is_refused(pictures):
    with pytest.raises(ValueError, match="pictures must"):
        encode_pictures(pictures)


@pytest.mark.parametrize("text", ["no base 64!", "QUJD", encode_pictures(np.zeros((2, 5)))])
def test_foreign_text_and_other_sizes_are_refused(text):
    with pytest.raises(ValueError, match="pictures of 4 pixels"):
        decode_pictures(text, 4)


def test_filters_are_the_largest_columns_on_a_symmetric_grey_scale():
    W = np.array([[0.1, -2.0, 0.0], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(filters(W, n=2), [[0.0, 0.75], [1.0, 0.5]])
    np.testing.assert_allclose(filters(W)[2], 0.5)  # a unit without weights is grey all over
