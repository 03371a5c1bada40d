"""The wake-sleep algorithm: two networks that teach each other with nothing but local rules."""

import copy

import numpy as np
from scipy.special import softmax

from hmlib._checks import check_count, check_number

__all__ = ["ReweightedWakeSleep", "WakeSleep"]


class WakeSleep:
    r"""The wake-sleep learning rule (Hinton, Dayan, Frey and Neal, 1995).

    Wake, with d from the world and its explanation y, x drawn from the recognition network R: every
    generative layer takes a step of the delta rule towards predicting the layer below it. In
    expectation this is gradient descent on the free-energy bound F_G^R(d).

    Sleep, with x, y, d a dream of the generative network G: every recognition layer takes a step
    towards predicting the layer above it. In expectation this is gradient descent on
    sum_d p_G(d) KL[p_G(xy|d), p_R(xy|d)], an average over dreams, not over data.

    Parameters
    ----------
    learning_rate : float or sequence of float
        One positive number for all layers, or one for each pair of neighbouring layers, data side
        first. Layers use it for the mean over the batch. The prior of the top layer shares the
        rate of the topmost pair.

    Raises
    ------
    ValueError
        If a rate is not a positive number, or their number does not fit the machine.

    Notes
    -----
    A *machine* is anything with lists ``generative_`` and ``recognition_`` of layers, data side
    first, a layer ``prior_`` with no inputs for the top, and methods ``explain(d, rng)`` and
    ``dream(n, rng)`` that return the bits of all layers, data first. Derived in the chapter
    *Wake-sleep*.
    """

    def __init__(self, learning_rate=0.1):
        self.learning_rate = learning_rate
        for rate in np.ravel(learning_rate):
            check_number(rate, "learning_rate", low=0, low_open=True)

    def rates(self, n_pairs):
        """Return one learning rate for each of the ``n_pairs`` pairs of neighbouring layers."""
        rates = np.ravel(self.learning_rate).tolist()
        if len(rates) not in (1, n_pairs):
            raise ValueError(
                f"learning_rate must be one number or {n_pairs} numbers, one for each pair of "
                f"neighbouring layers, got {len(rates)}"
            )
        return rates * n_pairs if len(rates) == 1 else rates

    def scaled(self, factor):
        """Return the same rule with all learning rates times ``factor``."""
        rule = copy.copy(self)
        rule.learning_rate = (factor * np.asarray(self.learning_rate)).tolist()
        return rule

    def wake(self, machine, d, rng):
        """Explain the data ``d``, then let every generative layer learn to predict the layer below."""
        for layer, x, y, rate in self._generative_lessons(machine, machine.explain(d, rng)):
            layer.learn(x, y, rate)

    def sleep(self, machine, n_dreams, rng):
        """Dream ``n_dreams`` times, then let every recognition layer learn to predict the layer above."""
        for layer, x, y, rate in self._recognition_lessons(machine, machine.dream(n_dreams, rng)):
            layer.learn(x, y, rate)

    def step(self, machine, d, rng):
        """Wake once on the batch ``d``, then sleep once with as many dreams."""
        self.wake(machine, d, rng)
        self.sleep(machine, len(d), rng)

    def _generative_lessons(self, machine, layers):
        """List who learns to answer y to x at what rate, for states of all layers, data first."""
        rates, top = self.rates(len(machine.generative_)), layers[-1]
        lessons = list(zip(machine.generative_, layers[1:], layers, rates))
        nothing = np.empty((1, 0), top.dtype)
        return [*lessons, (machine.prior_, nothing, top, rates[-1])]

    def _recognition_lessons(self, machine, layers):
        rates = self.rates(len(machine.recognition_))
        return list(zip(machine.recognition_, layers, layers[1:], rates))

    def __repr__(self):
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


class ReweightedWakeSleep(WakeSleep):
    r"""Reweighted wake-sleep (Bornschein and Bengio, 2015): many explanations, each with its weight.

    Wake, with K explanations h_k = x_k, y_k of each d drawn from the recognition network R: every
    explanation counts by its normalised importance weight

    .. math:: \tilde w_k = w_k / \sum_l w_l, \qquad w_k = p_G(h_k, d) / p_R(h_k | d).

    Generative layers go up sum_k w~_k grad log p_G(h_k, d), again by the delta rule. It estimates
    the gradient of log p_G(d) itself, with a bias of order 1 / K. With K = 1 the only weight is one,
    and the step is that of wake-sleep, in expectation down the gradient of the bound. Recognition
    layers go up sum_k w~_k grad log p_R(h_k|d), which estimates gradient descent on
    KL[p_G(h|d), p_R(h|d)] for data; the sleep phase does so for dreams.

    Parameters
    ----------
    n_samples : int
        K, the number of explanations of each sample; at least 1.
    learning_rate : float or sequence of float
        As for :class:`WakeSleep`, and the same for all updates.
    recognition : {"wake", "sleep", "both"}
        When the recognition layers learn. With "both" they take the two steps one after the other.

    Raises
    ------
    ValueError
        If an argument is invalid.

    Notes
    -----
    The machine's method ``explain(d, rng, K)`` returns d and, for every hidden layer, bits of shape
    (K, n_samples, n_units).

    References
    ----------
    Bornschein and Bengio (2015), *Reweighted wake-sleep*, algorithm 1. The chapter *Reweighted
    wake-sleep*.
    """

    def __init__(self, n_samples=5, learning_rate=0.1, recognition="both"):
        super().__init__(learning_rate)
        self.n_samples = check_count(n_samples, "n_samples")
        self.recognition = recognition
        if recognition not in ("wake", "sleep", "both"):
            raise ValueError(f'recognition must be "wake", "sleep" or "both", got {recognition!r}')

    def wake(self, machine, d, rng):
        """Explain the data ``d`` K times over, weigh, and let the layers learn from all that."""
        down, up, w = self._weigh(machine, machine.explain(d, rng, self.n_samples))
        for layer, x, error, rate in down + (up if self.recognition != "sleep" else []):
            layer.correct(x, error, rate, w)

    def step(self, machine, d, rng):
        """Wake once on the batch ``d``; unless that does for recognition, sleep with as many dreams."""
        self.wake(machine, d, rng)
        if self.recognition != "wake":
            self.sleep(machine, len(d), rng)

    def effective_sample_size(self, machine, d, rng):
        """Draw and weigh K explanations of each sample: as many equal ones would be worth as much.

        Returns
        -------
        ndarray, shape (n_samples,)
            1 / sum_k w~_k^2, between 1 and K.
        """
        *_, w = self._weigh(machine, machine.explain(d, rng, self.n_samples))
        return 1 / (w**2).sum(axis=0)

    def _weigh(self, machine, layers):
        """Compute what each network has to correct, and the weights w~, shape (K, n_samples)."""
        log_p, down = _compare(self._generative_lessons(machine, layers))
        log_q, up = _compare(self._recognition_lessons(machine, layers))
        return down, up, softmax(log_p - log_q, axis=0)


def _compare(lessons):
    """Compute the log-probability of all answers together, and the error of each layer."""
    log_probs, errors = zip(*(layer.compare(x, y) for layer, x, y, _ in lessons))
    corrections = [(layer, x, e, rate) for (layer, x, _, rate), e in zip(lessons, errors)]
    return sum(log_probs), corrections
