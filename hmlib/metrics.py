"""How good are dreams? Measures of generated images, each beside what it can and cannot tell.

Three questions are asked. Does the machine remember its training images
(:func:`nearest_training_image` and what follows from it)? Are its dreams varied and new
(:func:`diversity`, :func:`novelty`, :func:`coverage_gap`)? Can a classifier learn from them
(:func:`one_nn_accuracy`)? Images are rows of pixels in [0, 1]; distances are Euclidean, in units of
one pixel going from black to white.

Three of the measures are repaired here: their docstrings say what the thesis printed (Ramos, 2022,
chapter 5), and why it misleads. None of them has a meaning without its floor, the value that a
perfect machine would get at the same number of dreams.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import xlogy
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from hmlib._checks import as_generator, check_array, check_count, check_number
from hmlib.exact import _check_distribution, entropy

__all__ = [
    "AccuracyComparison",
    "EmptyCells",
    "LayerAccuracy",
    "Nearest",
    "OneNN",
    "compare_accuracies",
    "coverage_gap",
    "diversity",
    "expected_entropy",
    "expected_unrepresented",
    "improvement_factor",
    "layerwise_accuracy",
    "mean_distance",
    "nearest_training_image",
    "novelty",
    "one_nn_accuracy",
    "one_nn_curve",
    "representation_entropy",
    "template_accuracy",
    "unrepresented",
]

QUERIES_AT_ONCE = 1000  # a block of distances, 1000 x 2000 in float32, takes 8 MB
REFERENCES_AT_ONCE = 2000
FEW = 8  # candidates per query, up to which each is measured exactly
NUMBERS_AT_ONCE = 2**21  # of the differences between images: 16 MB


# Nearest neighbours -------------------------------------------------------------------------------


class Nearest(NamedTuple):
    """The nearest reference of each query: its row, and the Euclidean distance to it."""

    index: np.ndarray
    distance: np.ndarray


def nearest_training_image(generated, train):
    """Find k(g) = argmin_k ||g - t_k|| for each generated image g, and that smallest distance.

    Nothing here is about training: it finds the nearest rows of any set. Distances are exact, and
    if some are equal the first row wins; both hold for float32, too. Memory beyond the two arrays is
    a few dozen MB, so either may be long. To see the references in portions, as they are generated,
    use :func:`one_nn_curve`.

    Parameters
    ----------
    generated : array_like, shape (n_generated, n_pixels)
        Images, pixels in [0, 1]. Take the same kind on both sides: dreams as bits lie at a distance
        of about sqrt(sum_i p_i (1 - p_i)) from their own probabilities p.
    train : array_like, shape (n_train, n_pixels)
        Images.

    Returns
    -------
    Nearest
        ``index``, ints from 0 to n_train - 1, and ``distance``, in pixels, shape (n_generated,) each.

    Raises
    ------
    ValueError
        If an array has no rows or pixels, leaves [0, 1], or the numbers of pixels differ.

    References
    ----------
    Ramos (2022), section 5.3.1. The chapter *Small worlds*.
    """
    search = _NearestSoFar(_check_images(generated, "generated"))
    search.show(_check_images(train, "train", search.queries.shape[1]))
    return search.nearest


class _NearestSoFar:
    """For each query the nearest of all references that were shown up to now, the first of equals.

    |q - r|^2 / 2 = |q|^2 / 2 + (|r|^2 / 2 - q.r), and the bracket costs one matrix product, in
    float32. Its rounding error is bounded; whatever lies within the bound of the smallest is
    measured again from the differences of the pixels, in float64. This takes half the time of
    ``sklearn.metrics.pairwise_distances_argmin_min``, which multiplies in float64.
    """

    def __init__(self, queries):
        self.queries, self.n_seen = queries, 0
        self.index = np.full(len(queries), -1)
        self.square = np.full(len(queries), np.inf)  # |q - r|^2 of the nearest
        self.half = _half_square(queries)

    @property
    def nearest(self):
        return Nearest(self.index.copy(), np.sqrt(self.square))

    def show(self, references):
        for rows in _portions(references, REFERENCES_AT_ONCE):
            kept = _first_of_equals(rows)  # a thousand copies would be a thousand candidates
            self._compare(rows[kept], self.n_seen + kept)
            self.n_seen += len(rows)

    def _compare(self, references, numbers):
        half = _half_square(references)
        quick = references.astype(np.float32, copy=False)
        for start in range(0, len(self.queries), QUERIES_AT_ONCE):
            active = np.arange(start, min(start + QUERIES_AT_ONCE, len(self.queries)))
            active, row, column = self._candidates(active, quick, half)
            if len(row) > FEW * len(active):
                active, row, column = self._candidates(active, references.astype(float), half)
            square = _squared_distances(self.queries, active[row], references, column)
            order = np.lexsort((square, row))  # stable: of equal distances the first column leads
            best = order[np.unique(row[order], return_index=True)[1]]
            best = best[square[best] < self.square[active[row[best]]]]
            self.square[active[row[best]]] = square[best]
            self.index[active[row[best]]] = numbers[column[best]]

    def _candidates(self, active, references, half):
        """Return the queries that may have a new nearest, and the pairs (query, reference) of it."""
        dtype = references.dtype
        bracket = self.queries[active].astype(dtype, copy=False) @ references.T
        np.subtract(half.astype(dtype), bracket, out=bracket)
        smallest = bracket.min(axis=1).astype(np.float64)
        # A sum of n products is off by at most n u |q| |r| (Higham, 2002, section 3.1). The other
        # half of the bound is for the distances in float64 that the candidates are told apart by.
        n, number = references.shape[1] + 8, np.finfo(dtype)
        error = n * (2 * number.eps * (self.half[active] + half.max()) + number.tiny)
        to_beat = self.square[active] / 2 - self.half[active]
        limit = np.minimum(smallest + 2 * error, to_beat + error)
        some = np.flatnonzero(smallest <= limit)
        return active[some], *np.nonzero(bracket[some] <= limit[some, None])


def _half_square(images):
    """Compute |x|^2 / 2 of each row in float64."""
    return np.einsum("ij,ij->i", images, images, dtype=np.float64) / 2


def _squared_distances(a, row, b, column):
    """Compute |a[row] - b[column]|^2 of many pairs in float64, a portion at a time."""
    size = max(1, NUMBERS_AT_ONCE // a.shape[1])
    pairs = zip(_portions(row, size), _portions(column, size))
    pieces = [np.square(np.subtract(a[i], b[k], dtype=np.float64)).sum(axis=1) for i, k in pairs]
    return np.concatenate([*pieces, np.empty(0)])


def _first_of_equals(rows):
    """Return the indices of the rows without repetitions, in order."""
    first = {row.tobytes(): i for i, row in reversed(list(enumerate(rows)))}
    return np.array(sorted(first.values()))


def _portions(array, size):
    return (array[i : i + size] for i in range(0, len(array), size))


# Memory: which training images come back? ---------------------------------------------------------


def mean_distance(generated, train):
    """Compute (1/G) sum_g min_k ||g - t_k||, how far a dream is from the nearest training image.

    Read as a measure of memory, smaller is better: 0 is a machine that dreams of nothing but its
    training images. It does not see which ones: a machine that knows one image by heart gets 0,
    too. The same number under the name :func:`novelty` is read the other way round.

    Parameters
    ----------
    generated : array_like, shape (n_generated, n_pixels)
        Dreams, pixels in [0, 1].
    train : array_like, shape (n_train, n_pixels)
        Training images. More of them are nearer to anything: compare at equal ``n_train``.

    Returns
    -------
    float
        Mean distance in pixels, at least 0.

    Raises
    ------
    ValueError
        As for :func:`nearest_training_image`, which gives all distances.

    References
    ----------
    Ramos (2022), section 5.3.1. The chapter *Small worlds*.
    """
    return float(nearest_training_image(generated, train).distance.mean())


def representation_entropy(index, n_train, *, normalized=True, miller_madow=False):
    r"""Compute H / ln N, H = -sum_k f_k ln f_k, how evenly dreams fall to the training images.

    f_k is the share of dreams that are nearest to training image k. 1 means that each image is
    nearest to equally many dreams, 0 that one is to all.

    As in the thesis H should be "close to one" for even shares; with its own definition of entropy it
    is ln N then, 6.93 nats for N = 1024. The division is what makes it 1, and what lets one
    compare different N.

    With G dreams even a perfect machine falls short of 1, because the f_k scatter: H is about
    (N - 1) / (2 G) nats too small for G much larger than N, and never above ln G.
    :func:`expected_entropy` is the exact mean. ``miller_madow`` adds (K - 1) / (2 G), where K is the
    number of images with a dream at all (Miller, 1955): it mends most of the shortfall for large G,
    too little for small.

    Parameters
    ----------
    index : array_like of int, shape (n_generated,)
        The nearest training image of each dream, from :func:`nearest_training_image`.
    n_train : int
        N, at least 1, and at least 2 if normalised: ln 1 = 0.
    normalized : bool
        Whether to divide by ln N; otherwise the entropy is in nats.
    miller_madow : bool
        Whether to correct for finite G. The result may then exceed 1.

    Returns
    -------
    float
        Entropy.

    Raises
    ------
    ValueError
        If an index is not one of 0 ... N - 1, or there is none.

    Notes
    -----
    Noise has a high entropy as well, and so does a machine that dreams of something else altogether:
    every dream has *some* nearest image. Look at :func:`mean_distance` first.

    References
    ----------
    Ramos (2022), section 5.3.1. G. A. Miller, *Note on the bias of information estimates*, in
    Information Theory in Psychology, 1955. The chapter *Small worlds*.
    """
    n_train = check_count(n_train, "n_train", minimum=2 if normalized else 1)
    counts = _counts(index, n_train)
    h = entropy(counts / counts.sum())
    if miller_madow:
        h += (np.count_nonzero(counts) - 1) / (2 * counts.sum())
    return float(h / np.log(n_train)) if normalized else float(h)


def expected_entropy(n_generated, p, *, normalized=True):
    """Compute E[H] / ln N for G independent dreams that fall to training image k with probability p_k.

    Exactly: the number n of dreams that fall to image k is binomial, so that E[H] = sum_k
    E[-(n/G) ln(n/G)], n ~ Bin(G, p_k). For an even p it is what a perfect machine gets for its
    :func:`representation_entropy`, without correction; only what is below that is forgetting.

    Parameters
    ----------
    n_generated : int
        G.
    p : int or array_like, shape (n_train,)
        The probabilities, or N for 1/N each.
    normalized : bool
        Whether to divide by ln N; otherwise the entropy is in nats.

    Returns
    -------
    float
        Expected entropy of the observed shares.

    Raises
    ------
    ValueError
        If ``p`` is neither a count nor a distribution, or has a single entry and is to be normalised.

    References
    ----------
    G. A. Miller (1955), as for :func:`representation_entropy`: ln N - E[H] tends to (N - 1) / (2 G).
    The chapter *Small worlds*.
    """
    n_generated = check_count(n_generated, "n_generated")
    p = _cells(p, minimum=2 if normalized else 1)
    values, counts = np.unique(p, return_counts=True)
    h = sum(n * _expected_term(n_generated, value) for value, n in zip(values, counts))
    return float(h / np.log(len(p))) if normalized else float(h)


def unrepresented(index, n_train):
    """Count the training images k that are the nearest to no dream at all.

    As in the thesis 0 means that the machine "was able to remember all learned samples". It is
    neither necessary nor sufficient. A perfect machine leaves N (1 - 1/N)^G images out by chance,
    385 of 1024 at G = 1000, so that G must be well above N ln N; :func:`expected_unrepresented` is
    this floor. And pixels of pure noise can be nearest to every image once.

    Parameters
    ----------
    index : array_like of int, shape (n_generated,)
        The nearest training image of each dream, from :func:`nearest_training_image`.
    n_train : int
        N.

    Returns
    -------
    int
        From 0 to N - 1.

    Raises
    ------
    ValueError
        If an index is not one of 0 ... N - 1, or there is none.

    References
    ----------
    Ramos (2022), section 5.3.1. The chapter *Small worlds*.
    """
    return int(np.count_nonzero(_counts(index, check_count(n_train, "n_train")) == 0))


class EmptyCells(NamedTuple):
    """How many cells stay empty when balls fall: the expected number, and its standard deviation."""

    mean: float
    sd: float


def expected_unrepresented(n_generated, p):
    r"""Compute sum_k (1 - p_k)^G, the number of images that G independent dreams leave out by chance.

    For even p_k = 1/N that is the fraction (1 - 1/N)^G of all, about exp(-G/N); it falls below one
    image at G = N ln N. The indicators of being left out, with q_k = (1 - p_k)^G, are correlated,

        var = sum_k q_k (1 - q_k) + sum_{j != k} [(1 - p_j - p_k)^G - q_j q_k].

    Parameters
    ----------
    n_generated : int
        G.
    p : int or array_like, shape (n_train,)
        The probability of a dream of image k, or N for 1/N each.

    Returns
    -------
    EmptyCells
        ``mean`` and ``sd``, numbers of images; divide by N for fractions.

    Raises
    ------
    ValueError
        If ``p`` is neither a count nor a distribution.

    References
    ----------
    W. Feller, *An Introduction to Probability Theory and Its Applications*, volume 1, 1968, section
    IV.2. The chapter *Small worlds*.
    """
    n_generated = check_count(n_generated, "n_generated")
    values, counts = np.unique(_cells(p), return_counts=True)  # equal cells are worked out once
    q = (1 - values) ** n_generated
    variance = counts @ q
    for value, count, q_j in zip(values, counts, q):
        both = np.maximum(1 - values - value, 0) ** n_generated
        variance += count * (counts @ (both - q_j * q) - both[values == value].item())
    return EmptyCells(float(counts @ q), float(np.sqrt(max(variance, 0.0))))


def _expected_term(n, p):
    """Compute E[-(k/n) ln(k/n)] for k ~ Bin(n, p)."""
    low, high = binom.ppf(
        [1e-15, 1 - 1e-15], n, p
    )  # n may be a million: leave out what has no weight
    k = np.arange(max(low, 0), high + 1)
    return -(binom.pmf(k, n, p) * xlogy(k / n, k / n)).sum()


def _counts(index, n_train):
    """Count how often each of 0 ... n_train - 1 occurs."""
    index = np.asarray(index)
    if index.ndim != 1 or index.size == 0 or index.dtype.kind not in "iu":
        raise ValueError(
            "index must be a non-empty vector of ints, "
            f"got shape {index.shape} and type {index.dtype}"
        )
    if index.min() < 0 or index.max() >= n_train:
        raise ValueError(
            f"index must lie in [0, {n_train - 1}], got values from {index.min()} to {index.max()}"
        )
    return np.bincount(index, minlength=n_train)


def _cells(p, minimum=1):
    """Return probabilities, even ones for a count."""
    p = np.full(n := check_count(p, "p"), 1 / n) if np.ndim(p) == 0 else _check_distribution(p, "p")
    check_count(len(p), "the number of probabilities p", minimum=minimum)
    return p


# Variety and novelty ------------------------------------------------------------------------------


def diversity(generated, y=None):
    """Compute ADM = (1/G) sum_g ||g - m||, the mean distance of dreams to their mean image m.

    It is a distance between images and so rewards whatever spreads pixels, noise above all:
    compare with the diversity of the training images, and do not read more as better.

    As in the thesis m is the mean over all classes. Then most of it comes from what lies between
    the classes: ten machines that each dream of one single image have a large ADM. With ``y``, m is
    the mean image of the dream's own class, and this collapse gets the 0 that it deserves.

    Parameters
    ----------
    generated : array_like, shape (n_generated, n_pixels)
        Dreams, pixels in [0, 1].
    y : array_like, shape (n_generated,), optional
        The class of each dream.

    Returns
    -------
    float
        Mean distance in pixels, at least 0.

    Raises
    ------
    ValueError
        If there is no image, a pixel leaves [0, 1], or ``y`` has another length.

    References
    ----------
    Ramos (2022), section 5.4.1. The chapter *Judging dreams*.
    """
    images = _check_images(generated, "generated")
    label = np.zeros(len(images)) if y is None else _check_labels(y, "y", len(images))
    means, _, row = _class_means(images, label)
    square = _squared_distances(images, np.arange(len(images)), means, row)
    return float(np.sqrt(square).mean())


def novelty(generated, train):
    """Compute (1/G) sum_g min_k ||g - t_k||, how far a dream is from anything seen in training.

    0 is a machine that repeats its training images, all of them or a single one. Larger is newer, not
    better: noise is the newest of all. The yardstick is ``novelty(held_out, train)``, how new real
    images are.

    As in the thesis novelty is something else: the sum over *training images* of the distance to
    the nearest dream, here ``coverage_gap(generated, train, total=True)``. A large value was taken
    for dreams unlike the training images. But it is large when training images are missed, so it
    rewards collapse: a machine that repeats one training image forever, and so invents nothing,
    scores higher than one that repeats them all, and higher than one that invents good digits.

    Parameters
    ----------
    generated : array_like, shape (n_generated, n_pixels)
        Dreams, pixels in [0, 1].
    train : array_like, shape (n_train, n_pixels)
        Training images. More of them are nearer to anything: compare at equal ``n_train``.

    Returns
    -------
    float
        Mean distance in pixels, at least 0: the same number as :func:`mean_distance`.

    Raises
    ------
    ValueError
        As for :func:`nearest_training_image`.

    References
    ----------
    Ramos (2022), section 5.4.1. The chapter *Judging dreams*.
    """
    return mean_distance(generated, train)


def coverage_gap(generated, reference, *, total=False):
    """Compute (1/N) sum_k min_g ||t_k - g||, how far a real image is from the nearest dream.

    Smaller is better: 0 if every reference image was dreamt. With held-out images for reference it
    sees both faults that matter, dreams that are missing and dreams that are blurred. It can only
    fall as more dreams are added: compare at equal G, and with the gap that G real images leave.

    Parameters
    ----------
    generated : array_like, shape (n_generated, n_pixels)
        Dreams, pixels in [0, 1].
    reference : array_like, shape (n_reference, n_pixels)
        Real images, held out from training, or the training images.
    total : bool
        If true, the sum over the reference images in place of the mean: with the training images
        that is the Novelty as in the thesis, where it was taken for a merit; see :func:`novelty`.

    Returns
    -------
    float
        Distance in pixels, at least 0.

    Raises
    ------
    ValueError
        As for :func:`nearest_training_image`.

    References
    ----------
    Ramos (2022), section 5.4.1. The chapter *Judging dreams*.
    """
    reference = _check_images(reference, "reference")
    generated = _check_images(generated, "generated", reference.shape[1])
    distance = nearest_training_image(reference, generated).distance
    return float(distance.sum() if total else distance.mean())


def _class_means(images, y):
    """Return the mean image of each class, the classes, and the row of each image's class."""
    classes, row = np.unique(y, return_inverse=True)
    means = [images[row == k].mean(axis=0, dtype=np.float64) for k in range(len(classes))]
    return np.stack(means), classes, row


