"""Dreams of digits from seventy random architectures, each with every start.

A run trains ten machines of one architecture, each on the images of one class, and lets them dream a
labelled set as large as the training set. How well does a nearest neighbour classifier learn from it,
how varied is it, how new, what does it miss? And how does this depend on the size of the machines, and
does that depend on the learning rate? Every architecture is trained at several rates. The same measures
are taken of three sets that no machine has dreamt: other real images, what a perfect machine would
give; the training images themselves; and one mean image for each class. Chapter *Judging dreams*.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hmlib.experiments.initialisations import Images, class_samples, make_machine
from hmlib.experiments.memory import parameter_counts
from hmlib.experiments.pictures import encode_pictures
from hmlib.experiments.provenance import generator
from hmlib.experiments.training import keep, resume
from hmlib.metrics import diversity, nearest_training_image

NAME = "architectures"

REFERENCES = ("other images", "training images", "class means")
SLOWER, SLOWEST = ", slower", ", slowest"  # after the name of a start: at a part of its rate


@dataclass(frozen=True)
class Settings:
    """What one profile trains and how it measures.

    Attributes
    ----------
    data : tuple of str
        The image set, one.
    n_train : int
        Training images, as many of each class, the same for all runs.
    n_dreams : int
        Dreams of each machine; they are probabilities of the pixels, not bits.
    n_architectures : int
        How many are drawn.
    max_depth : int
        Most hidden layers; the number of them is uniform from 1 to this.
    min_side, max_side : int
        The layers are squares, with sides drawn from these and between, all different, the largest
        next to the data.
    learning_rates : dict of str to float
        The starts, and the highest rate with each, for all architectures.
    rates : dict of str to float
        The part of these rates that is taken, by what then stands after the name of the start.
    n_epochs : int
        Epochs in all, whatever the start.
    n_stage_epochs : int
        How many of them a pyramid spends in its stages, at most: each of the stages, one for each
        hidden layer, gets its share without remainder; see :func:`stage_epochs`.
    batch_size : int
        Images in a mini-batch.
    n_pictured : int
        Of how many architectures, the first ones, a dream of each class is kept as a picture.
    """

    data: tuple
    n_train: int
    n_dreams: int
    n_architectures: int
    max_depth: int
    min_side: int
    max_side: int
    learning_rates: dict
    rates: dict
    n_epochs: int
    n_stage_epochs: int
    batch_size: int
    n_pictured: int


PROFILES = {
    "smoke": Settings(
        data=("digits",),
        n_train=200,
        n_dreams=20,
        n_architectures=3,
        max_depth=3,
        min_side=2,
        max_side=7,
        learning_rates={"random": 0.1, "clamped": 0.1, "pyramid": 0.1, "zero": 0.1},
        rates={"": 1.0, SLOWER: 0.5},
        n_epochs=6,
        n_stage_epochs=3,
        batch_size=20,
        n_pictured=1,
    ),
    "book": Settings(
        data=("digits",),
        n_train=500,
        n_dreams=50,
        n_architectures=6,
        max_depth=4,
        min_side=2,
        max_side=7,
        learning_rates={"random": 0.1, "clamped": 0.1, "pyramid": 0.1, "zero": 0.1},
        rates={"": 1.0, SLOWER: 0.5, SLOWEST: 0.25},
        n_epochs=24,
        n_stage_epochs=12,
        batch_size=20,
        n_pictured=1,
    ),
    # Rates are the best of "learning-rates" for 784-400-100, a machine for each class, where training
    # lasts longer. Twelve epochs are the fewest of which half are an epoch for each of six stages.
    "paper": Settings(
        data=("mnist",),
        n_train=8000,
        n_dreams=800,
        n_architectures=70,
        max_depth=6,
        min_side=3,
        max_side=27,
        learning_rates={"random": 0.05, "clamped": 0.1, "pyramid": 0.1, "zero": 0.05},
        rates={"": 1.0, SLOWER: 0.5, SLOWEST: 0.25},
        n_epochs=12,
        n_stage_epochs=6,
        batch_size=20,
        n_pictured=2,
    ),
}


def runs(settings):
    """List the keys: source, a start or a reference, and the number of the architecture, or None.

    The references come first; then rate by rate and architecture by architecture all starts.
    """
    sources = [(name, None) for name in REFERENCES]
    sources += [
        (start + rate, number)
        for rate in settings.rates
        for number in range(settings.n_architectures)
        for start in settings.learning_rates
    ]
    return [{"source": name, "architecture": number, "seed": 0} for name, number in sources]


def draw_architectures(settings):
    """Draw the sizes of the hidden layers of all architectures; more of them begin with the same.

    Returns
    -------
    list of tuple of int
        Sizes, data side first: squares of different sides, the largest first.
    """
    rng = generator(what="architectures")
    sides = np.arange(settings.min_side, settings.max_side + 1)
    architectures = []
    for _ in range(settings.n_architectures):
        depth = rng.integers(1, settings.max_depth, endpoint=True)
        drawn = np.sort(rng.choice(sides, size=depth, replace=False))[::-1]
        architectures.append(tuple((drawn**2).tolist()))
    return architectures


def stage_epochs(n_stage_epochs, hidden):
    """Compute how many epochs each stage gets: as many as fit into what all may take together."""
    return n_stage_epochs // len(hidden)


def run(settings, run, *, data, checkpoint=None):
    """Make one labelled set and measure it; the dreams are saved after each class."""
    (name,) = settings.data
    train = class_samples(data[name], settings.n_train, {})
    test = Images(data[name].x_test, data[name].y_test)
    if run["source"] in REFERENCES:
        made, about = _reference(run["source"], train, data[name]), {}
    else:
        hidden = draw_architectures(settings)[run["architecture"]]
        made = _dreamt(settings, run, hidden, train, checkpoint)
        about = _describe(settings, hidden, train)
        if run["architecture"] < settings.n_pictured and run["source"] in settings.learning_rates:
            about["dreams"] = encode_pictures(made.x[:: settings.n_dreams])  # the first of each
    return {**_measure(made, train, test), **about}


def _split(source):
    """Split the name of a source into that of the start and what says at which rate."""
    start, comma, words = source.partition(",")
    return start, comma + words


def _dreamt(settings, run, hidden, train, checkpoint):
    """Let a machine for each class learn and dream."""
    classes = np.unique(train.y).tolist()
    start, rate = _split(run["source"])
    (dreams,) = resume(checkpoint) or ([],)
    for label in classes[len(dreams) :]:
        common = {"architecture": run["architecture"], "seed": run["seed"], "label": label}
        machine = make_machine(
            start,
            hidden,
            n_epochs=settings.n_epochs,
            stage_epochs=stage_epochs(settings.n_stage_epochs, hidden),
            learning_rate=settings.rates[rate] * settings.learning_rates[start],
            batch_size=settings.batch_size,
            random_state=generator(what="training", **common),
        ).fit(train.x[train.y == label])
        rng = generator(what="dreams", **common)
        dreams.append(machine.sample(settings.n_dreams, probabilities=True, random_state=rng))
        keep(checkpoint, dreams)
    return Images(np.concatenate(dreams), np.repeat(classes, settings.n_dreams))


def _reference(source, train, dataset):
    """Make a labelled set without any machine."""
    if source == "training images":
        return train
    if source == "class means":
        classes = np.unique(train.y)
        return Images(np.stack([train.x[train.y == c].mean(axis=0) for c in classes]), classes)
    n = len(train.y)  # of the same key the smaller set is the beginning of the larger
    return Images(*(part[n:] for part in class_samples(dataset, 2 * n, {})))


def _describe(settings, hidden, train):
    """Say how large a machine is."""
    counts = parameter_counts(train.x.shape[1], hidden)
    return {
        "hidden": hidden,
        "depth": len(hidden),
        "n_units": sum(hidden),
        "n_parameters": counts.parameters_generative + counts.parameters_recognition,
        "stage_epochs": stage_epochs(settings.n_stage_epochs, hidden),
    }


def _measure(made, train, test):
    """Judge a labelled set by the images that it was made from and by those it was not."""
    seen, unseen = (nearest_training_image(images.x, made.x) for images in (train, test))
    return {
        "n_made": len(made.y),
        "accuracy_train": np.mean(made.y[seen.index] == train.y),
        "accuracy_test": np.mean(made.y[unseen.index] == test.y),
        "diversity": diversity(made.x),
        "diversity_in_class": diversity(made.x, made.y),
        "coverage_gap_train": seen.distance.mean(),
        "coverage_gap_total": seen.distance.sum(),
        "coverage_gap_test": unseen.distance.mean(),
        "novelty": nearest_training_image(made.x, train.x).distance.mean(),
    }


# The table ----------------------------------------------------------------------------------------

QUANTITIES = {
    "1-NN, test": "accuracy_test",
    "1-NN, train": "accuracy_train",
    "ADM": "diversity",
    "ADM in class": "diversity_in_class",
    "gap, total": "coverage_gap_total",
    "gap, test": "coverage_gap_test",
    "novelty": "novelty",
}


class Estimate(NamedTuple):
    """A statistic of the architectures, and the ends of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self):
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


