"""Hopfield networks, held against their defining sums, exact error rates and mean-field theory."""

import pickle
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import expm
from scipy.special import erf, erfc
from scipy.stats import binom, norm
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from hmlib.datasets import letters
from hmlib.exact import all_states, distribution
from hmlib.hopfield import (
    ContinuousHopfieldNetwork,
    DenseAssociativeMemory,
    HopfieldNetwork,
    critical_load,
    crosstalk,
    error_probability,
    load_for_error,
    overlap,
    retrieval_overlap,
)
from hmlib.spins import glauber_sweep, spin_energy

RULES = ("hebb", "pseudo-inverse", "storkey")
no_hurry = settings(deadline=None, max_examples=60)  # a busy machine is not a fault


def random_patterns(n_patterns, n_units, seed=0):
    return np.random.default_rng(seed).choice([-1.0, 1.0], (n_patterns, n_units))


def noisy(patterns, share, seed=0):
    """Turn each spin with this probability."""
    coins = np.random.default_rng(seed).random(patterns.shape)
    return patterns * np.where(coins < share, -1, 1)


@parametrize_with_checks(
    [
        *(HopfieldNetwork(rule, binarize="sign", random_state=0) for rule in RULES),
        HopfieldNetwork(zero_diagonal=False, threshold=0.1, binarize="sign", random_state=0),
        ContinuousHopfieldNetwork(binarize="sign"),
        DenseAssociativeMemory(binarize="sign", random_state=0),
        DenseAssociativeMemory("exponential", binarize="sign", random_state=0),
    ]
)
def test_sklearn_contract(estimator, check):
    check(estimator)


# Learning rules -------------------------------------------------------------------------------------


def plain_hebb(patterns):
    n_units = patterns.shape[1]
    weights = np.zeros((n_units, n_units))
    for i, j in product(range(n_units), repeat=2):
        if i != j:
            weights[i, j] = sum(xi[i] * xi[j] for xi in patterns) / n_units
    return weights


def plain_storkey(patterns, zero_diagonal=True):
    """Follow the defining formula of Storkey (1997) term by term."""
    n_units = patterns.shape[1]
    units = range(n_units)
    w = np.zeros((n_units, n_units))
    for xi in patterns:
        h = np.array(
            [[sum(w[i, k] * xi[k] for k in units if k not in (i, j)) for j in units] for i in units]
        )
        new = w.copy()
        for i, j in product(units, repeat=2):
            new[i, j] += (xi[i] * xi[j] - xi[i] * h[j, i] - h[i, j] * xi[j]) / n_units
        w = new
        if zero_diagonal:
            np.fill_diagonal(w, 0)
    return w


def test_hebb_is_its_defining_sum():
    patterns = random_patterns(5, 12)
    assert_allclose(HopfieldNetwork().fit(patterns).weights_, plain_hebb(patterns), atol=1e-15)
    kept = HopfieldNetwork(zero_diagonal=False).fit(patterns).weights_
    assert_allclose(kept, plain_hebb(patterns) + np.eye(12) * 5 / 12, atol=1e-15)


@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("n_patterns", [1, 2, 7, 20])
def test_storkey_is_its_defining_sum(n_patterns, zero_diagonal):
    patterns = random_patterns(n_patterns, 11)
    network = HopfieldNetwork("storkey", zero_diagonal=zero_diagonal).fit(patterns)
    assert_allclose(network.weights_, plain_storkey(patterns, zero_diagonal), atol=1e-12)


def test_the_first_pattern_of_storkey_is_hebbs():
    patterns = random_patterns(1, 11)
    storkey, hebb = (HopfieldNetwork(rule).fit(patterns).weights_ for rule in ("storkey", "hebb"))
    assert_allclose(storkey, hebb, atol=1e-15)


def test_the_order_of_patterns_matters_to_storkey_alone():
    patterns = random_patterns(6, 20)
    for rule in RULES:
        there = HopfieldNetwork(rule).fit(patterns).weights_
        back = HopfieldNetwork(rule).fit(patterns[::-1]).weights_
        assert np.allclose(there, back, atol=1e-12) == (rule != "storkey")


