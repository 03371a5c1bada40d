"""Spins: the single-unit update against exact enumeration, and the sweep against the plain loop."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from hmlib.exact import all_states, distribution
from hmlib.spins import flip_probability, glauber_sweep, spin_energy

no_hurry = settings(deadline=None, max_examples=60)  # a busy machine is not a fault


def random_system(n_units, seed=0, diagonal=False):
    """Make symmetric couplings and thresholds."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((n_units, n_units))
    weights += weights.T
    if not diagonal:
        np.fill_diagonal(weights, 0)
    return weights, rng.standard_normal(n_units)


def random_spins(n_samples, n_units, seed=0):
    return np.random.default_rng(seed).choice([-1.0, 1.0], (n_samples, n_units))


@st.composite
def systems(draw, diagonal=0.0):
    """Draw symmetric couplings, thresholds and a few states; the diagonal lies in [0, diagonal]."""
    n_units = draw(st.integers(1, 6))
    number = st.floats(-1, 1, width=16)
    weights = np.triu(draw(arrays(float, (n_units, n_units), elements=number)), 1)
    own = draw(arrays(float, n_units, elements=st.floats(0, diagonal, width=16)))
    threshold = draw(arrays(float, n_units, elements=number))
    states = draw(arrays(float, (3, n_units), elements=st.sampled_from([-1.0, 1.0])))
    return weights + weights.T + np.diag(own), threshold, states


# Energy ---------------------------------------------------------------------------------------------


def test_energy_counts_every_pair_once():
    weights, threshold = random_system(5)
    for s in all_states(5, spins=True):
        pairs = sum(weights[i, j] * s[i] * s[j] for i in range(5) for j in range(i))
        expected = -pairs + sum(threshold * s)
        assert_allclose(spin_energy(s[None], weights, threshold), [expected], rtol=1e-12)


def test_a_diagonal_only_shifts_the_energy():
    weights, threshold = random_system(4, diagonal=True)
    states = all_states(4, spins=True)
    bare = weights - np.diag(np.diag(weights))
    shift = spin_energy(states, weights, threshold) - spin_energy(states, bare, threshold)
    assert_allclose(shift, -np.trace(weights) / 2, rtol=1e-12)


def test_only_the_symmetric_part_of_the_weights_counts():
    weights = np.random.default_rng(0).standard_normal((4, 4))
    states = all_states(4, spins=True)
    assert_allclose(spin_energy(states, weights), spin_energy(states, (weights + weights.T) / 2))


def test_turning_a_unit_costs_twice_its_field():
    weights, threshold = random_system(6)
    states = random_spins(20, 6)
    for i in range(6):
        turned = states.copy()
        turned[:, i] *= -1
        cost = spin_energy(turned, weights, threshold) - spin_energy(states, weights, threshold)
        field = states @ weights[i] - threshold[i]
        assert_allclose(cost, 2 * states[:, i] * field, rtol=1e-10, atol=1e-12)


# One unit -------------------------------------------------------------------------------------------


def test_flip_probability_is_the_conditional_of_the_boltzmann_distribution():
    weights, threshold = random_system(4)
    states, beta = all_states(4, spins=True), 0.7
    p = distribution(spin_energy(states, weights, threshold), beta=beta).reshape((2,) * 4)
    for i in range(4):
        conditional = (p / p.sum(axis=i, keepdims=True)).take(1, axis=i).ravel()
        rest = states[states[:, i] == 1]
        field = rest @ weights[i] - threshold[i]
        assert_allclose(flip_probability(field, beta), conditional, rtol=1e-12)


def test_flip_probability_at_the_ends():
    field = np.array([-1e3, -1.0, 0.0, 1.0, 1e3])
    assert_array_equal(flip_probability(field, 0), np.full(5, 0.5))
    assert_array_equal(flip_probability(field, np.inf), [0, 0, 0.5, 1, 1])
    p = flip_probability(field, 2)
    assert_allclose(p + flip_probability(-field, 2), 1, rtol=1e-15)
    assert_allclose(p[3], 1 / (1 + np.exp(-4)), rtol=1e-15)
    assert flip_probability(field.astype(np.float32), 2).dtype == np.float32
    assert flip_probability(field.astype(np.float32), np.inf).dtype == np.float32