# What a classifier learns from dreams -------------------------------------------------------------


class OneNN(NamedTuple):
    """What a nearest neighbour classifier does with the first ``n_generated`` images.

    Attributes
    ----------
    n_generated : int
        G, the number of images it may look at.
    accuracy : float
        The share of test images whose nearest image has the right label.
    correct : ndarray of bool, shape (n_test,)
        Which ones: what :func:`compare_accuracies` wants.
    distance : ndarray, shape (n_test,)
        Distance to the nearest image, in pixels; its mean is the :func:`coverage_gap`.
    """

    n_generated: int
    accuracy: float
    correct: np.ndarray
    distance: np.ndarray


def one_nn_accuracy(generated, y_generated, X, y):
    """Compute (1/n) sum_i [label of the nearest generated image = y_i]: 1-NN that learnt from dreams.

    Each test image gets the label of the generated image nearest to it. The baseline is the same
    number with the training images in place of the dreams, **on test images**: on its own training
    images this classifier is always right, so that a line drawn there says nothing.

    High accuracy does not need variety. Ten images, one mean for each class, get far with the
    ten classes of handwritten digits: :func:`template_accuracy` is that control. Nor does it need
    novelty: training images that are merely repeated reach the baseline.

    (Elsewhere "1-NN accuracy" is a two-sample test, whether real and generated images can be told
    apart. This is another measure.)

    Parameters
    ----------
    generated : array_like, shape (n_generated, n_pixels)
        Images to learn from, pixels in [0, 1]. Grey on one side and bits on the other costs points.
    y_generated : array_like, shape (n_generated,)
        Their labels.
    X : array_like, shape (n_test, n_pixels)
        Images to classify.
    y : array_like, shape (n_test,)
        Their labels.

    Returns
    -------
    float
        Accuracy from 0 to 1. Its standard error is sqrt(a (1 - a) / n_test); for an interval take
        ``scipy.stats.binomtest(round(a * n), n).proportion_ci(method="wilson")``. To compare
        two of them on the same test images use :func:`compare_accuracies`, which is sharper.

    Raises
    ------
    ValueError
        If there is no image, a pixel leaves [0, 1], or lengths differ.

    References
    ----------
    Ramos (2022), sections 5.4 and 5.5. The chapter *Judging dreams*.
    """
    (result,) = one_nn_curve([(generated, y_generated)], X, y)
    return result.accuracy


