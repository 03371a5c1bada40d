"""Deep belief networks and deep Boltzmann machines, held against sums over every state."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logsumexp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_likelihood_ais import z_scores
from test_rbm import assert_follows, frequencies, numerical_gradient, scrambled_machine

from hmlib.datasets import bars, load
from hmlib.deep import DeepBeliefNetwork, DeepBoltzmannMachine, _softplus_change
from hmlib.exact import all_states, kl_divergence
from hmlib.layers import SigmoidLayer
from hmlib.likelihood import annealed_importance_sampling, importance_log_likelihood
from hmlib.rbm import (
    GaussianRestrictedBoltzmannMachine,
    RestrictedBoltzmannMachine,
    _softplus,
)

UNTRAINED = RestrictedBoltzmannMachine(n_epochs=0)


def scrambled_network(n_visible=4, hidden=(3, 2), seed=0, scale=1.0, dtype=float, **kwargs):
    """Make a belief network whose parameters are random and unrelated."""
    network = DeepBeliefNetwork(hidden, rbm=kwargs.pop("rbm", UNTRAINED), random_state=seed)
    network.set_params(**kwargs).fit(np.zeros((1, n_visible), dtype))
    rng = np.random.default_rng(seed)
    for parameter in parameters_of(network):
        parameter += scale * rng.standard_normal(parameter.shape)
    return network


def scrambled_dbm(n_visible=4, hidden=(3, 2), seed=0, scale=1.0, dtype=float, **kwargs):
    """Make a Boltzmann machine with random parameters."""
    machine = DeepBoltzmannMachine(hidden, n_epochs=0, random_state=seed, **kwargs)
    machine.fit(np.zeros((1, n_visible), dtype))
    rng = np.random.default_rng(seed)
    for parameter in parameters_of(machine):
        parameter += scale * rng.standard_normal(parameter.shape)
    return machine


def parameters_of(machine):
    if isinstance(machine, DeepBoltzmannMachine):
        return machine._parameters()
    layers = [*machine.generative_, *machine.recognition_]
    return [*(p for m in layers for p in (m.weights, m.bias)), *machine.top_._parameters()]


def sizes_of(machine):
    return [machine.n_features_in_, *machine.hidden]


def joint_states(sizes):
    """Return every state of all units, as a list of layers."""
    return np.split(all_states(sum(sizes)), np.cumsum(sizes)[:-1], axis=1)


def bernoulli(p, x):
    return np.prod(np.where(x == 1, p, 1 - p), axis=1)


def joint_of_network(network):
    """Compute p(v, h_1, ..., h_L) of every state, from the definition: (2^n_visible, the rest)."""
    *layers, h = joint_states(sizes_of(network))
    W, b, c = network.top_._parameters()
    weight = np.exp([x @ W @ y + b @ x + c @ y for x, y in zip(layers[-1], h)])
    n_below = sum(x.shape[1] for x in layers[:-1])
    p = weight * 2**n_below / weight.sum()  # the top pair is listed so many times
    for layer, below, above in zip(network.generative_, layers, layers[1:]):
        p = p * bernoulli(expit(above @ layer.weights + layer.bias), below)
    return p.reshape(2**network.n_features_in_, -1)


def posterior_tables(network):
    """Compute p(v, h) and q(h | v) of every v and every h = h_1, ..., h_{L-1}."""
    sizes = sizes_of(network)
    p = joint_of_network(network).reshape(2 ** sizes[0], -1, 2 ** sizes[-1]).sum(axis=2)
    layers = joint_states(sizes[:-1])
    q = np.ones(len(layers[0]))
    for layer, below, above in zip(network.recognition_, layers, layers[1:]):
        q = q * bernoulli(expit(below @ layer.weights + layer.bias), above)
    return p, q.reshape(p.shape)


def joint_of_dbm(machine):
    """Compute exp(-E) of every state, from the definition: (2^n_visible, all hidden states)."""
    energies = []
    for row in all_states(sum(sizes_of(machine))):
        x = np.split(row, np.cumsum(sizes_of(machine))[:-1])
        own = sum(b @ x_l for b, x_l in zip(machine.biases_, x))
        energies.append(-own - sum(a @ W @ b for a, W, b in zip(x, machine.weights_, x[1:])))
    return np.exp(-np.array(energies)).reshape(2**machine.n_features_in_, -1)


def log_marginal(joint):
    return np.log(joint.sum(axis=1) / joint.sum())


DBN_SHAPES = [(4, (3, 2)), (3, (2, 3, 2)), (4, (3,)), (2, (2, 1, 2, 2))]
DBM_SHAPES = [(4, (3, 2)), (3, (2, 3, 2)), (4, (3,)), (2, (2, 1, 2, 2)), (2, (3, 4))]


@pytest.fixture(params=DBN_SHAPES, ids=str)
def network(request):
    return scrambled_network(*request.param)


@pytest.fixture(params=DBM_SHAPES, ids=str)
def dbm(request):
    return scrambled_dbm(*request.param)


# --- belief networks: the distribution --------------------------------------------------------------


def test_the_likelihood_of_a_network_is_the_joint_summed_over_all_hidden_states(network):
    joint, v = joint_of_network(network), all_states(network.n_features_in_)
    assert joint.sum() == pytest.approx(1, abs=1e-12)
    assert_allclose(network.score_samples(v), np.log(joint.sum(axis=1)), atol=1e-8, rtol=0)
    assert network.score(v) == pytest.approx(network.score_samples(v).mean())
    W, b, c = network.top_._parameters()
    x, h = joint_states(W.shape)
    log_z = logsumexp([i @ W @ j + b @ i + c @ j for i, j in zip(x, h)])
    assert network.log_partition() == pytest.approx(log_z, abs=1e-8)


def test_the_bound_of_a_network_is_tight_but_for_the_divergence_of_the_explanations(network):
    v, (p, q) = all_states(network.n_features_in_), posterior_tables(network)
    log_p, bound = network.score_samples(v), network.free_energy_bound(v)
    gap = [kl_divergence(r, g) for r, g in zip(q, p / p.sum(axis=1, keepdims=True))]
    assert_allclose(bound + log_p, gap, atol=1e-8, rtol=0)
    assert (bound + log_p).max() > 0.1 or len(network.hidden) == 1


def test_importance_weights_of_a_network_are_those_of_what_was_drawn(network):
    v, (p, q) = all_states(network.n_features_in_), posterior_tables(network)
    log_w = network.log_weights(v, np.random.default_rng(5))
    hidden = network.recognize(v, random_state=np.random.default_rng(5))[1:-1]
    powers = 2.0 ** np.arange(sum(x.shape[1] for x in hidden))[::-1]
    index = (np.hstack([v[:, :0], *hidden]) @ powers).astype(int)
    rows = np.arange(len(v))
    assert_allclose(log_w, np.log(p[rows, index] / q[rows, index]), atol=1e-8, rtol=0)
    given = network.log_weights(v, np.random.default_rng(5), log_partition=1.0)
    assert_allclose(given, log_w + network.log_partition() - 1, atol=1e-8, rtol=0)
    many = network.draw_log_weights(v, 3, np.random.default_rng(5))
    assert_array_equal(many[0], log_w)
    assert many.shape == (3, len(v)) and (len(network.hidden) == 1 or (many[1] != many[0]).any())


def test_the_sampled_likelihood_and_bound_of_a_network_agree_with_the_exact_ones():
    network, n = scrambled_network(5, (3, 2), scale=0.5), 1000
    v = all_states(5)
    p, error, bound = importance_log_likelihood(network, v, n, random_state=0)
    z = (p - network.score_samples(v)) / error
    assert np.abs(z).max() < 5 and error.max() < 0.1
    log_w = network.log_weights(np.tile(v, (n, 1)), np.random.default_rng(0)).reshape(n, -1)
    error = log_w.std(axis=0) / np.sqrt(n)
    for lower in (-network.free_energy_bound(v, n, random_state=0), log_w.mean(axis=0), bound):
        assert (np.abs(lower + network.free_energy_bound(v)) < 5 * error).all()
    sampled = network.score_samples(v, n, random_state=0)
    assert_allclose(sampled, network.score_samples(v), atol=0.2)


def test_a_new_layer_with_the_weights_of_the_one_below_changes_nothing():
    """Hinton, Osindero and Teh: with tied weights the pair is the machine below once more."""
    rbm, v = scrambled_machine(4, 3), all_states(4)
    W, b, c = rbm._parameters()
    network = scrambled_network(4, (3, 4))
    network.generative_, network.recognition_ = [SigmoidLayer(W.T, b)], [SigmoidLayer(W, c)]
    for parameter, tied in zip(network.top_._parameters(), (W.T, c, b)):
        parameter[:] = tied
    assert_allclose(network.score_samples(v), rbm.score_samples(v), atol=1e-8, rtol=0)
    assert_allclose(network.free_energy_bound(v), -rbm.score_samples(v), atol=1e-8, rtol=0)
    # What the top then learns about h_1 raises the bound by as much, and log p at least to it.
    q = np.exp(network.recognition_[0].log_prob_table(v, all_states(3)))
    before = q @ network.top_.score_samples(all_states(3))
    world = np.random.default_rng(0).dirichlet(np.full(16, 0.1))
    for _ in range(30):
        for gradient, parameter in zip(
            exact_gradient(network.top_, all_states(3), world @ q), network.top_._parameters()
        ):
            parameter += 0.3 * gradient
    gain = q @ network.top_.score_samples(all_states(3)) - before
    assert_allclose(-network.free_energy_bound(v), rbm.score_samples(v) + gain, atol=1e-8, rtol=0)
    assert world @ gain > 0.05
    assert (network.score_samples(v) >= -network.free_energy_bound(v)).all()
    assert world @ network.score_samples(v) >= world @ rbm.score_samples(v) + world @ gain


def exact_gradient(rbm, v, p_data):
    """Compute the exact gradient of a restricted machine's log-likelihood for W, b and c."""
    h, difference = rbm.hidden_mean(v), p_data - np.exp(rbm.score_samples(v))
    return [(v.T * difference) @ h, difference @ v, difference @ h]


