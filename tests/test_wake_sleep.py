"""Reweighted wake-sleep: its expected step, exact for finite K, against exact gradients."""

import copy
import pickle
from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, gammaln, log_expit, softmax
from sklearn.base import clone

from hmlib.exact import all_states, kl_divergence
from hmlib.helmholtz import HelmholtzMachine
from hmlib.layers import SigmoidLayer
from hmlib.likelihood import importance_log_likelihood
from hmlib.units import _bernoulli, _log_bernoulli, _sigmoid
from hmlib.wake_sleep import ReweightedWakeSleep, WakeSleep


def scrambled_machine(n_data=3, hidden=(2,), seed=0, scale=1.2, dtype=float, **kwargs):
    """Make a machine whose two networks have random, unrelated parameters."""
    machine = HelmholtzMachine(hidden, n_epochs=0, random_state=seed, **kwargs)
    machine.fit(np.zeros((1, n_data), dtype))
    rng = np.random.default_rng(seed)
    for layer in [*generative(machine), *machine.recognition_]:
        layer.weights += scale * rng.standard_normal(layer.weights.shape)
        layer.bias += scale * rng.standard_normal(layer.bias.shape)
    return machine


def generative(machine):
    return [*machine.generative_, machine.prior_]


def parameters(layers):
    return np.concatenate([np.append(layer.weights.ravel(), layer.bias) for layer in layers])


def numerical_gradient(objective, layers, h=1e-5):
    gradient = []
    for layer in layers:
        for array in (layer.weights, layer.bias):
            for index in np.ndindex(array.shape):
                value = array[index]
                array[index] = value + h
                up = objective()
                array[index] = value - h
                down = objective()
                array[index] = value
                gradient.append((up - down) / (2 * h))
    return np.array(gradient)


# --- the layer and the units -------------------------------------------------------------------------


def test_a_weighted_lesson_steps_up_the_gradient_of_the_weighted_mean():
    layer, rng = SigmoidLayer.random(4, 3, scale=1.5, random_state=0), np.random.default_rng(1)
    x, y = all_states(4), rng.integers(0, 2, (16, 3)).astype(float)
    w = rng.random(16)
    gradient = numerical_gradient(lambda: w @ layer.log_prob(x, y) / w.sum(), [layer], h=1e-6)
    before = parameters([layer])
    layer.learn(x, y, 0.1, w)
    assert_allclose(parameters([layer]) - before, 0.1 * gradient, atol=1e-8)


@pytest.mark.parametrize("shared", ["x", "y", "neither"])
def test_alternatives_of_a_sample_teach_as_if_each_stood_alone(shared):
    rng, K, n = np.random.default_rng(0), 5, 7
    x, y = rng.random((K, n, 4)), rng.random((K, n, 3))
    x, y = (x[0] if shared == "x" else x), (y[0] if shared == "y" else y)
    w = softmax(rng.standard_normal((K, n)), axis=0)
    one, other = (SigmoidLayer.random(4, 3, 1.0, 0) for _ in range(2))
    one.learn(x, y, 0.3, w)
    flat = [np.broadcast_to(a, (K, n, a.shape[-1])).reshape(K * n, -1) for a in (x, y)]
    other.learn(*flat, 0.3, w.ravel())
    assert_allclose(parameters([one]), parameters([other]), rtol=1e-12)
    one.learn(x, y, 0.3)
    other.learn(*flat, 0.3)
    assert_allclose(parameters([one]), parameters([other]), rtol=1e-12)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 3e-6), (np.float64, 1e-13)])
