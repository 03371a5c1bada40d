"""Spins in a field: what one unit of a Hopfield network, an Ising model or an annealer does.

A spin is +1 or -1. The others pull on it with the *field* h_i = sum_j w_ij s_j - theta_i, and it
turns towards that field: always at zero temperature, most of the time at a small one. States are
arrays (n_samples, n_units), float32 kept; all samples are updated together.
"""

import numpy as np
from scipy.special import expit

from hmlib._checks import as_generator, check_array, check_spins

__all__ = ["flip_probability", "glauber_sweep", "spin_energy"]

ROUNDING = 8  # a field below 8 units in the last place of its largest possible value is zero


def spin_energy(states, weights, threshold=0.0):
    """Compute the energy E(s) = -1/2 sum_ij s_i w_ij s_j + sum_i theta_i s_i of each state.

    The half is there because the double sum meets every pair twice. A diagonal w_ii adds the
    constant -1/2 sum_i w_ii, and only the symmetric part of the weights counts.

    Parameters
    ----------
    states : array_like, shape (n_samples, n_units)
        Spins, -1 and +1.
    weights : array_like, shape (n_units, n_units)
        Couplings w_ij, from unit j to unit i.
    threshold : float or array_like, shape (n_units,)
        Thresholds theta_i.

    Returns
    -------
    ndarray, shape (n_samples,)
        Energies, in the units of the weights.

    Raises
    ------
    ValueError
        If ``states`` holds anything but -1 and +1, shapes do not fit, or a number is not finite.

    References
    ----------
    J. J. Hopfield, *Neural networks and physical systems with emergent collective computational
    abilities*, PNAS 79:2554-2558, 1982. The chapter *Hopfield networks*.
    """
    return _energy(*_check_system(states, weights, threshold))


def flip_probability(field, beta):
    """Compute the probability p = 1 / (1 + exp(-2 beta h)) that a unit in the field h ends at +1.

    It does not depend on where the unit was: this is the heat bath, or Glauber dynamics.

    Parameters
    ----------
    field : array_like
        Fields h, any shape.
    beta : float
        Inverse temperature, at least 0; ``np.inf`` gives 1 for h > 0, 0 for h < 0, 1/2 for h = 0.

    Returns
    -------
    ndarray
        Probabilities of the same shape.

    Raises
    ------
    ValueError
        If a field is not finite or ``beta`` is negative or NaN.

    References
    ----------
    R. J. Glauber, *Time-dependent statistics of the Ising model*, Journal of Mathematical Physics
    4:294-307, 1963. The chapter *Spins, temperature, annealing*.
    """
    field, beta = check_array(field, "field"), _check_beta(beta)
    if beta == np.inf:
        return np.heaviside(field, field.dtype.type(0.5))
    return expit(2 * beta * field)


def glauber_sweep(states, weights, beta, random_state=None, *, threshold=0.0, order=None):
    """Update units one after another, each given the new states of those before it.

    Unit i sees the field h_i = sum_j w_ij s_j - theta_i and becomes +1 with probability
    1 / (1 + exp(-2 beta h_i)), else -1. At ``beta=np.inf`` this is the sign rule s_i = sgn(h_i), and
    a unit with h_i = 0 stays as it is.

    Parameters
    ----------
    states : array_like, shape (n_samples, n_units)
        Spins, -1 and +1; left unchanged.
    weights : array_like, shape (n_units, n_units)
        Couplings w_ij, from unit j to unit i. Only with a symmetric matrix and no diagonal is
        exp(-beta E) the stationary distribution.
    beta : float
        Inverse temperature, at least 0, or ``np.inf``.
    random_state : None, int or numpy.random.Generator
        The source of randomness.
    threshold : float or array_like, shape (n_units,)
        Thresholds theta_i.
    order : array_like of int, optional
        The units to update, in this order; units left out are clamped. None is a random permutation
        of all units. All samples share the order, but not the coins.

    Returns
    -------
    ndarray, shape (n_samples, n_units)
        The states after the sweep.

    Raises
    ------
    ValueError
        If ``states`` holds anything but -1 and +1, shapes do not fit, a number is not finite,
        ``beta`` is negative or ``order`` names no unit.

    Notes
    -----
    A zero field is one that is zero up to rounding, so that a tie stays a tie in floating point.

    References
    ----------
    R. J. Glauber, *Time-dependent statistics of the Ising model*, Journal of Mathematical Physics
    4:294-307, 1963. The chapters *Hopfield networks* and *Spins, temperature, annealing*.
    """
    states, weights, threshold = _check_system(states, weights, threshold)
    beta, rng = _check_beta(beta), as_generator(random_state)
    order = rng.permutation(len(weights)) if order is None else _check_order(order, len(weights))
    states = states.copy()
    if beta == np.inf:
        fields = _fields(states, weights, threshold)
        _sign_sweep(states, fields, weights, _resolution(weights, threshold), order)
    else:
        _heat_bath_sweep(states, weights, threshold, beta, rng, order)
    return states


