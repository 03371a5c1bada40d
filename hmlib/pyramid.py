"""Start a deep Helmholtz machine in stages: the image pyramid, and greedy stages without pictures."""

import copy
from math import isqrt

import numpy as np
from sklearn.base import BaseEstimator
from tqdm import tqdm

from hmlib._blas import one_thread
from hmlib._checks import as_generator, check_array, check_count, check_number
from hmlib._estimator import rate_at
from hmlib.layers import SigmoidLayer
from hmlib.wake_sleep import WakeSleep

__all__ = ["GreedyInitializer", "PyramidInitializer", "image_pyramid"]


# --- pictures ---------------------------------------------------------------------------------------


def image_pyramid(X, shape, sides, filter="area"):
    r"""Shrink images to ever smaller ones, each from the original: level = A_h image A_w^T.

    The matrix A has a row for every new pixel, which sums to one. With r = n_in / n_out, the width
    of a new pixel in old ones, its row j holds

    - ``"area"``: the share of the interval [j r, (j + 1) r] that lies in old pixel i. Exact for any
      ratio, integer or not: the mean of the image is kept.
    - ``"gaussian"``: the density of N((j + 1/2) r, (r / 2)^2) at the centre of pixel i, normalised.
    - ``"subsample"``: 1 for the old pixel in which the centre (j + 1/2) r lies; what lies between
      is lost.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_pixels)
        Images, row by row.
    shape : (int, int)
        Their height and width.
    sides : sequence of int or of (int, int)
        The levels, finest first: sides of squares, or heights and widths. Each is smaller than the
        one before; the first may be the original.
    filter : {"area", "gaussian", "subsample"}
        How the new pixels weigh the old ones.

    Returns
    -------
    list of ndarray, shape (n_samples, height * width)
        One array for each of ``sides``; float32 is kept, and no value leaves the range of ``X``.

    Raises
    ------
    ValueError
        If ``X`` is not finite or not of that shape, a side is not an int or not smaller than the
        one before, or the filter is unknown.

    References
    ----------
    Adelson, Anderson, Bergen, Burt and Ogden (1984), *Pyramid methods in image processing*. The
    chapters of *The pyramid*.
    """
    height, width = _check_shape(shape, "shape")
    X = check_array(X, "X", ndim=2, n_columns=height * width)
    if not len(X):
        raise ValueError("X must hold at least one image, got none")
    if filter not in FILTERS:
        raise ValueError(f"filter must be one of {', '.join(FILTERS)}, got {filter!r}")
    images, levels = X.reshape(-1, height, width), []
    for m, n in _check_sides(sides, (height, width)):
        A_h, A_w = _filter_matrix(height, m, filter), _filter_matrix(width, n, filter)
        level = A_h.astype(X.dtype) @ images @ A_w.astype(X.dtype).T
        level.clip(X.min(), X.max(), out=level)  # rounding must make nothing whiter than white
        levels.append(level.reshape(-1, m * n))
    return levels


def _area(edges, n_in):
    """Compute how much of each new pixel, between neighbouring edges, lies in each old pixel."""
    pixels = np.arange(n_in)
    low, high = edges[:-1, None], edges[1:, None]
    return np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)


def _gaussian(edges, n_in):
    centres, r = (edges[:-1] + edges[1:])[:, None] / 2, edges[1]
    return np.exp(-0.5 * ((np.arange(n_in) + 0.5 - centres) / (r / 2)) ** 2)


def _subsample(edges, n_in):
    centres = (edges[:-1] + edges[1:]) / 2
    return np.eye(n_in)[centres.astype(int)]


FILTERS = {"area": _area, "gaussian": _gaussian, "subsample": _subsample}


def _filter_matrix(n_in, n_out, filter):
    """Return A, shape (n_out, n_in): the new pixels of a line as averages of the old ones."""
    if n_out == n_in:
        return np.eye(n_in)
    A = FILTERS[filter](np.arange(n_out + 1) * n_in / n_out, n_in)
    return A / A.sum(axis=1, keepdims=True)


# --- learning ---------------------------------------------------------------------------------------