def bootstrap(statistic, *columns, n_resamples=4000, seed=0):
    """Compute a statistic, and its percentile interval when rows are drawn anew with replacement.

    Parameters
    ----------
    statistic : callable
        ``statistic(*columns)`` of arrays of shape (..., n_rows) has the shape (...).
    *columns : array_like, shape (n_rows,)
        A row of them is one architecture: what belongs together is drawn together.
    n_resamples, seed : int
        How often, and the seed. The same one for different columns means the same rows, so that
        what is said of two starts is about the same architectures.

    Returns
    -------
    Estimate or None
        None if there are fewer than two rows, or they have no such statistic, as equal x no slope.
    """
    columns = [np.asarray(column, dtype=float) for column in columns]
    n = len(columns[0])
    value = statistic(*columns) if n > 1 else np.nan
    if np.isnan(value):
        return None
    rows = np.random.default_rng(seed).integers(n, size=(n_resamples, n))
    values = statistic(*(column[rows] for column in columns))
    low, high = np.nanquantile(values, [0.025, 0.975])  # of rows that are all alike it is nan
    return Estimate(float(value), float(low), float(high))


def median(records, source, quantity):
    """Compute the median over architectures: an :class:`Estimate`."""
    return bootstrap(_median, *_columns(records, [source], [quantity]))


