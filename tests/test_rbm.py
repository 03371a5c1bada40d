"""Restricted Boltzmann machines, binary and Gaussian, held against sums over every state."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logsumexp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from hmlib.datasets import bars, load
from hmlib.exact import all_states, kl_divergence
from hmlib.experiments import Checkpoint, generator, rbm_likelihood
from hmlib.rbm import (
    GaussianRestrictedBoltzmannMachine,
    RestrictedBoltzmannMachine,
    _blocks_of_states,
    _follow,
)
from hmlib.units import sample_bernoulli


def scrambled_machine(n_visible=5, n_hidden=3, seed=0, scale=1.0, dtype=float, **kwargs):
    """Make a machine with random parameters."""
    machine = RestrictedBoltzmannMachine(n_hidden, n_epochs=0, random_state=seed, **kwargs)
    machine.fit(np.zeros((1, n_visible), dtype))
    return scramble(machine, seed, scale)


def gaussian_machine(n_visible=2, n_hidden=3, seed=0, scale=1.0, **kwargs):
    machine = GaussianRestrictedBoltzmannMachine(n_hidden, n_epochs=0, random_state=seed, **kwargs)
    machine.fit(np.random.default_rng(seed).normal(size=(50, n_visible)))
    return scramble(machine, seed, scale)


def scramble(machine, seed, scale):
    rng = np.random.default_rng(seed)
    for parameter in machine._parameters():
        parameter += scale * rng.standard_normal(parameter.shape)
    return machine


def joint_energy(machine, v, h):
    """Compute E(v, h) of every v with every h, written out from the definition."""
    W, b, c = machine.weights_, machine.visible_bias_, machine.hidden_bias_
    return np.array([[-(x @ b) - y @ c - x @ W @ y for y in h] for x in v])


SHAPES = [(5, 3), (3, 5), (4, 4), (1, 2), (6, 1)]


@pytest.fixture(params=SHAPES, ids=str)
def machine(request):
    return scrambled_machine(*request.param)


# --- the distribution -------------------------------------------------------------------------------


def test_energies_marginals_and_the_partition_function_are_those_of_the_definition(machine):
    n_visible, n_hidden = machine.weights_.shape
    v, h = all_states(n_visible), all_states(n_hidden)
    E = joint_energy(machine, v, h)
    pairs = np.repeat(v, len(h), axis=0), np.tile(h, (len(v), 1))
    assert_allclose(machine.energy(*pairs), E.ravel(), atol=1e-12)
    assert_allclose(machine.free_energy(v), -logsumexp(-E, axis=1), atol=1e-12)
    assert machine.log_partition() == pytest.approx(logsumexp(-E), abs=1e-12)
    assert_allclose(np.exp(machine.score_samples(v)), np.exp(-E).sum(1) / np.exp(-E).sum())


def test_conditionals_are_those_of_the_joint_distribution(machine):
    n_visible, n_hidden = machine.weights_.shape
    v, h = all_states(n_visible), all_states(n_hidden)
    p = np.exp(-joint_energy(machine, v, h))
    assert_allclose(machine.hidden_mean(v), p @ h / p.sum(axis=1, keepdims=True), atol=1e-10)
    assert_allclose(machine.visible_mean(h), p.T @ v / p.sum(axis=0)[:, None], atol=1e-10)
    assert_array_equal(machine.transform(v), machine.hidden_mean(v))


def test_the_sum_over_either_layer_is_the_same():
    machine = scrambled_machine(7, 6)
    of_hidden = logsumexp(machine._log_hidden_table(all_states(6)))
    of_visible = logsumexp(-machine.free_energy(all_states(7)))
    assert of_hidden == pytest.approx(of_visible, abs=1e-12)


def test_blocks_of_states_are_the_states_in_order(monkeypatch):
    machine = scrambled_machine(8, 7)
    exact = machine.log_partition()
    monkeypatch.setattr("hmlib.rbm.UNITS_AT_ONCE", 3)
    assert machine.log_partition() == pytest.approx(exact, abs=1e-12)
    states = np.concatenate(list(_blocks_of_states(7)))
    assert_array_equal(states, all_states(7))


def test_pseudo_likelihood_leaves_out_every_unit_in_turn(machine):
    v = all_states(machine.n_features_in_)
    log_p = machine.score_samples(v)
    expected = np.zeros(len(v))
    for i in range(v.shape[1]):
        other = v.copy()
        other[:, i] = 1 - v[:, i]
        index = (other @ 2.0 ** np.arange(v.shape[1])[::-1]).astype(int)
        expected += log_p - np.logaddexp(log_p, log_p[index])
    assert_allclose(machine.pseudo_likelihood(v), expected, atol=1e-10)


def test_pseudo_likelihood_is_the_likelihood_for_independent_units():
    machine = scrambled_machine()
    machine.weights_[:] = 0
    v = all_states(5)
    assert_allclose(machine.pseudo_likelihood(v), machine.score_samples(v), atol=1e-12)


def test_large_data_is_scored_in_pieces(monkeypatch):
    machine, v = scrambled_machine(), all_states(5)
    whole = machine.score_samples(v), machine.pseudo_likelihood(v), machine.free_energy(v)
    monkeypatch.setattr("hmlib._estimator.ROWS_AT_ONCE", 7)
    pieces = machine.score_samples(v), machine.pseudo_likelihood(v), machine.free_energy(v)
    assert_allclose(whole, pieces, atol=1e-12)


# --- learning ---------------------------------------------------------------------------------------


def numerical_gradient(objective, arrays, step=1e-5):
    gradients = []
    for array in arrays:
        gradient = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            value = array[index]
            array[index] = value + step
            up = objective()
            array[index] = value - step
            gradient[index] = (up - objective()) / (2 * step)
            array[index] = value
        gradients.append(gradient)
    return gradients


def expected_gradient(machine, v, p_data, p_model):
    """Average the estimate of the gradient over data and model; it is a difference A(v) - A(v')."""
    total = [np.zeros_like(parameter) for parameter in machine._parameters()]
    h = machine.hidden_mean(v)
    for x, y, weight in zip(v[:, None], h[:, None], p_data - p_model):
        for sum_, part in zip(total, machine._gradient(x, y, v[:1], h[:1])):
            sum_ += weight * part
    return total


def test_the_expected_step_with_samples_of_the_model_is_the_gradient_of_the_likelihood(machine):
    v = all_states(machine.n_features_in_)
    world = np.random.default_rng(1).dirichlet(np.ones(len(v)))
    numerical = numerical_gradient(lambda: world @ machine.score_samples(v), machine._parameters())
    exact = expected_gradient(machine, v, world, np.exp(machine.score_samples(v)))
    for ours, reference in zip(exact, numerical):
        assert_allclose(ours, reference, atol=1e-8, rtol=0)


def test_the_centred_step_is_the_gradient_in_centred_parameters(monkeypatch):
    """There W moves while b + W lambda and c + mu W, the biases of the centred energy, stay."""
    monkeypatch.setattr("hmlib.rbm.OFFSET_RATE", 0.0)
    machine = scrambled_machine(centered=True)
    rng = np.random.default_rng(2)
    mu, lam = rng.random(5), rng.random(3)
    machine.visible_offset_[:], machine.hidden_offset_[:] = mu, lam
    W, b, c = (parameter.copy() for parameter in machine._parameters())
    centred = [W, b + W @ lam, c + mu @ W]
    v = all_states(5)
    world = rng.dirichlet(np.ones(len(v)))

    def likelihood():
        machine.weights_[:] = centred[0]
        machine.visible_bias_[:] = centred[1] - centred[0] @ lam
        machine.hidden_bias_[:] = centred[2] - mu @ centred[0]
        return world @ machine.score_samples(v)

    dW, db, dc = numerical_gradient(likelihood, centred)
    likelihood()
    steps = expected_gradient(machine, v, world, np.exp(machine.score_samples(v)))
    for ours, reference in zip(steps, [dW, db - dW @ lam, dc - mu @ dW]):
        assert_allclose(ours, reference, atol=1e-8, rtol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_offsets_follow_the_means_and_end_at_zero_not_among_denormal_numbers(dtype):
    least = np.finfo(dtype).eps ** 2
    offset = np.array([0.5, 2 * least, 1.005 * least, np.finfo(dtype).tiny / 4, 0], dtype)
    _follow(offset, np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype))
    assert_allclose(offset, [0.5, 1.98 * least, 0, 0, 0], rtol=1e-6)
    machine = scrambled_machine(4, 2, dtype=dtype, centered=True)
    machine.visible_offset_[:] = np.finfo(dtype).tiny / 4
    machine._learn(np.array([[0, 1, 1, 0]], dtype))
    assert_allclose(machine.visible_offset_, [0, 0.01, 0.01, 0], rtol=1e-6)


def test_centring_makes_learning_the_same_for_inverted_images():
    """With exact expectations, the path of centred learning does not depend on what is called 1."""
    v = all_states(4)
    world = np.random.default_rng(3).dirichlet(np.ones(16))

    def learn(world, centered, inverted):
        machine = scrambled_machine(4, 2, scale=0.3, centered=centered)
        if inverted:  # the same distribution of inverted bits
            machine.hidden_bias_ += machine.weights_.sum(axis=0)
            machine.visible_bias_ *= -1
            machine.weights_ *= -1
        if centered:
            machine.visible_offset_[:] = world @ v
        for _ in range(20):
            p = np.exp(machine.score_samples(v))
            h_mean = world @ machine.hidden_mean(v)
            steps = expected_gradient_with_offsets(machine, v, world, p, h_mean)
            for parameter, step in zip(machine._parameters(), steps):
                parameter += 0.5 * step
        return np.exp(machine.score_samples(v))

    def expected_gradient_with_offsets(machine, v, world, p, h_mean):
        if machine.centered:
            machine.visible_offset_[:], machine.hidden_offset_[:] = world @ v, h_mean
        return expected_gradient(machine, v, world, p)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hmlib.rbm.OFFSET_RATE", 0.0)
        for centered in (True, False):
            there = learn(world, centered, False)
            back = learn(world[::-1], centered, True)[::-1]
            same = np.abs(there - back).max() < 1e-10
            assert same == centered


@pytest.mark.parametrize("method", ["cd", "pcd"])
def test_one_update_is_the_algorithm_step_by_step(method):
    """Replay an update from the same random numbers, in plain NumPy."""
    machine = scrambled_machine(method=method, n_steps=3, learning_rate=0.2, batch_size=4)
    if method == "pcd":
        machine._chain_means = machine.hidden_mean(machine.chains_)
    W, b, c = (parameter.copy() for parameter in machine._parameters())
    v, rng = all_states(5)[[3, 9, 20, 30]], pickle.loads(pickle.dumps(machine.rng_))
    p = expit((v if method == "cd" else machine.chains_) @ W + c)
    machine._learn(v)
    for _ in range(3):
        h = rng.random(p.shape) < p
        x = rng.random((4, 5)) < expit(h @ W.T + b)
        p = expit(x @ W + c)
    q = expit(v @ W + c)
    assert_allclose(machine.weights_, W + 0.2 * (v.T @ q - x.T @ p) / 4, atol=1e-12)
    assert_allclose(machine.visible_bias_, b + 0.2 * (v.mean(0) - x.mean(0)), atol=1e-12)
    assert_allclose(machine.hidden_bias_, c + 0.2 * (q.mean(0) - p.mean(0)), atol=1e-12)
    if method == "pcd":
        assert_array_equal(machine.chains_, x)
        assert_allclose(machine._chain_means, p)


def test_momentum_and_weight_decay_enter_the_step():
    machine = scrambled_machine(momentum=0.5, weight_decay=0.1, learning_rate=0.2)
    W, gradients = machine.weights_.copy(), [np.ones((5, 3)), np.ones(5), np.ones(3)]
    machine._ascend([g.copy() for g in gradients])
    first = 0.2 * (1 - 0.1 * W)
    assert_allclose(machine.weights_, W + first)
    machine._ascend([g.copy() for g in gradients])
    assert_allclose(machine.weights_, W + 1.5 * first + 0.2 * (1 - 0.1 * (W + first)))
    assert_allclose(machine._velocities[1], 0.3)


def test_the_learning_rate_falls_linearly_and_then_stays():
    machine = RestrictedBoltzmannMachine(2, learning_rate=(0.5, 0.1), n_epochs=5)
    rates = []
    for epoch in range(7):
        machine.n_iter_ = epoch
        rates.append(machine._rates()[0])
    assert_allclose(rates, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1])


