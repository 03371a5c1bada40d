"""Units: values, limits, sampling and errors."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

from hmlib import units

logits = hnp.arrays(np.float64, st.integers(1, 6), elements=st.floats(-1e6, 1e6))


@given(logits)
def test_sigmoid_and_its_logarithm_are_finite_and_symmetric(u):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p, log_p = units.sigmoid(u), units.log_sigmoid(u)
    assert_allclose(p + units.sigmoid(-u), 1, rtol=1e-12)
    assert np.isfinite(log_p).all() and (log_p <= 0).all()
    assert_allclose(np.exp(log_p), p, rtol=1e-9, atol=1e-300)


def test_log_sigmoid_is_right_where_the_naive_formula_underflows():
    assert_allclose(units.log_sigmoid([-800.0, 0.0, 800.0]), [-800.0, -np.log(2), 0.0], atol=1e-12)


@given(logits, st.integers(0, 2**32))
def test_log_bernoulli_is_the_sum_of_the_log_probabilities_of_the_units(u, seed):
    x = np.random.default_rng(seed).integers(0, 2, len(u))
    signs = 2 * x - 1
    assert_allclose(
        units.log_bernoulli(x, u), units.log_sigmoid(signs * u).sum(), rtol=1e-9, atol=1e-9
    )


def test_log_bernoulli_of_grey_values_is_an_expectation_over_bits():
    x, u = np.array([0.2, 0.9]), np.array([1.0, -3.0])
    expected = x * units.log_sigmoid(u) + (1 - x) * units.log_sigmoid(-u)
    assert_allclose(units.log_bernoulli(x, u), expected.sum(), rtol=1e-12)


def test_log_probabilities_are_summed_in_float64():
    x, u = np.ones((1, 100_000), np.float32), np.full((1, 100_000), 0.1, np.float32)
    exact = units.log_bernoulli(x.astype(float), u.astype(float))
    assert_allclose(units.log_bernoulli(x, u), exact, rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_keep_the_dtype_and_have_the_right_mean(dtype):
    p = np.tile(np.array([0.0, 0.1, 0.5, 1.0], dtype), (20_000, 1))
    bits, spins = units.sample_bernoulli(p, 1), units.sample_spins(p, 2)
    assert bits.dtype == spins.dtype == dtype
    assert set(np.unique(bits)) == {0, 1} and set(np.unique(spins)) == {-1, 1}
    error = np.sqrt(p[0] * (1 - p[0]) / len(p))
    assert (np.abs(bits.mean(axis=0) - p[0]) <= 4 * error).all()
    assert (np.abs((spins.mean(axis=0) + 1) / 2 - p[0]) <= 4 * error).all()


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_generator_alone():
    state = np.random.get_state()[1].copy()
    p = np.full(50, 0.5)
    assert (units.sample_bernoulli(p, 7) == units.sample_bernoulli(p, 7)).all()
    assert (units.sample_bernoulli(p, 7) != units.sample_bernoulli(p, 8)).any()
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: units.sigmoid([np.nan]), "u must be finite"),
        (lambda: units.log_sigmoid([np.inf]), "u must be finite"),
        (lambda: units.sigmoid("abc"), "u must be an array of numbers"),
        (lambda: units.sigmoid([1j]), "u must be an array of numbers"),
        (lambda: units.sample_bernoulli([1.2]), r"p must lie in \[0, 1\]"),
        (lambda: units.sample_spins([-0.1]), r"p must lie in \[0, 1\]"),
        (lambda: units.sample_bernoulli([0.5], random_state=-1), "random_state must be"),
        (
            lambda: units.sample_bernoulli([0.5], random_state=np.random.RandomState(0)),
            "random_state",
        ),
        (lambda: units.log_bernoulli([0.0, 2.0], [0.0, 0.0]), r"x must lie in \[0, 1\]"),
        (lambda: units.log_bernoulli([0.0, 1.0], [0.0]), "same number of units"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