def test_fast_units_and_lessons_agree_with_the_plain_formulas(dtype, rtol):
    rng = np.random.default_rng(0)
    u = np.append(rng.normal(0, 5, (50, 40)), np.full((1, 40), 1e4), axis=0).astype(dtype)
    u[-1, ::2] *= -1
    x = rng.integers(0, 2, u.shape).astype(dtype)
    plain = (x * u + log_expit(-u)).sum(axis=-1, dtype=np.float64)
    assert_allclose(_log_bernoulli(x, u), plain, rtol=rtol)
    tiny = np.finfo(dtype).tiny
    assert_allclose(_sigmoid(u.copy()), expit(u), rtol=rtol, atol=tiny)
    layer = SigmoidLayer.random(40, 40, 1.0, 0, dtype)
    error = (x - expit(x @ layer.weights + layer.bias)) / len(x)
    expected = np.append((layer.weights + 0.1 * x.T @ error).ravel(), 0.1 * error.sum(axis=0))
    layer.learn(x, x, 0.1)
    assert layer.weights.dtype == dtype
    assert_allclose(parameters([layer]), expected, rtol=rtol, atol=10 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_a_step_of_wake_sleep_draws_and_learns_what_it_says(dtype, atol):
    """The same random numbers in the same order, written out with scipy's sigmoid."""

    def learn(layer, x, y):
        error = y - expit(x @ layer.weights + layer.bias)
        layer.weights += 0.2 / len(x) * (x.T @ error)
        layer.bias += 0.2 / len(x) * error.sum(axis=0)

    def draw(layer, x, rng):
        return _bernoulli(expit(x @ layer.weights + layer.bias), rng)

    machine = scrambled_machine(20, (12, 8), dtype=dtype)
    plain, d = copy.deepcopy(machine), np.eye(20, dtype=dtype)
    rngs = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(20):
        WakeSleep(0.2).step(machine, d, rngs[0])
        (G, F), (R, S), prior = plain.generative_, plain.recognition_, plain.prior_
        y = draw(R, d, rngs[1])
        x = draw(S, y, rngs[1])
        learn(G, y, d), learn(F, x, y), learn(prior, x[:, :0], x)
        x = draw(prior, np.empty((20, 0), dtype), rngs[1])
        y = draw(F, x, rngs[1])
        dream = draw(G, y, rngs[1])
        learn(R, dream, y), learn(S, y, x)
    both = [parameters(m.recognition_ + generative(m)) for m in (machine, plain)]
    assert_allclose(*both, rtol=1e-5, atol=atol)
    assert rngs[0].random() == rngs[1].random()


# --- the expected step -------------------------------------------------------------------------------


def lesson_table(machine, d):
    """For one d and every explanation: log p_G(h, d), log p_R(h|d), and what each network learns.

    What a network learns is the gradient of its log-probability, layer by layer: answer minus mean,
    times the input.
    """
    hidden = np.split(all_states(sum(machine.hidden)), np.cumsum(machine.hidden)[:-1], axis=1)
    layers = [np.tile(d, (len(hidden[0]), 1)), *hidden]
    down = list(zip(machine.generative_, layers[1:], layers))
    down.append((machine.prior_, layers[-1][:, :0], layers[-1]))
    up = list(zip(machine.recognition_, layers, layers[1:]))
    log_p, log_q = (sum(layer.log_prob(x, y) for layer, x, y in pairs) for pairs in (down, up))
    learnt = []
    for pairs in (down, up):
        parts = []
        for layer, x, y in pairs:
            error = y - expit(x @ layer.weights + layer.bias)
            outer = x[:, :, None] * error[:, None, :]
            parts += [outer.reshape(len(x), -1), error]
        learnt.append(np.hstack(parts))
    return log_p, log_q, *learnt


def expected_step(log_p, log_q, learnt, K):
    """Average sum_k w~_k learnt(h_k) over all K-tuples drawn from R, listed as multisets."""
    n = len(log_p)
    bars = np.array(list(combinations(range(K + n - 1), n - 1)))  # stars and bars
    edges = np.hstack([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), K + n - 1)])
    counts = np.diff(edges, axis=1) - 1
    log_multinomial = gammaln(K + 1) - gammaln(counts + 1).sum(axis=1) + counts @ log_q
    share = counts * np.exp(log_p - log_q)
    share /= share.sum(axis=1, keepdims=True)
    probability = np.exp(log_multinomial)
    assert_allclose(probability.sum(), 1, rtol=1e-9)
    return probability @ share @ learnt


SHAPES = [(3, (2,)), (2, (1, 1))]