def test_a_machine_starts_as_independent_units_with_the_means_of_the_data():
    X = np.random.default_rng(0).random((400, 30)) < np.linspace(0, 1, 30)
    machine = RestrictedBoltzmannMachine(50, n_epochs=0, random_state=0).fit(X.astype(float))
    p = (X.sum(axis=0) + 1) / 402
    assert_allclose(expit(machine.visible_bias_), p)
    assert_array_equal(machine.visible_bias_, machine.base_bias_)
    assert abs(machine.weights_.std() - 0.01) < 0.001 and not machine.hidden_bias_.any()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n_steps": 5},
        {"method": "pcd"},
        {"centered": True},
        {"method": "pcd", "momentum": 0.5, "centered": True},
    ],
    ids=str,
)
def test_learning_halves_the_divergence_from_a_small_world(parameters):
    patterns, p = bars(2, mixed=True)
    X = np.random.default_rng(0).choice(patterns, size=1000, p=p)
    machine = RestrictedBoltzmannMachine(
        6, learning_rate=(0.3, 0.01), batch_size=20, n_epochs=0, random_state=0, **parameters
    ).fit(X)
    before = kl_divergence(p, np.exp(machine.score_samples(patterns)))
    machine.set_params(n_epochs=100).fit(X)
    assert kl_divergence(p, np.exp(machine.score_samples(patterns))) < before / 2