class PyramidInitializer(BaseEstimator):
    r"""Train the layers of a Helmholtz machine one pair at a time, from coarse to fine pictures.

    Give it to a machine as its ``init``, the number of units of each hidden layer being that of the
    pixels of a smaller image. With layers 0 (the data) to L, and with level l of the image pyramid
    as large as layer l:

    1. The layers L - 1 and L make a machine whose data is level L - 1. It learns by wake-sleep.
    2. A finer layer comes below, with its level of the pyramid as data; what was the visible layer
       is now hidden. All that has been learnt is frozen: it answers, but only the new pair learns.
       This repeats down to layer 0, whose level is the data themselves.
    3. All is set free: ``fit`` goes on with ordinary training, for the ``n_epochs`` of the machine.

    Parameters
    ----------
    n_epochs : int
        Passes over the data in each stage; there are as many stages as hidden layers.
    shape : (int, int), optional
        Height and width of the data. None means square images.
    sides : sequence of int or of (int, int), optional
        Sides, or heights and widths, of the images of the hidden layers, the lowest first. None
        means squares; then the sizes of the layers are square numbers.
    filter : {"area", "gaussian", "subsample"}
        See :func:`image_pyramid`.
    images : {"pyramid", "scrambled", "noise"}
        What the hidden layers are shown when they are visible; the schedule is the same, and the
        last stage always has the data. Two controls: "scrambled" shrinks images whose pixels have
        been rearranged, all alike, so that averages of the data remain, but of pixels from all over
        the image; "noise" deals the values of each pixel of a level out to the images at random,
        which keeps what a pixel is like and destroys every relation between pixels.
    clamped : bool
        Clamp both layers of a pair to their levels of the pyramid and let each learn to predict the
        other by the delta rule, in place of steps of the rule; then the top layer has a level too.
    rule : None or a learning rule
        The rule of the stages, such as :class:`hmlib.wake_sleep.WakeSleep`. None means that of the
        machine. Learning rates, if several, belong to the pairs of the whole machine.
    decay : float
        Share of the learning rate that is left in the last epoch of each stage, in (0, 1].
    scale : float
        Standard deviation of the weights with which a new pair starts; 0 is the zero start.
    callback : callable, optional
        ``callback(number, stage)`` is called after every epoch with the number of the stage, from
        1, and the layers so far as a :class:`Stage`.

    Notes
    -----
    Unless ``clamped``, nothing ties a hidden unit to the pixel that it was when its layer was visible:
    the upper layers say which patterns are common in a layer, and the new pair is free to choose
    which pattern stands for which image.

    A machine has the lists ``generative_`` and ``recognition_`` and the layer ``prior_``, all as
    they are before training; ``rng_``, ``batch_size`` and ``verbose``; ``_rule()``, its learning
    rule; ``_present(X, rng)``, grey pixels as it sees them; and ``_take_bias(l, X)``, which sets
    the generative biases of layer l before that layer sees ``X`` for the first time.

    References
    ----------
    The chapters of *The pyramid*. Hinton, Osindero and Teh (2006), *A fast learning algorithm for
    deep belief nets*, which is greedy too, but goes from the data upwards.
    """

    def __init__(
        self,
        n_epochs=10,
        *,
        shape=None,
        sides=None,
        filter="area",
        images="pyramid",
        clamped=False,
        rule=None,
        decay=1.0,
        scale=0.0,
        callback=None,
    ):
        self.n_epochs = n_epochs
        self.shape = shape
        self.sides = sides
        self.filter = filter
        self.images = images
        self.clamped = clamped
        self.rule = rule
        self.decay = decay
        self.scale = scale
        self.callback = callback

    def n_presentations(self, hidden, n_samples):
        """Count how often a sample is presented in all stages: len(hidden) * n_epochs * n_samples.

        A machine with another start is trained on as much in all if it gets ``len(hidden) *
        n_epochs`` epochs more.
        """
        return len(hidden) * self.n_epochs * n_samples

    def initialize(self, machine, X):
        """Train every pair of layers of ``machine``, from the top down, on smaller versions of ``X``.

        Parameters
        ----------
        machine : HelmholtzMachine
            A machine before its training; its layers change in place.
        X : ndarray, shape (n_samples, n_features)
            Data, checked.

        Raises
        ------
        ValueError
            If a parameter is invalid, or the sizes of the layers are not those of smaller and
            smaller images.
        """
        n_epochs = check_count(self.n_epochs, "n_epochs")
        check_number(self.decay, "decay", low=0, high=1, low_open=True)
        check_number(self.scale, "scale", low=0)
        hidden, name = [layer.n_out for layer in machine.recognition_], type(self).__name__
        levels = self.levels(X, hidden, machine.rng_)
        with tqdm(total=len(hidden) * n_epochs, disable=not machine.verbose, desc=name) as bar:
            for number, level in enumerate(reversed(range(len(hidden))), 1):
                stage = self._add_pair(machine, level, levels[level])
                rule = self._rule_from(machine, level)
                for epoch in range(n_epochs):
                    slower = rule.scaled(rate_at((1.0, self.decay), epoch, n_epochs))
                    self._epoch(machine, stage, slower, *levels[level : level + 2])
                    bar.update()
                    if self.callback is not None:
                        self.callback(number, stage)

    def levels(self, X, hidden, random_state=None):
        """Return what each layer is shown when it is visible: the data, then a level for each hidden layer.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_pixels)
            Data.
        hidden : sequence of int
            Sizes of the hidden layers, the lowest first.
        random_state : None, int or numpy.random.Generator
            The source of randomness for the controls; see ``images``.

        Returns
        -------
        list of ndarray, shape (n_samples, size of the layer)
            The data and ``len(hidden)`` levels.
        """
        if self.images not in ("pyramid", "scrambled", "noise"):
            raise ValueError(
                f'images must be "pyramid", "scrambled" or "noise", got {self.images!r}'
            )
        X, rng = check_array(X, "X", ndim=2), as_generator(random_state)
        shapes = self.shapes(X.shape[1], hidden)
        seen = X[:, rng.permutation(X.shape[1])] if self.images == "scrambled" else X
        levels = image_pyramid(seen, shapes[0], shapes[1:], self.filter)
        if self.images == "noise":
            levels = [rng.permuted(level, axis=0) for level in levels]
        return [X, *levels]

    def shapes(self, n_features, hidden):
        """Return height and width of the image of each layer, the data first, from their sizes."""
        sides = [None] * len(hidden) if self.sides is None else list(self.sides)
        if len(sides) != len(hidden):
            raise ValueError(f"sides must be {len(hidden)}, one for each hidden layer, got {sides}")
        names = [f"hidden[{i}]" for i in range(len(hidden))]
        layers = zip([n_features, *hidden], [self.shape, *sides], ["X", *names])
        shapes = [_shape_of(*layer) for layer in layers]
        _check_smaller(shapes, names)
        return shapes

    def _add_pair(self, machine, level, X):
        """Let the pair of layer ``level`` and the one above start; return the stage that trains it."""
        for layer in (machine.generative_[level], machine.recognition_[level]):
            layer.weights[:] = self.scale * machine.rng_.standard_normal(layer.weights.shape)
        machine._take_bias(level, X)
        return Stage(machine, level)

    def _rule_from(self, machine, level):
        """Return the learning rule for the layers from ``level`` up."""
        rule = machine._rule() if self.rule is None else self.rule
        if not isinstance(rule, WakeSleep):
            raise ValueError(f"rule must be None or a rule such as WakeSleep(), got {rule!r}")
        return _for_pairs(rule, machine, slice(level, None))

    @one_thread
    def _epoch(self, machine, stage, rule, visible, above):
        """Present every image of the visible level once, in random order, in mini-batches."""
        rng = machine.rng_
        for rows in _batches(machine, len(visible)):
            d = machine._present(visible[rows], rng)
            if self.clamped:
                stage.learn_pair(d, machine._present(above[rows], rng), rule.learning_rate[0])
            else:
                rule.step(stage, d, rng)


