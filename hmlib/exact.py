"""Brute-force enumeration: exact answers for systems small enough to list every state.

These functions are the oracle of the test suite and of the checks in the chapters. They work in
float64 and in nats, and they refuse systems of more than 20 units.
"""

import numpy as np
from scipy.special import logsumexp, rel_entr, xlogy

from hmlib._checks import check_array, check_count, check_number

__all__ = ["MAX_UNITS", "all_states", "distribution", "entropy", "kl_divergence", "log_partition"]

MAX_UNITS = 20  # 2^20 states of 20 units are 168 MB in float64; beyond that, sample.


def all_states(n_units, *, spins=False):
    """List every state of ``n_units`` binary units, in counting order, first unit slowest.

    Parameters
    ----------
    n_units : int
        Number of units, 0 to 20.
    spins : bool
        If true the values are -1 and +1, else 0 and 1.

    Returns
    -------
    ndarray, shape (2**n_units, n_units)
        The states.

    Raises
    ------
    ValueError
        If ``n_units`` is not an int from 0 to 20.
    """
    if check_count(n_units, "n_units", minimum=0) > MAX_UNITS:
        raise ValueError(f"n_units must be at most {MAX_UNITS} to list all states, got {n_units}")
    bits = (np.arange(2**n_units)[:, None] >> np.arange(n_units)[::-1]) & 1
    return (2 * bits - 1 if spins else bits).astype(float)


def log_partition(energies, *, beta=1.0):
    """Compute log Z = log sum_s exp(-beta E(s)) in nats, over the last axis.

    Parameters
    ----------
    energies : array_like, shape (..., n_states)
        E(s) of every state.
    beta : float
        Inverse temperature, at least 0.

    Returns
    -------
    ndarray, shape (...), or float
        The log-partition function.

    Raises
    ------
    ValueError
        If an energy is not finite, there is no state, or ``beta`` is negative.
    """
    energies = check_array(energies, "energies").astype(float)
    if energies.ndim == 0 or energies.shape[-1] == 0:
        raise ValueError("energies must hold at least one state on its last axis")
    return logsumexp(-check_number(beta, "beta", low=0) * energies, axis=-1)


def distribution(energies, *, beta=1.0):
    """Compute the Boltzmann distribution p(s) = exp(-beta E(s)) / Z over the last axis.

    Parameters and errors as for :func:`log_partition`.

    Returns
    -------
    ndarray, shape (..., n_states)
        Probabilities that sum to 1 along the last axis.
    """
    log_z = np.expand_dims(log_partition(energies, beta=beta), -1)
    return np.exp(-beta * np.asarray(energies, dtype=float) - log_z)


def entropy(p):
    """Compute the entropy H(p) = -sum_s p(s) log p(s) in nats, with 0 log 0 = 0 (Shannon, 1948).

    Parameters
    ----------
    p : array_like, shape (n_states,)
        Probabilities that sum to 1.

    Returns
    -------
    float
        Between 0 and log(n_states).

    Raises
    ------
    ValueError
        If ``p`` is not a probability distribution.
    """
    p = _check_distribution(p, "p")
    return max(0.0, float(-xlogy(p, p).sum()))  # a certain state gives -0.0


def kl_divergence(p, q):
    """Compute KL[p, q] = sum_s p(s) log(p(s) / q(s)) in nats (Kullback and Leibler, 1951).

    Only states with p(s) > 0 count, so both arrays may be restricted to a set of states that
    includes them; ``q`` then sums to less than 1.

    Parameters
    ----------
    p : array_like, shape (n_states,)
        Probabilities that sum to 1: the distribution over which surprise is averaged.
    q : array_like, shape (n_states,)
        Probabilities of the same states under the other distribution, summing to at most 1.

    Returns
    -------
    float
        At least 0, up to rounding and the tolerance of 1e-6 on the sums; infinite if q(s) = 0 for
        a state with p(s) > 0.

    Raises
    ------
    ValueError
        If the shapes differ, ``p`` is not a distribution, or ``q`` is negative or sums to more than 1.
    """
    p = _check_distribution(p, "p")
    q = check_array(q, "q", ndim=1, low=0).astype(float)
    if p.shape != q.shape:
        raise ValueError(f"p and q must list the same states, got shapes {p.shape} and {q.shape}")
    if q.sum() > 1 + 1e-6:
        raise ValueError(f"q must sum to at most 1, it sums to {q.sum():.8g}")
    return float(rel_entr(p, q).sum())


def _check_distribution(p, name):
    p = check_array(p, name, ndim=1, low=0).astype(float)
    if not np.isclose(p.sum(), 1, rtol=0, atol=1e-6):
        raise ValueError(f"{name} must sum to 1, it sums to {p.sum():.8g}")
    return p