def test_longer_chains_learn_a_world_of_two_opposites_that_short_ones_blur():
    """All on or all off: one Gibbs step from the data seldom gets to the other side."""
    patterns, p = np.array([[0.0] * 3, [1.0] * 3]), np.full(2, 0.5)
    X = np.tile(patterns, (500, 1))
    divergence = {}
    for n_steps in (1, 5):
        machine = RestrictedBoltzmannMachine(
            6,
            n_steps=n_steps,
            learning_rate=(0.3, 0.01),
            batch_size=20,
            n_epochs=100,
            random_state=0,
        ).fit(X)
        divergence[n_steps] = kl_divergence(p, np.exp(machine.score_samples(patterns)))
    assert divergence[5] < 0.15 and divergence[1] > 0.4


# --- samples ----------------------------------------------------------------------------------------


def frequencies(v):
    n = v.shape[1]
    index = (v @ 2.0 ** np.arange(n)[::-1]).astype(int)
    return np.bincount(index, minlength=2**n) / len(v)


def assert_follows(samples, p):
    error = np.sqrt(p * (1 - p) / len(samples))
    assert (np.abs(frequencies(samples) - p) < 5 * error + 1e-9).all()


def test_samples_follow_the_exact_distribution(machine):
    p = np.exp(machine.score_samples(all_states(machine.n_features_in_)))
    assert_follows(machine.sample(20_000, 100, random_state=1), p)
    assert_follows(machine._exact_states(20_000, np.random.default_rng(2)), p)


