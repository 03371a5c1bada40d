"""Simulated annealing: cool a network of spins slowly, and it settles in a deeper valley."""

from typing import NamedTuple

import numpy as np

from hmlib._checks import as_generator, check_array, check_count, check_number, check_spins
from hmlib.spins import glauber_sweep, spin_energy

__all__ = ["AnnealingResult", "geometric_schedule", "linear_schedule", "simulated_annealing"]


class AnnealingResult(NamedTuple):
    """What :func:`simulated_annealing` found for each of n start states.

    Attributes
    ----------
    states : ndarray, shape (n, n_units)
        Where the runs ended.
    energies_final : ndarray, shape (n,)
        The energies of ``states``.
    best_states : ndarray, shape (n, n_units)
        The state of lowest energy that each run had at the end of a step, or at the start.
    best_energies : ndarray, shape (n,)
        The energies of ``best_states``, never above ``energies_final``.
    energies : ndarray, shape (n_steps, n), or None
        The energies after every step, if ``return_energies`` was set; the last are
        ``energies_final``.
    """

    states: np.ndarray
    energies_final: np.ndarray
    best_states: np.ndarray
    best_energies: np.ndarray
    energies: np.ndarray | None = None


def linear_schedule(t_start, t_end, n_steps):
    """Cool by equal differences: T_k = T_0 + (T_end - T_0) k / (n_steps - 1), k = 0 ... n_steps - 1.

    Parameters
    ----------
    t_start, t_end : float
        The first and the last temperature, t_start >= t_end >= 0, in units of energy.
    n_steps : int
        Number of temperatures, at least 2.

    Returns
    -------
    ndarray, shape (n_steps,)
        The temperatures, both ends included.

    Raises
    ------
    ValueError
        If a temperature is negative, the order is wrong or there are fewer than 2 steps.
    """
    return np.linspace(*_check_schedule(t_start, t_end, n_steps))


def geometric_schedule(t_start, t_end, n_steps):
    """Cool by equal factors: T_k = T_0 (T_end / T_0)^(k / (n_steps - 1)), k = 0 ... n_steps - 1.

    Parameters
    ----------
    t_start, t_end : float
        The first and the last temperature, t_start >= t_end > 0, in units of energy. Zero cannot be
        reached by factors; append it to end with a descent.
    n_steps : int
        Number of temperatures, at least 2.

    Returns
    -------
    ndarray, shape (n_steps,)
        The temperatures, both ends included.

    Raises
    ------
    ValueError
        If a temperature is not positive, the order is wrong or there are fewer than 2 steps.
    """
    return np.geomspace(*_check_schedule(t_start, t_end, n_steps, positive=True))


def simulated_annealing(
    weights, states, temperatures, *, threshold=0.0, random_state=None, return_energies=False
):
    """Look for states of low energy E(S) = -1/2 S W S + threshold . S by cooling slowly.

    Each step is one sweep of :func:`hmlib.spins.glauber_sweep` at the next temperature, beta = 1 / T.
    At T = 0 it is the sign rule, which never goes uphill, so that a schedule of zeros is a quench. If
    the last temperature is 0, the last step repeats the sweep until no unit flips any more: then the
    runs end in local minima, where no single flip lowers the energy.

    Parameters
    ----------
    weights : array_like, shape (n_units, n_units)
        W, symmetric with a zero diagonal. That is required, because otherwise the sweeps do not
        sample from exp(-E / T), and a descent need not end.
    states : array_like, shape (n, n_units)
        Start states of +1 and -1: n runs at once. They share the order of the updates, so only runs
        of different calls are fully independent.
    temperatures : array_like, shape (n_steps,)
        One temperature for each sweep, in units of energy, none negative. Any order is allowed, for
        example to heat up again; see :func:`linear_schedule` and :func:`geometric_schedule`.
    threshold : float or array_like, shape (n_units,)
        Thresholds of the units.
    random_state : None, int or numpy.random.Generator
        The source of randomness.
    return_energies : bool
        Whether to return the energies after every step.

    Returns
    -------
    AnnealingResult
        Final and best states with their energies.

    Raises
    ------
    ValueError
        If a temperature is negative, ``weights`` is not symmetric with a zero diagonal, a state is
        not of +1 and -1, or shapes disagree.

    References
    ----------
    S. Kirkpatrick, C. D. Gelatt and M. P. Vecchi (1983), *Optimization by simulated annealing*. The
    chapter *Spins, temperature, annealing*.
    """
    weights = _check_weights(weights)
    temperatures = check_array(temperatures, "temperatures", ndim=1, low=0)
    if temperatures.size == 0:
        raise ValueError("temperatures must hold at least one temperature, got none")
    rng = as_generator(random_state)
    states = check_spins(states, "states", n_columns=len(weights))
    if not len(states):
        raise ValueError("states must hold at least one state, got none")
    best_states, best_energies = states.copy(), spin_energy(states, weights, threshold)
    energies = []
    last = len(temperatures) - 1
    for step, temperature in enumerate(temperatures):
        beta = 1 / temperature if temperature > 0 else np.inf
        states = glauber_sweep(states, weights, beta, rng, threshold=threshold)
        if step == last and temperature == 0:
            states = _descend(states, weights, threshold, rng)
        energies.append(spin_energy(states, weights, threshold))
        better = energies[-1] < best_energies
        best_states[better], best_energies[better] = states[better], energies[-1][better]
    history = np.array(energies) if return_energies else None
    return AnnealingResult(states, energies[-1], best_states, best_energies, history)


def _descend(states, weights, threshold, rng):
    """Repeat sweeps of the sign rule until no unit flips."""
    while True:
        before = states
        states = glauber_sweep(before, weights, np.inf, rng, threshold=threshold)
        if np.array_equal(states, before):
            return states


def _check_schedule(t_start, t_end, n_steps, positive=False):
    """Return the arguments if they are numbers in cooling order."""
    t_start = check_number(t_start, "t_start", low=0, low_open=positive)
    t_end = check_number(t_end, "t_end", low=0, low_open=positive)
    if t_start < t_end:
        raise ValueError(
            f"t_start must be at least t_end, because a schedule cools, got {t_start} and {t_end}"
        )
    return t_start, t_end, check_count(n_steps, "n_steps", minimum=2)


def _check_weights(weights):
    """Return ``weights`` if they are square and symmetric with a zero diagonal."""
    weights = check_array(weights, "weights", ndim=2)
    n_units = len(weights)
    if weights.shape != (n_units, n_units):
        raise ValueError(f"weights must be square, got shape {weights.shape}")
    if not np.allclose(weights, weights.T, rtol=1e-6, atol=1e-12) or np.diag(weights).any():
        raise ValueError("weights must be symmetric with a zero diagonal")
    return weights