def one_nn_curve(batches, X, y):
    """Follow :func:`one_nn_accuracy` while the generated set grows, in one pass over it.

    The nearest image among the first G + 1 is the nearest among the first G or the new one, so
    that a running minimum gives the accuracy at every G for the price of the largest. The sets are
    nested. No more than one batch is held in memory.

    Parameters
    ----------
    batches : iterable of (array_like, array_like)
        Generated images (n, n_pixels) and their labels (n,), portion by portion; a generator that
        lets machines dream as it goes will do. Every batch should hold the same number of each
        class, in random order where images are bits: of equal distances the first counts.
    X : array_like, shape (n_test, n_pixels)
        Images to classify, pixels in [0, 1].
    y : array_like, shape (n_test,)
        Their labels.

    Yields
    ------
    OneNN
        After each batch: accuracy, who is classified right, and the distances.

    Raises
    ------
    ValueError
        If there is no image, a pixel leaves [0, 1], or lengths differ.

    References
    ----------
    Ramos (2022), section 5.5. The chapter *Judging dreams*.
    """
    search = _NearestSoFar(_check_images(X, "X"))
    y = _check_labels(y, "y", len(search.queries))
    labels = []
    for generated, y_generated in batches:
        generated = _check_images(generated, "generated", search.queries.shape[1])
        labels.append(_check_labels(y_generated, "y_generated", len(generated)))
        search.show(generated)
        index, distance = search.nearest
        correct = np.concatenate(labels)[index] == y
        yield OneNN(search.n_seen, float(correct.mean()), correct, distance)