def test_a_gibbs_step_leaves_the_distribution_invariant_and_has_the_right_kernel():
    machine = scrambled_machine(3, 2)
    v, h = all_states(3), all_states(2)
    p = np.exp(-joint_energy(machine, v, h))
    kernel = (p / p.sum(axis=1, keepdims=True)) @ (p / p.sum(axis=0)).T
    start = np.tile(v[5], (40_000, 1))
    for n_steps in (0, 1, 2):
        expected = np.linalg.matrix_power(kernel, n_steps)[5]
        assert_follows(machine.gibbs(start, n_steps, random_state=n_steps), expected)


def test_sample_takes_as_many_steps_as_it_says():
    machine = scrambled_machine(3, 2)
    start = np.tile(all_states(3)[5], (40_000, 1))
    for n_steps in (1, 2):
        expected = machine.gibbs(start, n_steps, random_state=0)
        drawn = machine.sample(40_000, n_steps, start=start, random_state=1)
        assert np.abs(frequencies(expected) - frequencies(drawn)).max() < 5 * np.sqrt(0.5 / 40_000)
    p = machine.sample(40_000, 3, start=start, probabilities=True, random_state=2)
    bits = machine.sample(40_000, 3, start=start, random_state=3)
    assert not np.isin(p, (0, 1)).all()
    assert np.abs(p.mean(axis=0) - bits.mean(axis=0)).max() < 5 * np.sqrt(0.5 / 40_000)


def test_inpainting_follows_the_exact_conditional_distribution():
    machine = scrambled_machine(5, 3)
    mask = np.array([True, False, True, True, False])
    v = np.tile([0.0, 1, 0, 0, 1], (20_000, 1))
    filled = machine.inpaint(v, mask, 60, random_state=0)
    assert (filled[:, ~mask] == 1).all()
    states = all_states(5)
    p = np.exp(machine.score_samples(states)) * (states[:, ~mask] == 1).all(axis=1)
    assert_follows(filled, p / p.sum())
    each = np.zeros((20_000, 5), bool)
    each[::2, 0] = True
    p = machine.inpaint(v, each, 5, probabilities=True, random_state=1)
    assert_array_equal(p[~each], v[~each])
    assert ((p[each] > 0) & (p[each] < 1)).all()


# --- behaviour --------------------------------------------------------------------------------------


def test_the_seed_decides_everything_and_partial_fit_continues():
    X = np.random.default_rng(0).random((30, 6))
    for method in ("cd", "pcd"):
        whole = RestrictedBoltzmannMachine(
            3, method=method, momentum=0.5, centered=True, batch_size=7, n_epochs=4, random_state=3
        )
        pieces = clone(whole).set_params(n_epochs=1).fit(X)
        whole.fit(X)
        for _ in range(3):
            pieces = pickle.loads(pickle.dumps(pieces)).partial_fit(X)
        for a, b in zip(whole._parameters(), pieces._parameters()):
            assert_array_equal(a, b)
        assert whole.n_iter_ == pieces.n_iter_ == 4
        assert_array_equal(whole.sample(5, 3), pieces.sample(5, 3))


def test_looking_at_a_machine_does_not_change_how_it_learns():
    X = np.random.default_rng(0).random((30, 6))
    machines = [
        RestrictedBoltzmannMachine(3, method="pcd", n_epochs=1, random_state=3).fit(X)
        for _ in range(2)
    ]
    machines[0].sample(3)
    machines[0].score(X)
    machines[0].inpaint(X, np.ones(6, bool), 3)
    machines[0].gibbs(machines[0].chains_)
    for machine in machines:
        machine.partial_fit(X)
    for a, b in zip(*(machine._parameters() for machine in machines)):
        assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["cd", "pcd"])
@pytest.mark.parametrize("centered", [True, False])
def test_everything_has_the_dtype_of_the_data(dtype, method, centered):
    X = np.random.default_rng(0).random((20, 4)).astype(dtype)
    machine = RestrictedBoltzmannMachine(
        3, method=method, centered=centered, momentum=0.5, weight_decay=0.01, n_epochs=2
    ).fit(X)
    machine.partial_fit(X.astype(np.float64))
    arrays = [
        *machine._parameters(),
        *machine._velocities,
        machine.sample(2, 2),
        machine.transform(X),
    ]
    if method == "pcd":
        arrays += [machine.chains_, machine._chain_means]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}
    assert machine.score_samples(X).dtype == machine.free_energy(X).dtype == np.float64


