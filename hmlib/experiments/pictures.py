"""Pictures in records: what a machine dreams, in text that a JSON file can hold."""

import base64
import zlib

import numpy as np

from hmlib._checks import check_array

__all__ = ["decode_pictures", "encode_pictures", "filters"]


def encode_pictures(pictures):
    """Write grey values in [0, 1] as text: 8 bits each, compressed, in base 64.

    Parameters
    ----------
    pictures : array_like, shape (n, n_pixels)
        One picture a row.

    Returns
    -------
    str
        What :func:`decode_pictures` reads, exact to 1 / 510.

    Raises
    ------
    ValueError
        If a value lies outside [0, 1] or is NaN.
    """
    pictures = check_array(pictures, "pictures", ndim=2, low=0, high=1)
    grey = np.rint(255 * pictures).astype(np.uint8)
    return base64.b64encode(zlib.compress(grey.tobytes(), 9)).decode("ascii")


def decode_pictures(text, n_pixels):
    """Read what :func:`encode_pictures` wrote.

    Parameters
    ----------
    text : str
        The pictures.
    n_pixels : int
        Pixels of each.

    Returns
    -------
    ndarray, shape (n, n_pixels)
        Grey values in [0, 1].

    Raises
    ------
    ValueError
        If ``text`` was not made by :func:`encode_pictures`, or for pictures of another size.
    """
    try:
        grey = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), np.uint8)
        return grey.reshape(-1, n_pixels) / 255
    except (ValueError, zlib.error) as error:
        raise ValueError(
            f"text does not hold pictures of {n_pixels} pixels as encode_pictures writes them"
        ) from error


def filters(weights, n=20):
    """Show what hidden units look for: the columns of largest norm, each on its own grey scale.

    Parameters
    ----------
    weights : array_like, shape (n_pixels, n_units)
        Weights between pixels and units.
    n : int
        How many to show; fewer if there are fewer units.

    Returns
    -------
    ndarray, shape (n, n_pixels)
        1/2 + W_ij / (2 max_i |W_ij|), so that mid-grey is weight zero.

    Raises
    ------
    ValueError
        If ``weights`` is not a table of finite numbers.
    """
    W = check_array(weights, "weights", ndim=2)
    W = W[:, np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:n]].T
    largest = np.abs(W).max(axis=1, keepdims=True)
    return 0.5 + W / (2 * np.where(largest == 0, 1, largest))