def check_bias(log_p, log_q, learnt, limit):
    """Hold the expected steps against their limit: the bias is of order 1/K, and of the right size.

    To first order the mean of a ratio is off by -(1/K) <(w / <w>)^2 (learnt - limit)>_R.
    """
    leading = -(softmax(log_p) ** 2 / np.exp(log_q)) @ (learnt - limit)
    off = [
        np.linalg.norm(K * (expected_step(log_p, log_q, learnt, K) - limit) - leading)
        for K in (16, 32, 64)
    ]
    assert np.linalg.norm(leading) > 0.1
    assert off[2] < 0.1 * np.linalg.norm(leading)
    assert 0.4 < off[2] / off[1] < 0.6 and 0.4 < off[1] / off[0] < 0.65  # the next order, 1/K^2


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_generative_step_goes_from_the_bound_to_the_likelihood_as_one_over_k(shape):
    machine = scrambled_machine(*shape)
    d, layers = all_states(shape[0])[-2:-1], generative(machine)
    log_p, log_q, learnt, _ = lesson_table(machine, d)
    down_the_bound = -numerical_gradient(lambda: machine.free_energy_bound(d)[0], layers)
    up_the_likelihood = numerical_gradient(lambda: machine.score_samples(d)[0], layers)
    assert_allclose(expected_step(log_p, log_q, learnt, 1), down_the_bound, atol=1e-8)
    assert_allclose(softmax(log_p) @ learnt, up_the_likelihood, atol=1e-8)
    check_bias(log_p, log_q, learnt, up_the_likelihood)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_recognition_step_approaches_descent_on_the_divergence_for_data(shape):
    machine = scrambled_machine(*shape)
    d = all_states(shape[0])[-2:-1]
    log_p, log_q, _, learnt = lesson_table(machine, d)

    def divergence():
        return kl_divergence(softmax(log_p), np.exp(lesson_table(machine, d)[1]))

    assert_allclose(expected_step(log_p, log_q, learnt, 1), 0, atol=1e-12)
    check_bias(log_p, log_q, learnt, -numerical_gradient(divergence, machine.recognition_))


@pytest.mark.parametrize("K", [1, 3, 20])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_wake_phase_takes_that_expected_step(shape, K):
    n = 100_000
    machine = scrambled_machine(*shape)
    d = all_states(shape[0])[-2:-1]
    log_p, log_q, *learnt = lesson_table(machine, d)
    before = [parameters(generative(machine)), parameters(machine.recognition_)]
    rule = ReweightedWakeSleep(K, learning_rate=1.0, recognition="wake")
    rule.wake(machine, np.tile(d, (n, 1)), np.random.default_rng(0))
    after = [parameters(generative(machine)), parameters(machine.recognition_)]
    for old, new, table in zip(before, after, learnt):
        # every entry of the update is a mean of n numbers in [-1, 1]
        assert np.abs(new - old - expected_step(log_p, log_q, table, K)).max() < 5 / np.sqrt(n)
    one, many = (expected_step(log_p, log_q, learnt[0], k) for k in (1, 3))
    assert np.abs(one - many).max() > 10 / np.sqrt(n)


def test_with_one_explanation_the_generative_network_learns_as_in_wake_sleep():
    machine = scrambled_machine(6, (4, 3))
    other, d = copy.deepcopy(machine), all_states(6)
    ReweightedWakeSleep(1, 0.5, "sleep").step(machine, d, np.random.default_rng(0))
    WakeSleep(0.5).step(other, d, np.random.default_rng(0))
    layers = [m.recognition_ + generative(m) for m in (machine, other)]
    assert_allclose(*map(parameters, layers), rtol=1e-12)


def test_each_mode_teaches_the_recognition_network_when_it_says():
    d, steps = all_states(4), {}
    for mode in ("wake", "sleep", "both"):
        machine = scrambled_machine(4, (3, 2))
        rule, rng = ReweightedWakeSleep(4, 0.1, mode), np.random.default_rng(0)
        before = parameters(machine.recognition_)
        rule.wake(machine, d, rng)
        awake = parameters(machine.recognition_)
        assert (awake == before).all() == (mode == "sleep")
        again = scrambled_machine(4, (3, 2))
        rule.step(again, d, np.random.default_rng(0))
        if mode != "wake":
            rule.sleep(machine, len(d), rng)
        assert_array_equal(parameters(again.recognition_), parameters(machine.recognition_))
        steps[mode] = parameters(again.recognition_)
    assert len({step.tobytes() for step in steps.values()}) == 3


def test_rates_go_to_the_layers_they_are_meant_for():
    machine = scrambled_machine(4, (3, 2))
    layers = [*generative(machine), *machine.recognition_]
    before = [parameters([layer]) for layer in layers]
    ReweightedWakeSleep(4, [1e-9, 0.5]).step(machine, all_states(4), np.random.default_rng(0))
    change = [np.abs(parameters([a]) - b).max() for a, b in zip(layers, before)]
    assert max(change[0], change[3]) < 1e-8 and min(change[1], change[2], change[4]) > 1e-3