def test_single_precision_agrees_with_double():
    double = scrambled_machine(30, 12)
    single = scrambled_machine(30, 12, dtype=np.float32)
    for a, b in zip(single._parameters(), double._parameters()):
        a[:] = b
    v = np.random.default_rng(0).integers(0, 2, (50, 30))
    assert_allclose(single.score_samples(v), double.score_samples(v), rtol=1e-5)
    assert_allclose(single.pseudo_likelihood(v), double.pseudo_likelihood(v), rtol=1e-4)


def test_binarize_says_what_the_machine_sees(monkeypatch):
    grey = np.full((500, 4), 0.3)
    seen = {}
    for mode in ("resample", "threshold", "none"):
        learn = lambda self, v, mode=mode: seen.update({mode: v})  # noqa: E731
        monkeypatch.setattr(RestrictedBoltzmannMachine, "_learn", learn)
        RestrictedBoltzmannMachine(
            2, binarize=mode, n_epochs=1, batch_size=500, random_state=0
        ).fit(grey)
    assert set(np.unique(seen["resample"])) == {0, 1} and abs(seen["resample"].mean() - 0.3) < 0.05
    assert not seen["threshold"].any()
    assert_array_equal(seen["none"], grey)


def test_chains_are_as_many_as_asked_for_and_start_like_the_data():
    X = np.tile([0.0, 1.0, 0.5], (300, 1))
    machine = RestrictedBoltzmannMachine(2, method="pcd", n_chains=700, n_epochs=0, random_state=0)
    chains = machine.fit(X).chains_
    assert chains.shape == (700, 3) and set(np.unique(chains)) == {0, 1}
    assert chains[:, 0].mean() < 0.02 and chains[:, 1].mean() > 0.98
    assert abs(chains[:, 2].mean() - 0.5) < 0.1
    assert machine.set_params(n_epochs=1).fit(X).chains_.shape == (700, 3)
    assert not hasattr(RestrictedBoltzmannMachine(2, n_epochs=1).fit(X), "chains_")


def test_log_likelihood_of_large_machines_is_estimated_once_for_its_parameters(monkeypatch):
    machine = scrambled_machine(22, 21, scale=0.1)
    with pytest.raises(ValueError, match="at most 20 units"):
        machine.log_partition()
    v = np.zeros((3, 22))
    log_p = machine.score_samples(v)
    assert_allclose(log_p, -machine.free_energy(v) - machine._log_partition[1])
    assert_allclose(machine.score_samples(v, log_partition=5.0), -machine.free_energy(v) - 5)
    monkeypatch.setattr("hmlib.rbm.annealed_importance_sampling", None)
    assert_array_equal(machine.score_samples(v), log_p)
    machine.weights_[0, 0] += 1e-3
    with pytest.raises(TypeError):
        machine.score_samples(v)


def test_saturated_machines_stay_finite_and_silent(recwarn):
    machine = scrambled_machine(scale=1e4, dtype=np.float32)
    d = all_states(5).astype(np.float32)
    for _ in range(3):
        machine.partial_fit(d)
    for measure in (machine.score_samples, machine.pseudo_likelihood, machine.transform):
        assert np.isfinite(measure(d)).all()
    assert not recwarn.list


def test_an_interrupt_keeps_what_was_learnt(monkeypatch):
    X = np.random.default_rng(0).random((20, 4))
    machine = RestrictedBoltzmannMachine(3, method="pcd", n_epochs=10, random_state=0)
    epoch = RestrictedBoltzmannMachine._epoch

    def interrupted(self, X):
        if self.n_iter_ == 3:
            raise KeyboardInterrupt
        epoch(self, X)

    monkeypatch.setattr(RestrictedBoltzmannMachine, "_epoch", interrupted)
    with pytest.warns(UserWarning, match="after 3 of 10 epochs") as caught:
        machine.fit(X)
    assert caught[0].filename == __file__
    monkeypatch.undo()
    reference = RestrictedBoltzmannMachine(3, method="pcd", n_epochs=3, random_state=0).fit(X)
    assert_array_equal(machine.weights_, reference.weights_)
    assert np.isfinite(machine.partial_fit(X).score(X))


def test_verbose_shows_a_progress_bar(capfd):
    RestrictedBoltzmannMachine(2, n_epochs=2, verbose=True).fit(np.zeros((4, 3)))
    assert "RestrictedBoltzmannMachine" in capfd.readouterr().err


GOOD = np.zeros((5, 4))


