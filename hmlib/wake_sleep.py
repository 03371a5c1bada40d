"""The wake-sleep algorithm: two networks that teach each other with nothing but local rules."""

import numpy as np

from hmlib._checks import check_number

__all__ = ["WakeSleep"]


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

    def wake(self, machine, d, rng):
        """Explain the data ``d``, then let every generative layer learn to predict the layer below."""
        rates = self.rates(len(machine.generative_))
        layers = machine.explain(d, rng)
        for layer, below, above, rate in zip(machine.generative_, layers, layers[1:], rates):
            layer.learn(above, below, rate)
        machine.prior_.learn(layers[-1][:, :0], layers[-1], rates[-1])

    def sleep(self, machine, n_dreams, rng):
        """Dream ``n_dreams`` times, then let every recognition layer learn to predict the layer above."""
        rates = self.rates(len(machine.recognition_))
        layers = machine.dream(n_dreams, rng)
        for layer, below, above, rate in zip(machine.recognition_, layers, layers[1:], rates):
            layer.learn(below, above, rate)

    def step(self, machine, d, rng):
        """Wake once on the batch ``d``, then sleep once with as many dreams."""
        self.wake(machine, d, rng)
        self.sleep(machine, len(d), rng)