# --- belief networks: up and down -------------------------------------------------------------------


def test_explanations_follow_the_recognition_network():
    network = scrambled_network(3, (2, 2, 2))
    v = np.tile(all_states(3)[5], (20_000, 1))
    layers = network.recognize(v, random_state=1)
    assert [x.shape[1] for x in layers] == [3, 2, 2, 2]
    assert_array_equal(layers[0], v)
    h = joint_states([2, 2, 2])
    p = bernoulli(expit(h[1] @ network.top_.weights_ + network.top_.hidden_bias_), h[2])
    for layer, below, above in zip(network.recognition_, [v[: len(h[0])], h[0]], h):
        p = p * bernoulli(expit(below @ layer.weights + layer.bias), above)
    assert_follows(np.hstack(layers[1:]), p)


def test_features_are_the_probabilities_that_rise():
    network, v = scrambled_network(4, (3, 2, 5)), all_states(4)
    h = v
    for i, layer in enumerate(network.recognition_):
        h = expit(h @ layer.weights + layer.bias)
        assert_allclose(network.transform(v, i + 1), h, atol=1e-12)
    top = network.top_.hidden_mean(h)
    assert_allclose(network.transform(v), top, atol=1e-12)
    means = network.recognize(v, means=True)
    assert_allclose(means[-1], top, atol=1e-12)
    assert_array_equal(means[0], v)
    assert len(network.get_feature_names_out()) == 5


def test_dreams_follow_the_exact_distribution(network):
    p = joint_of_network(network).sum(axis=1)
    assert_follows(network.sample(20_000, 50, random_state=1), p)
    smooth = network.sample(20_000, 50, probabilities=True, random_state=2)
    mean = p @ all_states(network.n_features_in_)
    assert (np.abs(smooth.mean(axis=0) - mean) < 5 * smooth.std(axis=0) / np.sqrt(20_000)).all()
    assert not np.isin(smooth, (0, 1)).all()


def test_dreams_start_where_they_are_told():
    network, n = scrambled_network(3, (3, 3)), 20_000
    W, b, c = network.top_._parameters()
    W[:], b[:], c[:] = 12 * np.eye(3), -6, -6  # which keeps what is there
    start, down = np.tile(all_states(3)[6], (n, 1)), network.generative_[0]
    p = np.exp(down.log_prob_table(all_states(3), all_states(3)))
    drawn = frequencies(network.sample(n, 1, start=start, random_state=1))
    stay = np.exp(SigmoidLayer(W, c).log_prob_table(all_states(3), all_states(3)))
    assert np.abs(drawn - (stay @ stay)[6] @ p).max() < 5 * np.sqrt(0.25 / n)
    assert np.abs(drawn - p.mean(axis=0)).max() > 0.05, "the average over all states"


# --- belief networks: learning ----------------------------------------------------------------------


def test_one_layer_learns_exactly_as_a_restricted_machine():
    X = np.random.default_rng(0).random((30, 5))
    for method in ("cd", "pcd"):
        rbm = RestrictedBoltzmannMachine(3, method=method, n_epochs=4, random_state=7)
        network = DeepBeliefNetwork((3,), rbm=rbm, random_state=7).fit(X)
        for a, b in zip(rbm.fit(X)._parameters(), network.top_._parameters()):
            assert_array_equal(a, b)
        v = all_states(5)
        assert_allclose(network.score_samples(v), rbm.score_samples(v), atol=1e-12)


def test_every_layer_learns_from_what_those_below_make_of_new_bits(monkeypatch):
    """The data are drawn anew in each epoch; above them probabilities go up."""
    X, seen = np.random.default_rng(0).random((40, 6)), {}
    epoch = RestrictedBoltzmannMachine._epoch

    def spy(self, X):
        seen.setdefault(self.weights_.shape, []).append(X.copy())
        epoch(self, X)

    monkeypatch.setattr(RestrictedBoltzmannMachine, "_epoch", spy)
    rbm = RestrictedBoltzmannMachine(n_epochs=3, learning_rate=0.3)
    network = DeepBeliefNetwork((5, 4, 3), rbm=rbm, random_state=0).fit(X)
    low, middle, _ = network.machines_
    assert {shape: len(epochs) for shape, epochs in seen.items()} == dict.fromkeys(
        [(6, 5), (5, 4), (4, 3)], 3
    )
    assert all((data == X).all() for data in seen[6, 5]), "which draws bits batch by batch"
    possible = low.hidden_mean(all_states(6))
    for data in seen[5, 4]:
        distance = np.abs(data[:, None] - possible).max(axis=2).min(axis=1)
        assert distance.max() < 1e-12, "the hidden means of bits"
    first, second, _ = seen[5, 4]
    assert (first != second).any()
    rows = middle.hidden_mean(low.hidden_mean(all_states(6)))
    assert np.abs(seen[4, 3][0][:, None] - rows).max(axis=2).min(axis=1).max() < 1e-12


def test_a_network_starts_as_the_machines_of_the_greedy_phase():
    X = np.random.default_rng(0).random((30, 6))
    rbm = RestrictedBoltzmannMachine(n_epochs=2)
    network = DeepBeliefNetwork((5, 4, 3), rbm=rbm, random_state=0).fit(X)
    for machine, up, down in zip(
        network.machines_, network.recognition_, network.generative_, strict=False
    ):
        assert_array_equal(up.weights, machine.weights_)
        assert_array_equal(up.bias, machine.hidden_bias_)
        assert_array_equal(down.weights, machine.weights_.T)
        assert_array_equal(down.bias, machine.visible_bias_)
    assert len(network.generative_) == len(network.recognition_) == 2
    assert network.top_ is not network.machines_[2] and network.top_.rng_ is network.rng_
    greedy = [machine.weights_.copy() for machine in network.machines_]
    network.partial_fit(X)
    assert_array_equal(network.machines_[2].weights_, greedy[2])
    assert (network.top_.weights_ != greedy[2]).all()
    assert (network.recognition_[0].weights != greedy[0]).all()
    assert (network.generative_[0].weights != greedy[0].T).all()