def test_the_effective_sample_size_counts_the_explanations_that_matter():
    rule, rng = ReweightedWakeSleep(50), np.random.default_rng(0)
    coins = HelmholtzMachine((3, 2), init="zero", n_epochs=0).fit(np.zeros((1, 4)))
    assert_allclose(rule.effective_sample_size(coins, all_states(4), rng), 50)
    machine = scrambled_machine(4, (3, 2), scale=3, binarize="none")
    size = rule.effective_sample_size(machine, all_states(4), np.random.default_rng(1))
    w = softmax(machine.draw_log_weights(all_states(4), 50, np.random.default_rng(1)), axis=0)
    assert_allclose(size, 1 / (w**2).sum(axis=0), rtol=1e-10)
    assert 1 <= size.min() < 2 and 49 < size.max() <= 50 + 1e-9
    assert_allclose(ReweightedWakeSleep(1).effective_sample_size(machine, all_states(4), rng), 1)


# --- in a machine -----------------------------------------------------------------------------------


def test_the_machine_follows_the_rule_and_leaves_it_as_it_is():
    X, rule = np.random.default_rng(0).random((30, 6)), ReweightedWakeSleep(3, 0.2, "wake")
    machine = HelmholtzMachine((3, 2), rule=rule, n_epochs=2, decay=0.5, random_state=1).fit(X)
    assert machine.rule is rule and repr(rule) == repr(ReweightedWakeSleep(3, 0.2, "wake"))
    again = clone(machine).fit(X)
    assert again.rule is not rule and repr(again.rule) == repr(rule)
    whole = [parameters(m.recognition_ + generative(m)) for m in (machine, again)]
    assert_array_equal(*whole)
    copied = pickle.loads(pickle.dumps(machine)).partial_fit(X)
    assert_array_equal(copied.sample(5), machine.partial_fit(X).sample(5))
    plain = HelmholtzMachine((3, 2), learning_rate=0.2, n_epochs=2, random_state=1).fit(X)
    assert (parameters(plain.recognition_ + generative(plain)) != whole[0]).any()


def test_no_rule_is_wake_sleep():
    X = np.random.default_rng(0).random((30, 6))
    machines = [
        HelmholtzMachine((3, 2), n_epochs=2, random_state=1, **kwargs).fit(X)
        for kwargs in ({"learning_rate": [0.3, 0.2]}, {"rule": WakeSleep([0.3, 0.2])})
    ]
    assert_array_equal(*(parameters(m.recognition_ + generative(m)) for m in machines))


def test_rates_fall_linearly_to_the_share_that_is_to_be_left(monkeypatch):
    seen = []
    monkeypatch.setattr(
        WakeSleep, "step", lambda rule, machine, d, rng: seen.append(np.ravel(rule.learning_rate))
    )
    machine = HelmholtzMachine((2, 2), learning_rate=[0.4, 0.2], decay=0.1, n_epochs=4)
    machine.fit(np.eye(3)).partial_fit(np.eye(3))
    assert_allclose(seen, np.outer([1, 0.7, 0.4, 0.1, 0.1], [0.4, 0.2]))
    seen.clear()
    HelmholtzMachine((2,), learning_rate=0.4, decay=0.1, n_epochs=1).fit(np.eye(3))
    HelmholtzMachine((2,), learning_rate=0.4, n_epochs=3).fit(np.eye(3))
    assert_array_equal(seen, np.full((4, 1), 0.4))


@pytest.mark.parametrize("mode", ["resample", "threshold", "none"])
def test_biases_can_start_where_the_data_are(mode):
    X = np.random.default_rng(0).random((30, 5)).astype(np.float32)
    X[:, 0] = 0
    kwargs = {"binarize": mode, "init_bias": "data", "init": "zero", "n_epochs": 0}
    machine = HelmholtzMachine((3, 2), random_state=0, **kwargs).fit(X)
    p = ((X > 0.5) if mode == "threshold" else X).sum(axis=0)
    p = (p + 1) / 32
    assert_allclose(machine.generative_[0].mean(np.zeros((1, 3), np.float32))[0], p, rtol=1e-5)
    assert machine.generative_[0].bias.dtype == np.float32
    others = [machine.generative_[1], machine.prior_, *machine.recognition_]
    assert not parameters(others).any() and not machine.generative_[0].weights.any()
    log_p = machine.score_samples(all_states(5))
    independent = all_states(5) @ np.log(p) + (1 - all_states(5)) @ np.log(1 - p)
    assert_allclose(log_p, independent, rtol=1e-4)