def template_accuracy(X_train, y_train, X, y):
    """Compute the accuracy of the nearest class mean: one template image for each class.

    The control for :func:`one_nn_accuracy`. A set of dreams without any variety, each the mean of its
    class, reaches this much; only what is above it can be due to anything else.

    Parameters
    ----------
    X_train : array_like, shape (n_train, n_pixels)
        Images that are averaged, pixels in [0, 1].
    y_train : array_like, shape (n_train,)
        Their labels.
    X : array_like, shape (n_test, n_pixels)
        Images to classify.
    y : array_like, shape (n_test,)
        Their labels.

    Returns
    -------
    float
        Accuracy from 0 to 1.

    Raises
    ------
    ValueError
        As for :func:`one_nn_accuracy`.

    References
    ----------
    The chapter *Other worlds*.
    """
    X_train = _check_images(X_train, "X_train")
    means, classes, _ = _class_means(X_train, _check_labels(y_train, "y_train", len(X_train)))
    return one_nn_accuracy(means, classes, X, y)


def improvement_factor(accuracy_generated, accuracy_train):
    """Compute accuracy(learnt from dreams) / accuracy(learnt from the training images).

    The name, that of the thesis, promises what the number rarely shows: below 1 the dreams are worse
    than the images they come from. Both published factors above 1 are of grey CIFAR-10, where the
    baseline is so low that a few points make a large factor, and where ten mean images classify
    nearly as well as all that they are the means of: report :func:`template_accuracy` beside it.

    Parameters
    ----------
    accuracy_generated : float
        Accuracy of 1-NN on the generated images, from 0 to 1.
    accuracy_train : float
        Accuracy of 1-NN on the training images **for the same test images**, above 0.

    Returns
    -------
    float
        The ratio. For its interval see :func:`compare_accuracies`.

    Raises
    ------
    ValueError
        If an accuracy is not in its range.

    References
    ----------
    Ramos (2022), section 5.6.1 and table 5.1. The chapter *Other worlds*.
    """
    accuracy_generated = check_number(accuracy_generated, "accuracy_generated", low=0, high=1)
    return accuracy_generated / check_number(
        accuracy_train, "accuracy_train", low=0, high=1, low_open=True
    )