def _energy(states, weights, threshold):
    """Compute the energy of valid states."""
    return -((states @ weights) * states).sum(axis=1) / 2 + states @ threshold


def _fields(states, weights, threshold):
    """Compute h_i = sum_j w_ij s_j - theta_i for all units of all samples."""
    return states @ weights.T - threshold


def _resolution(weights, threshold):
    """Say, for each unit, how large a field may come out that ought to be zero."""
    largest = np.abs(weights).sum(axis=1) + np.abs(threshold)
    return ROUNDING * np.finfo(weights.dtype).eps * largest


def _heat_bath_sweep(states, weights, threshold, beta, rng, order):
    """Draw each unit in turn from its distribution given the others, in place."""
    coins = rng.random((len(order), len(states)), dtype=states.dtype)
    units = np.array(states.T, order="C")
    for i, coin in zip(order, coins):
        field = weights[i] @ units - threshold[i]
        units[i] = np.where(coin < expit(2 * beta * field), 1, -1)
    states[:] = units.T


def _sign_sweep(states, fields, weights, resolution, order):
    """Turn each unit in turn towards its field, in place.

    Few units turn, so the fields are kept up to date instead of being computed: when unit i turns
    to s_i, every field h_j changes by 2 w_ji s_i.
    """
    units, couplings = np.array(states.T, order="C"), np.asfortranarray(weights)
    for i in order:
        (turning,) = np.nonzero(units[i] * fields[:, i] < -resolution[i])
        if turning.size:
            units[i, turning] *= -1
            fields[turning] += 2 * units[i, turning, None] * couplings[:, i]
    states[:] = units.T


def _check_system(states, weights, threshold):
    """Return states, weights and one threshold for each unit, all of the type of the states."""
    weights = _check_weights(weights)
    states = check_spins(states, "states", n_columns=len(weights))
    threshold = _check_threshold(threshold, len(weights))
    return states, weights.astype(states.dtype, copy=False), threshold.astype(states.dtype)


def _check_weights(weights):
    """Return ``weights`` as a square matrix of finite floats."""
    weights = check_array(weights, "weights", ndim=2)
    if weights.shape[0] != weights.shape[1] or not len(weights):
        raise ValueError(f"weights must be a square matrix, got shape {weights.shape}")
    return weights


def _check_threshold(threshold, n_units):
    """Return one threshold for each unit."""
    threshold = check_array(threshold, "threshold")
    if threshold.shape not in ((), (n_units,)):
        raise ValueError(
            f"threshold must be a number or have shape ({n_units},), one for each unit, "
            f"got shape {threshold.shape}"
        )
    return np.broadcast_to(threshold, n_units)


def _check_beta(beta):
    """Return ``beta`` as a number from 0 to infinity, both included."""
    try:
        value = float(beta)
    except (TypeError, ValueError):
        value = np.nan
    if not value >= 0:
        raise ValueError(f"beta must be a number of at least 0, or np.inf, got {beta!r}")
    return value


def _check_order(order, n_units):
    """Return ``order`` as an array of indices of units."""
    order = np.asarray(order)
    if order.ndim != 1 or order.dtype.kind not in "iu" or not np.isin(order, range(n_units)).all():
        raise ValueError(f"order must list units by their numbers 0 to {n_units - 1}, got {order}")
    return order