@pytest.mark.parametrize(
    ("parameters", "X", "message"),
    [
        ({"n_hidden": 0}, GOOD, "n_hidden must be an int of at least 1"),
        ({"n_hidden": 2.5}, GOOD, "n_hidden must be an int"),
        ({"method": "CD"}, GOOD, 'method must be "cd" or "pcd"'),
        ({"n_steps": 0}, GOOD, "n_steps must be an int of at least 1"),
        ({"learning_rate": 0}, GOOD, "learning_rate must be a number"),
        ({"learning_rate": (0.1, 0.0)}, GOOD, "learning_rate must be a number in"),
        ({"learning_rate": (0.1, 0.1, 0.1)}, GOOD, "learning_rate must be a number or a pair"),
        ({"learning_rate": "fast"}, GOOD, "learning_rate must be a number"),
        ({"momentum": -0.1}, GOOD, r"momentum must be a number in \[0, 1\]"),
        ({"momentum": 1}, GOOD, "momentum must be below 1"),
        ({"weight_decay": -1}, GOOD, "weight_decay must be a number"),
        ({"n_epochs": -1}, GOOD, "n_epochs must be an int of at least 0"),
        ({"batch_size": 0}, GOOD, "batch_size must be an int of at least 1"),
        ({"n_chains": 0}, GOOD, "n_chains must be an int of at least 1"),
        ({"binarize": "yes"}, GOOD, "binarize must be"),
        ({"random_state": "seed"}, GOOD, "random_state must be"),
        ({}, GOOD + 2, r"X must lie in \[0, 1\], got values from 2 to 2"),
        ({}, GOOD * np.nan, "contains NaN"),
        ({}, np.zeros((0, 4)), "0 sample"),
    ],
)
def test_bad_training_input_is_named(parameters, X, message):
    machine = RestrictedBoltzmannMachine(3, n_epochs=1).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        machine.fit(X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.score_samples(np.zeros((2, 3))), "expecting 4 features"),
        (lambda m: m.score_samples(GOOD + 1.5), r"X must lie in \[0, 1\]"),
        (lambda m: m.score_samples(GOOD, log_partition=np.nan), "log_partition must be a number"),
        (lambda m: m.hidden_mean(np.zeros((2, 3))), "v must have 4 columns"),
        (lambda m: m.visible_mean(GOOD), "h must have 3 columns"),
        (lambda m: m.free_energy(GOOD - 1), r"v must lie in \[0, 1\]"),
        (lambda m: m.energy(GOOD, np.zeros((2, 3))), "as many rows each, got 5 and 2"),
        (lambda m: m.gibbs(GOOD, -1), "n_steps must be an int of at least 0"),
        (lambda m: m.sample(0), "n_samples must be an int of at least 1"),
        (lambda m: m.sample(2, 0), "n_steps must be an int of at least 1"),
        (lambda m: m.sample(2, start=GOOD), "start must have 2 rows"),
        (lambda m: m.inpaint(GOOD, np.zeros(4)), "mask must be an array of bool"),
        (lambda m: m.inpaint(GOOD, np.zeros(5, bool)), "mask must be an array of bool of shape"),
        (lambda m: m.annealing_path("flat"), 'base must be "data", "uniform"'),
        (lambda m: m.annealing_path(np.zeros(3)), "base must have 4 columns"),
    ],
)
def test_bad_use_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(scrambled_machine(4, 3))


# --- next to scikit-learn ---------------------------------------------------------------------------


def test_free_energies_and_features_are_those_of_scikit_learn():
    ours = scrambled_machine(6, 4)
    theirs = BernoulliRBM(4).fit(np.zeros((1, 6)))
    theirs.components_, theirs.intercept_visible_, theirs.intercept_hidden_ = (
        ours.weights_.T,
        ours.visible_bias_,
        ours.hidden_bias_,
    )
    v = all_states(6)
    assert_allclose(ours.free_energy(v), theirs._free_energy(v))
    assert_allclose(ours.transform(v), theirs.transform(v))
    stochastic = np.mean(
        [theirs.set_params(random_state=i).score_samples(v) for i in range(400)], 0
    )
    assert_allclose(stochastic, ours.pseudo_likelihood(v), rtol=0.15)


def test_features_of_digits_feed_a_linear_classifier():
    digits = load("digits")
    machine = RestrictedBoltzmannMachine(
        100, learning_rate=0.1, batch_size=20, n_epochs=20, random_state=0
    )
    pipeline = make_pipeline(machine, LogisticRegression(C=100, max_iter=3000))
    pipeline.fit(digits.x_train, digits.y_train)
    assert pipeline.score(digits.x_test, digits.y_test) > 0.96
    assert len(pipeline[:1].get_feature_names_out()) == 100