def unit_transitions(i, weights, threshold, beta):
    """Write down the matrix P(s -> t) of an update of unit i, over all states in counting order."""
    states = all_states(len(weights), spins=True)
    matrix = np.zeros((len(states), len(states)))
    for k, s in enumerate(states):
        field = weights[i] @ s - threshold[i]
        for value in (-1, 1):
            target = s.copy()
            target[i] = value
            matrix[k, code_of(target)] = flip_probability(value * field, beta)
    return matrix


def code_of(states):
    """Number states as ``all_states`` lists them."""
    n_units = states.shape[-1]
    return ((states + 1) / 2 @ 2.0 ** np.arange(n_units)[::-1]).astype(int)


SYSTEMS = [(3, 0.5), (3, 2.0), (4, 0.3), (4, 1.0)]


@pytest.mark.parametrize(("n_units", "beta"), SYSTEMS)
def test_every_unit_is_in_detailed_balance_with_the_boltzmann_distribution(n_units, beta):
    weights, threshold = random_system(n_units, seed=n_units)
    energies = spin_energy(all_states(n_units, spins=True), weights, threshold)
    p = distribution(energies, beta=beta)
    for i in range(n_units):
        flow = p[:, None] * unit_transitions(i, weights, threshold, beta)
        assert_allclose(flow, flow.T, rtol=1e-12, atol=1e-18)


def test_self_coupling_breaks_detailed_balance():
    weights, threshold = np.ones((3, 3)) / 3, np.zeros(3)
    p = distribution(spin_energy(all_states(3, spins=True), weights, threshold))
    flow = p[:, None] * unit_transitions(0, weights, threshold, 1.0)
    assert np.abs(flow - flow.T).max() > 0.01


# Sweeps ---------------------------------------------------------------------------------------------


def assert_transitions(sweep, expected, n_units, n_draws):
    """Compare sampled transitions from every state with a matrix, to 4 standard errors."""
    states = all_states(n_units, spins=True)
    after = code_of(sweep(np.repeat(states, n_draws, axis=0))).reshape(len(states), n_draws)
    for p, codes in zip(expected, after):
        frequency = np.bincount(codes, minlength=len(states)) / n_draws
        assert (np.abs(frequency - p) <= 4 * np.sqrt(p * (1 - p) / n_draws) + 1e-12).all()


@pytest.mark.parametrize(("n_units", "beta"), SYSTEMS)
def test_a_sweep_multiplies_the_matrices_of_its_units(n_units, beta):
    weights, threshold = random_system(n_units, seed=n_units)
    order = np.random.default_rng(1).permutation(n_units)
    expected = np.linalg.multi_dot([unit_transitions(i, weights, threshold, beta) for i in order])
    energies = spin_energy(all_states(n_units, spins=True), weights, threshold)
    p = distribution(energies, beta=beta)
    assert_allclose(
        p @ expected, p, rtol=1e-10, atol=1e-15
    )  # stationary, if not in detailed balance
    rng = np.random.default_rng(0)

    def sweep(states):
        return glauber_sweep(states, weights, beta, rng, threshold=threshold, order=order)

    assert_transitions(sweep, expected, n_units, 10_000)


def test_the_order_is_random_and_uniform():
    weights, threshold = random_system(3, seed=5)
    updates = [unit_transitions(i, weights, threshold, 1.0) for i in range(3)]
    orders = list(permutations(range(3)))
    expected = sum(np.linalg.multi_dot([updates[i] for i in order]) for order in orders) / 6
    rng = np.random.default_rng(0)

    def sweep(states):  # all samples of a call share their order
        calls = np.split(states.reshape(8, -1, 3), 2_000, axis=1)
        done = [
            glauber_sweep(c.reshape(-1, 3), weights, 1.0, rng, threshold=threshold) for c in calls
        ]
        return np.concatenate([d.reshape(8, -1, 3) for d in done], axis=1).reshape(-1, 3)

    # Ten samples share an order: their error is at most that of 2000 independent draws.
    states = all_states(3, spins=True)
    after = code_of(sweep(np.repeat(states, 20_000, axis=0))).reshape(8, 20_000)
    for p, codes in zip(expected, after):
        frequency = np.bincount(codes, minlength=8) / 20_000
        assert (np.abs(frequency - p) <= 4 * np.sqrt(p * (1 - p) / 2_000)).all()
    fixed = np.linalg.multi_dot(updates)
    assert np.abs(fixed - expected).max() > 0.05  # a fixed order would have been noticed