class AccuracyComparison(NamedTuple):
    """Two accuracies on the same test images: difference and ratio with bootstrap intervals.

    Attributes
    ----------
    difference : float
        a - b.
    difference_interval : tuple of float
        Low and high end.
    ratio : float
        a / b, the :func:`improvement_factor` where b is learnt from the training images.
    ratio_interval : tuple of float
        Low and high end.
    """

    difference: float
    difference_interval: tuple[float, float]
    ratio: float
    ratio_interval: tuple[float, float]


def compare_accuracies(
    correct_a, correct_b, *, confidence=0.95, n_resamples=10_000, random_state=None
):
    """Compare two classifiers on the same images: a - b and a / b with paired bootstrap intervals.

    Images are drawn anew with replacement, each with both its answers. What is easy for one
    classifier is so for the other, so the difference varies less than two separate intervals
    suggest. Each image is one of four kinds, both right, only one, only the other, none; drawing
    the numbers of the kinds from the multinomial distribution is the same and costs nothing.

    Parameters
    ----------
    correct_a, correct_b : array_like of bool, shape (n_test,)
        Which images each classifies right, such as ``OneNN.correct``; b must be right once.
    confidence : float
        Of the percentile intervals, between 0 and 1.
    n_resamples : int
        Number of bootstrap samples.
    random_state : None, int or numpy.random.Generator
        The source of randomness.

    Returns
    -------
    AccuracyComparison
        ``difference``, ``difference_interval``, ``ratio``, ``ratio_interval``. They speak of other
        test images, not of another training of the machines: for that repeat with other seeds.

    Raises
    ------
    ValueError
        If the answers are not 0 and 1 or differ in number, or b is never right.

    References
    ----------
    B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13. The chapter
    *Judging dreams*.
    """
    a = check_array(correct_a, "correct_a", ndim=1, bits=True).astype(bool)
    b = check_array(correct_b, "correct_b", ndim=1, bits=True).astype(bool)
    if len(a) != len(b) or not b.any():
        raise ValueError(
            f"correct_a and correct_b must be equally long and b right once, got {len(a)} and "
            f"{len(b)} answers, {b.sum()} of b right"
        )
    confidence = check_number(confidence, "confidence", low=0, high=1)
    n_resamples = check_count(n_resamples, "n_resamples")
    kinds = np.array([(a & b).sum(), (a & ~b).sum(), (~a & b).sum(), (~a & ~b).sum()])
    drawn = as_generator(random_state).multinomial(len(a), kinds / len(a), n_resamples)
    right_a, right_b = drawn[:, 0] + drawn[:, 1], drawn[:, 0] + drawn[:, 2]
    ratios = np.full(n_resamples, np.inf)  # a few images, drawn anew, may miss all that b knows
    np.divide(right_a, right_b, out=ratios, where=right_b > 0)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    differences = (right_a - right_b) / len(a)
    ends = [np.quantile(x, tails, method="inverted_cdf").tolist() for x in (differences, ratios)]
    return AccuracyComparison(
        float(a.mean() - b.mean()), tuple(ends[0]), float(a.mean() / b.mean()), tuple(ends[1])
    )