def test_hidden_biases_can_start_low():
    X = np.zeros((4, 5), np.float32)
    machine = HelmholtzMachine((3, 2), hidden_bias=-1.5, init="zero", n_epochs=0).fit(X)
    for layer in (machine.generative_[1], machine.prior_):
        assert_array_equal(layer.bias, np.full(layer.n_out, -1.5, np.float32))
        assert layer.bias.dtype == np.float32
    assert not parameters([machine.generative_[0], *machine.recognition_]).any()


def test_reweighting_finds_a_world_that_a_factorised_model_cannot():
    """The world is all on or all off: KL = ln 4 for fair coins."""
    patterns, world = np.array([[0.0] * 3, [1.0] * 3]), np.full(2, 0.5)
    for mode in ("wake", "sleep", "both"):
        rule = ReweightedWakeSleep(5, 0.3, mode)
        machine = HelmholtzMachine((3, 2), rule=rule, n_epochs=100, random_state=0)
        machine.fit(np.tile(patterns, (100, 1)))
        assert kl_divergence(world, np.exp(machine.score_samples(patterns))) < 0.1


@pytest.mark.parametrize("n_draws", [1, 7, 1500])
def test_many_draws_at_once_are_draws_of_log_weights(n_draws):
    machine, d = scrambled_machine(4, (3, 2), scale=0.7), all_states(4)
    log_w = machine.draw_log_weights(d, n_draws, np.random.default_rng(0))
    assert log_w.shape == (n_draws, 16) and log_w.dtype == np.float64
    if n_draws == 1:
        assert_array_equal(log_w[0], machine.log_weights(d, np.random.default_rng(0)))
    w, p = np.exp(log_w), np.exp(machine.score_samples(d))
    if n_draws > 100:
        assert (np.abs(w.mean(axis=0) - p) < 5 * w.std(axis=0) / np.sqrt(n_draws)).all()
        assert len(np.unique(log_w[:, 3])) > 10  # independent, not repeated


def test_draws_do_not_depend_on_how_many_rows_are_drawn_together(monkeypatch):
    machine, d = scrambled_machine(4, (3, 2), scale=0.3), np.tile(all_states(4), (40, 1))
    whole = machine.draw_log_weights(d, 50, np.random.default_rng(0)).mean(axis=0)
    monkeypatch.setattr("hmlib.helmholtz.STATES_AT_ONCE", 70)
    pieces = machine.draw_log_weights(d, 50, np.random.default_rng(1)).mean(axis=0)
    whole, pieces = whole.reshape(40, 16), pieces.reshape(40, 16)
    error = np.hypot(whole.std(axis=0), pieces.std(axis=0)) / np.sqrt(40)
    assert (np.abs(whole.mean(axis=0) - pieces.mean(axis=0)) < 5 * error).all()


def test_the_likelihood_takes_machines_that_draw_one_explanation_at_a_time():
    machine, d = scrambled_machine(4, (3, 2), scale=0.5), all_states(4)

    class OneByOne:
        log_weights = staticmethod(machine.log_weights)

    one, many = (importance_log_likelihood(m, d, 2500, 0) for m in (OneByOne(), machine))
    exact = machine.score_samples(d)
    for estimate, error, _ in (one, many):
        assert (np.abs(estimate - exact) < 5 * error).all() and (error < 0.1).all()
    assert_allclose(one.standard_error, many.standard_error, rtol=0.3)


# --- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ReweightedWakeSleep(0), "n_samples must be an int of at least 1, got 0"),
        (lambda: ReweightedWakeSleep(2.0), "n_samples must be an int"),
        (lambda: ReweightedWakeSleep(5, 0), "learning_rate must be a number"),
        (lambda: ReweightedWakeSleep(recognition="dream"), 'recognition must be "wake", "sleep"'),
    ],
)
def test_bad_rules_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "reweighted"}, "rule must be None or a rule such as"),
        ({"rule": ReweightedWakeSleep(5, [0.1] * 3)}, "learning_rate must be one number or 2"),
        ({"decay": 0}, r"decay must be a number in \(0, 1\]"),
        ({"decay": 1.5}, "decay must be a number"),
        ({"init_bias": "ones"}, 'init_bias must be "zero" or "data"'),
        ({"hidden_bias": np.nan}, "hidden_bias must be a number"),
    ],
)
def test_bad_arguments_of_the_machine_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        HelmholtzMachine((3, 2), n_epochs=1, **arguments).fit(np.zeros((5, 4)))