def test_templates_say_how_each_layer_is_trained():
    X = np.random.default_rng(0).random((30, 6))
    templates = [
        RestrictedBoltzmannMachine(99, n_epochs=2, centered=True),
        RestrictedBoltzmannMachine(99, n_epochs=3, method="pcd", n_chains=7),
    ]
    network = DeepBeliefNetwork((5, 4), rbm=templates, random_state=0).fit(X)
    assert [m.n_iter_ for m in network.machines_] == [2, 3]
    assert hasattr(network.machines_[0], "visible_offset_")
    assert network.top_.chains_.shape == (7, 5)
    assert [m.binarize for m in network.machines_] == ["resample", "resample"]
    network = DeepBeliefNetwork((5, 4), rbm=templates, binarize="none", random_state=0).fit(X)
    assert [m.binarize for m in network.machines_] == ["none", "resample"]
    assert templates[0].n_hidden == 99 and not hasattr(templates[0], "weights_")


@pytest.mark.parametrize("method", ["cd", "pcd"])
def test_one_step_of_up_down_is_the_algorithm_step_by_step(method):
    """Replay a step from the same random numbers, in plain NumPy."""
    rbm = RestrictedBoltzmannMachine(n_epochs=0, method=method, n_chains=4)
    network = scrambled_network(5, (4, 3, 2), rbm=rbm, fine_tuning_rate=0.2, n_fine_tuning_steps=2)
    top, v = network.top_, all_states(5)[[3, 9, 20, 30]]
    top._chain_means = chain_means = np.tile([0.05, 0.95], (4, 1))  # far from those of the data
    rng = pickle.loads(pickle.dumps(network.rng_))
    (G0, g0, G1, g1, R0, r0, R1, r1, W, b, c) = (p.copy() for p in parameters_of(network))
    network._learn(v)

    def draw(p):
        return (rng.random(p.shape) < p).astype(float)

    h1 = draw(expit(v @ R0 + r0))
    h2 = draw(expit(h1 @ R1 + r1))
    errors = [v - expit(h1 @ G0 + g0), h1 - expit(h2 @ G1 + g1)]
    q = expit(h2 @ W + c)
    p = q if method == "cd" else chain_means
    expected = [
        G0 + 0.05 * h1.T @ errors[0],
        g0 + 0.05 * errors[0].sum(axis=0),
        G1 + 0.05 * h2.T @ errors[1],
        g1 + 0.05 * errors[1].sum(axis=0),
    ]
    for _ in range(2):
        h3 = draw(p)
        x2 = draw(expit(h3 @ W.T + b))
        p = expit(x2 @ W + c)
    x1 = draw(expit(x2 @ expected[2] + expected[3]))
    x0 = draw(expit(x1 @ expected[0] + expected[1]))
    errors = [x1 - expit(x0 @ R0 + r0), x2 - expit(x1 @ R1 + r1)]
    expected += [
        R0 + 0.05 * x0.T @ errors[0],
        r0 + 0.05 * errors[0].sum(axis=0),
        R1 + 0.05 * x1.T @ errors[1],
        r1 + 0.05 * errors[1].sum(axis=0),
        W + 0.05 * (h2.T @ q - x2.T @ p),
        b + 0.2 * (h2.mean(axis=0) - x2.mean(axis=0)),
        c + 0.2 * (q.mean(axis=0) - p.mean(axis=0)),
    ]
    for ours, reference in zip(parameters_of(network), expected):
        assert_allclose(ours, reference, atol=1e-12)
    if method == "pcd":
        assert_array_equal(top.chains_, x2)


def test_up_down_lowers_the_divergence_from_a_small_world():
    patterns, p = bars(2, mixed=True)
    X = np.random.default_rng(0).choice(patterns, size=1000, p=p)
    rbm = RestrictedBoltzmannMachine(n_epochs=10, learning_rate=0.1, batch_size=20)
    network = DeepBeliefNetwork(
        (6, 6), rbm=rbm, fine_tuning_rate=0.1, n_fine_tuning_steps=5, batch_size=20, random_state=0
    ).fit(X)
    greedy = kl_divergence(p, np.exp(network.score_samples(patterns)))
    network.set_params(n_fine_tuning_epochs=30).fit(X)
    assert network.n_iter_ == 30
    assert kl_divergence(p, np.exp(network.score_samples(patterns))) < 0.9 * greedy


# --- Boltzmann machines: the distribution -----------------------------------------------------------


def test_energies_and_likelihoods_are_those_of_the_definition(dbm, monkeypatch):
    joint, v = joint_of_dbm(dbm), all_states(dbm.n_features_in_)
    energy = dbm.energy(*joint_states(sizes_of(dbm)))
    assert_allclose(energy, -np.log(joint).ravel(), atol=1e-8, rtol=0)
    free_energy = -np.log(joint.sum(axis=1))
    assert_allclose(dbm.free_energy(v), free_energy, atol=1e-8, rtol=0)
    monkeypatch.setattr("hmlib.deep.MAX_EXACT", -1)  # list the odd layers instead of the even ones
    assert_allclose(dbm.free_energy(v), free_energy, atol=1e-8, rtol=0)
    assert dbm.log_partition() == pytest.approx(np.log(joint.sum()), abs=1e-8)
    assert_allclose(dbm.score_samples(v), log_marginal(joint), atol=1e-8, rtol=0)
    assert dbm.score(v) == pytest.approx(log_marginal(joint).mean())


def test_it_is_a_restricted_machine_between_odd_and_even_layers(dbm):
    rbm, x = dbm._restricted(), joint_states(sizes_of(dbm))
    energy = rbm.energy(np.hstack(x[1::2]), np.hstack(x[::2]))
    assert_allclose(energy, dbm.energy(*x), atol=1e-8, rtol=0)


def test_with_one_hidden_layer_it_is_a_restricted_machine():
    rbm, dbm, v = scrambled_machine(4, 3), scrambled_dbm(4, (3,)), all_states(4)
    for ours, theirs in zip(dbm._parameters(), rbm._parameters()):
        ours[:] = theirs
    assert_allclose(dbm.score_samples(v), rbm.score_samples(v), atol=1e-8, rtol=0)
    assert_allclose(dbm.transform(v), rbm.transform(v), atol=1e-12)
    assert_allclose(dbm.bound(v), rbm.score_samples(v), atol=1e-8, rtol=0)
    log_w = dbm.log_weights(v, np.random.default_rng(0))
    assert_allclose(log_w, rbm.score_samples(v), atol=1e-8, rtol=0)


@pytest.mark.parametrize("parity", [0, 1], ids=["even", "odd"])
def test_layers_are_drawn_from_their_conditionals(dbm, parity):
    """Given the others, every layer of one parity has the means of the joint distribution."""
    x = joint_states(sizes_of(dbm))
    p = joint_of_dbm(dbm).ravel()
    given = np.hstack(x[1 - parity :: 2]) @ 2.0 ** np.arange(sum(sizes_of(dbm)[1 - parity :: 2]))
    same = given[:, None] == given
    means = dbm._draw(list(x), parity, np.random.default_rng(0))
    for i in range(parity, len(x), 2):
        assert_allclose(means[i], (same * p) @ x[i] / (same @ p)[:, None], atol=1e-8, rtol=0)


def test_a_gibbs_step_has_the_right_kernel_and_leaves_the_distribution_invariant():
    dbm, n = scrambled_dbm(2, (2, 1)), 40_000
    x, joint = joint_states([2, 2, 1]), joint_of_dbm(dbm).ravel()
    odd, even = x[1] @ [2, 1], np.hstack([x[0], x[2]]) @ [4, 2, 1]
    same_even, same_odd = even[:, None] == even, odd[:, None] == odd
    kernel_odd = same_even * joint / (same_even @ joint)[:, None]
    kernel_even = same_odd * joint / (same_odd @ joint)[:, None]
    kernel = kernel_odd @ kernel_even
    assert_allclose((joint / joint.sum()) @ kernel, joint / joint.sum(), atol=1e-12)
    start = [np.tile(layer[13], (n, 1)) for layer in x]
    for n_steps in (0, 1, 2):
        after = dbm.gibbs(start, n_steps, random_state=n_steps)
        assert_follows(np.hstack(after), np.linalg.matrix_power(kernel, n_steps)[13])
    assert_array_equal(start[1], np.tile(x[1][13], (n, 1)))