@parametrize_with_checks(
    [
        RestrictedBoltzmannMachine(4, n_epochs=3, binarize="threshold"),
        RestrictedBoltzmannMachine(
            3, method="pcd", n_epochs=3, binarize="threshold", centered=True
        ),
        GaussianRestrictedBoltzmannMachine(3, n_epochs=2, learning_rate=1e-4),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# --- Gaussian visible units -------------------------------------------------------------------------


@pytest.fixture(params=[(1, 2), (2, 3), (3, 1)], ids=str)
def gaussian(request):
    return gaussian_machine(*request.param, scale=0.7)


def grid_1d(machine, half_width=12.0, n=4001):
    """Lay a grid over one visible unit, wide enough for all centres."""
    reach = np.abs(machine.weights_).sum() + np.abs(machine.visible_bias_).sum()
    x = np.linspace(-1, 1, n) * (reach + half_width * machine.sigma_.max())
    return x, x[1] - x[0]


def test_gaussian_energy_is_that_of_the_definition(gaussian):
    W, b, c, s = gaussian.weights_, gaussian.visible_bias_, gaussian.hidden_bias_, gaussian.sigma_
    rng = np.random.default_rng(0)
    v, h = rng.normal(size=(9, len(b))), rng.integers(0, 2, (9, len(c))).astype(float)
    expected = [
        ((x - b) ** 2 / (2 * s**2)).sum() - c @ y - (x / s**2) @ W @ y for x, y in zip(v, h)
    ]
    assert_allclose(gaussian.energy(v, h), expected, atol=1e-12)
    every = all_states(len(c))
    joint = np.array([[gaussian.energy(x[None], y[None])[0] for y in every] for x in v])
    assert_allclose(gaussian.free_energy(v), -logsumexp(-joint, axis=1), atol=1e-10)
    p = np.exp(-joint)
    assert_allclose(gaussian.hidden_mean(v), p @ every / p.sum(axis=1, keepdims=True), atol=1e-10)


def test_gaussian_log_partition_is_the_integral_over_one_or_two_units():
    machine = gaussian_machine(1, 3)
    x, dx = grid_1d(machine)
    assert machine.log_partition() == pytest.approx(
        logsumexp(-machine.free_energy(x[:, None])) + np.log(dx), abs=1e-9
    )
    machine = gaussian_machine(2, 2, scale=0.5)
    x, dx = grid_1d(machine, half_width=9.0, n=901)
    v = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    log_z = logsumexp(-machine.free_energy(v)) + 2 * np.log(dx)
    assert machine.log_partition() == pytest.approx(log_z, abs=1e-8)
    assert np.exp(machine.score_samples(v)).sum() * dx**2 == pytest.approx(1, abs=1e-8)


def test_gaussian_visible_conditional_is_a_normal_distribution():
    """From the energy alone: log p(v | h) has the mean b + W h and the width sigma."""
    machine = gaussian_machine(1, 3)
    x, _ = grid_1d(machine)
    for y in all_states(3):
        h = np.tile(y, (len(x), 1))
        p = np.exp(-machine.energy(x[:, None], h) + machine.energy(x[:1, None], h[:1]))
        p /= p.sum()
        assert p @ x == pytest.approx(machine.visible_mean(h[:1])[0, 0], abs=1e-8)
        assert np.sqrt(p @ x**2 - (p @ x) ** 2) == pytest.approx(machine.sigma_[0], rel=1e-8)


def test_gaussian_gradient_is_that_of_the_likelihood():
    machine = gaussian_machine(1, 3)
    data = np.random.default_rng(1).normal(1.0, 0.5, size=(20, 1))
    numerical = numerical_gradient(
        lambda: machine.score_samples(data).mean(), machine._parameters()
    )
    x, dx = grid_1d(machine)
    v = np.concatenate([data, x[:, None]])
    p_model = np.append(np.zeros(20), np.exp(machine.score_samples(x[:, None])) * dx)
    p_data = np.append(np.full(20, 1 / 20), np.zeros(len(x)))
    exact = expected_gradient(machine, v, p_data, p_model)
    for ours, reference in zip(exact, numerical):
        assert_allclose(ours, reference, atol=1e-8, rtol=0)


def test_gaussian_samples_have_the_exact_moments(gaussian):
    h = all_states(gaussian.weights_.shape[1])
    log_p = gaussian._log_hidden_table(h)
    p, centres = np.exp(log_p - logsumexp(log_p)), gaussian.visible_mean(h)
    mean = p @ centres
    variance = gaussian.sigma_**2 + p @ centres**2 - mean**2
    draws = gaussian._exact_states(20_000, np.random.default_rng(0))
    assert (np.abs(draws.mean(axis=0) - mean) < 5 * np.sqrt(variance / 20_000)).all()
    assert_allclose(draws.var(axis=0), variance, rtol=0.1)
    chains = gaussian.sample(20_000, 300, random_state=0)
    assert (np.abs(chains.mean(axis=0) - mean) < 5 * np.sqrt(variance / 20_000)).all()
    assert_allclose(chains.var(axis=0), variance, rtol=0.1)


def test_gaussian_machine_finds_two_clusters_and_their_width():
    rng = np.random.default_rng(0)
    X = np.where(rng.random((1000, 1)) < 0.3, [[1.0, -1.0]], [[-1.0, 1.0]])
    X = X + 0.7 * rng.standard_normal(X.shape)
    log_kernel = [-((X - centre) ** 2).sum(axis=1) / (2 * 0.49) for centre in ([1, -1], [-1, 1])]
    mixture = np.logaddexp(np.log(0.3) + log_kernel[0], np.log(0.7) + log_kernel[1])
    truth = mixture.mean() - np.log(2 * np.pi * 0.49)
    machine = GaussianRestrictedBoltzmannMachine(1, batch_size=50, n_epochs=100, random_state=0)
    machine.fit(X)
    one_gaussian = GaussianRestrictedBoltzmannMachine(1, sigma=X.std(axis=0), n_epochs=0)
    assert one_gaussian.fit(X).score(X) < truth - 0.4
    assert abs(machine.score(X) - truth) < 0.05
    assert_allclose(machine.sigma_, 0.7, atol=0.05)
    centres = machine.visible_mean(all_states(1))
    assert_allclose(centres[centres[:, 0].argsort()], [[-1, 1], [1, -1]], atol=0.2)


def test_sigma_stays_fixed_at_rate_zero():
    X = np.random.default_rng(0).normal(size=(50, 2))
    machine = GaussianRestrictedBoltzmannMachine(
        2, sigma=[0.5, 2.0], sigma_learning_rate=0, n_epochs=3
    )
    assert_allclose(machine.fit(X).sigma_, [0.5, 2.0], rtol=1e-12)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"learning_rate": 20.0}, "lower learning_rate, now 20.0"),
        ({"sigma_learning_rate": 50.0}, "lower sigma_learning_rate, now 50.0"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_says_which_rate_to_lower(parameters, message, dtype, recwarn):
    X = np.random.default_rng(0).standard_normal((500, 10)).astype(dtype)
    machine = GaussianRestrictedBoltzmannMachine(20, n_epochs=50, random_state=0)
    with pytest.raises(FloatingPointError, match=message):
        machine.set_params(**parameters).fit(X)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"sigma": [1.0, -1.0]}, "sigma must be positive"),
        ({"sigma": [1.0, 1.0, 1.0]}, "sigma must be positive, one number or one for each of 2"),
        ({"sigma_learning_rate": -1}, "sigma_learning_rate must be a number"),
        ({"n_hidden": 0}, "n_hidden must be an int"),
    ],
)
def test_bad_gaussian_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        GaussianRestrictedBoltzmannMachine(2).set_params(**parameters).fit(np.eye(2))


