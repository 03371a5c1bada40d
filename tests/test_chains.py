"""Autocorrelation times and error bars: series with known answers, coverage, warnings and errors."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats
from scipy.signal import lfilter

from hmlib.chains import autocorrelation_time, mean_and_error


def autoregression(rho, shape, rng):
    """Draw stationary series x(t+1) = rho x(t) + noise of mean 0 and variance 1, time first."""
    noise = np.sqrt(1 - rho**2) * rng.standard_normal(shape)
    noise[0] /= np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=0)


def true_time(rho):
    return (1 + rho) / (2 * (1 - rho))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.95, -0.5])
def test_the_time_of_an_autoregression(rho):
    # Independent series, so the spread of the estimates says how well their mean is known. A window
    # of 6 tau and a mean that is itself estimated cost a little more, on the side of too short.
    series = autoregression(rho, (20_000, 60), np.random.default_rng(1))
    estimates = np.array([autocorrelation_time(x) for x in series.T])
    error = estimates.std(ddof=1) / np.sqrt(len(estimates))
    cut_off = np.exp(-6) * true_time(rho)
    from_the_mean = 2 * true_time(rho) * (12 * max(true_time(rho), 0.5) + 1) / len(series)
    difference = estimates.mean() - true_time(rho)
    assert -4 * error - cut_off - from_the_mean <= difference <= 4 * error + cut_off


def test_a_strongly_alternating_series_has_a_short_time_not_a_negative_one():
    series = autoregression(-0.9, (20_000, 60), np.random.default_rng(2))
    estimates = np.array([autocorrelation_time(x) for x in series.T])
    error = estimates.std(ddof=1) / np.sqrt(len(estimates))
    assert abs(estimates.mean() - true_time(-0.9)) <= 4 * error
    assert (estimates > 0).all() and estimates.max() < 0.6


def test_the_convention_by_hand():
    # Blocks of b equal numbers: rho(t) = 1 - t/b, so tau = 1/2 + (b - 1)/2 = b/2, and b numbers are
    # worth one.
    signs = np.random.default_rng(3).choice([-1.0, 1.0], 40_000)
    for block in (1, 4, 10):
        tau = autocorrelation_time(signs.repeat(block))
        assert_allclose(tau, block / 2, rtol=4 * np.sqrt(2 * (6 * block + 1) / (40_000 * block)))


@pytest.mark.parametrize(("rho", "n_times", "n_chains"), [(0.8, 4000, 1), (0.9, 1000, 8)])
def test_the_error_bars_cover_the_truth_as_often_as_they_say(rho, n_times, n_chains):
    n_series, rng = 2000, np.random.default_rng(4)
    series = autoregression(rho, (n_times, n_series, n_chains), rng)
    results = np.array([mean_and_error(series[:, k]) for k in range(n_series)])
    mean, error = results.T
    covered = np.count_nonzero(np.abs(mean) <= 1.96 * error)
    low, high = stats.binom.interval(0.999, n_series, 0.95)
    assert low <= covered <= high

    # Without the autocorrelation time the same bars hold much less than they promise.
    naive = series.std(axis=(0, 2)) / np.sqrt(n_times * n_chains)
    expected = 2 * stats.norm.cdf(1.96 / np.sqrt(2 * true_time(rho))) - 1
    low, high = stats.binom.interval(0.999, n_series, expected)
    assert low <= np.count_nonzero(np.abs(mean) <= 1.96 * naive) <= high


def test_the_error_is_the_formula():
    series = autoregression(0.7, (5000,), np.random.default_rng(5))
    tau, n = autocorrelation_time(series), len(series)
    result = mean_and_error(series)
    assert_allclose(result.mean, series.mean())
    assert_allclose(result.error, np.sqrt(2 * tau * series.var() / n))
    mean, error = result
    assert (mean, error) == (result.mean, result.error)
    assert type(mean) is type(error) is float


def test_white_noise_has_the_error_of_the_textbook():
    series = np.random.default_rng(6).standard_normal(100_000)
    # tau is known to sqrt(2 (2 M + 1) / n) with the window M = 3, and the error to half of that.
    precision = 0.5 * np.sqrt(14 / len(series))
    textbook = series.std() / np.sqrt(len(series))
    assert_allclose(mean_and_error(series).error, textbook, rtol=4 * precision)


def test_several_chains_are_pooled():
    chains = autoregression(0.8, (3000, 6), np.random.default_rng(7))
    tau = autocorrelation_time(chains)
    each = [autocorrelation_time(chain) for chain in chains.T]
    assert min(each) < tau < max(each)
    assert_allclose(mean_and_error(chains).mean, chains.mean())
    assert_allclose(autocorrelation_time(chains[:, :1]), each[0])
    # Order among the chains does not matter, order in time does.
    assert_allclose(autocorrelation_time(chains[:, ::-1]), tau)
    assert autocorrelation_time(np.random.default_rng(0).permuted(chains, axis=0)) < tau / 2


@given(st.floats(0.1, 100), st.floats(-1000, 1000))
def test_units_scale_the_error_and_leave_the_time(scale, shift):
    series = autoregression(0.5, (500,), np.random.default_rng(8))
    moved = scale * series + shift
    assert_allclose(autocorrelation_time(moved), autocorrelation_time(series), rtol=1e-6)
    before, after = mean_and_error(series), mean_and_error(moved)
    assert_allclose(after.error, scale * before.error, rtol=1e-6)
    assert_allclose(after.mean, scale * before.mean + shift, rtol=1e-6, atol=1e-6 * scale)


def test_a_constant_series_is_exact():
    for series in (np.full(10, 0.1), np.full((10, 3), -7)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert autocorrelation_time(series) == 0.5
            mean, error = mean_and_error(series)
        assert error == 0
        assert_allclose(mean, series.flat[0])


def test_lists_integers_and_float32_are_welcome_and_stay_as_they_are():
    series = np.random.default_rng(9).integers(-3, 4, 1000)
    expected = mean_and_error(series.astype(float))
    for copy in (series.tolist(), series.astype(np.int8), series.astype(np.float32)):
        assert_allclose(mean_and_error(copy), expected)
    before = series.copy()
    autocorrelation_time(series)
    assert (series == before).all()


@pytest.mark.parametrize("function", [autocorrelation_time, mean_and_error])
def test_a_series_that_is_too_short_is_reported(function):
    steps = np.random.default_rng(10).standard_normal(1000)
    with pytest.warns(RuntimeWarning, match=r"1000 steps in 1 chain\(s\) is too short") as caught:
        function(steps.cumsum())  # a random walk never forgets
    assert caught[0].filename == __file__
    # Chains that are stuck in different places: each looks quiet, together they do not.
    stuck = np.random.default_rng(11).normal([0, 10, 20, 30], size=(1000, 4))
    with pytest.warns(RuntimeWarning, match="too short"):
        function(stuck)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(steps)
        function(stuck - stuck.mean(axis=0))


def test_fewer_than_fifty_times_is_too_short():
    rng, outcomes = np.random.default_rng(12), []
    for n_times in (200, 300, 400, 500, 600, 800, 1000):
        series = autoregression(0.9, (n_times, 1), rng)  # tau = 9.5: about 20 to 100 times
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tau = autocorrelation_time(series)
        assert bool(caught) == (n_times < 50 * tau)
        outcomes.append(bool(caught))
    assert any(outcomes) and not all(outcomes)


@pytest.mark.parametrize("function", [autocorrelation_time, mean_and_error])
@pytest.mark.parametrize(
    ("series", "message"),
    [
        ([1.0], r"series must have shape \(n_times,\) or .* at least 2 steps, got shape \(1,\)"),
        ([], "at least 2 steps"),
        (np.zeros((5, 0)), r"got shape \(5, 0\)"),
        (np.zeros((2, 2, 2)), r"got shape \(2, 2, 2\)"),
        (3.0, r"got shape \(\)"),
        ([1.0, np.nan], "series must be finite"),
        ("abc", "series must be an array of numbers"),
    ],
)
def test_bad_input_is_named(function, series, message):
    with pytest.raises(ValueError, match=message):
        function(series)