def spread(records, source, quantity):
    """Compute the standard deviation over architectures: an :class:`Estimate`."""
    return bootstrap(_std, *_columns(records, [source], [quantity]))


def difference(records, source, quantity, other="random"):
    """Compute the mean of one start minus another with the same architecture: an :class:`Estimate`."""
    columns = _columns(records, [source, other], [quantity])
    return bootstrap(lambda a, b: (a - b).mean(axis=-1), *columns)


def spread_difference(records, source, quantity, other="random"):
    """Subtract two standard deviations over the same architectures: an :class:`Estimate`."""
    columns = _columns(records, [source, other], [quantity])
    return bootstrap(lambda a, b: _std(a) - _std(b), *columns)


def slope(records, source, quantity, by):
    """Fit quantity = a + b x by least squares, x being ``by``, and return b as an :class:`Estimate`.

    Parameters
    ----------
    records : list of dict
        Of the experiment.
    source : str
        A start, with ``SLOWER`` or ``SLOWEST`` after it or not.
    quantity : str
        A metric, such as ``"accuracy_test"``.
    by : str
        What it depends on: ``"n_units"``, the number of hidden units, or ``"depth"``. The deeper
        architectures have more units, so that each slope holds a share of the other.

    Returns
    -------
    Estimate or None
        Per unit, or per layer.

    References
    ----------
    Ramos (2022), figure 5.8.
    """
    return bootstrap(_slope, *_columns(records, [source], [by, quantity]))