def test_gaussian_machines_fill_in_and_take_float32():
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    machine = GaussianRestrictedBoltzmannMachine(2, method="pcd", n_epochs=2, random_state=0).fit(X)
    mask = np.array([True, False, False])
    filled = machine.inpaint(X, mask, 3)
    assert_array_equal(filled[:, 1:], X[:, 1:])
    assert filled.dtype == machine.sample(3, 2).dtype == machine.transform(X).dtype == np.float32
    assert machine.chains_.dtype == np.float32
    with pytest.raises(ValueError, match='must be "data"'):
        machine.annealing_path("uniform")


# --- the experiment ---------------------------------------------------------------------------------


class KilledError(Exception):
    pass


def test_the_experiment_resumes_after_a_kill_as_if_nothing_had_happened(tmp_path):
    settings = rbm_likelihood.PROFILES["smoke"]
    data, key = {"digits": load("digits")}, {"rule": "PCD-1 centred", "seed": 0}

    class Mortal(Checkpoint):
        def save(self, **state):
            super().save(**state)
            raise KilledError

    whole = rbm_likelihood.run(settings, key, data=data)
    for _ in range(2):
        with pytest.raises(KilledError):
            rbm_likelihood.run(settings, key, data=data, checkpoint=Mortal(tmp_path / "state.npz"))
    resumed = rbm_likelihood.run(
        settings, key, data=data, checkpoint=Checkpoint(tmp_path / "state.npz")
    )
    assert resumed == whole and whole["n_epochs"] == 2


def test_the_experiment_measures_what_enumeration_gives():
    """12 hidden units: log Z is exact, and the two directions of annealing hold it between them."""
    settings = rbm_likelihood.PROFILES["smoke"]
    digits, key = load("digits"), {"rule": "CD-1", "seed": 1}
    metrics = rbm_likelihood.run(settings, key, data={"digits": digits})
    machine = RestrictedBoltzmannMachine(
        12, random_state=generator(**key), **settings.rules["CD-1"]
    ).fit(digits.x_train)
    exact = machine.log_partition()
    for direction, error in (("", "error_log_partition"), ("_reverse", "error_reverse")):
        assert abs(metrics["log_partition" + direction] - exact) < 4 * metrics[error]
    test = sample_bernoulli(digits.x_test, generator(what="test bits", data="digits"))
    expected = machine.score_samples(test, log_partition=metrics["log_partition"]).mean()
    assert metrics["log_likelihood"] == pytest.approx(expected)
    machine.weights_[:] = 0
    machine.visible_bias_[:] = machine.base_bias_
    assert metrics["log_likelihood_base"] == pytest.approx(machine.score(test), rel=1e-6)
