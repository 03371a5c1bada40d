"""What the estimators of binary units share: checked data, grey pixels as bits, epochs, generators."""

import warnings
from numbers import Real

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data
from tqdm import trange

from hmlib._checks import as_generator, check_array, check_count, check_number
from hmlib.units import _bernoulli

ROWS_AT_ONCE = 1000  # of a table with 2^12 columns: 33 MB


class EpochsMixin:
    """Train for ``n_epochs`` passes over the data with ``_epoch(X)``; generators for all the rest."""

    def _run_epochs(self, X, description):
        """Train from the start; Ctrl-C keeps what was learnt."""
        n_epochs = check_count(self.n_epochs, "n_epochs", minimum=0)
        try:
            for _ in trange(n_epochs, disable=not self.verbose, desc=description, unit="epoch"):
                self._epoch(X)
        except KeyboardInterrupt:
            warnings.warn(
                f"training was interrupted after {self.n_iter_} of {n_epochs} epochs; the machine "
                "keeps what it has learnt, and partial_fit continues",
                stacklevel=3,
            )

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


def check_mask(mask, shape):
    """Return ``mask`` as an array of bool that fits data of ``shape``."""
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape not in (shape, shape[1:]):
        raise ValueError(
            f"mask must be an array of bool of shape {shape[1:]} or {shape}, "
            f"got {mask.dtype} of shape {mask.shape}"
        )
    return mask
