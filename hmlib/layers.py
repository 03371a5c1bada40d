"""The one conditional distribution that every stochastic network of the book is made of."""

import math

import numpy as np
from scipy.special import log_expit

from hmlib._blas import add_product
from hmlib._checks import as_generator, check_array, check_count, check_number
from hmlib.units import _bernoulli, _log_bernoulli, _sigmoid

__all__ = ["SigmoidLayer"]


class SigmoidLayer:
    """Binary units y that are independent given x: p(y_j = 1 | x) = sigmoid(sum_i x_i W_ij + b_j).

    Parameters
    ----------
    weights : array_like, shape (n_in, n_out)
        W. ``n_in`` may be 0: then the layer is a distribution without a condition, p(y) =
        prod_j sigmoid(b_j)^y_j (1 - sigmoid(b_j))^(1 - y_j), such as the prior of a machine's top layer.
    bias : array_like, shape (n_out,)
        b.

    Attributes
    ----------
    weights, bias : ndarray
        The parameters, float32 if both were given as float32, else float64; :meth:`learn` changes
        them in place. They are copies of what was passed in.

    Raises
    ------
    ValueError
        If the shapes disagree or a parameter is not finite.

    Notes
    -----
    Derived in the chapter *The Helmholtz machine*. Inputs have shape (n_samples, n_units), or
    (K, n_samples, n_units) for K alternatives of each sample; x and y are broadcast against each
    other, so that what all K have in common need not be repeated. The methods trust their inputs,
    because they are the inner loop of all training; a wrong number of columns is still an error.
    """

    def __init__(self, weights, bias):
        weights = check_array(weights, "weights", ndim=2)
        bias = check_array(bias, "bias", ndim=1, n_columns=weights.shape[1])
        dtype = np.result_type(weights, bias)
        self.weights, self.bias = weights.astype(dtype), bias.astype(dtype)

    @classmethod
    def zeros(cls, n_in, n_out, dtype=np.float64):
        """Make a layer whose units are all fair coins: W = 0, b = 0."""
        shape = check_count(n_in, "n_in", minimum=0), check_count(n_out, "n_out")
        return cls(np.zeros(shape, dtype), np.zeros(shape[1], dtype))

    @classmethod
    def random(cls, n_in, n_out, scale=0.1, random_state=None, dtype=np.float64):
        """Make a layer with W_ij drawn from the normal distribution N(0, scale^2), and b = 0."""
        layer = cls.zeros(n_in, n_out, dtype)
        scale = check_number(scale, "scale", low=0)
        layer.weights += scale * as_generator(random_state).standard_normal(
            (n_in, n_out), dtype=dtype
        )
        return layer

    @property
    def n_in(self):
        """Number of input units."""
        return self.weights.shape[0]

    @property
    def n_out(self):
        """Number of output units."""
        return self.weights.shape[1]

    def logits(self, x):
        """Compute u = x W + b, shape (n_samples, n_out)."""
        x = np.asarray(x)
        if x.shape[-1:] != (self.n_in,):
            raise ValueError(f"x must have {self.n_in} columns, got shape {x.shape}")
        rows = x.reshape(math.prod(x.shape[:-1]), self.n_in)  # one large product, not K small ones
        u = rows @ self.weights
        u += self.bias
        return u.reshape(*x.shape[:-1], self.n_out)

    def mean(self, x):
        """Compute E[y | x] = sigmoid(x W + b), shape (n_samples, n_out)."""
        return _sigmoid(self.logits(x))

    def sample(self, x, rng, n_draws=None):
        """Draw y from p(y | x) with the Generator ``rng``: bits, shape (n_samples, n_out).

        With ``n_draws`` so many for each x, independent, shape (n_draws, n_samples, n_out).
        """
        p = self.mean(x)
        return _bernoulli(p if n_draws is None else np.broadcast_to(p, (n_draws, *p.shape)), rng)

    def log_prob(self, x, y):
        """Compute log p(y | x) = sum_j log p(y_j | x) in nats, shape (n_samples,)."""
        return _log_bernoulli(np.asarray(y), self.logits(x))

    def log_prob_table(self, x, y):
        """Compute log p(y | x) in nats for every row of ``x`` with every row of ``y``.

        Returns
        -------
        ndarray, shape (n_x, n_y), float64
            Entry (a, b) is log p(y_b | x_a) = u_a . y_b - sum_j log(1 + exp(u_aj)), u = x W + b.
        """
        u = self.logits(np.asarray(x, dtype=np.float64))
        return u @ np.asarray(y, dtype=np.float64).T + log_expit(-u).sum(axis=1, keepdims=True)

    def learn(self, x, y, rate, weights=None):
        """Take one step of the local delta rule, up the gradient of a mean of log p(y | x).

        W += rate <x^T (y - sigmoid(x W + b))> and b += rate <y - sigmoid(x W + b)>, where <.> is the
        mean over samples, or sum_n w_n (.)_n / sum_n w_n if there are weights.

        Parameters
        ----------
        x : ndarray, shape (n_samples, n_in) or (K, n_samples, n_in)
            What the layer sees.
        y : ndarray, shape (n_samples, n_out) or (K, n_samples, n_out)
            What it should have said.
        rate : float
            The learning rate.
        weights : ndarray, shape (n_samples,) or (K, n_samples), optional
            w, not negative; for K alternatives of each sample they sum to one over the K.
        """
        self.correct(x, _error(y, self.mean(x)), rate, weights)

    def compare(self, x, y):
        """Compute log p(y | x) in nats and the error y - sigmoid(x W + b), in one pass."""
        u = self.logits(x)
        return _log_bernoulli(y, u), _error(y, _sigmoid(u))

    def correct(self, x, error, rate, weights=None):
        """Take the step of :meth:`learn` for an error that is known; it is scaled in place."""
        n = error[..., 0].size if weights is None else weights.sum()
        error *= rate / n
        if weights is not None:
            error *= weights[..., None].astype(error.dtype)
        if error.ndim > x.ndim:  # alternatives that share their x
            error = error.sum(axis=0)
        error = error.reshape(-1, self.n_out)
        if self.n_in:
            self.weights = add_product(self.weights, x.reshape(len(error), self.n_in), error)
        self.bias += error.sum(axis=0)

    def __repr__(self):
        return f"SigmoidLayer({self.n_in} -> {self.n_out}, {self.weights.dtype})"


def _error(y, p):
    """Compute y - p, written over ``p`` unless ``y`` has alternatives that share their p.

    A large array costs more to ask the system for than to fill.
    """
    return np.subtract(y, p, out=p if p.shape == y.shape else None)