def test_samples_follow_the_exact_distribution(dbm):
    p = np.exp(dbm.score_samples(all_states(dbm.n_features_in_)))
    assert_follows(dbm.sample(20_000, 100, random_state=1), p)
    smooth = dbm.sample(20_000, 100, probabilities=True, random_state=2)
    mean = p @ all_states(dbm.n_features_in_)
    assert (np.abs(smooth.mean(axis=0) - mean) < 5 * smooth.std(axis=0) / np.sqrt(20_000)).all()
    assert not np.isin(smooth, (0, 1)).all()


def test_chains_start_from_given_images_and_their_mean_field():
    dbm, n = scrambled_dbm(3, (3, 2)), 40_000
    start = np.tile(all_states(3)[5], (n, 1))
    mu = dbm.mean_field(start[:1])
    kernel = joint_of_dbm(dbm).reshape(8, 8, 4)
    p2 = bernoulli(mu[1], all_states(2))
    p_odd = (kernel[5] / kernel[5].sum(axis=0)) @ p2  # h_1 given v and h_2
    p_even = kernel / kernel.sum(axis=(0, 2), keepdims=True)  # v and h_2 given h_1
    expected = p_even.sum(axis=2) @ p_odd
    assert_follows(dbm.sample(n, 1, start=start, random_state=0), expected)


def test_inpainting_follows_the_exact_conditional_distribution():
    dbm, states = scrambled_dbm(5, (3, 2)), all_states(5)
    mask = np.array([True, False, True, True, False])
    v = np.tile([0.0, 1, 0, 0, 1], (20_000, 1))
    filled = dbm.inpaint(v, mask, 60, random_state=0)
    p = np.exp(dbm.score_samples(states)) * (states[:, ~mask] == 1).all(axis=1)
    assert_follows(filled, p / p.sum())
    each = np.zeros((20_000, 5), bool)
    each[::2, 0] = True
    smooth = dbm.inpaint(v, each, 5, probabilities=True, random_state=1)
    assert_array_equal(smooth[~each], v[~each])
    assert ((smooth[each] > 0) & (smooth[each] < 1)).all()


# --- Boltzmann machines: the mean field -------------------------------------------------------------


@pytest.mark.parametrize("centered", [True, False])
def test_every_sweep_of_the_mean_field_raises_a_lower_bound_of_the_likelihood(dbm, centered):
    for offset in dbm.offsets_:
        offset[:] = 0.3 if centered else 0
    v = all_states(dbm.n_features_in_)
    bounds = np.array([dbm.bound(v, n_sweeps=n) for n in range(12)])
    assert (np.diff(bounds, axis=0) > -1e-12).all()
    assert (bounds <= dbm.score_samples(v) + 1e-12).all()
    if len(dbm.hidden) > 1:
        assert (bounds[1:].max(axis=0) > bounds[0] + 1e-6).any()


def test_the_bound_is_tight_but_for_the_divergence_of_the_mean_field(dbm):
    joint, v = joint_of_dbm(dbm), all_states(dbm.n_features_in_)
    h = joint_states(dbm.hidden)
    for n_sweeps in (0, 2, 50):
        mu = dbm.mean_field(v, n_sweeps)
        for row, bound in enumerate(dbm.bound(v, n_sweeps=n_sweeps)):
            q = np.prod([bernoulli(m[row], x) for m, x in zip(mu, h)], axis=0)
            gap = kl_divergence(q, joint[row] / joint[row].sum())
            assert bound == pytest.approx(dbm.score_samples(v)[row] - gap, abs=1e-8)


def test_the_mean_field_ends_where_every_layer_agrees_with_its_neighbours(monkeypatch):
    monkeypatch.setattr("hmlib.deep.TOLERANCE", 1e-13)
    dbm, v = scrambled_dbm(4, (3, 2, 3), scale=0.7), all_states(4)
    x = [v, *dbm.mean_field(v, 1000)]
    W, b = dbm.weights_, dbm.biases_
    assert_allclose(x[1], expit(b[1] + x[0] @ W[0] + x[2] @ W[1].T), atol=1e-8, rtol=0)
    assert_allclose(x[2], expit(b[2] + x[1] @ W[1] + x[3] @ W[2].T), atol=1e-8, rtol=0)
    assert_allclose(x[3], expit(b[3] + x[2] @ W[2]), atol=1e-8, rtol=0)


def test_the_mean_field_starts_with_the_input_from_below_doubled():
    dbm, v = scrambled_dbm(4, (3, 2), centered=False), all_states(4)
    W, b = dbm.weights_, dbm.biases_
    mu = dbm.mean_field(v, 0)
    assert_allclose(mu[0], expit(b[1] + 2 * v @ W[0]), atol=1e-12)
    assert_allclose(mu[1], expit(b[2] + mu[0] @ W[1]), atol=1e-12)
    # centred: twice the deviation from what is usual, around what is usual
    offsets = [np.full(4, 0.2), np.full(3, 0.6), np.full(2, 0.9)]
    dbm.offsets_ = offsets
    mu = dbm.mean_field(v, 0)
    usual = b[1] + offsets[0] @ W[0] + W[1] @ offsets[2]
    assert_allclose(mu[0], expit(usual + 2 * (v - offsets[0]) @ W[0]), atol=1e-12)


def test_samples_of_a_batch_do_not_meet_in_the_mean_field():
    """Each stops when it has converged, whatever the others do."""
    dbm, v = scrambled_dbm(6, (5, 4), scale=2.0), all_states(6)
    together = dbm.mean_field(v, 100)
    alone = [dbm.mean_field(row[None], 100) for row in v]
    for i, mu in enumerate(together):
        assert_allclose(mu, np.vstack([row[i] for row in alone]), atol=1e-12)
    assert_allclose(dbm.transform(v, 1), dbm.mean_field(v)[0], atol=1e-12)
    assert_array_equal(dbm.transform(v, 0), v)


# --- Boltzmann machines: estimates of the likelihood ------------------------------------------------


AIS_MACHINES = {
    "two layers": lambda: scrambled_dbm(6, (5, 4), scale=0.8),
    "three layers": lambda: scrambled_dbm(5, (4, 4, 4), seed=1, scale=0.8),
    "one layer": lambda: scrambled_dbm(6, (4,), seed=2),
}


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", list(AIS_MACHINES))
def test_at_least_95_of_100_estimates_of_log_z_lie_within_their_error_bar(name, reverse):
    """The error bar is 2.6 standard errors, as for restricted machines: 99 % of a normal one."""
    z = z_scores(AIS_MACHINES[name](), n_chains=100, betas=60, reverse=reverse)
    assert (np.abs(z) < 2.6).sum() >= 95
    assert 0.7 < z.std() < 1.4, "the error bar is neither too small nor too large"


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("betas", [2, 3, 10])
@pytest.mark.parametrize("name", list(AIS_MACHINES))
def test_the_mean_weight_is_unbiased_however_few_the_temperatures(name, betas, reverse):
    machine, n = AIS_MACHINES[name](), 40_000
    for W in machine.weights_:
        W *= 0.5
    result = annealed_importance_sampling(
        machine, n_chains=n, betas=betas, reverse=reverse, random_state=1
    )
    sign = -1 if reverse else 1
    ratio = np.exp(sign * (result.log_weights - machine.log_partition()))  # of mean 1
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(n)
    assert ratio.std() / np.sqrt(n) < 0.1


def test_any_base_gives_the_same_answer_and_without_weights_an_exact_one():
    machine = scrambled_dbm(5, (4, 3))
    for base in ("data", "uniform", np.linspace(-1, 1, 5)):
        result = annealed_importance_sampling(machine, base=base, betas=300, random_state=0)
        assert abs(result.log_partition - machine.log_partition()) < 3.5 * result.standard_error
    for parameter in [*machine.weights_, *machine.biases_[1:]]:
        parameter[:] = 0
    result = annealed_importance_sampling(machine, base=machine.biases_[0], betas=5, random_state=0)
    assert_allclose(result.log_weights, machine.log_partition(), atol=1e-12)