# What the layers know -----------------------------------------------------------------------------


class LayerAccuracy(NamedTuple):
    """Accuracy of a logistic regression on some layers of a machine.

    Attributes
    ----------
    layers : tuple of int
        The layers whose activations it sees, side by side; 0 is the data.
    train, test : float
        Accuracy from 0 to 1 on both sets.
    n_iter : int
        Iterations of the solver.
    """

    layers: tuple[int, ...]
    train: float
    test: float
    n_iter: int


def layerwise_accuracy(
    machine,
    X_train,
    y_train,
    X_test,
    y_test,
    *,
    layers=None,
    features="averaged",
    n_samples=10,
    max_iter=10_000,
    random_state=None,
):
    """Measure how well classes can be separated linearly in the layers of a recognition network.

    A logistic regression (softmax, L2 penalty |W|^2 / 2 against the summed loss, solved to convergence)
    learns the class from the activations of one layer, or of several side by side.

    Layers are of different width, and 16 units cannot say what 625 can. Compare machines at the same
    layer, or with layer 0, the pixels. A layer that scores high need not have learnt anything:
    compare with the same machine untrained.

    Parameters
    ----------
    machine : object with ``recognize(X, means=, random_state=)`` and ``recognition_``
        Such as :class:`hmlib.helmholtz.HelmholtzMachine`.
    X_train, X_test : array_like, shape (n_samples, n_features)
        Data.
    y_train, y_test : array_like, shape (n_samples,)
        Classes.
    layers : iterable of int or of tuple of int, optional
        What to learn from: 2 for layer 2, (1, 2) for both. By default each layer alone, then layers
        1 to l for each l, then layers l to the top.
    features : "averaged", "sample" or "mean-field"
        "averaged": sample a path upwards, take the probabilities of each layer given the bits below,
        and average over ``n_samples`` paths. "sample": the bits of one path, which are what the
        layer above sees, and noisiest. "mean-field": probabilities passed up. Layer 0 is the data as
        given in all three. The choice changes the result more than most machines do: state it.
    n_samples : int
        Number of paths for "averaged". Above the first layer fewer paths mean noisier features.
    max_iter : int
        Iterations at most; scikit-learn warns if they do not suffice.
    random_state : None, int or numpy.random.Generator
        For the paths.

    Returns
    -------
    list of LayerAccuracy
        ``layers``, ``train``, ``test``, ``n_iter``, in the order of ``layers``.

    Raises
    ------
    ValueError
        If ``features`` or a layer is unknown, or lengths differ.

    References
    ----------
    Ramos (2022), sections 5.1 and 5.2, which do not say which features or which penalty. The chapter
    *The depth problem*.
    """
    check_is_fitted(machine)
    rng = as_generator(random_state)
    y_train = _check_labels(y_train, "y_train", len(X_train))
    y_test = _check_labels(y_test, "y_test", len(X_test))
    n_samples = check_count(n_samples, "n_samples")
    choices = _check_layers(layers, len(machine.recognition_))
    train = _activations(machine, X_train, features, n_samples, rng)
    test = _activations(machine, X_test, features, n_samples, rng)
    results = []
    for chosen in choices:
        seen, unseen = (np.hstack([side[layer] for layer in chosen]) for side in (train, test))
        model = LogisticRegression(C=1.0, max_iter=max_iter).fit(seen, y_train)
        scores = float(model.score(seen, y_train)), float(model.score(unseen, y_test))
        results.append(LayerAccuracy(chosen, *scores, int(model.n_iter_.max())))
    return results


