"""How probable the data is under a model whose likelihood is a sum too long to write out."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from hmlib._blas import one_thread
from hmlib._checks import as_generator, check_array, check_count

__all__ = [
    "AISResult",
    "LogLikelihood",
    "annealed_importance_sampling",
    "importance_log_likelihood",
]

DRAWS_AT_ONCE = 100  # explanations of each sample; so the data is checked once in a hundred
CHAINS_AT_ONCE = 1000  # more are annealed one group after another, so that they fit the memory


class LogLikelihood(NamedTuple):
    """An estimate of log p(d) for each sample, in nats, with what the same explanations say of it.

    Attributes
    ----------
    estimate : ndarray, shape (n,)
        log mean(w).
    standard_error : ndarray, shape (n,)
        Its standard error by the delta method, s(w) / (sqrt(K) mean(w)).
    bound : ndarray, shape (n,)
        mean(log w), never above the estimate: minus the free-energy bound.
    """

    estimate: np.ndarray
    standard_error: np.ndarray
    bound: np.ndarray


@one_thread
def importance_log_likelihood(machine, X, n_samples=100, random_state=None):
    r"""Estimate log p(d) = log E_R[w] by log (1/K) sum_k w_k, w = p_G(xyd) / p_R(xy|d).

    The explanations are drawn from the recognition network. Each w_k is an unbiased estimate of
    p(d); the logarithm of their mean is on average too small, the less so the larger K. With K = 1
    the expectation is minus the free-energy bound.

    Parameters
    ----------
    machine : object with a method ``log_weights(X, rng)``
        Returns log w for one explanation of each sample, shape (n,): see
        :class:`hmlib.helmholtz.HelmholtzMachine`. If there is a method
        ``draw_log_weights(X, n_draws, rng)``, which does so for many at once, shape (n_draws, n),
        that one is called.
    X : array_like, shape (n, n_units)
        Bits. A machine that resamples grey data would draw new bits time and again, and the
        estimate would not be that of log p(d).
    n_samples : int
        K, the number of explanations for each sample; at least 2, so that there is an error bar.
    random_state : None, int or numpy.random.Generator
        The source of randomness.

    Returns
    -------
    LogLikelihood
        ``estimate``, ``standard_error`` and ``bound``, each of shape (n,), in nats. The error is too
        small itself where few weights dominate.

    Raises
    ------
    ValueError
        If ``n_samples`` is not an int of at least 2.

    References
    ----------
    Owen (2013), *Monte Carlo theory, methods and examples*, chapter 9. Bornschein and Bengio
    (2015), *Reweighted wake-sleep*. The chapter of the same name.
    """
    n_samples = check_count(n_samples, "n_samples", minimum=2)
    rng = as_generator(random_state)
    log_mean, log_square, bound = -np.inf, -np.inf, 0.0
    for k in _portions(n_samples):  # log-sum-exp as we go: all explanations together fit no memory
        log_w = _draw_log_weights(machine, X, k, rng)
        log_mean = np.logaddexp(log_mean, logsumexp(log_w, axis=0))
        log_square = np.logaddexp(log_square, logsumexp(2 * log_w, axis=0))
        bound = bound + log_w.sum(axis=0) / n_samples
    log_mean, log_square = log_mean - np.log(n_samples), log_square - np.log(n_samples)
    # variance of w / mean(w) is E[w^2] / E[w]^2 - 1; rounding can push it below zero
    relative_variance = np.maximum(np.expm1(log_square - 2 * log_mean), 0)
    return LogLikelihood(log_mean, np.sqrt(relative_variance / (n_samples - 1)), bound)


def _draw_log_weights(machine, X, n_draws, rng):
    """Return log w of so many explanations of each sample, shape (n_draws, n)."""
    if hasattr(machine, "draw_log_weights"):
        return machine.draw_log_weights(X, n_draws, rng)
    return np.stack([machine.log_weights(X, rng) for _ in range(n_draws)])


def _portions(n):
    """Split so many draws into portions that fit the memory."""
    return [min(DRAWS_AT_ONCE, n - first) for first in range(0, n, DRAWS_AT_ONCE)]


class AISResult(NamedTuple):
    """An estimate of a log-partition function by annealed importance sampling, in nats.

    Attributes
    ----------
    log_partition : float
        The estimate of log Z: log mean(w) of the weights w of all chains, or -log mean(1 / w) if
        they were annealed in reverse.
    standard_error : float
        Its standard error by the delta method, s(w) / (sqrt(n) mean(w)), with 1 / w in place of w
        for the reverse. It knows only the weights that were drawn: where the few that matter are
        missing, it is too small.
    log_weights : ndarray, shape (n_chains,)
        log w of every chain; each w alone is an estimate of Z.
    effective_sample_size : float
        (sum w)^2 / sum w^2, between 1 and n_chains: as many equal weights would be worth as much.
    """

    log_partition: float
    standard_error: float
    log_weights: np.ndarray
    effective_sample_size: float


@one_thread
def annealed_importance_sampling(
    machine,
    *,
    n_chains=100,
    betas=10_000,
    base="data",
    reverse=False,
    start=None,
    random_state=None,
):
    r"""Estimate log Z of a machine by annealing from one whose Z is known (Neal, 2001).

    A path of distributions p_beta = f_beta / Z_beta leads from the base, beta = 0, to the machine,
    beta = 1. Each chain starts with x_0 from p_0 and then, for k = 1 ... K, multiplies its weight by
    f_{beta_k}(x_{k-1}) / f_{beta_{k-1}}(x_{k-1}) and moves to x_k by a transition that leaves
    p_{beta_k} invariant. The mean weight is an unbiased estimate of Z_1 / Z_0, so that of log Z is
    on average too small; it misses the modes that no chain has found.

    In reverse, chains start from the machine and end at the base. The mean of 1 / w is then an
    unbiased estimate of Z_0 / Z_1, and the estimate of log Z on average too large. The two together
    hold log Z between them on average (Grosse, Ghahramani and Adams, 2015). But the reverse is only
    as good as its start: states that are not samples of the machine void the promise, and a chain
    that has never visited a mode will not report it either. Forward, an estimate that is too large
    by t nats has a probability of at most e^-t in any case, by Markov's inequality.

    Parameters
    ----------
    machine : object with a method ``annealing_path(base)``
        Such as :class:`hmlib.rbm.RestrictedBoltzmannMachine`. The path has ``log_partition`` (log
        Z_0), ``start(n, rng)`` and ``finish(n, rng)``, n states of the base and of the machine,
        ``check(states)``, which returns valid states, and ``step(states, beta_from, beta_to, rng)``,
        which returns log f_to - log f_from of the states, shape (n,), and the states after a
        transition at ``beta_to``.
    n_chains : int
        Number of chains, at least 2, so that there is an error bar.
    betas : int or array_like, shape (n_betas,)
        Inverse temperatures, from 0 to 1 and increasing; a number of at least 2 stands for so many
        at equal distances. Twice as many cost twice the time and halve the variance of log w, once
        they are many.
    base : "data", "uniform" or array_like
        The base, as the machine understands it: for a restricted Boltzmann machine a machine
        without weights, whose visible biases fit the data, are zero, or are given.
    reverse : bool
        Whether to go from the machine to the base.
    start : array_like, shape (n_chains, n_units), optional
        Only in reverse: samples of the machine to start from. None takes what ``path.finish``
        gives, exact samples where enumeration is feasible, else the ends of long Gibbs chains.
    random_state : None, int or numpy.random.Generator
        The source of randomness.

    Returns
    -------
    AISResult
        ``log_partition``, ``standard_error``, ``log_weights`` and ``effective_sample_size``.

    Raises
    ------
    ValueError
        If there are fewer than 2 chains, the betas do not increase from 0 to 1, ``start`` is given
        for chains that start at the base, or has another number of rows.

    References
    ----------
    Neal (2001), *Annealed importance sampling*. Salakhutdinov and Murray (2008), *On the
    quantitative analysis of deep belief networks*. Grosse, Ghahramani and Adams (2015),
    *Sandwiching the marginal likelihood using bidirectional Monte Carlo*. The chapter *Restricted
    Boltzmann machines*
    """
    n_chains, betas = check_count(n_chains, "n_chains", minimum=2), _check_betas(betas)
    if start is not None and not reverse:
        raise ValueError("start is for reverse=True only: forward chains start at the base")
    path, rng = machine.annealing_path(base), as_generator(random_state)
    start = None if start is None else path.check(start)
    if start is not None and len(start) != n_chains:
        raise ValueError(f"start must have one row for each chain, {n_chains}, got {len(start)}")
    betas = betas[::-1] if reverse else betas
    log_ratios = []
    for first in range(0, n_chains, CHAINS_AT_ONCE):
        n = min(CHAINS_AT_ONCE, n_chains - first)
        if start is not None:
            states = start[first : first + n]
        else:
            states = path.finish(n, rng) if reverse else path.start(n, rng)
        log_ratios.append(_anneal(path, states, betas, rng))
    sign = -1 if reverse else 1
    return _summarize(path.log_partition + sign * np.concatenate(log_ratios), sign)


def _anneal(path, states, betas, rng):
    """Take chains along the path; return what they have gathered in log-weight."""
    log_ratio = np.zeros(len(states))
    for beta_from, beta_to in zip(betas, betas[1:]):
        change, states = path.step(states, beta_from, beta_to, rng)
        log_ratio += change
    return log_ratio


def _summarize(log_weights, sign):
    """Average w = exp(sign * log_weights) on the scale of its largest term."""
    largest = (sign * log_weights).max()
    w = np.exp(sign * log_weights - largest)
    return AISResult(
        log_partition=float(sign * (np.log(w.mean()) + largest)),
        standard_error=float(w.std(ddof=1) / (np.sqrt(len(w)) * w.mean())),
        log_weights=log_weights,
        effective_sample_size=float(w.sum() ** 2 / (w**2).sum()),
    )


def _check_betas(betas):
    """Return the inverse temperatures as an increasing array from 0 to 1."""
    if np.ndim(betas) == 0:
        return np.linspace(0, 1, check_count(betas, "betas", minimum=2))
    betas = check_array(betas, "betas", ndim=1).astype(np.float64)
    if len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or (np.diff(betas) <= 0).any():
        raise ValueError(
            "betas must increase from 0 to 1, both included, or be an int of at least 2"
        )
    return betas
