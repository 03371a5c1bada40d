"""General Boltzmann machines, held against sums over every state."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_rbm import assert_follows, numerical_gradient, scrambled_machine

from hmlib.annealing import geometric_schedule
from hmlib.boltzmann import BoltzmannMachine
from hmlib.exact import all_states, kl_divergence

SHAPES = [(4, 0), (3, 2), (4, 3), (1, 3), (5, 1)]
PARITY = all_states(3)[all_states(3).sum(axis=1) % 2 == 0]


def scrambled(n_visible=4, n_hidden=2, seed=0, scale=1.0, dtype=float, **kwargs):
    """Make a machine with random parameters."""
    machine = BoltzmannMachine(n_hidden, n_epochs=0, random_state=seed, **kwargs)
    machine.fit(np.zeros((1, n_visible), dtype))
    rng = np.random.default_rng(seed)
    W = np.triu(scale * rng.standard_normal(machine.weights_.shape), 1)
    machine.weights_[:] = (W + W.T) * machine._connected
    machine.bias_[:] = scale * rng.standard_normal(len(W))
    return machine


def joint(machine):
    """Compute log p of every visible state with every hidden state, from the definition."""
    n, N = machine.n_features_in_, len(machine.bias_)
    energies = [
        -sum(machine.weights_[i, j] * s[i] * s[j] for i in range(N) for j in range(i))
        - machine.bias_ @ s
        for s in all_states(N)
    ]
    return -np.array(energies).reshape(2**n, -1)


def divergence(machine, patterns):
    return kl_divergence(
        np.full(len(patterns), 1 / len(patterns)), np.exp(machine.score_samples(patterns))
    )


@pytest.fixture(params=SHAPES, ids=str)
def machine(request):
    return scrambled(*request.param)


# --- the distribution -------------------------------------------------------------------------------


def test_energies_marginals_and_posteriors_are_those_of_the_definition(machine):
    n, N = machine.n_features_in_, len(machine.bias_)
    v, h, log_p = all_states(n), all_states(N - n), joint(machine)
    assert_allclose(-machine.energy(all_states(N)), log_p.ravel(), atol=1e-12)
    assert_allclose(machine.free_energy(v), -logsumexp(log_p, axis=1), atol=1e-12)
    assert machine.log_partition() == pytest.approx(logsumexp(log_p), abs=1e-12)
    p = np.exp(log_p - logsumexp(log_p))
    assert_allclose(np.exp(machine.score_samples(v)), p.sum(axis=1), atol=1e-12)
    assert_allclose(machine.transform(v), p @ h / p.sum(axis=1, keepdims=True), atol=1e-10)


def test_with_connections_between_the_layers_only_it_is_a_restricted_machine():
    rbm = scrambled_machine(4, 3)
    between = np.zeros((7, 7), bool)
    between[:4, 4:] = between[4:, :4] = True
    machine = scrambled(4, 3, connections=between)
    machine.weights_[:4, 4:], machine.weights_[4:, :4] = rbm.weights_, rbm.weights_.T
    machine.bias_[:] = np.append(rbm.visible_bias_, rbm.hidden_bias_)
    v = all_states(4)
    assert_allclose(machine.score_samples(v), rbm.score_samples(v), atol=1e-12)
    assert_allclose(machine.transform(v), rbm.transform(v), atol=1e-12)
    machine.partial_fit(v)
    assert_array_equal(machine.weights_ != 0, between)


def test_exact_samples_follow_the_distribution_and_so_do_long_chains(machine):
    p = np.exp(machine.score_samples(all_states(machine.n_features_in_)))
    assert_follows(machine.sample(20_000, random_state=0), p)
    assert_follows(machine.sample(20_000, 60, random_state=1), p)


def test_a_sweep_leaves_the_distribution_invariant_also_at_other_temperatures():
    machine, s = scrambled(3, 2), all_states(5)
    for T in (1.0, 2.5):
        p = np.exp(-machine.energy(s) / T)
        p /= p.sum()
        rng = np.random.default_rng(0)
        chains = s[rng.choice(len(s), size=40_000, p=p)]
        after = machine.gibbs(chains, temperatures=[T], random_state=1)
        assert_follows(after, p)
        assert (after != chains).any(axis=1).mean() > 0.3
    assert_array_equal(machine.gibbs(chains, 0), chains)


def test_inpainting_follows_the_exact_conditional_distribution():
    machine, mask = scrambled(4, 2), np.array([True, False, True, False])
    v = np.tile([0.0, 1, 0, 0], (20_000, 1))
    filled, states = machine.inpaint(v, mask, 60, random_state=0), all_states(4)
    p = np.exp(machine.score_samples(states)) * (states[:, ~mask] == [1, 0]).all(axis=1)
    assert_follows(filled, p / p.sum())
    each = np.zeros(v.shape, bool)
    each[::2, 0] = True
    assert_array_equal(machine.inpaint(v, each, 3)[~each], v[~each])


# --- learning ---------------------------------------------------------------------------------------


def test_the_difference_of_the_phases_is_the_gradient_of_the_likelihood(machine):
    v = np.random.default_rng(1).integers(0, 2, (7, machine.n_features_in_)).astype(float)
    step = machine._clamped_phase(v) - machine._free_phase()
    W = np.tril(machine.weights_)
    bias = machine.bias_

    def likelihood():
        machine.weights_ = W + W.T
        return machine.score_samples(v).mean()

    numerical, of_bias = numerical_gradient(likelihood, [W, bias])
    below = np.tril_indices(len(W), -1)
    assert_allclose(step[below], numerical[below], atol=1e-8, rtol=0)
    assert_allclose(np.diag(step), of_bias, atol=1e-8, rtol=0)
    assert_allclose(step, step.T, atol=1e-12)


def test_a_step_moves_both_halves_of_the_weights_by_the_gradient(machine):
    v = np.random.default_rng(1).integers(0, 2, (7, machine.n_features_in_)).astype(float)
    step = machine._clamped_phase(v) - machine._free_phase()
    W, b = machine.weights_.copy(), machine.bias_.copy()
    machine.set_params(learning_rate=0.3, weight_decay=0.1)._learn(v)
    off = ~np.eye(len(W), dtype=bool)
    assert_allclose(machine.weights_, W + 0.3 * off * (step - 0.1 * W), atol=1e-12)
    assert_allclose(machine.bias_, b + 0.3 * np.diag(step), atol=1e-12)


@pytest.mark.parametrize(
    "temperatures", [(1.0,) * 40, (*geometric_schedule(5, 1, 20), *[1.0] * 20)]
)
def test_sampled_phases_agree_with_exact_ones(temperatures):
    exact, n = scrambled(4, 3), 20_000
    machine = scrambled(4, 3, method="gibbs", temperatures=temperatures, n_chains=n)
    assert_array_equal(machine.weights_, exact.weights_)
    v = np.tile(all_states(4), (n // 16, 1))
    for ours, reference in (
        (machine._clamped_phase(v), exact._clamped_phase(v)),
        (machine._free_phase(), exact._free_phase()),
    ):
        assert np.abs(ours - reference).max() < 5 * 0.5 / np.sqrt(n)


def test_the_chains_of_gibbs_go_on():
    machine = scrambled(4, 2, method="gibbs", n_chains=50)
    before = machine.chains_
    machine._learn(all_states(4))
    assert machine.chains_.shape == (50, 6) and (machine.chains_ != before).any()
    assert (machine.chains_ == before).mean() > 0.5


def test_grey_data_give_the_gradient_of_the_mean_field_energy_in_the_biases():
    machine, v = scrambled(4, 2, binarize="none"), np.full((3, 4), 0.3)
    assert_allclose(np.diag(machine._clamped_phase(v))[:4], 0.3)


def test_parity_without_hidden_units_ends_at_log_2_and_never_below():
    """Every pair of the three bits is independent, so the best machine is uniform: KL = ln 2."""
    machine = BoltzmannMachine(0, learning_rate=1.0, init_scale=2.0, n_epochs=0, random_state=0)
    divergences = [divergence(machine.fit(PARITY), PARITY)]
    for _ in range(500):
        divergences.append(divergence(machine.partial_fit(PARITY), PARITY))
    assert divergences[0] > np.log(2) + 0.1
    assert min(divergences) > np.log(2) - 1e-12
    assert divergences[-1] == pytest.approx(np.log(2), abs=1e-9)


def test_hidden_units_learn_parity():
    machine = BoltzmannMachine(3, learning_rate=1.0, init_scale=0.5, n_epochs=1000, random_state=0)
    assert divergence(machine.fit(PARITY), PARITY) < 0.1


def test_the_4_2_4_encoder_finds_a_code():
    """Four words on either side, and only two hidden units between them: they must become bits."""
    words = np.hstack([np.eye(4), np.eye(4)])
    connected = ~np.eye(10, dtype=bool)
    connected[:4, 4:8] = connected[4:8, :4] = connected[8, 9] = connected[9, 8] = False
    machine = BoltzmannMachine(
        2, connections=connected, learning_rate=1.0, init_scale=1.0, n_epochs=800, random_state=1
    ).fit(words)
    assert divergence(machine, words) < 0.1
    codes = machine.transform(words).round()
    assert len(np.unique(codes, axis=0)) == 4
    right = np.hstack([np.zeros((1, 4), bool), np.ones((1, 4), bool)])[0]
    filled = machine.inpaint(np.tile(words, (200, 1)), right, 100, random_state=0)
    assert (filled == np.tile(words, (200, 1))).all(axis=1).mean() > 0.9


def test_gibbs_learning_finds_two_opposites():
    """All on or all off: independent units are ln 4 away."""
    patterns = np.array([[0.0] * 3, [1.0] * 3])
    machine = BoltzmannMachine(
        method="gibbs",
        learning_rate=(1.0, 0.05),
        temperatures=[4, 2, 1],
        n_epochs=150,
        random_state=0,
    )
    X = np.tile(patterns, (200, 1))
    start = divergence(clone(machine).set_params(n_epochs=0).fit(X), patterns)
    assert start == pytest.approx(np.log(4), abs=0.2)
    assert divergence(machine.fit(X), patterns) < 0.15


# --- behaviour --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["exact", "gibbs"])
def test_the_seed_decides_everything_and_partial_fit_continues(method):
    X = np.random.default_rng(0).random((30, 4))
    whole = BoltzmannMachine(2, method=method, n_epochs=4, batch_size=7, random_state=3)
    pieces = clone(whole).set_params(n_epochs=1).fit(X)
    whole.fit(X)
    for _ in range(3):
        pieces = pickle.loads(pickle.dumps(pieces)).partial_fit(X)
        pieces.sample(3, 2)
        pieces.score(X)
    assert_array_equal(whole.weights_, pieces.weights_)
    assert_array_equal(whole.bias_, pieces.bias_)
    assert whole.n_iter_ == pieces.n_iter_ == 4


@pytest.mark.parametrize("method", ["exact", "gibbs"])
def test_parameters_have_the_dtype_of_the_data(method):
    X = np.random.default_rng(0).random((20, 4)).astype(np.float32)
    machine = BoltzmannMachine(2, method=method, n_epochs=2, random_state=0).fit(X)
    arrays = [machine.weights_, machine.bias_, machine.sample(2), machine.sample(2, 3)]
    arrays += [machine.transform(X), machine.inpaint(X, np.ones(4, bool), 2)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    assert (machine.weights_ == machine.weights_.T).all() and not np.diag(machine.weights_).any()


def test_large_machines_learn_by_gibbs_and_say_what_they_cannot_sum():
    X = np.random.default_rng(0).random((10, 25))
    machine = BoltzmannMachine(13, method="gibbs", n_epochs=2, random_state=0).fit(X)
    assert machine.sample(3, 5).shape == (3, 25)
    for call, message in (
        (machine.log_partition, "at most 20 units"),
        (lambda: machine.score(X), "at most 12 hidden units"),
        (lambda: machine.transform(X), "at most 12 hidden units"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_an_interrupt_keeps_what_was_learnt(monkeypatch):
    X = np.random.default_rng(0).random((20, 4))
    machine = BoltzmannMachine(1, n_epochs=10, random_state=0)
    epoch = BoltzmannMachine._epoch

    def interrupted(self, X):
        if self.n_iter_ == 3:
            raise KeyboardInterrupt
        epoch(self, X)

    monkeypatch.setattr(BoltzmannMachine, "_epoch", interrupted)
    with pytest.warns(UserWarning, match="after 3 of 10 epochs"):
        machine.fit(X)
    assert machine.n_iter_ == 3 and np.isfinite(machine.score(X))


GOOD = np.zeros((5, 4))


@pytest.mark.parametrize(
    ("parameters", "X", "message"),
    [
        ({"n_hidden": -1}, GOOD, "n_hidden must be an int of at least 0"),
        ({"n_hidden": 13}, GOOD, "of which at most 12 hidden"),
        ({"n_hidden": 1}, np.zeros((5, 20)), "at most 20 units"),
        ({"method": "mean field"}, GOOD, 'method must be "exact" or "gibbs"'),
        ({"learning_rate": 0}, GOOD, "learning_rate must be a number"),
        ({"weight_decay": -1}, GOOD, "weight_decay must be a number"),
        ({"batch_size": 0}, GOOD, "batch_size must be an int of at least 1"),
        ({"n_epochs": -1}, GOOD, "n_epochs must be an int of at least 0"),
        ({"n_chains": 0}, GOOD, "n_chains must be an int of at least 1"),
        ({"temperatures": (2.0, 0.5)}, GOOD, "temperatures must be positive and end at 1"),
        ({"temperatures": (0.0, 1.0)}, GOOD, "temperatures must be positive and end at 1"),
        ({"temperatures": ()}, GOOD, "temperatures must be positive and end at 1"),
        ({"temperatures": 1.0}, GOOD, "temperatures must have 1 dimension"),
        ({"init_scale": -1}, GOOD, "init_scale must be a number"),
        ({"connections": np.ones((6, 6))}, GOOD, "connections must be an array of bool"),
        ({"connections": np.ones((3, 3), bool)}, GOOD, r"bool of shape \(6, 6\)"),
        ({"connections": np.ones((6, 6), bool)}, GOOD, "symmetric with a false diagonal"),
        ({"connections": np.eye(6, k=1, dtype=bool)}, GOOD, "symmetric with a false diagonal"),
        ({"binarize": "yes"}, GOOD, "binarize must be"),
        ({}, GOOD + 2, r"X must lie in \[0, 1\]"),
        ({}, GOOD * np.nan, "contains NaN"),
    ],
)
def test_bad_training_input_is_named(parameters, X, message):
    machine = BoltzmannMachine(2, n_epochs=1).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        machine.fit(X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.score_samples(np.zeros((2, 3))), "expecting 4 features"),
        (lambda m: m.energy(GOOD), "states must have 6 columns"),
        (lambda m: m.energy(np.full((2, 6), 0.5)), "states must hold only 0 and 1"),
        (lambda m: m.free_energy(GOOD + 2), r"v must lie in \[0, 1\]"),
        (lambda m: m.gibbs(np.zeros((2, 6)), -1), "n_sweeps must be an int of at least 0"),
        (lambda m: m.gibbs(np.zeros((2, 6)), temperatures=[0.0]), "temperatures must be positive"),
        (lambda m: m.sample(0), "n_samples must be an int of at least 1"),
        (lambda m: m.sample(1, 0), "n_sweeps must be an int of at least 1"),
        (lambda m: m.inpaint(GOOD, np.zeros(3, bool)), "mask must be an array of bool"),
        (lambda m: m.inpaint(GOOD, [0, 1, 0, 0]), "mask must be an array of bool"),
    ],
)
def test_bad_use_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(scrambled(4, 2))


@parametrize_with_checks(
    [
        BoltzmannMachine(2, n_epochs=3, binarize="threshold"),
        BoltzmannMachine(3, method="gibbs", n_epochs=2, n_chains=10, binarize="threshold"),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