def _activations(machine, X, features, n_samples, rng):
    """Return the features of all layers, data first."""
    if features == "mean-field":
        hidden = machine.recognize(X, means=True)[1:]
    elif features == "sample":
        hidden = machine.recognize(X, random_state=rng)[1:]
    elif features == "averaged":
        total = _means_on_a_path(machine, X, rng)
        for _ in range(n_samples - 1):
            total = [a + b for a, b in zip(total, _means_on_a_path(machine, X, rng))]
        hidden = [a / n_samples for a in total]
    else:
        raise ValueError(f'features must be "averaged", "sample" or "mean-field", got {features!r}')
    return [np.asarray(X, dtype=hidden[0].dtype), *hidden]


def _means_on_a_path(machine, X, rng):
    """Sample the layers one after another; return the probabilities of each given the one below."""
    path = machine.recognize(X, random_state=rng)
    return [layer.mean(below) for layer, below in zip(machine.recognition_, path)]


def _check_layers(layers, top):
    """Return the sets of layers as tuples, those of the default if None."""
    if layers is None:
        alone = range(top + 1)
        upwards = (tuple(range(1, last + 1)) for last in range(2, top + 1))
        downwards = (tuple(range(first, top + 1)) for first in range(top - 1, 1, -1))
        layers = [*alone, *upwards, *downwards]
    chosen = [tuple(np.atleast_1d(layer).tolist()) for layer in layers]
    known = range(top + 1)
    if not all(c and all(isinstance(i, int) and i in known for i in c) for c in chosen):
        raise ValueError(f"layers must be ints from 0 to {top}, or tuples of them, got {layers!r}")
    return chosen


# Checks -------------------------------------------------------------------------------------------


def _check_images(images, name, n_pixels=None):
    images = check_array(images, name, ndim=2, n_columns=n_pixels, low=0, high=1)
    if 0 in images.shape:
        raise ValueError(f"{name} must have at least 1 row and 1 pixel, got shape {images.shape}")
    return images


def _check_labels(y, name, n):
    y = np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"{name} must hold one label for each of {n} images, got shape {y.shape}")
    return y
