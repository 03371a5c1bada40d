"""Averages over a Markov chain: how long it remembers, and how far its mean can be trusted."""

import warnings
from typing import NamedTuple

import numpy as np

from hmlib._checks import check_array

__all__ = ["MeanAndError", "autocorrelation_time", "mean_and_error"]

# In autocorrelation times. A window as wide as this cuts off e^-6 = 0.25 % of an exponential.
WINDOW = 6
# In autocorrelation times, too: an estimate from a shorter series is not worth much.
ENOUGH = 50


class MeanAndError(NamedTuple):
    """The mean of a series and its standard error."""

    mean: float
    error: float


def autocorrelation_time(series):
    r"""Estimate tau = 1/2 + sum_{t >= 1} rho(t), the integrated autocorrelation time, in steps.

    rho(t) is the correlation of the series with itself t steps later. In this convention a series of
    independent numbers has tau = 1/2, the mean of n steps has variance 2 tau var / n, which makes n
    steps worth n / (2 tau) independent ones, and x(t+1) = rho x(t) + noise has
    tau = (1 + rho) / (2 (1 - rho)). Others leave out the half or double everything: compare
    definitions before you compare numbers.

    The estimated rho(t) does not fade but turns into noise, so the sum is cut off at the first
    window M that is wide enough, M >= 6 (1/2 + sum_{t=1..M} |rho(t)|). For a series without negative
    correlations that is Sokal's automatic window M >= 6 tau(M); the absolute values make it hold for
    a series that alternates, too.

    Parameters
    ----------
    series : array_like, shape (n_times,) or (n_times, n_chains)
        One number per step, from a chain that has reached its stationary distribution. Several
        chains are taken as independent copies with a common mean.

    Returns
    -------
    float
        tau, positive. Below 1/2 for an anticorrelated series. 1/2 where nothing can be estimated: for
        a constant series, and if noise has made the sum negative.

    Raises
    ------
    ValueError
        If ``series`` is not finite, has another shape, or fewer than 2 steps.

    Warns
    -----
    RuntimeWarning
        If the series has fewer than 50 tau steps, or no window fits: then the true tau may be much
        longer than the estimate.

    References
    ----------
    A. D. Sokal, *Monte Carlo methods in statistical mechanics: foundations and new algorithms*
    (lecture notes, 1989), section 3. The chapter *Spins, temperature, annealing*.
    """
    tau, _ = _time_and_variance(_check_series(series))
    return tau


def mean_and_error(series):
    """Average a series of correlated numbers; the standard error is sqrt(2 tau var / n).

    tau is the :func:`autocorrelation_time`, n the number of all entries, and var their variance. It is
    an approximation for n much larger than tau.

    Parameters
    ----------
    series : array_like, shape (n_times,) or (n_times, n_chains)
        As for :func:`autocorrelation_time`, which also says what raises and what warns.

    Returns
    -------
    MeanAndError
        The pair (mean, error), floats in the units of the series.
    """
    series = _check_series(series)
    tau, variance = _time_and_variance(series)
    error = np.sqrt(2 * tau * variance / series.size)
    return MeanAndError(float(series.mean()), float(error))


def _time_and_variance(series):
    """Compute tau and the plain variance of a checked series (n_times, n_chains)."""
    if np.ptp(series) == 0:
        return 0.5, 0.0
    covariance = _autocovariance(series)
    rho = covariance / covariance[0]
    taus = np.cumsum(rho) - 0.5  # tau(M) = 1/2 + sum_{t=1..M} rho(t)
    wide_enough = np.arange(len(rho)) >= WINDOW * (np.cumsum(np.abs(rho)) - 0.5)
    found = wide_enough.any()
    tau = float(taus[np.argmax(wide_enough)] if found else taus.max())
    if not found or series.size < ENOUGH * tau:
        warnings.warn(
            f"a series of {series.shape[0]} steps in {series.shape[1]} chain(s) is too short for its "
            f"autocorrelation time, estimated as {tau:.3g} steps: it may be much longer, and the "
            "error of the mean much larger",
            RuntimeWarning,
            stacklevel=3,
        )
    return (tau if tau > 0 else 0.5), float(covariance[0])


def _autocovariance(series):
    """Average (x(s) - mean) (x(s+t) - mean) over s and chains, for every lag t, by Fourier transform."""
    n_times = len(series)
    deviation = series - series.mean()
    # Twice the length in zeros, because the transform takes the series for periodic.
    power = np.abs(np.fft.rfft(deviation, n=2 * n_times, axis=0)) ** 2
    sums = np.fft.irfft(power.mean(axis=1), n=2 * n_times)[:n_times]
    return sums / (n_times - np.arange(n_times))


def _check_series(series):
    """Return the series as float64 of shape (n_times, n_chains)."""
    series = check_array(series, "series").astype(np.float64)
    if series.ndim not in (1, 2) or len(series) < 2 or series.size == 0:
        raise ValueError(
            "series must have shape (n_times,) or (n_times, n_chains) with at least 2 steps, "
            f"got shape {series.shape}"
        )
    return series.reshape(len(series), -1)