class GreedyInitializer(BaseEstimator):
    r"""Train the layers of a Helmholtz machine one pair at a time, from the data up.

    The stages without a pyramid: nothing but the data is shown. Give it to a machine as its ``init``;
    all weights start at zero. With layers 0 (the data) to L:

    1. Layers 0 and 1 make a machine with one hidden layer, which learns by the rule of the machine.
    2. Explanations of the data by layer 1, drawn once, are the data of layers 1 and 2. What the pair
       below has learnt as its prior, the generative biases of layer 1, is where their bias starts.
       This repeats up to layer L.
    3. All is set free: ``fit`` goes on with ordinary training, for the ``n_epochs`` of the machine.

    Parameters
    ----------
    n_epochs : int or sequence of int
        Passes over the data for each pair; if several, one for each pair, the lowest first. A pair
        with none stays at zero, and all above it must have none either.

    References
    ----------
    Hinton, Osindero and Teh (2006), *A fast learning algorithm for deep belief nets*, where the pairs
    are restricted Boltzmann machines.
    """

    def __init__(self, n_epochs=10):
        self.n_epochs = n_epochs

    def initialize(self, machine, X):
        """Train every pair of layers of ``machine``, from the data up.

        Parameters
        ----------
        machine : HelmholtzMachine
            A machine before its training; its layers change in place.
        X : ndarray, shape (n_samples, n_features)
            Data, checked.

        Raises
        ------
        ValueError
            If ``n_epochs`` is not a count, or one for each pair as described.
        """
        epochs, seen = self._epochs_of(len(machine.generative_)), X
        with tqdm(total=sum(epochs), disable=not machine.verbose, desc=type(self).__name__) as bar:
            for level, n_epochs in enumerate(epochs):
                if n_epochs == 0:
                    break
                pair = Pair(machine, level)
                rule = _for_pairs(machine._rule(), machine, slice(level, level + 1))
                for _ in range(n_epochs):
                    self._epoch(machine, pair, rule, seen)
                    bar.update()
                above = [*machine.generative_, machine.prior_][level + 1]
                above.bias[:] = pair.prior_.bias
                seen = pair.explain(machine._present(seen, machine.rng_), machine.rng_)[1]

    def _epochs_of(self, n_pairs):
        """Return the epochs of each pair."""
        given = np.ravel(self.n_epochs).tolist()
        if len(given) not in (1, n_pairs):
            raise ValueError(
                f"n_epochs must be one number or {n_pairs} numbers, one for each pair of layers, "
                f"got {len(given)}"
            )
        epochs = [check_count(n, "n_epochs", minimum=0) for n in given]
        if any(a == 0 < b for a, b in zip(epochs, epochs[1:])):
            raise ValueError(
                f"n_epochs must not train a pair above one that has none, got {self.n_epochs!r}"
            )
        return epochs * n_pairs if len(epochs) == 1 else epochs

    @one_thread
    def _epoch(self, machine, pair, rule, seen):
        """Present everything once, in random order, in mini-batches."""
        for rows in _batches(machine, len(seen)):
            rule.step(pair, machine._present(seen[rows], machine.rng_), machine.rng_)