def test_reverse_chains_start_from_exact_samples_or_from_long_chains(monkeypatch):
    machine = scrambled_dbm(5, (4, 3), scale=0.7)
    exact = machine.log_partition()
    path, rng = machine.annealing_path(), np.random.default_rng(0)
    p = joint_of_dbm(machine).reshape(32, 16, 8).sum(axis=(0, 2))
    assert_follows(path.finish(20_000, rng), p / p.sum())
    monkeypatch.setattr("hmlib.deep.MAX_UNITS", 2)
    assert_follows(machine.annealing_path().finish(4000, rng), p / p.sum())
    start = path.finish(200, rng)
    result = annealed_importance_sampling(
        machine, n_chains=200, betas=200, reverse=True, start=start, random_state=0
    )
    assert abs(result.log_partition - exact) < 3.5 * result.standard_error


def test_differences_of_softplus_lose_no_digits():
    rng = np.random.default_rng(0)
    z, u = rng.normal(scale=10, size=(2, 50, 30))
    for step in (1e-6, 0.01, 5.0):
        exact = (_softplus(z) - _softplus(z - step * u)).sum(axis=1)
        assert_allclose(_softplus_change(z, expit(z), step * u), exact, rtol=1e-7)
    exact = _softplus_change(z, expit(z), 1e-4 * u)
    single = _softplus_change(*(x.astype(np.float32) for x in (z, expit(z), 1e-4 * u)))
    assert_allclose(single, exact, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("hidden", [(3, 4), (4, 2), (3, 2, 3)], ids=str)
def test_importance_weights_of_a_boltzmann_machine_are_unbiased(hidden):
    """Also where the odd layers are drawn and the even ones summed out, or the other way round."""
    machine, n = scrambled_dbm(4, hidden, scale=0.7), 4000
    v = all_states(4)
    exact = np.exp(machine.score_samples(v))
    log_w = machine.log_weights(np.tile(v, (n, 1)), np.random.default_rng(0)).reshape(n, -1)
    w = np.exp(log_w)
    assert (np.abs(w.mean(axis=0) - exact) < 5 * w.std(axis=0) / np.sqrt(n)).all()
    estimate, error, _ = importance_log_likelihood(machine, v, 500, random_state=0)
    assert (np.abs(estimate - np.log(exact)) < 5 * error).all() and error.max() < 0.05
    assert (np.abs(machine.score_samples(v, 500, random_state=1) - np.log(exact)) < 0.2).all()
    assert log_w.mean() < np.log(exact).mean(), "a bound, if the logarithm is averaged"


@pytest.mark.parametrize("make", [scrambled_network, scrambled_dbm])
def test_likelihoods_of_large_machines_are_estimated_once_for_their_parameters(make, monkeypatch):
    machine = make(22, (22, 22), scale=0.1)
    with pytest.raises(ValueError, match="at most 20 units"):
        machine.log_partition()
    calls, anneal = [], annealed_importance_sampling

    def spy(machine, **kwargs):
        calls.append(machine)
        return anneal(machine, betas=100, **kwargs)

    monkeypatch.setattr("hmlib.deep.annealed_importance_sampling", spy)
    v = np.zeros((2, 22))
    log_p = machine.score_samples(v, random_state=0)
    assert np.isfinite(log_p).all() and len(calls) == 1
    assert_array_equal(machine.score_samples(v, 100, random_state=0), log_p)
    assert len(calls) == 1
    given = machine.score_samples(v, 100, log_partition=5.0, random_state=0)
    assert_allclose(given, log_p + machine._known_log_z[1] - 5)
    parameters_of(machine)[-1][0] += 1
    machine.score_samples(v, 2)
    assert len(calls) == 2


# --- Boltzmann machines: learning -------------------------------------------------------------------


def gradient_from(machine, p_data, p_model):
    """Weigh every state of all layers: the gradient is linear in the two distributions."""
    total = [np.zeros_like(parameter) for parameter in machine._parameters()]
    layers = joint_states(sizes_of(machine))
    nowhere = [x[:1] for x in layers]
    for row, weight in enumerate(p_data - p_model):
        state = [x[row : row + 1] for x in layers]
        for sum_, part in zip(total, machine._gradient(state, nowhere)):
            sum_ += weight * part
    return total


@pytest.mark.parametrize("hidden", [(2,), (2, 2), (2, 1, 2)], ids=str)
def test_with_exact_averages_the_step_is_the_gradient_of_the_likelihood(hidden):
    machine = scrambled_dbm(3, hidden, centered=False)
    world = np.random.default_rng(1).dirichlet(np.ones(8))
    joint = joint_of_dbm(machine)
    p_data = world[:, None] * joint / joint.sum(axis=1, keepdims=True)
    steps = gradient_from(machine, p_data.ravel(), (joint / joint.sum()).ravel())
    numerical = numerical_gradient(
        lambda: world @ machine.score_samples(all_states(3)), machine._parameters()
    )
    for ours, reference in zip(steps, numerical):
        assert_allclose(ours, reference, atol=1e-8, rtol=0)


def test_the_centred_step_is_the_gradient_in_centred_parameters(monkeypatch):
    """There W moves while b + W lambda, the biases of the centred energy, stay."""
    monkeypatch.setattr("hmlib.rbm.OFFSET_RATE", 0.0)
    machine, rng = scrambled_dbm(3, (2, 2)), np.random.default_rng(2)
    for offset in machine.offsets_:
        offset[:] = rng.random(offset.shape)
    x0, x1, x2 = machine.offsets_
    U, W, a, b, c = (parameter.copy() for parameter in machine._parameters())
    centred = [U, W, a + U @ x1, b + x0 @ U + W @ x2, c + x1 @ W]
    world = rng.dirichlet(np.ones(8))

    def likelihood():
        U, W, a, b, c = centred
        plain = [U, W, a - U @ x1, b - x0 @ U - W @ x2, c - x1 @ W]
        for parameter, value in zip(machine._parameters(), plain):
            parameter[:] = value
        return world @ machine.score_samples(all_states(3))

    dU, dW, da, db, dc = numerical_gradient(likelihood, centred)
    likelihood()
    joint = joint_of_dbm(machine)
    p_data = world[:, None] * joint / joint.sum(axis=1, keepdims=True)
    steps = gradient_from(machine, p_data.ravel(), (joint / joint.sum()).ravel())
    expected = [dU, dW, da - dU @ x1, db - x0 @ dU - dW @ x2, dc - x1 @ dW]
    for ours, reference in zip(steps, expected):
        assert_allclose(ours, reference, atol=1e-8, rtol=0)


def test_one_update_is_the_algorithm_step_by_step():
    """Replay an update from the same random numbers, in plain NumPy."""
    machine = scrambled_dbm(
        4, (3, 2), centered=False, learning_rate=0.2, n_steps=2, n_mean_field=3, n_chains=5
    )
    U, W, a, b, c = (parameter.copy() for parameter in machine._parameters())
    v, (x0, x1, x2) = all_states(4)[[3, 9, 12]], machine.chains_
    rng = pickle.loads(pickle.dumps(machine.rng_))
    machine._learn(v)
    h1 = expit(b + 2 * v @ U)
    h2 = expit(c + h1 @ W)
    for _ in range(3):
        h1 = expit(b + v @ U + h2 @ W.T)
        h2 = expit(c + h1 @ W)

    def draw(p):
        return (rng.random(p.shape) < p).astype(float)

    for _ in range(2):
        x0, x2 = draw(expit(a + x1 @ U.T)), draw(expit(c + x1 @ W))
        p1 = expit(b + x0 @ U + x2 @ W.T)
        x1 = draw(p1)
    expected = [
        U + 0.2 * (v.T @ h1 / 3 - x0.T @ p1 / 5),
        W + 0.2 * (h1.T @ h2 / 3 - p1.T @ x2 / 5),
        a + 0.2 * (v.mean(axis=0) - x0.mean(axis=0)),
        b + 0.2 * (h1.mean(axis=0) - p1.mean(axis=0)),
        c + 0.2 * (h2.mean(axis=0) - x2.mean(axis=0)),
    ]
    for ours, reference in zip(machine._parameters(), expected):
        assert_allclose(ours, reference, atol=1e-12)
    for ours, reference in zip(machine.chains_, [x0, x1, x2]):
        assert_array_equal(ours, reference)


def test_offsets_follow_the_means_of_data_and_mean_field():
    machine, v = scrambled_dbm(4, (3, 2)), all_states(4)[[3, 9, 12]]
    before = [offset.copy() for offset in machine.offsets_]
    data = [v, *machine.mean_field(v)]
    machine._learn(v)
    for offset, then, x in zip(machine.offsets_, before, data):
        assert_allclose(offset, 0.99 * then + 0.01 * x.mean(axis=0), atol=1e-12)
    machine = scrambled_dbm(4, (3, 2), centered=False)
    machine._learn(v)
    assert not any(offset.any() for offset in machine.offsets_)


def test_momentum_and_weight_decay_enter_the_step():
    machine = scrambled_dbm(momentum=0.5, weight_decay=0.1, learning_rate=0.2)
    before = [parameter.copy() for parameter in machine._parameters()]
    for _ in range(2):
        machine._ascend([np.ones_like(parameter) for parameter in before])
    for i, (now, then) in enumerate(zip(machine._parameters(), before)):
        decay = 0.1 if i < 2 else 0.0  # weights only
        first = 0.2 * (1 - decay * then)
        assert_allclose(now, then + 1.5 * first + 0.2 * (1 - decay * (then + first)))


def test_a_machine_starts_as_independent_units_with_the_means_of_the_data():
    X = (np.random.default_rng(0).random((400, 30)) < np.linspace(0, 1, 30)).astype(float)
    machine = DeepBoltzmannMachine((50, 40), n_epochs=0, n_chains=700, random_state=0).fit(X)
    p = (X.sum(axis=0) + 1) / 402
    assert_allclose(expit(machine.biases_[0]), p)
    assert_array_equal(machine.biases_[0], machine.base_bias_)
    assert_allclose(machine.offsets_[0], p)
    assert [W.shape for W in machine.weights_] == [(30, 50), (50, 40)]
    assert all(abs(W.std() / 0.01 - 1) < 0.1 for W in machine.weights_)
    assert [x.shape for x in machine.chains_] == [(700, 30), (700, 50), (700, 40)]
    assert all(set(np.unique(x)) == {0, 1} for x in machine.chains_)
    assert np.abs(machine.chains_[0].mean(axis=0) - p).max() < 5 * np.sqrt(0.25 / 700)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"centered": False}, {"momentum": 0.5}, {"n_pretraining_epochs": 5}],
    ids=str,
)
def test_learning_halves_the_divergence_from_a_small_world(parameters):
    patterns, p = bars(2, mixed=True)
    X = np.random.default_rng(0).choice(patterns, size=1000, p=p)
    machine = DeepBoltzmannMachine(
        (6, 4), learning_rate=(1.0, 0.02), batch_size=50, n_epochs=0, random_state=0
    ).fit(X)
    before = kl_divergence(p, np.exp(machine.score_samples(patterns)))
    machine.set_params(n_epochs=100, **parameters).fit(X)
    assert kl_divergence(p, np.exp(machine.score_samples(patterns))) < before / 2


