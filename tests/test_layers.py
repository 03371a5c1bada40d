"""SigmoidLayer: its distribution against enumeration, its learning rule against finite differences."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from hmlib.exact import all_states
from hmlib.layers import SigmoidLayer


@pytest.fixture
def layer():
    return SigmoidLayer.random(4, 3, scale=1.5, random_state=0)


def test_the_conditional_sums_to_one_and_has_the_stated_mean(layer):
    y = all_states(3)
    for x in all_states(4):
        p = np.exp(layer.log_prob(np.tile(x, (8, 1)), y))
        assert_allclose(p.sum(), 1, rtol=1e-12)
        assert_allclose(p @ y, layer.mean(x[None])[0], rtol=1e-12)


def test_the_table_holds_every_pair(layer):
    x, y = all_states(4), all_states(3)
    pairs = [[layer.log_prob(a[None], b[None])[0] for b in y] for a in x]
    assert_allclose(layer.log_prob_table(x, y), pairs, rtol=1e-12)


def test_samples_follow_the_conditional(layer):
    x = np.tile([1.0, 0.0, 1.0, 1.0], (20_000, 1))
    y, p = layer.sample(x, np.random.default_rng(3)), layer.mean(x[:1])[0]
    assert (np.abs(y.mean(axis=0) - p) < 4 * np.sqrt(p * (1 - p) / len(x))).all()


def test_learning_steps_up_the_gradient_of_the_mean_log_probability(layer):
    rng = np.random.default_rng(1)
    x, y, rate, h = all_states(4), rng.integers(0, 2, (16, 3)).astype(float), 0.1, 1e-6
    theta = np.vstack([layer.weights, layer.bias])
    gradient = np.empty_like(theta)
    for index in np.ndindex(theta.shape):
        mean_log_p = []
        for step in (h, -h):
            moved = theta.copy()
            moved[index] += step
            mean_log_p.append(SigmoidLayer(moved[:-1], moved[-1]).log_prob(x, y).mean())
        gradient[index] = (mean_log_p[0] - mean_log_p[1]) / (2 * h)
    layer.learn(x, y, rate)
    assert_allclose(np.vstack([layer.weights, layer.bias]) - theta, rate * gradient, atol=1e-8)


def test_a_layer_without_inputs_is_a_prior():
    prior = SigmoidLayer(np.empty((0, 2)), [0.3, -1.0])
    nothing = np.empty((4, 0))
    assert_allclose(np.exp(prior.log_prob(nothing, all_states(2))).sum(), 1, rtol=1e-12)
    prior.learn(nothing, np.ones((4, 2)), 0.5)
    assert_allclose(prior.bias, [0.3, -1.0] + 0.5 * (1 - expit([0.3, -1.0])))


def test_float32_is_kept_and_parameters_are_copies():
    weights = np.zeros((2, 2), np.float32)
    layer = SigmoidLayer(weights, np.zeros(2, np.float32))
    x = np.ones((5, 2), np.float32)
    y = layer.sample(x, np.random.default_rng(0))
    layer.learn(x, y, 0.1)
    assert layer.weights.dtype == layer.bias.dtype == y.dtype == np.float32
    assert not weights.any() and layer.weights.any()
    assert "2 -> 2" in repr(layer)


def test_saturated_units_cause_neither_warnings_nor_infinities(recwarn):
    layer = SigmoidLayer(np.full((1, 2), 1e4, np.float32), np.zeros(2, np.float32))
    x, y = np.ones((1, 1), np.float32), np.array([[0.0, 1.0]], np.float32)
    assert_allclose(layer.log_prob(x, y), -1e4, rtol=1e-6)
    layer.learn(x, y, 0.1)
    assert np.isfinite(layer.weights).all() and not recwarn.list


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SigmoidLayer(np.zeros(3), np.zeros(3)), "weights must have 2 dimension"),
        (lambda: SigmoidLayer(np.zeros((2, 3)), np.zeros(2)), "bias must have 3 columns"),
        (lambda: SigmoidLayer([[np.nan]], [0.0]), "weights must be finite"),
        (lambda: SigmoidLayer.zeros(2, 0), "n_out must be an int of at least 1"),
        (lambda: SigmoidLayer.random(2, 2, scale=-1), "scale must be a number"),
        (lambda: SigmoidLayer.zeros(2, 2).mean(np.zeros((1, 3))), "x must have 2 columns"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