def _for_pairs(rule, machine, pairs):
    """Return a rule with the learning rates of some of the machine's pairs of layers."""
    rates, rule = rule.rates(len(machine.generative_))[pairs], copy.copy(rule)
    rule.learning_rate = rates
    return rule


def _batches(machine, n_samples):
    """Deal all samples out to mini-batches, in random order."""
    size = check_count(machine.batch_size, "batch_size")
    order = machine.rng_.permutation(n_samples)
    return (order[first : first + size] for first in range(0, n_samples, size))


class FrozenLayer(SigmoidLayer):
    """A layer that answers with the parameters of another, and does not learn."""

    def __init__(self, layer):
        self.weights, self.bias = layer.weights, layer.bias

    def learn(self, x, y, rate, weights=None):
        """Do nothing."""

    def correct(self, x, error, rate, weights=None):
        """Do nothing."""


class Stage:
    """The layers of a machine from one level up: a machine of which only the lowest pair learns.

    It is what a :class:`hmlib.wake_sleep.WakeSleep` needs as a machine. The prior learns with the
    top pair, and is frozen with it.

    Attributes
    ----------
    level : int
        The layer that is visible.
    generative_, recognition_, prior_
        As those of the machine, from the visible layer up.
    """

    def __init__(self, machine, level):
        self.level = level
        self.generative_, self.recognition_ = (
            [layers[level], *map(FrozenLayer, layers[level + 1 :])]
            for layers in (machine.generative_, machine.recognition_)
        )
        is_first = len(self.generative_) == 1
        self.prior_ = machine.prior_ if is_first else FrozenLayer(machine.prior_)

    def explain(self, d, rng, n_draws=None):
        """Draw explanations of ``d``, see :meth:`hmlib.helmholtz.HelmholtzMachine.explain`.

        A single one ends at the layer above ``d``: higher up nobody learns from it.
        """
        layers = [d, self.recognition_[0].sample(d, rng, n_draws)]
        for layer in self.recognition_[1:] if n_draws is not None else []:
            layers.append(layer.sample(layers[-1], rng))
        return layers

    def dream(self, n_dreams, rng):
        """Draw from the generative network: bits of all layers, the visible one first."""
        nothing = np.empty((n_dreams, 0), dtype=self.prior_.bias.dtype)
        layers = [self.prior_.sample(nothing, rng)]
        for layer in reversed(self.generative_):
            layers.append(layer.sample(layers[-1], rng))
        return layers[::-1]

    def learn_pair(self, d, y, rate):
        """Let the two networks learn to predict each layer of the lowest pair from the other."""
        self.generative_[0].learn(y, d, rate)
        self.recognition_[0].learn(d, y, rate)
        self.prior_.learn(y[:1, :0], y, rate)


