"""Simulated annealing: schedules, bookkeeping, minima, and whether it is worth its price."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from hmlib.annealing import (
    AnnealingResult,
    geometric_schedule,
    linear_schedule,
    simulated_annealing,
)
from hmlib.exact import all_states, distribution
from hmlib.hopfield import HopfieldNetwork
from hmlib.ising import IsingModel, sherrington_kirkpatrick
from hmlib.spins import glauber_sweep, spin_energy


def random_spins(shape, rng):
    return rng.choice([-1.0, 1.0], shape)


def flip_costs(states, weights, threshold=0.0):
    """Compute the change of the energy for the flip of every unit, from energies alone."""
    costs = np.empty(states.shape)
    for i in range(states.shape[1]):
        flipped = states.copy()
        flipped[:, i] *= -1
        before, after = (spin_energy(s, weights, threshold) for s in (states, flipped))
        costs[:, i] = after - before
    return costs


# --- schedules -------------------------------------------------------------------------------------


def test_schedules_by_hand():
    assert_allclose(linear_schedule(2, 0, 5), [2, 1.5, 1, 0.5, 0])
    assert_allclose(geometric_schedule(8, 1, 4), [8, 4, 2, 1])
    assert_allclose(linear_schedule(1, 1, 3), 1)
    assert_allclose(geometric_schedule(1, 1, 2), 1)
    assert linear_schedule(3, 0, 7)[-1] == 0  # exactly, because zero is the sign rule


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1), st.integers(2, 50))
def test_schedules_cool_from_one_end_to_the_other(t_start, fraction, n_steps):
    t_end = fraction * t_start
    linear, geometric = (f(t_start, t_end, n_steps) for f in (linear_schedule, geometric_schedule))
    for schedule in (linear, geometric):
        assert schedule.shape == (n_steps,)
        assert_allclose(schedule[[0, -1]], [t_start, t_end], rtol=1e-12)
        assert (np.diff(schedule) <= 1e-12 * t_start).all()
    assert_allclose(np.diff(linear), np.diff(linear)[0], atol=1e-12 * t_start)
    assert_allclose(geometric[1:] / geometric[:-1], fraction ** (1 / (n_steps - 1)), rtol=1e-9)


# --- what the annealer does and writes down --------------------------------------------------------


def test_it_is_one_glauber_sweep_per_temperature():
    rng = np.random.default_rng(0)
    weights, threshold = sherrington_kirkpatrick(12, rng), rng.normal(size=12)
    start, temperatures = random_spins((5, 12), rng), [2.0, 0.0, 1.0, 0.5, 0.01]
    result = simulated_annealing(
        weights, start, temperatures, threshold=threshold, random_state=3, return_energies=True
    )
    states, rng, history = start, np.random.default_rng(3), [start]
    for beta in (0.5, np.inf, 1.0, 2.0, 100.0):
        states = glauber_sweep(states, weights, beta, rng, threshold=threshold)
        history.append(states)
    energies = np.array([spin_energy(s, weights, threshold) for s in history])
    assert_array_equal(result.states, states)
    assert_allclose(result.energies, energies[1:], rtol=1e-12)
    assert_allclose(result.energies_final, energies[-1], rtol=1e-12)
    assert_allclose(result.best_energies, energies.min(axis=0), rtol=1e-12)
    best = np.array(history)[energies.argmin(axis=0), np.arange(5)]
    assert_array_equal(result.best_states, best)


@given(st.integers(0, 2**32), st.booleans())
def test_the_books_are_balanced(seed, cold_end):
    rng = np.random.default_rng(seed)
    weights, threshold = sherrington_kirkpatrick(8, rng), rng.normal(size=8)
    start = random_spins((4, 8), rng)
    temperatures = [*rng.uniform(0.2, 3, 4), *([0.0] if cold_end else [])]
    result = simulated_annealing(
        weights, start, temperatures, threshold=threshold, random_state=rng, return_energies=True
    )
    states, final, best_states, best, energies = result
    assert_array_equal(np.unique(np.abs([states, best_states])), [1])
    assert_allclose(final, spin_energy(states, weights, threshold))
    assert_allclose(best, spin_energy(best_states, weights, threshold))
    assert (best <= final).all() and (best <= spin_energy(start, weights, threshold)).all()
    assert energies.shape == (len(temperatures), 4)
    assert_array_equal(energies[-1], final)
    assert (best <= energies.min(axis=0)).all()


def test_energies_are_kept_on_request_only():
    weights = sherrington_kirkpatrick(6, 0)
    result = simulated_annealing(weights, np.ones((2, 6)), [1.0], random_state=0)
    assert isinstance(result, AnnealingResult)
    assert result.energies is None


def test_the_best_state_may_be_the_first():
    weights = sherrington_kirkpatrick(10, 0)
    states = all_states(10, spins=True)
    energies = spin_energy(states, weights)
    start = states[[energies.argmin()]]
    result = simulated_annealing(weights, start, np.full(20, 100.0), random_state=1)
    assert_array_equal(result.best_states, start)
    assert result.energies_final > result.best_energies
    assert_allclose(result.best_energies, energies.min())


def test_start_states_stay_as_they_are_and_the_seed_decides():
    rng = np.random.default_rng(1)
    weights, start = sherrington_kirkpatrick(20, rng), random_spins((3, 20), rng)
    copies = weights.copy(), start.copy()
    state = np.random.get_state()[1].copy()
    temperatures = linear_schedule(2, 0.5, 10)
    runs = [
        simulated_annealing(weights, start, temperatures, random_state=s).states
        for s in (4, 4, np.random.default_rng(4), 5)
    ]
    assert_array_equal(weights, copies[0])
    assert_array_equal(start, copies[1])
    assert_array_equal(runs[0], runs[1])
    assert_array_equal(runs[0], runs[2])
    assert (runs[0] != runs[3]).any()
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, int])
def test_types_of_states(dtype):
    weights = sherrington_kirkpatrick(6, 0)
    result = simulated_annealing(weights, np.ones((2, 6), dtype), [1.0, 0.0], random_state=0)
    expected = np.float32 if dtype is np.float32 else np.float64
    assert result.states.dtype == result.best_states.dtype == expected


def mean_sweep(energies, temperature, rng, n_orders=100):
    """Write down P(s -> s') of a heat-bath sweep from energies alone, averaged over random orders."""
    n_states = len(energies)
    n_units, numbers = n_states.bit_length() - 1, np.arange(n_states)
    updates = []
    for i in range(n_units):
        flipped = numbers ^ (1 << i)
        p = 1 / (1 + np.exp((energies[flipped] - energies) / temperature))
        update = np.diag(1 - p)
        update[numbers, flipped] = p
        updates.append(update)
    orders = (rng.permutation(n_units) for _ in range(n_orders))
    return sum(np.linalg.multi_dot([updates[i] for i in order]) for order in orders) / n_orders


@pytest.mark.parametrize("temperature", [0.7, 2.0])
def test_at_a_constant_temperature_it_samples(temperature):
    rng = np.random.default_rng(2)
    weights, threshold = sherrington_kirkpatrick(8, rng), 0.3 * rng.normal(size=8)
    energies = spin_energy(all_states(8, spins=True), weights, threshold)
    equilibrium = distribution(energies, beta=1 / temperature) @ energies
    # The glass is slow when it is cold, so the exact kernel says how many sweeps are enough: until
    # what it still remembers of a random start is a thousandth of its energies' scale.
    kernel, n_sweeps = mean_sweep(energies, temperature, rng), 1
    while (
        abs(np.linalg.matrix_power(kernel, n_sweeps).mean(axis=0) @ energies - equilibrium) > 1e-3
    ):
        n_sweeps *= 2
    # Runs of one call share the order of updates; the mean of a call is one independent number.
    means = [
        simulated_annealing(
            weights,
            random_spins((200, 8), rng),
            np.full(n_sweeps, temperature),
            threshold=threshold,
            random_state=rng,
        ).energies_final.mean()
        for _ in range(25)
    ]
    error = stats.sem(means)
    assert abs(np.mean(means) - equilibrium) <= 4 * error
    assert 1e-3 < error < 0.05


# --- minima ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperatures", [[0.0], [2.0, 0.0], linear_schedule(1.5, 0, 30)])
def test_a_last_temperature_of_zero_ends_in_a_local_minimum(temperatures):
    rng = np.random.default_rng(3)
    weights, threshold = sherrington_kirkpatrick(60, rng), 0.2 * rng.normal(size=60)
    start = random_spins((30, 60), rng)
    assert (flip_costs(start, weights, threshold) < -1e-6).any(axis=1).all()
    result = simulated_annealing(weights, start, temperatures, threshold=threshold, random_state=4)
    assert (flip_costs(result.states, weights, threshold) > -1e-9).all()
    network = HopfieldNetwork.from_weights(weights, threshold=threshold)
    assert network.is_stable(result.states).all()
    # One sweep of the sign rule alone would not have been enough.
    once = glauber_sweep(start, weights, np.inf, 4, threshold=threshold)
    assert not network.is_stable(once).all()


def test_a_warm_end_is_no_minimum():
    rng = np.random.default_rng(5)
    weights = sherrington_kirkpatrick(60, rng)
    result = simulated_annealing(weights, random_spins((30, 60), rng), [0.5] * 10, random_state=rng)
    assert (flip_costs(result.states, weights) < -1e-6).any(axis=1).mean() > 0.5


def test_a_quench_never_goes_uphill():
    rng = np.random.default_rng(6)
    weights, start = sherrington_kirkpatrick(60, rng), random_spins((30, 60), rng)
    result = simulated_annealing(
        weights, start, np.zeros(8), random_state=rng, return_energies=True
    )
    path = np.vstack([spin_energy(start, weights), result.energies])
    assert (np.diff(path, axis=0) <= 1e-12).all() and (path[0] > path[-1]).all()
    assert_array_equal(result.best_energies, result.energies_final)


def test_a_lattice_with_many_ties_comes_to_rest():
    model = IsingModel((6, 6), random_state=0)
    start = model.start(20).reshape(20, -1)
    weights = model.weights()
    result = simulated_annealing(weights, start, [0.0], random_state=0)
    costs = flip_costs(result.states, weights)
    assert (costs >= 0).all() and (costs == 0).any()
    # Annealed slowly, nearly all lattices find one of the two ground states.
    slow = simulated_annealing(weights, start, linear_schedule(4, 0, 100), random_state=0)
    assert (slow.energies_final == -72).mean() > (result.energies_final == -72).mean()


# --- is it worth it? -------------------------------------------------------------------------------


def test_annealing_finds_ground_states_more_often_than_quenching_for_as_many_sweeps():
    n_steps, n_runs, every = 100, 40, all_states(16, spins=True)
    rates = []
    for seed in range(20):  # glasses, each one independent comparison
        rng = np.random.default_rng(seed)
        weights = sherrington_kirkpatrick(16, rng)
        ground = spin_energy(every, weights).min()
        start = random_spins((n_runs, 16), rng)
        schedules = linear_schedule(1.0, 0, n_steps), np.zeros(n_steps)
        results = [simulated_annealing(weights, start, t, random_state=rng) for t in schedules]
        for result in results:
            assert (result.best_energies >= ground - 1e-9).all()
        rates.append([np.isclose(r.energies_final, ground, atol=1e-9).mean() for r in results])
    annealed, quenched = np.transpose(rates)
    assert annealed.mean() > 0.5
    difference = annealed - quenched
    interval = stats.t.interval(
        0.9999, len(difference) - 1, difference.mean(), stats.sem(difference)
    )
    assert interval[0] > 0


def test_on_a_large_glass_annealing_beats_as_many_sweeps_of_restarted_quenches():
    n_units, n_steps, gains = 150, 100, []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        weights = sherrington_kirkpatrick(n_units, rng)
        start = random_spins((20, n_units), rng)
        annealed = simulated_annealing(
            weights, start, linear_schedule(1.0, 0, n_steps), random_state=rng
        ).energies_final

        states, cost = random_spins((300, n_units), rng), 0.0
        moving = np.ones(300, dtype=bool)
        while moving.any():  # a quench costs its sweeps, the last of which changes nothing
            after = glauber_sweep(states, weights, np.inf, rng)
            cost += moving.mean()
            moving, states = (after != states).any(axis=1), after
        n_restarts = int(np.ceil(n_steps / cost))
        energies = spin_energy(states, weights)[: 300 // n_restarts * n_restarts]
        best = energies.reshape(-1, n_restarts).min(axis=1)
        gains.append((best.mean() - annealed.mean()) / n_units)
    interval = stats.t.interval(0.99, len(gains) - 1, np.mean(gains), stats.sem(gains))
    assert interval[0] > 0


# --- errors ----------------------------------------------------------------------------------------

W = sherrington_kirkpatrick(4, 0)
S = np.ones((2, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: linear_schedule(1, 2, 5),
            "t_start must be at least t_end, because .* got 1.0 and 2",
        ),
        (lambda: geometric_schedule(1, 2, 5), "t_start must be at least t_end"),
        (lambda: linear_schedule(1, -1, 5), "t_end must be a number in"),
        (lambda: linear_schedule(-1, -2, 5), "t_start must be a number in"),
        (lambda: linear_schedule(np.inf, 1, 5), "t_start must be a number in"),
        (lambda: geometric_schedule(1, 0, 5), r"t_end must be a number in \(0"),
        (lambda: geometric_schedule(0, 0, 5), r"t_start must be a number in \(0"),
        (lambda: linear_schedule(1, 0, 1), "n_steps must be an int of at least 2"),
        (lambda: geometric_schedule(1, 0.1, 2.5), "n_steps must be an int of at least 2"),
        (lambda: simulated_annealing(W, S, [1.0, -0.5]), r"temperatures must lie in \[0"),
        (lambda: simulated_annealing(W, S, [1.0, np.nan]), "temperatures must be finite"),
        (lambda: simulated_annealing(W, S, []), "temperatures must hold at least one temperature"),
        (lambda: simulated_annealing(W, S, 1.0), r"temperatures must have 1 dimension\(s\)"),
        (lambda: simulated_annealing(W, 0 * S, [1.0]), r"states must hold only -1 and \+1"),
        (lambda: simulated_annealing(W, S[:, :3], [1.0]), "states must have 4 columns"),
        (lambda: simulated_annealing(W, S[0], [1.0]), r"states must have 2 dimension\(s\)"),
        (lambda: simulated_annealing(W, S[:0], [1.0]), "states must hold at least one state"),
        (
            lambda: simulated_annealing(W[:3], S, [1.0]),
            r"weights must be square, got shape \(3, 4\)",
        ),
        (
            lambda: simulated_annealing(np.triu(W), S, [1.0]),
            "weights must be symmetric with a zero diagonal",
        ),
        (
            lambda: simulated_annealing(W + np.eye(4), S, [1.0]),
            "weights must be symmetric with a zero diagonal",
        ),
        (lambda: simulated_annealing(W, S, [1.0], threshold=[1.0, 2.0]), "threshold must be"),
        (lambda: simulated_annealing(W, S, [1.0], random_state="seed"), "random_state must be"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