@pytest.mark.parametrize("centered", [True, False])
def test_after_greedy_training_chains_are_of_the_machine_and_offsets_of_the_data(centered):
    X = all_states(6)[[1, 2, 4, 8, 16, 32]]  # each picture has one dark pixel
    machine = DeepBoltzmannMachine(
        (5, 4),
        n_epochs=0,
        n_pretraining_epochs=50,
        centered=centered,
        n_chains=2000,
        random_state=0,
    ).fit(X)
    p = np.exp(machine.score_samples(all_states(6)))
    assert_follows(machine.chains_[0], p)
    for mu, offset in zip(machine.mean_field(X, machine.n_mean_field), machine.offsets_[1:]):
        if centered:
            assert_allclose(offset, mu.mean(axis=0))
        else:
            assert not offset.any()


def test_greedy_training_doubles_what_comes_from_one_side_only():
    X = np.random.default_rng(0).random((50, 6))
    machine = DeepBoltzmannMachine(
        (5, 4, 3), n_epochs=0, n_pretraining_epochs=2, pretraining_rate=0.3, random_state=0
    ).fit(X)
    low, middle, top = machine.machines_
    assert [(m.up, m.down, m.n_iter_) for m in machine.machines_] == [
        (2, 1, 2),
        (2, 2, 2),
        (1, 2, 2),
    ]
    v, h = all_states(6), all_states(5)
    assert_allclose(low.hidden_mean(v), expit(2 * v @ low.weights_ + low.hidden_bias_))
    assert_allclose(low.visible_mean(h), expit(h @ low.weights_.T + low.visible_bias_))
    for W, rbm in zip(machine.weights_, machine.machines_):
        assert_array_equal(W, rbm.weights_)
    biases = [
        low.visible_bias_,
        (low.hidden_bias_ + middle.visible_bias_) / 2,
        (middle.hidden_bias_ + top.visible_bias_) / 2,
        top.hidden_bias_,
    ]
    for ours, reference in zip(machine.biases_, biases):
        assert_allclose(ours, reference)
    assert DeepBoltzmannMachine((5,), n_epochs=0).fit(X).machines_ == []


# --- behaviour of both ------------------------------------------------------------------------------


def networks():
    """Make one of each kind, small and quick, for data of any width."""
    rbm = RestrictedBoltzmannMachine(n_epochs=2, batch_size=7)
    return [
        DeepBeliefNetwork((4, 3), rbm=rbm, n_fine_tuning_epochs=3, batch_size=7, random_state=3),
        DeepBeliefNetwork(
            (4, 3, 2),
            rbm=clone(rbm).set_params(method="pcd", momentum=0.5, centered=True),
            n_fine_tuning_epochs=3,
            fine_tuning_rate=(0.1, 0.01),
            batch_size=7,
            random_state=3,
        ),
        DeepBoltzmannMachine((4, 3), n_epochs=3, batch_size=7, random_state=3),
        DeepBoltzmannMachine(
            (4, 3, 2),
            n_epochs=3,
            n_pretraining_epochs=2,
            momentum=0.5,
            centered=False,
            batch_size=7,
            random_state=3,
        ),
    ]


BOTH = pytest.mark.parametrize("machine", networks(), ids=["DBN-2", "DBN-3", "DBM-2", "DBM-3"])
EPOCHS = {DeepBeliefNetwork: "n_fine_tuning_epochs", DeepBoltzmannMachine: "n_epochs"}
GREY = np.random.default_rng(0).random((30, 6))


def assert_equal_parameters(a, b):
    for ours, reference in zip(parameters_of(a), parameters_of(b)):
        assert_array_equal(ours, reference)


@BOTH
def test_the_seed_decides_everything_and_partial_fit_continues(machine):
    whole = clone(machine).fit(GREY)
    pieces = clone(machine)
    for _ in range(3):  # the first of which trains greedily, too
        pieces = pickle.loads(pickle.dumps(pieces)).partial_fit(GREY)
    assert_equal_parameters(whole, pieces)
    assert whole.n_iter_ == pieces.n_iter_ == 3
    assert_array_equal(whole.sample(5, 3), pieces.sample(5, 3))
    assert_equal_parameters(whole, clone(machine).fit(GREY))


@BOTH
def test_looking_at_a_machine_does_not_change_how_it_learns(machine):
    untouched, machine = clone(machine).fit(GREY), clone(machine).fit(GREY)
    machine.sample(3, 2)
    machine.score(GREY)
    machine.transform(GREY)
    machine.score_samples(GREY, 3)
    if isinstance(machine, DeepBoltzmannMachine):
        machine.inpaint(GREY, np.ones(6, bool), 3)
        machine.gibbs(machine.chains_)
        machine.bound(GREY)
    else:
        machine.recognize(GREY)
        machine.free_energy_bound(GREY)
    assert_equal_parameters(untouched.partial_fit(GREY), machine.partial_fit(GREY))


