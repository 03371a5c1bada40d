"""What the estimators of binary units share: checked data, grey pixels as bits, epochs, generators."""

import hashlib
import warnings
from numbers import Real

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data
from tqdm import trange

from hmlib._blas import one_thread
from hmlib._checks import as_generator, check_array, check_count, check_number
from hmlib.units import _bernoulli

ROWS_AT_ONCE = 1000  # of a table with 2^12 columns: 33 MB


class EpochsMixin:
    """Train for ``n_epochs`` passes over the data, in mini-batches; generators for all the rest.

    A machine has ``_check_data(X, reset)``; ``_start(X)``, which makes it as it is before training,
    with ``rng_`` and ``n_iter_ = 0``; ``_present(X, rng)``, the data as its units see them; and
    ``_learn(v)``, one step on a batch of these.
    """

    def fit(self, X, y=None):
        """Train from a fresh start for ``n_epochs`` passes over ``X``; Ctrl-C keeps what was learnt.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Data; for machines of binary units bits, or grey values: see ``binarize``.
        y : ignored

        Returns
        -------
        self
            The machine itself.
        """
        n_epochs = check_count(self.n_epochs, "n_epochs", minimum=0)  # before anything is forgotten
        X = self._check_data(X, reset=True)
        self._start(X)
        name = type(self).__name__
        try:
            for _ in trange(n_epochs, disable=not self.verbose, desc=name, unit="epoch"):
                self._epoch(X)
        except KeyboardInterrupt:
            warnings.warn(
                f"training was interrupted after {self.n_iter_} of {n_epochs} epochs; the machine "
                "keeps what it has learnt, and partial_fit continues",
                stacklevel=2,
            )
        return self

    def partial_fit(self, X, y=None):
        """Train for one more pass over ``X``, from where the machine stands; starts it if need be.

        Parameters and return value as for :meth:`fit`. What a machine takes from its data at the
        start, such as biases, it takes from this first ``X``. Ctrl-C raises ``KeyboardInterrupt``,
        but the machine keeps the mini-batches that it has learnt, and can go on.
        """
        first = not hasattr(self, "n_iter_")
        X = self._check_data(X, reset=first)
        if first:
            self._start(X)
        self._epoch(X.astype(self._dtype, copy=False))
        return self

    @one_thread
    def _epoch(self, X):
        """Present every sample once, in random order, in mini-batches."""
        batch_size = check_count(self.batch_size, "batch_size")
        order = self.rng_.permutation(len(X))
        for first in range(0, len(X), batch_size):
            self._learn(self._present(X[order[first : first + batch_size]], self.rng_))
        self.n_iter_ += 1

    @property
    def _dtype(self):
        """The type of the parameters."""
        return self.weights_.dtype

    def _rng(self, random_state):
        """Return the generator for anything but training."""
        check_is_fitted(self)
        return self.rng_.spawn(1)[0] if random_state is None else as_generator(random_state)


class BinaryDataMixin(EpochsMixin):
    """Data in [0, 1], turned into bits as the parameter ``binarize`` says."""

    def _check_data(self, X, reset=False):
        """Return data as a finite float array (float32 kept) of the right width and range."""
        if self.binarize not in ("resample", "threshold", "none"):
            raise ValueError(
                f'binarize must be "resample", "threshold" or "none", got {self.binarize!r}'
            )
        if not reset:
            check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=reset)
        if self.binarize != "threshold":
            check_array(X, "X", low=0, high=1)
        return X

    def _present(self, X, rng):
        return self._to_bits(X, rng)

    def _to_bits(self, X, rng):
        """Turn grey pixels into what the machine sees."""
        if self.binarize == "resample":
            return _bernoulli(X, rng)
        return (X > 0.5).astype(X.dtype) if self.binarize == "threshold" else X

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.positive_only = self.binarize != "threshold"
        return tags


def in_pieces(function, X):
    """Apply a row-wise function to ``X`` piece by piece, because what it computes is larger."""
    pieces = [function(X[i : i + ROWS_AT_ONCE]) for i in range(0, len(X), ROWS_AT_ONCE)]
    return np.concatenate(pieces) if pieces else np.zeros(0)


def rate_at(schedule, epoch, n_epochs):
    """Return the learning rate of an epoch, falling linearly if the schedule is a pair."""
    if isinstance(schedule, Real):
        return float(schedule)
    first, last = schedule
    return first + (last - first) * min(epoch / max(n_epochs - 1, 1), 1)


def check_rates(schedule, name, low_open=True):
    """Complain unless ``schedule`` is one learning rate or a pair."""
    rates = schedule if isinstance(schedule, (tuple, list)) else [schedule, schedule]
    if len(rates) != 2:
        raise ValueError(f"{name} must be a number or a pair (first, last), got {schedule!r}")
    for rate in rates:
        check_number(rate, name, low=0, low_open=low_open)


def digest(arrays):
    """Return a short name of these arrays and no others, the same in every process."""
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def check_mask(mask, shape):
    """Return ``mask`` as an array of bool that fits data of ``shape``."""
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape not in (shape, shape[1:]):
        raise ValueError(
            f"mask must be an array of bool of shape {shape[1:]} or {shape}, "
            f"got {mask.dtype} of shape {mask.shape}"
        )
    return mask