def plain_sweep(states, weights, threshold, order):
    """Apply the sign rule, one sample and one unit at a time."""
    states = states.copy()
    for s in states:
        for i in order:
            h = weights[i] @ s - threshold[i]
            s[i] = np.sign(h) if abs(h) > 1e-9 else s[i]
    return states


@pytest.mark.parametrize("symmetric", [True, False])
def test_zero_temperature_is_the_sign_rule(symmetric):
    weights, threshold = random_system(30, diagonal=True)
    if not symmetric:
        weights = np.random.default_rng(3).standard_normal((30, 30))
    states = random_spins(50, 30)
    order = np.random.default_rng(1).permutation(30)
    expected = plain_sweep(states, weights, threshold, order)
    actual = glauber_sweep(states, weights, np.inf, threshold=threshold, order=order)
    assert_array_equal(actual, expected)


def test_low_temperature_tends_to_zero_temperature():
    weights, threshold = random_system(30)
    states, order = random_spins(50, 30), np.arange(30)
    cold = glauber_sweep(states, weights, 1e12, 0, threshold=threshold, order=order)
    assert_array_equal(cold, plain_sweep(states, weights, threshold, order))


def test_infinite_temperature_is_a_fair_coin():
    weights, _ = random_system(10)
    states = glauber_sweep(np.ones((10_000, 10)), weights, 0, 0)
    assert (np.abs(states.mean(axis=0)) < 4 / np.sqrt(10_000)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_units", [99, 100, 997, 1000])
def test_a_tie_keeps_its_state_in_spite_of_rounding(n_units, dtype):
    """With four patterns and weights that no binary fraction meets, many fields are exactly zero."""
    patterns = random_spins(4, n_units).astype(dtype)
    counts = (patterns.T @ patterns).astype(int)
    np.fill_diagonal(counts, 0)
    states = random_spins(40, n_units, seed=1).astype(dtype)
    weights = counts.astype(dtype) / dtype(n_units)
    for i in range(0, n_units, max(1, n_units // 50)):
        whole = states.astype(int) @ counts[i]
        expected = np.where(whole == 0, states[:, i], np.sign(whole))
        actual = glauber_sweep(states, weights, np.inf, order=[i])[:, i]
        assert_array_equal(actual, expected)


def test_ties_do_occur_in_that_test():
    patterns = random_spins(4, 99)
    counts = (patterns.T @ patterns).astype(int)
    np.fill_diagonal(counts, 0)
    states = random_spins(40, 99, seed=1)
    tied = states.astype(int) @ counts == 0
    rounded = states @ (counts / 99)
    assert tied.any()
    assert (rounded[tied] != 0).any()


@no_hurry
@given(systems(diagonal=1.0), st.randoms(use_true_random=False))
def test_no_single_update_raises_the_energy(system, random):
    weights, threshold, states = system
    before = spin_energy(states, weights, threshold)
    for i in random.sample(range(len(weights)), len(weights)):
        states = glauber_sweep(states, weights, np.inf, threshold=threshold, order=[i])
        after = spin_energy(states, weights, threshold)
        assert (after <= before + 1e-12).all()
        before = after


def test_with_antisymmetric_couplings_the_sign_rule_goes_round_for_ever():
    weights, states = np.array([[0.0, 1.0], [-1.0, 0.0]]), np.array([[1.0, 1.0]])
    seen = [states]
    for _ in range(4):
        seen.append(glauber_sweep(seen[-1], weights, np.inf, order=[0, 1]))
    assert_array_equal(np.concatenate(seen), [[1, 1], [1, -1], [-1, 1], [1, -1], [-1, 1]])


def test_units_left_out_of_the_order_are_clamped():
    weights, threshold = random_system(6)
    states = random_spins(100, 6)
    after = glauber_sweep(states, weights, 0.1, 0, threshold=threshold, order=[4, 1])
    changed = (after != states).any(axis=0)
    assert_array_equal(changed, [False, True, False, False, True, False])


@pytest.mark.parametrize("beta", [0.5, np.inf])
def test_seeds_copies_and_types(beta):
    weights, threshold = random_system(8)
    states = random_spins(20, 8)
    kept = states.copy()
    first = glauber_sweep(states, weights, beta, 7, threshold=threshold)
    assert_array_equal(states, kept)
    assert_array_equal(first, glauber_sweep(states, weights, beta, 7, threshold=threshold))
    rng = np.random.default_rng(7)
    assert_array_equal(first, glauber_sweep(states, weights, beta, rng, threshold=threshold))
    assert first.dtype == np.float64
    assert glauber_sweep(states.astype(np.float32), weights, beta, 7).dtype == np.float32
    assert glauber_sweep(states.astype(np.int8), weights, beta, 7).dtype == np.float64
    assert spin_energy(states.astype(np.float32), weights).dtype == np.float32
    assert np.isin(first, (-1, 1)).all()


# Errors ---------------------------------------------------------------------------------------------

W, S = np.ones((3, 3)), np.ones((2, 3))
FAULTS = {
    "bits": (np.eye(3), W, {}, "states must hold only -1 and \\+1, got values from 0 to 1"),
    "half a spin": (S / 2, W, {}, "states must hold only -1 and \\+1"),
    "one state": (S[0], W, {}, "states must have 2 dimension"),
    "wrong length": (np.ones((2, 4)), W, {}, "states must have 3 columns, got shape \\(2, 4\\)"),
    "missing spin": ([[1, -1, np.nan]], W, {}, "states must be finite"),
    "text": ([["a", "b", "c"]], W, {}, "states must be an array of numbers"),
    "oblong": (S, np.ones((3, 4)), {}, "weights must be a square matrix, got shape \\(3, 4\\)"),
    "vector": (S, np.ones(3), {}, "weights must have 2 dimension"),
    "empty": (np.ones((2, 0)), np.ones((0, 0)), {}, "weights must be a square matrix"),
    "endless": (S, W * np.inf, {}, "weights must be finite"),
    "thresholds": (
        S,
        W,
        {"threshold": np.ones(2)},
        "threshold must be a number or have shape \\(3,\\), one for each unit, got shape \\(2,\\)",
    ),
    "nan threshold": (S, W, {"threshold": np.nan}, "threshold must be finite"),
}
SWEEP_FAULTS = {
    "cold": ({"beta": -1}, "beta must be a number of at least 0, or np.inf, got -1"),
    "nan": ({"beta": np.nan}, "beta must be a number of at least 0"),
    "hot": ({"beta": "hot"}, "beta must be a number of at least 0, or np.inf, got 'hot'"),
    "seed": ({"beta": 1, "random_state": "x"}, "random_state must be"),
    "no unit": ({"beta": 1, "order": [0, 3]}, "order must list units by their numbers 0 to 2"),
    "negative": ({"beta": 1, "order": [-1]}, "order must list units"),
    "fraction": ({"beta": 1, "order": [0.5]}, "order must list units"),
    "matrix": ({"beta": 1, "order": [[0, 1, 2]]}, "order must list units"),
}


@pytest.mark.parametrize(("states", "weights", "more", "message"), FAULTS.values(), ids=FAULTS)
def test_bad_systems_are_refused(states, weights, more, message):
    with pytest.raises(ValueError, match=message):
        spin_energy(states, weights, **more)
    with pytest.raises(ValueError, match=message):
        glauber_sweep(states, weights, 1.0, **more)


@pytest.mark.parametrize(("arguments", "message"), SWEEP_FAULTS.values(), ids=SWEEP_FAULTS)
def test_bad_sweeps_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        glauber_sweep(S, W, **arguments)


def test_bad_fields_are_refused():
    with pytest.raises(ValueError, match="field must be finite"):
        flip_probability([np.inf], 1)
    with pytest.raises(ValueError, match="beta must be"):
        flip_probability([0.0], -1)