@BOTH
def test_an_interrupt_keeps_what_was_learnt(machine, monkeypatch):
    machine, kind = clone(machine), type(machine)
    epoch = kind._epoch

    def interrupted(self, X):
        if self.n_iter_ == 1:
            raise KeyboardInterrupt
        epoch(self, X)

    monkeypatch.setattr(kind, "_epoch", interrupted)
    with pytest.warns(UserWarning, match="after 1 of 3 epochs"):
        machine.fit(GREY)
    monkeypatch.undo()
    assert_equal_parameters(machine, clone(machine).set_params(**{EPOCHS[kind]: 1}).fit(GREY))
    assert np.isfinite(machine.partial_fit(GREY).score(GREY)) and machine.n_iter_ == 2


@pytest.mark.parametrize("machine", networks()[1::2], ids=["DBN", "DBM"])
def test_greedy_training_can_be_interrupted_and_goes_on(machine, monkeypatch):
    whole = clone(machine).set_params(**{EPOCHS[type(machine)]: 1}).fit(GREY)
    epoch, n_epochs = RestrictedBoltzmannMachine._epoch, []

    def interrupted(self, X):
        if len(n_epochs) == 3:
            raise KeyboardInterrupt
        n_epochs.append(1)
        epoch(self, X)

    machine = clone(machine)
    monkeypatch.setattr(RestrictedBoltzmannMachine, "_epoch", interrupted)
    with pytest.warns(UserWarning, match="greedy training was interrupted in layer 2"):
        machine.fit(GREY)
    monkeypatch.undo()
    assert [m.n_iter_ for m in machine.machines_] == [2, 1] and machine.n_iter_ == 0
    assert np.isfinite(machine.score(GREY)) and machine.sample(2, 2).shape == (2, 6)
    machine.partial_fit(GREY)
    assert [m.n_iter_ for m in machine.machines_] == [2, 2, 2] and machine.n_iter_ == 1
    assert [p.shape for p in parameters_of(machine)] == [p.shape for p in parameters_of(whole)]


@pytest.mark.parametrize("machine", networks()[1::2], ids=["DBN", "DBM"])
def test_growing_epoch_by_epoch_is_what_fit_begins_with(machine):
    whole = clone(machine).set_params(**{EPOCHS[type(machine)]: 0}).fit(GREY)
    machine, seen = clone(machine), []
    for learner in machine.grow(GREY):
        seen.append(learner.n_iter_)
        if len(seen) == 3:  # what is kept here goes on as if nothing had been
            kept = pickle.loads(pickle.dumps(machine))
    assert seen == [1, 2] * 3
    assert [learner.n_iter_ for learner in kept.grow(GREY)] == [2, 1, 2]
    assert_equal_parameters(machine, whole)
    assert_equal_parameters(kept, whole)
    assert list(machine.grow(GREY)) == []
    assert_equal_parameters(machine, whole)


def test_an_interrupt_before_anything_was_learnt_is_not_swallowed(monkeypatch):
    def interrupted(self, X):
        raise KeyboardInterrupt

    monkeypatch.setattr(RestrictedBoltzmannMachine, "_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        DeepBeliefNetwork((3, 2)).fit(GREY)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@BOTH
def test_everything_has_the_dtype_of_the_data(machine, dtype):
    X = GREY.astype(dtype)
    machine = clone(machine).fit(X).partial_fit(GREY)
    arrays = [*parameters_of(machine), machine.sample(2, 2), machine.transform(X)]
    if isinstance(machine, DeepBoltzmannMachine):
        arrays += [*machine.chains_, *machine.offsets_, *machine._velocities]
        arrays += [*machine.mean_field(X), *machine.gibbs(machine.chains_)]
        arrays.append(machine.inpaint(X, np.ones(6, bool), 2))
    else:
        arrays += [*machine.recognize(X), machine.sample(2, 2, probabilities=True)]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}
    assert machine.score_samples(X).dtype == machine.score_samples(X, 5).dtype == np.float64


@pytest.mark.parametrize("make", [scrambled_network, scrambled_dbm])
def test_single_precision_agrees_with_double(make):
    double, single = (make(30, (12, 8), scale=0.3, dtype=t) for t in (np.float64, np.float32))
    for a, b in zip(parameters_of(single), parameters_of(double)):
        a[:] = b
    v = np.random.default_rng(0).integers(0, 2, (50, 30)).astype(float)
    assert_allclose(single.score_samples(v), double.score_samples(v), rtol=1e-5)
    assert_allclose(single.transform(v), double.transform(v), atol=1e-4)
    if make is scrambled_dbm:
        assert_allclose(single.bound(v), double.bound(v), rtol=1e-5)
        change, states = single.annealing_path().step(
            np.ones((3, 12), np.float32), *np.array([0.1, 0.2]), np.random.default_rng(0)
        )
        assert states.dtype == np.float32 and change.dtype == np.float64
        result = annealed_importance_sampling(single, betas=1000, random_state=0)
        assert abs(result.log_partition - double.log_partition()) < 3.5 * result.standard_error
    else:
        bound = double.free_energy_bound(v)
        assert_allclose(single.free_energy_bound(v), bound, rtol=1e-5)


@pytest.mark.parametrize("make", [scrambled_network, scrambled_dbm])
@pytest.mark.parametrize("mode", ["resample", "threshold", "none"])
def test_exact_and_sampled_answers_are_about_the_same_bits(make, mode):
    machine = make(binarize=mode, scale=0.5)
    grey = np.random.default_rng(0).random((20, 4))
    rng = np.random.default_rng(3)
    seen = {"resample": rng.random(grey.shape) < grey, "threshold": grey > 0.5, "none": grey}[mode]
    exact = machine.score_samples(grey, random_state=3)
    assert_allclose(exact, machine.score_samples(seen.astype(float)), rtol=1e-12)
    assert_allclose(machine.score_samples(grey, 4000, random_state=3), exact, atol=0.15)
    bound = machine.bound if make is scrambled_dbm else machine.free_energy_bound
    assert_allclose(bound(grey, random_state=3), bound(seen.astype(float)), rtol=1e-12)


@pytest.mark.parametrize("make", [scrambled_network, scrambled_dbm])
def test_large_data_is_scored_in_pieces(make, monkeypatch):
    machine, v = make(), all_states(4)
    bound = machine.bound if make is scrambled_dbm else machine.free_energy_bound
    whole = machine.score_samples(v), bound(v)
    monkeypatch.setattr("hmlib._estimator.ROWS_AT_ONCE", 5)
    assert_allclose((machine.score_samples(v), bound(v)), whole, rtol=1e-12)


@pytest.mark.parametrize("make", [scrambled_network, scrambled_dbm])
def test_saturated_machines_stay_finite_and_silent(make, recwarn):
    machine, v = make(scale=1e4, dtype=np.float32), all_states(4).astype(np.float32)
    for _ in range(3):
        machine.partial_fit(v)
    assert np.isfinite(machine.score_samples(v)).all() and np.isfinite(machine.transform(v)).all()
    if make is scrambled_dbm:
        assert np.isfinite(machine.bound(v)).all()
    assert not recwarn.list


@pytest.mark.parametrize("make", [scrambled_network, scrambled_dbm])
def test_a_fitted_machine_keeps_its_sizes_whatever_is_set_afterwards(make):
    machine, v = make(), all_states(4)
    before = machine.score_samples(v)
    machine.set_params(hidden=(64, 16, 8))
    assert_array_equal(machine.score_samples(v), before)
    assert len(machine.get_feature_names_out()) == machine.transform(v).shape[1] == 2
    machine.partial_fit(v)
    assert machine.transform(v).shape[1] == 2


@BOTH
def test_verbose_shows_progress_bars(machine, capfd):
    clone(machine).set_params(verbose=True).fit(GREY)
    err = capfd.readouterr().err
    assert type(machine).__name__ in err
    assert ("layer 2" in err) == (getattr(machine, "n_pretraining_epochs", 1) > 0)


GOOD = np.zeros((5, 4))
RBM = RestrictedBoltzmannMachine


