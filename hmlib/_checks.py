"""Checks of arguments: each raises a ``ValueError`` that names the argument and what was expected."""

from numbers import Integral, Real

import numpy as np


def as_generator(random_state=None):
    """Turn None (fresh entropy), a non-negative int (a seed) or a Generator (itself) into a Generator."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    is_seed = isinstance(random_state, Integral) and not isinstance(random_state, bool)
    if random_state is None or (is_seed and random_state >= 0):
        return np.random.default_rng(random_state)
    raise ValueError(
        "random_state must be None, a non-negative int or a numpy.random.Generator, "
        f"got {random_state!r}"
    )


def check_count(value, name, *, minimum=1):
    """Return ``value`` as an int that is at least ``minimum``."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"{name} must be an int of at least {minimum}, got {value!r}")
    return int(value)


def check_number(value, name, *, low=-np.inf, high=np.inf, low_open=False):
    """Return ``value`` as a finite float in [low, high], or in (low, high] if ``low_open``."""
    is_number = isinstance(value, Real) and not isinstance(value, bool) and np.isfinite(value)
    if not is_number or value < low or value > high or (low_open and value == low):
        bracket = "(" if low_open else "["
        raise ValueError(f"{name} must be a number in {bracket}{low:g}, {high:g}], got {value!r}")
    return float(value)


def check_array(values, name, *, ndim=None, n_columns=None, low=None, high=None, bits=False):
    """Return ``values`` as a finite float array, float32 kept, and check shape and range.

    ``low`` and ``high`` bound the entries; ``bits=True`` allows 0 and 1 only.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise TypeError
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be an array of numbers, got {type(values).__name__}"
        ) from None
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    if n_columns is not None and array.shape[-1:] != (n_columns,):
        raise ValueError(f"{name} must have {n_columns} columns, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but it holds NaN or infinity")
    if bits and not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must hold only 0 and 1, got values {_range(array)}")
    if (low is not None and (array < low).any()) or (high is not None and (array > high).any()):
        raise ValueError(f"{name} must lie in [{low}, {high}], got values {_range(array)}")
    return array


def check_spins(values, name, *, n_columns=None):
    """Return ``values`` as an array (n_samples, n_units) of -1 and +1, float32 kept."""
    spins = check_array(values, name, ndim=2, n_columns=n_columns)
    if not (np.abs(spins) == 1).all():
        raise ValueError(f"{name} must hold only -1 and +1, got values {_range(spins)}")
    return spins


def _range(array):
    return f"from {array.min():g} to {array.max():g}"


def check_sizes(hidden):
    """Return the sizes of hidden layers as a list, checked."""
    if not isinstance(hidden, (tuple, list)) or not hidden:
        raise ValueError(f"hidden must be a tuple of layer sizes, got {hidden!r}")
    return [check_count(size, f"hidden[{i}]") for i, size in enumerate(hidden)]


def check_layer(layer, n_layers):
    """Return the index of one of so many layers, which may count from the end."""
    if not isinstance(layer, Integral) or layer not in range(-n_layers, n_layers):
        raise ValueError(f"layer must be an int from 0 to {n_layers - 1}, got {layer!r}")
    return layer
