"""How probable the data is under a model whose likelihood is a sum too long to write out."""

from typing import NamedTuple

import numpy as np

from hmlib._checks import as_generator, check_count

__all__ = ["LogLikelihood", "importance_log_likelihood"]


class LogLikelihood(NamedTuple):
    """An estimate of log p(d) for each sample, and its standard error, both in nats."""

    estimate: np.ndarray
    standard_error: np.ndarray


def importance_log_likelihood(machine, X, n_samples=100, random_state=None):
    r"""Estimate log p(d) = log E_R[w] by log (1/K) sum_k w_k, w = p_G(xyd) / p_R(xy|d).

    The explanations are drawn from the recognition network. Each w_k is an unbiased estimate of
    p(d); the logarithm of their mean is on average too small, the less so the larger K. With K = 1
    the expectation is minus the free-energy bound.

    Parameters
    ----------
    machine : object with a method ``log_weights(X, rng)``
        Returns log w for one draw of explanations, shape (n_samples,): see
        :class:`hmlib.helmholtz.HelmholtzMachine`.
    X : array_like, shape (n, n_units)
        Bits. A machine that resamples grey data would draw new bits for every explanation, and the
        estimate would not be that of log p(d).
    n_samples : int
        K, the number of explanations for each sample; at least 2, so that there is an error bar.
    random_state : None, int or numpy.random.Generator
        The source of randomness.

    Returns
    -------
    LogLikelihood
        ``estimate`` and ``standard_error``, each of shape (n,), in nats. The error is that of the
        delta method, s(w) / (sqrt(K) mean(w)); it is too small itself where few weights dominate.

    Raises
    ------
    ValueError
        If ``n_samples`` is not an int of at least 2.

    References
    ----------
    Owen (2013), *Monte Carlo theory, methods and examples*, chapter 9. Bornschein and Bengio
    (2015), *Reweighted wake-sleep*. The chapter *Wake-sleep*.
    """
    n_samples = check_count(n_samples, "n_samples", minimum=2)
    rng = as_generator(random_state)
    log_mean, log_square = -np.inf, -np.inf
    for _ in range(n_samples):  # log-sum-exp as we go: K explanations of a large set fit no memory
        log_w = machine.log_weights(X, rng)
        log_mean = np.logaddexp(log_mean, log_w)
        log_square = np.logaddexp(log_square, 2 * log_w)
    log_mean, log_square = log_mean - np.log(n_samples), log_square - np.log(n_samples)
    # variance of w / mean(w) is E[w^2] / E[w]^2 - 1; rounding can push it below zero
    relative_variance = np.maximum(np.expm1(log_square - 2 * log_mean), 0)
    return LogLikelihood(log_mean, np.sqrt(relative_variance / (n_samples - 1)))