@pytest.mark.parametrize("kind", [DeepBeliefNetwork, DeepBoltzmannMachine])
@pytest.mark.parametrize(
    ("parameters", "X", "message"),
    [
        ({"hidden": ()}, GOOD, "hidden must be a tuple"),
        ({"hidden": 5}, GOOD, "hidden must be a tuple"),
        ({"hidden": (3, 0)}, GOOD, r"hidden\[1\] must be an int of at least 1"),
        ({"hidden": (3, -2)}, GOOD, r"hidden\[1\] must be an int of at least 1"),
        ({"hidden": (2.5,)}, GOOD, r"hidden\[0\] must be an int"),
        ({"batch_size": 0}, GOOD, "batch_size must be an int of at least 1"),
        ({"binarize": "yes"}, GOOD, "binarize must be"),
        ({"random_state": "seed"}, GOOD, "random_state must be"),
        ({}, GOOD + 2, r"X must lie in \[0, 1\], got values from 2 to 2"),
        ({}, GOOD - 1, r"X must lie in \[0, 1\]"),
        ({}, GOOD * np.nan, "contains NaN"),
        ({}, np.zeros((0, 4)), "0 sample"),
        ({}, np.zeros(4), "2D array"),
    ],
)
def test_bad_training_input_is_named(kind, parameters, X, message):
    with pytest.raises(ValueError, match=message):
        kind((3, 2)).set_params(**parameters).fit(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rbm": 5}, "rbm must be a RestrictedBoltzmannMachine, got 5"),
        ({"rbm": [RBM(), None]}, "rbm must be a RestrictedBoltzmannMachine, got None"),
        ({"rbm": GaussianRestrictedBoltzmannMachine()}, "rbm must be a RestrictedBoltzmannMachine"),
        ({"rbm": [RBM()] * 3}, "rbm must be one machine or 2, one for each hidden layer, got 3"),
        ({"rbm": []}, "rbm must be one machine or 2, one for each hidden layer, got 0"),
        ({"rbm": RBM(n_epochs=-1)}, "n_epochs of rbm must be an int of at least 0"),
        ({"rbm": RBM(learning_rate=0)}, "learning_rate must be a number"),
        ({"n_fine_tuning_epochs": -1}, "n_fine_tuning_epochs must be an int of at least 0"),
        ({"fine_tuning_rate": 0}, "fine_tuning_rate must be a number"),
        ({"fine_tuning_rate": (1, 1, 1)}, "fine_tuning_rate must be a number or a pair"),
        ({"n_fine_tuning_steps": 0}, "n_fine_tuning_steps must be an int of at least 1"),
    ],
)
def test_bad_parameters_of_a_network_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        DeepBeliefNetwork((3, 2)).set_params(**parameters).fit(GOOD)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_epochs": -1}, "n_epochs must be an int of at least 0"),
        ({"learning_rate": 0}, "learning_rate must be a number"),
        ({"learning_rate": (0.1, 0.1, 0.1)}, "learning_rate must be a number or a pair"),
        ({"n_steps": 0}, "n_steps must be an int of at least 1"),
        ({"n_mean_field": 0}, "n_mean_field must be an int of at least 1"),
        ({"n_pretraining_epochs": -1}, "n_pretraining_epochs must be an int of at least 0"),
        ({"pretraining_rate": -1}, "pretraining_rate must be a number"),
        ({"momentum": 1}, "momentum must be below 1"),
        ({"momentum": -0.1}, r"momentum must be a number in \[0, 1\]"),
        ({"weight_decay": -1}, "weight_decay must be a number"),
        ({"n_chains": 0}, "n_chains must be an int of at least 1"),
        ({"init_scale": -1}, "init_scale must be a number"),
    ],
)
def test_bad_parameters_of_a_boltzmann_machine_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        DeepBoltzmannMachine((3, 2)).set_params(**parameters).fit(GOOD)


@pytest.mark.parametrize("make", [scrambled_network, scrambled_dbm])
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.score_samples(np.zeros((2, 3))), "expecting 4 features"),
        (lambda m: m.score_samples(GOOD + 1.5), r"X must lie in \[0, 1\]"),
        (lambda m: m.score_samples(GOOD, 1), "n_samples must be an int of at least 2"),
        (lambda m: m.draw_log_weights(GOOD, 0, m.rng_), "n_draws must be an int of at least 1"),
        (lambda m: m.score_samples(GOOD, log_partition=np.nan), "log_partition must be a number"),
        (lambda m: m.sample(0), "n_samples must be an int of at least 1"),
        (lambda m: m.sample(2, 0), "n_steps must be an int of at least 1"),
        (lambda m: m.sample(2, start=np.zeros((2, 9))), "must have [34] columns"),
        (lambda m: m.sample(2, random_state=1.5), "random_state must be"),
        (lambda m: m.transform(GOOD, layer=3), "layer must be an int from 0 to 2"),
        (lambda m: m.transform(GOOD, layer=1.0), "layer must be an int from 0 to 2"),
    ],
)
def test_bad_use_is_named(make, call, message):
    with pytest.raises(ValueError, match=message):
        call(make())


LAYERS = [GOOD, np.zeros((5, 3)), np.zeros((5, 2))]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.sample(2, start=GOOD), "start must have 2 rows"),
        (lambda m: m.energy(GOOD), "layers must be the states of 3 layers, got 1"),
        (lambda m: m.energy(GOOD, GOOD, GOOD), "layer 1 must have 3 columns"),
        (lambda m: m.energy(*LAYERS[:2], np.zeros((4, 2))), "as many rows each, got"),
        (lambda m: m.energy(GOOD + 7, *LAYERS[1:]), r"layer 0 must lie in \[0, 1\]"),
        (lambda m: m.gibbs(LAYERS, -1), "n_steps must be an int of at least 0"),
        (lambda m: m.gibbs(LAYERS[:2]), "layers must be the states of 3 layers, got 2"),
        (lambda m: m.free_energy(np.zeros((2, 3))), "v must have 4 columns"),
        (lambda m: m.mean_field(GOOD, -1), "n_sweeps must be an int of at least 0"),
        (lambda m: m.bound(GOOD, n_sweeps=1.5), "n_sweeps must be an int of at least 0"),
        (lambda m: m.bound(GOOD, log_partition="1"), "log_partition must be a number"),
        (lambda m: m.inpaint(GOOD, np.zeros(4)), "mask must be an array of bool"),
        (lambda m: m.inpaint(GOOD, np.zeros(4, bool), 0), "n_steps must be an int of at least 1"),
        (lambda m: m.annealing_path("flat"), 'base must be "data", "uniform"'),
        (lambda m: m.annealing_path(np.zeros(3)), "base must have 4 columns"),
        (lambda m: m.annealing_path().check(GOOD), "start must have 3 columns"),
    ],
)
def test_bad_use_of_a_boltzmann_machine_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(scrambled_dbm())


def test_sums_that_are_too_long_are_refused():
    machine = scrambled_dbm(3, (21, 13))
    with pytest.raises(ValueError, match=r"free_energy .* hidden layers \[21, 13\]"):
        machine.free_energy(np.zeros((1, 3)))
    assert np.isfinite(machine.log_partition()), "16 units in even layers"


# --- next to scikit-learn ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "accuracy"),
    [
        (
            DeepBeliefNetwork(
                (100, 100),
                rbm=RBM(learning_rate=0.1, batch_size=20, n_epochs=15),
                random_state=0,
            ),
            0.95,
        ),
        (
            DeepBoltzmannMachine(
                (100, 50), learning_rate=0.1, batch_size=20, n_epochs=30, random_state=0
            ),
            0.9,
        ),
    ],
    ids=["DBN", "DBM"],
)
def test_features_of_digits_feed_a_linear_classifier(machine, accuracy):
    digits = load("digits")
    pipeline = Pipeline([("deep", machine), ("lr", LogisticRegression(C=100, max_iter=3000))])
    pipeline.fit(digits.x_train.astype(np.float32), digits.y_train)
    assert pipeline.score(digits.x_test.astype(np.float32), digits.y_test) > accuracy


@parametrize_with_checks(
    [
        DeepBeliefNetwork(
            (4, 2), rbm=RBM(n_epochs=2), n_fine_tuning_epochs=2, binarize="threshold"
        ),
        DeepBeliefNetwork((3,), binarize="threshold"),
        DeepBoltzmannMachine((4, 2), n_epochs=3, binarize="threshold"),
        DeepBoltzmannMachine(
            (3, 2, 2), n_epochs=2, n_pretraining_epochs=2, centered=False, binarize="threshold"
        ),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