def test_pseudo_inverse_is_the_projector_onto_the_patterns():
    patterns = random_patterns(6, 20)
    W = HopfieldNetwork("pseudo-inverse", zero_diagonal=False).fit(patterns).weights_
    assert_allclose(W @ patterns.T, patterns.T, atol=1e-12)
    assert_allclose(W @ W, W, atol=1e-12)
    assert_allclose(np.trace(W), 6, atol=1e-10)
    gram = np.linalg.inv(patterns @ patterns.T)
    assert_allclose(W, patterns.T @ gram @ patterns, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pseudo_inverse_does_not_mind_patterns_that_depend_on_each_other(dtype):
    patterns = random_patterns(6, 20).astype(dtype)
    more = np.vstack([patterns, -patterns[:2], patterns[1:4]])
    one, other = (HopfieldNetwork("pseudo-inverse").fit(X).weights_ for X in (patterns, more))
    assert_allclose(one, other, atol=1e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("n_patterns", [1, 10, 30, 39])
def test_pseudo_inverse_stores_any_independent_patterns(n_patterns):
    patterns = random_patterns(n_patterns, 40, seed=n_patterns)
    assert np.linalg.matrix_rank(patterns) == n_patterns
    network = HopfieldNetwork("pseudo-inverse", random_state=0).fit(patterns)
    assert network.is_stable(patterns).all()
    assert_array_equal(network.recall(patterns), patterns)
    if n_patterns == 39:
        assert not HopfieldNetwork().fit(patterns).is_stable(patterns).all()


def test_pseudo_inverse_of_as_many_patterns_as_units_leaves_every_state_alone():
    rng = np.random.default_rng(5)
    patterns, states = rng.choice([-1.0, 1.0], size=(2, 40, 40))
    network = HopfieldNetwork("pseudo-inverse").fit(patterns)
    assert_array_equal(network.weights_, 0)
    assert network.is_stable(states).all()


def test_pseudo_inverse_stores_patterns_that_differ_in_one_bit():
    patterns = np.ones((2, 12))
    patterns[1, 0] = -1
    assert HopfieldNetwork("pseudo-inverse").fit(patterns).is_stable(patterns).all()


def test_pseudo_inverse_stores_correlated_patterns():
    patterns, _ = letters()
    assert HopfieldNetwork("pseudo-inverse").fit(patterns).is_stable(patterns).all()
    assert not HopfieldNetwork().fit(patterns).is_stable(patterns).any()


def test_storkey_stores_more_than_hebb():
    stable = {rule: [] for rule in RULES}
    for seed in range(5):
        patterns = random_patterns(25, 100, seed)
        for rule in RULES:
            stable[rule].append(HopfieldNetwork(rule).fit(patterns).is_stable(patterns).mean())
    assert (np.array(stable["storkey"]) > np.array(stable["hebb"])).all()
    assert np.mean(stable["hebb"]) < 0.4 < 0.9 < np.mean(stable["storkey"])
    assert np.mean(stable["pseudo-inverse"]) == 1


@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize("rule", RULES)
@no_hurry
@given(cuts=st.sets(st.integers(1, 8)))
def test_learning_in_pieces_is_learning_at_once(rule, zero_diagonal, cuts):
    patterns = random_patterns(9, 15)
    whole = HopfieldNetwork(rule, zero_diagonal=zero_diagonal).fit(patterns)
    parts = HopfieldNetwork(rule, zero_diagonal=zero_diagonal)
    for piece in np.split(patterns, sorted(cuts)):
        parts.partial_fit(piece)
    assert_allclose(parts.weights_, whole.weights_, atol=1e-13)
    assert parts.n_patterns_ == whole.n_patterns_ == 9


@pytest.mark.parametrize("rule", RULES)
def test_fit_forgets(rule):
    network = HopfieldNetwork(rule).fit(random_patterns(3, 10, seed=1))
    network.fit(random_patterns(4, 12))
    fresh = HopfieldNetwork(rule).fit(random_patterns(4, 12))
    assert_array_equal(network.weights_, fresh.weights_)
    assert network.n_patterns_ == 4
    assert hasattr(network, "patterns_") == (rule == "pseudo-inverse")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
def test_weights_are_exactly_symmetric_and_keep_the_type(rule, dtype):
    patterns = random_patterns(7, 61).astype(dtype)
    network = HopfieldNetwork(rule, random_state=0).fit(patterns)
    assert network.weights_.dtype == network.threshold_.dtype == dtype
    assert_array_equal(network.weights_, network.weights_.T)
    assert_array_equal(np.diag(network.weights_), np.zeros(61))
    for states in (network.recall(patterns), network.recall(patterns, beta=1, max_sweeps=2)):
        assert states.dtype == dtype
    assert network.field(patterns).dtype == network.energy(patterns).dtype == dtype


def test_float32_remembers_as_well():
    patterns = random_patterns(20, 300)
    cues = noisy(patterns, 0.15)
    finals = [
        HopfieldNetwork(random_state=0).fit(patterns.astype(t)).recall(cues.astype(t))
        for t in (np.float32, np.float64)
    ]
    assert_array_equal(*finals)


@pytest.mark.parametrize("rule", RULES)
def test_a_network_of_2000_units_takes_less_than_100_megabytes(rule):
    patterns = random_patterns(200 if rule != "storkey" else 5, 2000)
    tracemalloc.start()
    try:
        network = HopfieldNetwork(rule, random_state=0).fit(patterns)
        network.recall(noisy(patterns[:10], 0.1), max_sweeps=2)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert network.weights_.nbytes == 2000**2 * 8
    assert held < 40e6
    assert peak < 100e6


# Recall ---------------------------------------------------------------------------------------------


def test_noisy_patterns_are_restored():
    patterns = random_patterns(10, 200)
    network = HopfieldNetwork(random_state=0).fit(patterns)
    for update in ("asynchronous", "synchronous"):
        assert_array_equal(network.recall(noisy(patterns, 0.15), update=update), patterns)
    assert_array_equal(network.transform(noisy(patterns, 0.15)), patterns)


def test_the_negatives_of_patterns_are_memories_too():
    patterns = random_patterns(5, 200)
    network = HopfieldNetwork(random_state=0).fit(patterns)
    assert network.is_stable(patterns).all()
    assert network.is_stable(-patterns).all()
    assert_allclose(network.energy(patterns), network.energy(-patterns), rtol=1e-12)
    biased = HopfieldNetwork(threshold=0.9).fit(patterns)
    assert not biased.is_stable(patterns).all()  # a threshold favours -1


def test_recall_is_the_plain_loop_in_the_same_order():
    patterns = random_patterns(12, 60)
    network = HopfieldNetwork(threshold=np.linspace(-0.3, 0.3, 60)).fit(patterns)
    cues = noisy(patterns, 0.3)
    states, rng = cues.copy(), np.random.default_rng(3)
    while True:
        before = states.copy()
        for i in rng.permutation(60):
            for s in states:
                h = sum(network.weights_[i, j] * s[j] for j in range(60)) - network.threshold_[i]
                s[i] = s[i] if abs(h) < 1e-9 else np.sign(h)
        if (states == before).all():
            break
    assert_array_equal(network.recall(cues, random_state=3), states)


@pytest.mark.parametrize("beta", [0.7, np.inf])
def test_recall_consists_of_glauber_sweeps(beta):
    patterns = random_patterns(12, 60)
    network = HopfieldNetwork(threshold=0.2).fit(patterns)
    cues, rng = noisy(patterns, 0.3), np.random.default_rng(3)
    expected = [cues]
    for _ in range(2):
        expected.append(glauber_sweep(expected[-1], network.weights_, beta, rng, threshold=0.2))
    states, trajectory = network.recall(
        cues, beta=beta, max_sweeps=2, return_trajectory=True, random_state=3
    )
    assert_array_equal(trajectory, expected)
    assert_array_equal(states, expected[-1])


@pytest.mark.parametrize("update", ["asynchronous", "synchronous"])
def test_the_trajectory_ends_when_nothing_moves(update):
    patterns = random_patterns(8, 100)
    network = HopfieldNetwork(random_state=0).fit(patterns)
    cues = noisy(patterns, 0.2)
    states, path = network.recall(cues, update=update, return_trajectory=True)
    assert_array_equal(path[0], cues)
    assert_array_equal(path[-1], states)
    assert network.is_stable(states).all()
    assert all((a != b).any() for a, b in zip(path, path[1:]))
    states, path = network.recall(patterns, update=update, return_trajectory=True)
    assert path.shape == (1, 8, 100)
    assert_array_equal(network.recall(cues, update=update, max_sweeps=0), cues)
    short = network.recall(cues, update=update, max_sweeps=1, return_trajectory=True)[1]
    assert len(short) == 2


def test_a_synchronous_update_can_go_round_and_an_asynchronous_one_cannot():
    network = HopfieldNetwork.from_weights([[0, 1], [1, 0]], random_state=0)
    start = np.array([[1.0, -1.0]])
    states, path = network.recall(start, update="synchronous", return_trajectory=True)
    assert_array_equal(path[:, 0], [[1, -1], [-1, 1], [1, -1]])
    assert not network.is_stable(states).any()
    assert_array_equal(network.energy(path[:, 0]), [1, 1, 1])
    settled = network.recall(start)
    assert network.is_stable(settled).all()
    assert_array_equal(network.energy(settled), [-1])


def test_a_synchronous_update_can_raise_the_energy():
    weights = -(np.ones((4, 4)) - np.eye(4))  # all repel each other
    network = HopfieldNetwork.from_weights(weights)
    _, path = network.recall([[1, 1, 1, -1]], update="synchronous", return_trajectory=True)
    assert (np.diff(network.energy(path[:, 0])) > 0).any()


def test_synchronous_rows_stop_together_but_do_not_disturb_each_other():
    network = HopfieldNetwork.from_weights([[0, 1], [1, 0]])
    states, path = network.recall([[1, 1], [1, -1]], update="synchronous", return_trajectory=True)
    assert_array_equal(path[:, 0], [[1, 1]] * 3)
    assert_array_equal(states, [[1, 1], [1, -1]])


@st.composite
def networks(draw):
    """Draw symmetric weights with no diagonal, thresholds and states."""
    n_units = draw(st.integers(1, 7))
    number = st.floats(-1, 1, width=16)
    weights = np.triu(draw(arrays(float, (n_units, n_units), elements=number)), 1)
    threshold = draw(arrays(float, n_units, elements=number))
    states = draw(arrays(float, (4, n_units), elements=st.sampled_from([-1.0, 1.0])))
    return HopfieldNetwork.from_weights(weights + weights.T, threshold, random_state=0), states


@no_hurry
@given(networks(), st.integers(0, 100))
def test_asynchronous_recall_never_raises_the_energy_and_ends_at_a_fixed_point(drawn, seed):
    network, cues = drawn
    states, path = network.recall(cues, return_trajectory=True, random_state=seed)
    energies = np.array([network.energy(s) for s in path])
    assert (np.diff(energies, axis=0) <= 1e-12).all()
    assert network.is_stable(states).all()


@no_hurry
@given(networks())
def test_synchronous_recall_ends_in_a_cycle_of_at_most_two(drawn):
    network, cues = drawn
    states, path = network.recall(cues, update="synchronous", return_trajectory=True)
    assert len(path) <= network.max_sweeps
    again = network.recall(states, update="synchronous", max_sweeps=2)
    assert_array_equal(again, states)


@no_hurry
@given(networks())
def test_a_state_is_stable_when_no_neighbour_is_lower(drawn):
    network, states = drawn
    neighbours = states[:, None, :] * (1 - 2 * np.eye(states.shape[1]))
    energies = np.array([network.energy(around) for around in neighbours])
    lowest = energies.min(axis=1) - network.energy(states)
    assert_array_equal(network.is_stable(states), lowest >= -1e-12)


def test_without_symmetry_or_with_a_negative_diagonal_recall_may_never_rest():
    for weights in ([[0, 1], [-1, 0]], [[-1, 0], [0, -1]]):
        network = HopfieldNetwork.from_weights(weights, random_state=0, max_sweeps=20)
        states, path = network.recall([[1, 1]], return_trajectory=True)
        assert len(path) == 21
        assert not network.is_stable(states).any()


def test_symmetry_is_not_necessary():
    """W = diag(d) A with symmetric A and d > 0 has an energy too: that of A."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((6, 6))
    A = A + A.T
    np.fill_diagonal(A, 0)
    network = HopfieldNetwork.from_weights(rng.uniform(0.1, 3, 6)[:, None] * A, random_state=0)
    states, path = network.recall(all_states(6, spins=True), return_trajectory=True)
    assert network.is_stable(states).all()
    assert (np.diff([spin_energy(s, A) for s in path], axis=0) <= 1e-12).all()


def test_ties_keep_their_state():
    network = HopfieldNetwork.from_weights(np.zeros((5, 5)))
    states = random_patterns(10, 5)
    assert network.is_stable(states).all()
    for update in ("asynchronous", "synchronous"):
        assert_array_equal(network.recall(states, update=update), states)


def test_finite_temperature_visits_the_boltzmann_distribution():
    weights = plain_hebb(random_patterns(2, 4, seed=3))  # weak enough to forget the start
    network = HopfieldNetwork.from_weights(weights, threshold=[0.1, -0.2, 0.3, 0.0])
    states = all_states(4, spins=True)
    p = distribution(network.energy(states), beta=0.8)
    ends = network.recall(np.ones((20_000, 4)), beta=0.8, max_sweeps=40, random_state=0)
    codes = ((ends + 1) / 2 @ [8, 4, 2, 1]).astype(int)
    frequency = np.bincount(codes, minlength=16) / len(ends)
    assert (np.abs(frequency - p) <= 4 * np.sqrt(p * (1 - p) / len(ends))).all()


def test_synchronous_updates_at_finite_temperature_draw_every_unit_from_the_old_fields():
    network = HopfieldNetwork.from_weights([[0, 1], [1, 0]])
    ends, path = network.recall(
        np.tile([[1.0, -1.0]], (20_000, 1)),
        update="synchronous",
        beta=0.5,
        max_sweeps=1,
        return_trajectory=True,
        random_state=0,
    )
    assert path.shape == (2, 20_000, 2)
    p = 1 / (1 + np.exp([1.0, -1.0]))
    error = np.sqrt(p * (1 - p) / len(ends))
    assert (np.abs((ends == 1).mean(axis=0) - p) < 4 * error).all()
    both = (ends == 1).all(axis=1).mean()
    joint = p.prod()
    assert abs(both - joint) < 4 * np.sqrt(joint * (1 - joint) / len(ends))


def test_finite_temperature_takes_all_its_sweeps():
    network = HopfieldNetwork(random_state=0).fit(random_patterns(3, 30))
    for update in ("asynchronous", "synchronous"):
        path = network.recall(
            random_patterns(2, 30), update=update, beta=2, max_sweeps=7, return_trajectory=True
        )[1]
        assert path.shape == (8, 2, 30)


def test_recalls_differ_but_can_be_repeated_and_leave_cues_and_network_alone():
    patterns = random_patterns(30, 100)
    network = HopfieldNetwork(random_state=0).fit(patterns)
    cues = random_patterns(200, 100, seed=1)
    kept, before = cues.copy(), pickle.dumps(network.weights_)
    one, other = network.recall(cues), network.recall(cues)
    assert (one != other).any()
    assert_array_equal(network.recall(cues, random_state=1), network.recall(cues, random_state=1))
    assert_array_equal(network.transform(cues), network.transform(cues))
    assert_array_equal(cues, kept)
    assert pickle.dumps(network.weights_) == before
    twin = HopfieldNetwork(random_state=0).fit(patterns)
    assert_array_equal(twin.recall(cues), one)
    assert_array_equal(pickle.loads(pickle.dumps(twin)).transform(cues), twin.transform(cues))


def test_from_weights_takes_them_as_they_are():
    weights = np.arange(9.0).reshape(3, 3)
    network = HopfieldNetwork.from_weights(weights, threshold=[1, 2, 3])
    states = random_patterns(4, 3)
    assert_allclose(network.field(states), states @ weights.T - [1, 2, 3])
    assert_allclose(network.energy(states), spin_energy(states, weights, [1, 2, 3]))
    network.partial_fit(np.ones((1, 3)))
    assert_allclose(network.weights_, weights + 1 / 3)
    assert_array_equal(weights, np.arange(9.0).reshape(3, 3))


def test_binarize_turns_positive_numbers_into_plus_one():
    patterns = random_patterns(4, 50)
    network = HopfieldNetwork(binarize="sign", random_state=0).fit((patterns + 1) / 2)  # bits
    assert_array_equal(network.weights_, HopfieldNetwork().fit(patterns).weights_)
    assert_array_equal(network.recall(0.3 * patterns), patterns)


def test_five_letters_are_restored_from_a_tenth_of_noise():
    patterns, _ = letters()
    patterns = patterns[[ord(c) - ord("A") for c in "ACHIY"]]
    network = HopfieldNetwork(random_state=0).fit(patterns)
    cues = noisy(np.repeat(patterns, 20, axis=0), 0.1)
    assert_array_equal(network.recall(cues), np.repeat(patterns, 20, axis=0))


# Mixtures -------------------------------------------------------------------------------------------


def test_mixtures_of_three_are_spurious_attractors():
    patterns = random_patterns(3, 2000)
    network = HopfieldNetwork(random_state=0).fit(patterns)
    signs = np.array(list(product((-1, 1), repeat=3)))
    mixtures = np.sign(signs @ patterns)
    m = overlap(mixtures, patterns) * signs
    assert_allclose(m, 0.5, atol=4 * np.sqrt(0.75 / 2000))  # exactly 1/2 in the limit, sd of a mean
    assert network.is_stable(mixtures).all()
    assert (network.energy(mixtures) > network.energy(patterns).max()).all()
    restored = network.recall(noisy(mixtures, 0.05))
    assert_array_equal(restored, mixtures)


def test_mixtures_of_two_are_no_attractors():
    patterns = random_patterns(2, 2000)
    network = HopfieldNetwork(random_state=0).fit(patterns)
    total = patterns.sum(axis=0)
    assert_allclose(
        (total == 0).mean(), 0.5, atol=4 * np.sqrt(0.25 / 2000)
    )  # a tie for every other
    ties_broken = np.where(total == 0, random_patterns(20, 2000, seed=1), np.sign(total))
    assert not network.is_stable(ties_broken).any()
    ends = network.recall(ties_broken)
    assert_array_equal(np.abs(overlap(ends, patterns)).max(axis=1), np.ones(20))  # a parent wins


# Theory: one step -----------------------------------------------------------------------------------


def plain_crosstalk(patterns):
    """Write the double sum of the definition out."""
    n_patterns, n_units = patterns.shape
    C = np.zeros_like(patterns)
    for nu, i in product(range(n_patterns), range(n_units)):
        C[nu, i] = -patterns[nu, i] * sum(
            patterns[mu, i] * patterns[mu, j] * patterns[nu, j]
            for j, mu in product(range(n_units), range(n_patterns))
            if j != i and mu != nu
        )
    return C / n_units


@pytest.mark.parametrize(("n_patterns", "n_units"), [(1, 7), (2, 8), (5, 13), (9, 6)])
def test_crosstalk_is_its_defining_sum_and_decides_stability_exactly(n_patterns, n_units):
    patterns = random_patterns(n_patterns, n_units)
    C = crosstalk(patterns)
    assert_allclose(C, plain_crosstalk(patterns), atol=1e-12)
    network = HopfieldNetwork().fit(patterns)
    assert_allclose(patterns * network.field(patterns), (n_units - 1) / n_units - C, atol=1e-12)
    _, path = network.recall(patterns, update="synchronous", max_sweeps=1, return_trajectory=True)
    assert_array_equal(path[-1] != patterns, (n_units - 1) / n_units < C)


@pytest.mark.parametrize("n_units", [30, 49, 100])
def test_the_exact_threshold_of_crosstalk_is_met_by_ties(n_units):
    patterns = np.vstack([random_patterns(20, n_units, seed) for seed in range(5)])
    for X in np.split(patterns, 5):
        C = crosstalk(X)
        stable = ~((n_units - 1) / n_units < C).any(axis=1)
        assert_array_equal(HopfieldNetwork().fit(X).is_stable(X), stable)
    whole = np.round(crosstalk(patterns[:20]) * n_units)
    assert_array_equal(whole / n_units, crosstalk(patterns[:20]))  # multiples of 1/N, rounded once


def test_the_other_side_of_crosstalk_does_no_harm():
    X = random_patterns(138, 1000)
    C = crosstalk(X)
    turning = HopfieldNetwork().fit(X).field(X) * X < -1e-9
    assert_array_equal(turning, C > 0.999)
    assert (np.abs(C) > 0.999).sum() > 1.5 * turning.sum()


TABLE = [
    (0.105, 0.001014),
    (0.138, 0.003552),
    (0.185, 0.010037),
    (0.37, 0.050089),
    (0.61, 0.100208),
]


@pytest.mark.parametrize(("load", "probability"), TABLE)
def test_error_probability_has_the_published_values(load, probability):
    assert_allclose(error_probability(load), probability, atol=5e-7)
    assert_allclose(error_probability(load), norm.sf(1 / np.sqrt(load)), rtol=1e-12)


@pytest.mark.parametrize(
    ("probability", "load"),
    [(0.001, 0.1047), (0.0036, 0.1385), (0.01, 0.1848), (0.05, 0.3696), (0.1, 0.6089)],
)
def test_load_for_error_has_the_published_values(probability, load):
    assert_allclose(load_for_error(probability), load, atol=5.1e-5)


def test_error_and_load_are_inverse_and_have_limits():
    loads = np.geomspace(0.02, 50, 30).reshape(5, 6)
    assert_allclose(load_for_error(error_probability(loads)), loads, rtol=1e-9)
    assert error_probability(0) == 0
    assert load_for_error(0) == 0
    assert load_for_error(0.5) == np.inf
    assert error_probability(1e9) == pytest.approx(0.5, abs=2e-5)
    assert_allclose(error_probability([0.1]), 0.5 * erfc(np.sqrt([5.0])), rtol=1e-12)


def exact_error(n_patterns, n_units, diagonal=False):
    """Compute the error of the first step for any size: the crosstalk is a sum of fair coins.

    Given xi^nu and bit i of all patterns, the (N - 1)(p - 1) terms of N C_i^nu are independent. The bit
    turns if they exceed N - 1, or N + p - 1 with a diagonal of p/N.
    """
    n_coins = (n_units - 1) * (n_patterns - 1)
    limit = n_units + n_patterns - 1 if diagonal else n_units - 1
    return binom.sf((n_coins + limit) // 2, n_coins, 0.5)


@pytest.mark.parametrize("load", [load for load, _ in TABLE])
def test_the_finite_error_tends_to_the_formula(load):
    n_units = 10**6
    n_patterns = round(load * n_units)
    assert_allclose(exact_error(n_patterns, n_units), error_probability(load), rtol=2e-4)
    with_diagonal = norm.cdf(-(1 + load) / np.sqrt(load))
    assert_allclose(exact_error(n_patterns, n_units, diagonal=True), with_diagonal, rtol=2e-4)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(
    ("n_patterns", "n_units", "n_networks"), [(138, 1000, 20), (75, 200, 100), (61, 100, 300)]
)
def test_one_step_errors_of_real_networks(n_patterns, n_units, n_networks, diagonal):
    """Count unstable bits; the error bar is binomial, or from the networks where they differ more."""
    rates = []
    for seed in range(n_networks):
        X = random_patterns(n_patterns, n_units, seed)
        network = HopfieldNetwork(zero_diagonal=not diagonal).fit(X)
        turning = X * network.field(X) < -1e-9  # ties stay
        rates.append(turning.mean())
    p = exact_error(n_patterns, n_units, diagonal)
    n_bits = n_networks * n_patterns * n_units
    binomial = np.sqrt(p * (1 - p) / n_bits)
    between = np.std(rates, ddof=1) / np.sqrt(n_networks)
    assert abs(np.mean(rates) - p) < 4 * max(binomial, between)
    assert 4 * max(binomial, between) < 0.1 * p + 1e-4  # sharp enough to tell
    other = exact_error(n_patterns, n_units, not diagonal)
    assert abs(np.mean(rates) - other) > 20 * binomial  # with and without are different


# Theory: after many steps ---------------------------------------------------------------------------


def test_the_critical_load():
    alpha, m = critical_load()
    assert alpha == pytest.approx(0.137906, abs=5e-7)
    assert m == pytest.approx(0.96742, abs=5e-6)
    assert (1 - m) / 2 == pytest.approx(0.0163, abs=5e-5)
    assert retrieval_overlap(alpha - 1e-12) == pytest.approx(m, abs=1e-4)
    assert retrieval_overlap(alpha + 1e-12) == 0


def test_retrieval_overlap_has_the_published_values():
    loads = [0.05, 0.08, 0.10, 0.12, 0.13]
    expected = [0.999992, 0.999557, 0.997999, 0.993223, 0.987212]
    assert_allclose(retrieval_overlap(loads), expected, atol=5.1e-7)
    assert_array_equal(retrieval_overlap([[0, 0.14], [0.2, 3]]), [[1, 0], [0, 0]])
    assert_array_equal(retrieval_overlap([5e-324, 1e-200, 1e-9]), [1, 1, 1])
    assert np.ndim(retrieval_overlap(0.1)) == 0


@no_hurry
@given(st.floats(0.001, 0.1379))
def test_retrieval_overlap_solves_the_equation_with_the_largest_solution(load):
    m = retrieval_overlap(load)
    y = np.linspace(1e-3, 6, 60_001)
    residual = y * (np.sqrt(2 * load) + 2 / np.sqrt(np.pi) * np.exp(-(y**2))) - erf(y)
    crossing = np.flatnonzero(np.diff(np.sign(residual)))
    if y[-1] * np.sqrt(2 * load) > 1:  # the last crossing is on the grid
        assert erf(y[crossing[-1]]) <= m <= erf(y[crossing[-1] + 1])
    else:
        assert m >= erf(y[-1])


def test_recall_breaks_down_between_a_tenth_and_a_fifth():
    below, above = (
        np.diagonal(overlap(HopfieldNetwork(random_state=0).fit(X).recall(X), X))
        for X in (random_patterns(100, 1000), random_patterns(200, 1000))
    )
    assert below.mean() > 0.98
    assert above.mean() < 0.7


def test_overlap():
    patterns = random_patterns(3, 8)
    assert_allclose(np.diag(overlap(patterns, patterns)), 1)
    assert_allclose(overlap(-patterns, patterns), -overlap(patterns, patterns))
    states = np.random.default_rng(0).uniform(-1, 1, (5, 8))
    plain = [[np.mean(s * xi) for xi in patterns] for s in states]
    assert_allclose(overlap(states, patterns), plain, atol=1e-15)


# The continuous network -----------------------------------------------------------------------------

SQUARE = [[1, 1], [-1, -1], [1, -1]]
CUBE = [[1, 1, 1], [-1, -1, 1], [1, -1, -1]]


def newhop(patterns, tau=10.0, step=0.15):
    """Follow the synthesis of Li, Michel and Porod literally: SVD, matrix exponential, integral."""
    T = np.asarray(patterns, float).T
    Y = T[:, :-1] - T[:, -1:]
    n_units = len(T)
    U, s, _ = np.linalg.svd(Y) if Y.size else (np.eye(n_units), np.zeros(0), None)
    rank = int((s > 1e-10).sum())
    plus = U[:, :rank] @ U[:, :rank].T
    minus = U[:, rank:] @ U[:, rank:].T
    T_tau = plus - tau * minus
    I_tau = T[:, -1] - T_tau @ T[:, -1]
    C = np.where(np.arange(n_units) < rank, np.exp(step) - 1, -(np.exp(-tau * step) - 1) / tau)
    return expm(step * T_tau), U @ np.diag(C) @ U.T @ I_tau


@pytest.mark.parametrize(
    "patterns",
    [
        SQUARE,
        CUBE,
        [[1, -1, 1]],
        random_patterns(3, 6),
        np.repeat(random_patterns(2, 5), 2, axis=0),
    ],
    ids=["square", "cube", "one", "random", "twice"],
)
def test_the_synthesis_is_the_published_one(patterns):
    for tau, step in ((10.0, 0.15), (2.0, 0.5)):
        network = ContinuousHopfieldNetwork(tau, step).fit(patterns)
        W, b = newhop(patterns, tau, step)
        assert_allclose(network.weights_, W, atol=1e-13)
        assert_allclose(network.bias_, b, atol=1e-13)


def test_the_square_has_nine_fixed_points_and_four_attractors():
    network = ContinuousHopfieldNetwork().fit(SQUARE)
    assert_allclose(network.weights_, np.exp(0.15) * np.eye(2), atol=1e-15)
    assert_allclose(network.bias_, 0, atol=1e-15)
    points, kinds = network.fixed_points()
    assert_array_equal(points[:4], list(product((-1, 1), repeat=2)))
    assert_allclose(points[-1], 0, atol=1e-15)
    assert {tuple(p) for p in np.round(points)} == set(product((-1, 0, 1), repeat=2))
    assert kinds == ["attractor"] * 4 + ["saddle"] * 4 + ["repeller"]


def test_the_cube_has_seven_fixed_points_and_three_attractors():
    network = ContinuousHopfieldNetwork().fit(CUBE)
    assert_allclose(np.abs(network.weights_), 0.31290 + 0.53603 * np.eye(3), atol=1e-5)
    assert_allclose(network.bias_, [0.28485, -0.28485, 0.28485], atol=1e-5)
    points, kinds = network.fixed_points()
    assert kinds == ["attractor"] * 3 + ["saddle"] * 4
    assert {tuple(p) for p in points[:3]} == set(map(tuple, CUBE))
    assert_allclose(points[-1], [11 / 30, -11 / 30, 11 / 30], atol=1e-12)
    assert_allclose(np.sort(np.abs(points[3:6]), axis=1), [[0.06045, 0.06045, 1]] * 3, atol=1e-5)


@pytest.mark.parametrize("patterns", [SQUARE, CUBE, random_patterns(3, 5, seed=2)])
def test_fixed_points_stay_and_their_kinds_tell_what_neighbours_do(patterns):
    network = ContinuousHopfieldNetwork().fit(patterns)
    points, kinds = network.fixed_points()
    assert len(np.unique(points.round(6), axis=0)) == len(points) > 0
    assert_allclose(network.step_once(points), points, atol=1e-12)
    rng = np.random.default_rng(0)
    for point, kind in zip(points, kinds):
        around = np.clip(point + 1e-4 * rng.standard_normal((200, len(point))), -1, 1)
        distance = np.linalg.norm(network.recall(around) - point, axis=1)
        if kind == "attractor":
            assert (distance < 1e-6).all()
        else:
            assert (distance > 0.1).mean() > 0.9
        if kind == "repeller":
            nearer = np.linalg.norm(network.step_once(around) - point, axis=1)
            assert (nearer > np.linalg.norm(around - point, axis=1)).all()


@pytest.mark.parametrize("patterns", [SQUARE, CUBE])
def test_every_start_ends_at_a_fixed_point(patterns):
    network = ContinuousHopfieldNetwork().fit(patterns)
    points, kinds = network.fixed_points()
    attractors = points[[kind == "attractor" for kind in kinds]]
    starts = np.random.default_rng(0).uniform(-1, 1, (500, points.shape[1]))
    states, path = network.recall(starts, return_trajectory=True)
    distances = np.linalg.norm(states[:, None] - attractors, axis=2).min(axis=1)
    assert (distances < 1e-6).all()
    assert_array_equal(path[0], starts)
    assert_allclose(path[1], network.step_once(starts))
    assert_array_equal(path[-1], states)
    assert (np.abs(path) <= 1).all()
    assert network.recall(starts, max_iter=3, return_trajectory=True)[1].shape[0] == 4
    assert_array_equal(network.transform(starts), states)


def test_the_continuous_network_stores_letters():
    patterns, _ = letters()
    network = ContinuousHopfieldNetwork().fit(patterns[:6])
    assert_allclose(network.step_once(patterns[:6]), patterns[:6], atol=1e-12)
    assert network.fit(patterns[:6].astype(np.float32)).weights_.dtype == np.float32


def test_fixed_points_refuses_what_it_cannot_list():
    with pytest.raises(ValueError, match="up to 8 units, the network has 9"):
        ContinuousHopfieldNetwork().fit(random_patterns(3, 9)).fixed_points()
    network = ContinuousHopfieldNetwork().fit(SQUARE)
    network.weights_ = np.eye(2)
    with pytest.raises(ValueError, match="eigenvalue 1"):
        network.fixed_points()


# Dense memories -------------------------------------------------------------------------------------


def dense_energy(patterns, states, F):
    return np.array([-sum(F(xi @ s) for xi in patterns) for s in states])


@pytest.mark.parametrize(
    "kind", [("polynomial", 2), ("polynomial", 3), ("polynomial", 4), ("exponential", 3)]
)
def test_dense_memories_go_downhill_to_fixed_points(kind):
    interaction, degree = kind
    F = np.exp if interaction == "exponential" else lambda x: x**degree
    patterns, states = random_patterns(6, 9), all_states(9, spins=True)
    memory = DenseAssociativeMemory(interaction, degree=degree, random_state=0).fit(patterns)
    energies = dense_energy(patterns, states, F)
    assert_allclose(memory.energy(states), energies, rtol=1e-12)
    neighbours = states[:, None, :] * (1 - 2 * np.eye(9))
    around = np.array([dense_energy(patterns, n, F) for n in neighbours]).min(axis=1)
    lower = around < energies - 1e-9 * np.abs(energies)
    assert_array_equal(memory.is_stable(states), ~lower)
    ends, path = memory.recall(states, return_trajectory=True)
    assert memory.is_stable(ends).all()
    assert_array_equal(path[0], states)
    assert_array_equal(path[-1], ends)
    drops = np.diff([dense_energy(patterns, s, F) for s in path], axis=0)
    assert (drops <= 1e-9 * np.abs(energies).max()).all()
    assert_array_equal(memory.recall(states, max_sweeps=0), states)


@pytest.mark.parametrize("n_units", [64, 99])
def test_degree_two_is_hebbs_network(n_units):
    patterns = random_patterns(12, n_units)
    memory, network = (
        DenseAssociativeMemory(degree=2).fit(patterns),
        HopfieldNetwork().fit(patterns),
    )
    cues = random_patterns(100, n_units, seed=1)
    shift = 2 * n_units * network.energy(cues) - memory.energy(cues)  # the diagonal of p/N
    assert_allclose(shift, n_units * len(patterns), rtol=1e-10)
    assert_array_equal(memory.is_stable(cues), network.is_stable(cues))
    ends = [
        machine.recall(cues, return_trajectory=True, random_state=5)
        for machine in (memory, network)
    ]
    assert_array_equal(ends[0][0], ends[1][0])
    assert_array_equal(ends[0][1][: len(ends[1][1])], ends[1][1])


def test_steeper_memories_hold_more():
    patterns = random_patterns(200, 30)
    cues = patterns.copy()
    cues[:, 0] *= -1
    restored = []
    for interaction, degree in (
        ("polynomial", 2),
        ("polynomial", 3),
        ("polynomial", 4),
        ("exponential", 2),
    ):
        memory = DenseAssociativeMemory(interaction, degree=degree, random_state=0).fit(patterns)
        restored.append((memory.recall(cues) == patterns).all(axis=1).mean())
    assert restored == sorted(restored)
    assert restored[0] == 0
    assert restored[1] < 0.1
    assert restored[2] > 0.8
    assert restored[3] == 1  # 200 patterns in 30 units


def test_odd_powers_tell_a_pattern_from_its_negative():
    patterns = random_patterns(5, 100)
    assert DenseAssociativeMemory(degree=4).fit(patterns).is_stable(-patterns).all()
    assert not DenseAssociativeMemory(degree=3).fit(patterns).is_stable(-patterns).any()
    assert not DenseAssociativeMemory("exponential").fit(patterns).is_stable(-patterns).any()


def test_nothing_overflows():
    patterns = random_patterns(20, 2000)
    memory = DenseAssociativeMemory("exponential", random_state=0).fit(patterns)
    assert_array_equal(memory.recall(noisy(patterns, 0.3)), patterns)
    assert_allclose(memory.log_energy(patterns), 2000)  # of exp(2000) nothing else can be seen
    assert_array_equal(memory.energy(patterns), -np.inf)
    steep = DenseAssociativeMemory(degree=300, random_state=0).fit(patterns)
    assert_array_equal(steep.recall(noisy(patterns, 0.3)), patterns)
    small = DenseAssociativeMemory("exponential").fit(patterns[:, :20])
    states = random_patterns(5, 20, seed=1)
    assert_allclose(small.log_energy(states), np.log(-small.energy(states)), rtol=1e-12)


def test_dense_memories_copy_keep_types_and_repeat():
    patterns = random_patterns(30, 40).astype(np.float32)
    memory = DenseAssociativeMemory(random_state=0).fit(patterns)
    cues = random_patterns(50, 40, seed=1)
    assert memory.patterns_.dtype == memory.recall(cues.astype(np.float32)).dtype == np.float32
    kept = cues.copy()
    assert_array_equal(memory.recall(cues, random_state=1), memory.recall(cues, random_state=1))
    assert_array_equal(memory.transform(cues), memory.transform(cues))
    assert_array_equal(cues, kept)
    assert memory.n_patterns_ == 30


# Errors ---------------------------------------------------------------------------------------------

MACHINES = [HopfieldNetwork(), ContinuousHopfieldNetwork(), DenseAssociativeMemory()]
ids = [type(machine).__name__ for machine in MACHINES]
BAD_PATTERNS = {
    "bits": (np.eye(3), "X must hold only -1 and \\+1, got values from 0 to 1"),
    "too large": (2 * np.ones((2, 3)), "X must hold only -1 and \\+1, got values from 2 to 2"),
    "none": (np.empty((0, 3)), "0 sample"),
    "nan": ([[1, np.nan, -1]], "NaN"),
    "infinite": ([[1, np.inf, -1]], "infinity"),
    "one row": (np.ones(3), "Expected 2D array"),
}


@pytest.mark.parametrize(("patterns", "message"), BAD_PATTERNS.values(), ids=BAD_PATTERNS)
@pytest.mark.parametrize("machine", MACHINES, ids=ids)
def test_bad_patterns_are_refused(machine, patterns, message):
    with pytest.raises(ValueError, match=message):
        machine.fit(patterns)


@pytest.mark.parametrize("machine", MACHINES, ids=ids)
def test_bad_states_are_refused(machine):
    machine = type(machine)().fit(random_patterns(2, 5))
    with pytest.raises(ValueError, match="X has 4 features, but .* is expecting 5 features"):
        machine.recall(np.ones((1, 4)))
    with pytest.raises(ValueError, match="NaN"):
        machine.recall(np.full((1, 5), np.nan))
    if not isinstance(machine, ContinuousHopfieldNetwork):
        for method in (machine.recall, machine.energy, machine.is_stable):
            with pytest.raises(ValueError, match="X must hold only -1 and \\+1"):
                method(np.zeros((1, 5)))
        with pytest.raises(ValueError, match="max_sweeps must be an int of at least 0"):
            machine.recall(np.ones((1, 5)), max_sweeps=-1)


@pytest.mark.parametrize("machine", MACHINES, ids=ids)
def test_a_machine_without_memories_cannot_recall(machine):
    with pytest.raises(NotFittedError):
        type(machine)().recall(np.ones((1, 5)))


BAD_PARAMETERS = {
    "rule": (HopfieldNetwork("hebbian"), "rule must be one of 'hebb', .*, got 'hebbian'"),
    "thresholds": (
        HopfieldNetwork(threshold=[1, 2]),
        "threshold must be a number or have shape \\(5,\\), one for each unit, got shape \\(2,\\)",
    ),
    "threshold": (HopfieldNetwork(threshold=np.nan), "threshold must be finite"),
    "binarize": (HopfieldNetwork(binarize="yes"), "binarize must be None or \"sign\", got 'yes'"),
    "seed": (HopfieldNetwork(random_state=-1), "random_state must be"),
    "tau": (ContinuousHopfieldNetwork(tau=0), "tau must be a number in \\(0, inf\\], got 0"),
    "step": (ContinuousHopfieldNetwork(step=-1), "step must be a number"),
    "interaction": (DenseAssociativeMemory("cubic"), "interaction must be .*, got 'cubic'"),
    "degree": (DenseAssociativeMemory(degree=1), "degree must be an int of at least 2, got 1"),
}


@pytest.mark.parametrize(("machine", "message"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS)
def test_bad_parameters_are_refused(machine, message):
    with pytest.raises(ValueError, match=message):
        machine.fit(random_patterns(2, 5))


def test_bad_arguments_of_recall_are_refused():
    network = HopfieldNetwork().fit(random_patterns(2, 5))
    with pytest.raises(ValueError, match='update must be "asynchronous" or "synchronous"'):
        network.recall(np.ones((1, 5)), update="both")
    with pytest.raises(ValueError, match="beta must be a number of at least 0"):
        network.recall(np.ones((1, 5)), beta=-1)
    with pytest.raises(ValueError, match="max_iter must be an int"):
        ContinuousHopfieldNetwork().fit(np.ones((1, 5))).recall(np.ones((1, 5)), max_iter=-1)
    with pytest.raises(ValueError, match="tol must be a number"):
        ContinuousHopfieldNetwork(tol=-1).fit(np.ones((1, 5))).recall(np.ones((1, 5)))
    with pytest.raises(ValueError, match='log_energy needs interaction="exponential"'):
        DenseAssociativeMemory().fit(np.ones((1, 5))).log_energy(np.ones((1, 5)))


@pytest.mark.parametrize("weights", [np.ones((2, 3)), np.ones(3), [[np.nan]], np.empty((0, 0))])
def test_bad_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights must"):
        HopfieldNetwork.from_weights(weights)


def test_bad_arguments_of_the_theory_are_refused():
    for function in (error_probability, retrieval_overlap):
        for load in (-0.1, np.nan, [0.1, np.inf]):
            with pytest.raises(ValueError, match="load must"):
                function(load)
    for p in (-0.1, 0.6, np.nan):
        with pytest.raises(ValueError, match="probability must"):
            load_for_error(p)
    for patterns in (np.zeros((2, 3)), np.ones(3), np.empty((0, 3))):
        with pytest.raises(ValueError, match="patterns must"):
            crosstalk(patterns)
        with pytest.raises(ValueError, match="patterns must"):
            overlap(np.ones((1, 3)), patterns)
    with pytest.raises(ValueError, match="states must have 3 columns"):
        overlap(np.ones((1, 4)), np.ones((2, 3)))