def slope_difference(records, source, quantity, by, other="random"):
    """Subtract the slopes of two starts over the same architectures: an :class:`Estimate`."""
    x, y, _, y_other = _columns(records, [source, other], [by, quantity])
    return bootstrap(lambda x, y, z: _slope(x, y) - _slope(x, z), x, y, y_other)


def best_rates(records, own=False):
    """Keep for each start the rate at which dreams teach the training images best.

    Parameters
    ----------
    records : list of dict
        Of the experiment.
    own : bool
        Whether each architecture has a rate of its own. If not, a start has one rate, the best
        in the mean over architectures.

    Returns
    -------
    list of dict
        The records of the references, and of each start and architecture that of the best rate by
        ``"accuracy_train"``: ``"source"`` is now the start alone, and ``"rate"`` what stood after
        it. Test images have no part in the choice, nor has a rate that is not yet on record for all.
    """
    kept, found = [], defaultdict(dict)
    for record in records:
        if record["source"] in REFERENCES:
            kept.append(record)
        else:
            start, rate = _split(record["source"])
            found[start, record["architecture"]][rate] = {**record, "source": start, "rate": rate}
    counts = Counter(rate for rates in found.values() for rate in rates)
    tried = [rate for rate, n in counts.items() if n == max(counts.values())]
    by_start = defaultdict(list)
    for (start, _), rates in found.items():
        if all(rate in rates for rate in tried):
            by_start[start].append([rates[rate] for rate in tried])
    for machines in by_start.values():
        taught = np.array([[r["accuracy_train"] for r in machine] for machine in machines])
        scores = taught if own else np.broadcast_to(taught.mean(axis=0), taught.shape)
        kept += [machine[k] for machine, k in zip(machines, scores.argmax(axis=1))]
    return kept


def _median(values):
    return np.median(values, axis=-1)


def _std(values):
    return values.std(axis=-1, ddof=1)


def _slope(x, y):
    x = x - x.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return (x * y).sum(axis=-1) / (x * x).sum(axis=-1)


def _columns(records, sources, quantities):
    """List the quantities of each of the sources, for the architectures that all of these have."""
    found = {(record["source"], record["architecture"]): record for record in records}
    numbers = sorted({number for source, number in found if source == sources[0]})
    common = [n for n in numbers if all((source, n) in found for source in sources)]
    return [
        [found[source, n][quantity] for n in common]
        for source in sources
        for quantity in quantities
    ]


def summary(records):
    """Compare the starts over all architectures.

    Differences are those from the random start at the same factor of the rate. The full rates are not
    the same for all starts; ``best_rates`` chooses a rate for each.
    """
    groups = defaultdict(list)
    for record in records:
        groups[record["source"]].append(record)
    order = sorted(groups, key=lambda source: source in REFERENCES)
    return [
        _row(records, title, source, len(groups[source]))
        for title in QUANTITIES
        for source in order
    ]


def _row(records, title, source, n_runs):
    quantity = QUANTITIES[title]
    row = {"quantity": title, "source": source, "runs": n_runs}
    if source in REFERENCES:
        (values,) = _columns(records, [source], [quantity])
        return {**row, "median": float(np.median(values)), **dict.fromkeys(COLUMNS)}
    other = "random" + _split(source)[1]
    statistics = [
        spread(records, source, quantity),
        difference(records, source, quantity, other),
        spread_difference(records, source, quantity, other),
        slope(records, source, quantity, "n_units"),
        slope(records, source, quantity, "depth"),
    ]
    return {
        **row,
        "median": median(records, source, quantity),
        **dict(zip(COLUMNS, statistics)),
    }


COLUMNS = ("std.", "mean - random", "std. - random", "slope by units", "slope by layers")