class Pair(Stage):
    """Two neighbouring layers of a machine, and a prior of their own: a machine with one hidden layer."""

    def __init__(self, machine, level):
        self.level = level
        up = machine.recognition_[level]
        self.generative_, self.recognition_ = [machine.generative_[level]], [up]
        self.prior_ = SigmoidLayer.zeros(0, up.n_out, up.bias.dtype)


# --- checks -----------------------------------------------------------------------------------------


def _check_shape(shape, name):
    """Return height and width; an int is the side of a square."""
    pair = shape if isinstance(shape, (tuple, list)) else (shape, shape)
    if len(pair) != 2:
        raise ValueError(f"{name} must be a side or (height, width), got {shape!r}")
    return tuple(check_count(side, name) for side in pair)


def _check_sides(sides, original):
    """Return the shapes of the levels of a pyramid; the first may be as large as the original."""
    if not isinstance(sides, (tuple, list)) or not sides:
        raise ValueError(f"sides must be a list of sides, the finest first, got {sides!r}")
    names = [f"sides[{i}]" for i in range(len(sides))]
    shapes = [_check_shape(side, name) for side, name in zip(sides, names)]
    if shapes[0] == original:
        _check_smaller(shapes, names[1:])
    else:
        _check_smaller([original, *shapes], names)
    return shapes


def _check_smaller(shapes, names):
    """Complain unless every shape is smaller than the one before; the first has no name."""
    for finer, coarser, name in zip(shapes, shapes[1:], names):
        if coarser == finer or coarser[0] > finer[0] or coarser[1] > finer[1]:
            one, other = (f"{height} x {width}" for height, width in (coarser, finer))
            raise ValueError(
                f"{name} must be smaller than the level below it, got {one} above {other}"
            )


def _shape_of(size, shape, name):
    """Return height and width of an image of ``size`` units, a square if no shape is given."""
    side = isqrt(size)
    if shape is None and side**2 != size:
        raise ValueError(
            f"{name} has {size} units, which make no square: sizes must be squares, "
            "or shape and sides be given"
        )
    height, width = _check_shape(side if shape is None else shape, "shape or sides")
    if height * width != size:
        raise ValueError(f"{name} has {size} units, but its image is {height} x {width}")
    return height, width
