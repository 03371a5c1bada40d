"""What a nearest-neighbour classifier learns from dreams, and from images made without a machine.

Ten machines, one for each class, learn from ten thousand images and dream labelled sets of growing
size. How many test images does the nearest dream name correctly: as many as the nearest training
image (the line)? As many as the nearest of ten mean images (the template)? Controls make sets of the
same size from the training images alone, by noise, by drawing bits, by blurring, by shifting, by
pulling them towards the mean of their class, or by mixing each with a neighbour: does it take a
machine to cross the line? The chapters of *The pyramid*; measures: chapter *Judging dreams*.
"""

import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import t as student
from sklearn.neighbors import NearestNeighbors

from hmlib.experiments.initialisations import STARTS, Images, class_samples, make_machine
from hmlib.experiments.pictures import encode_pictures
from hmlib.experiments.provenance import generator
from hmlib.experiments.training import keep, resume
from hmlib.helmholtz import ClasswiseGenerator
from hmlib.metrics import (
    _class_means,
    compare_accuracies,
    diversity,
    one_nn_curve,
    template_accuracy,
)
from hmlib.units import sample_bernoulli

NAME = "generated-sets"

CONTROLS = ("noise", "bits", "blurred", "shifted", "pulled", "mixed")
WITHOUT_CHANCE = ("blurred", "pulled")  # one image for each training image
N_DRAWS = 5  # explanations of each test image for the bound
DIGITS = 7  # of differences of accuracies: fewer than those of records
PORTION = 10_000  # images that are made at a time: 31 MB of 784 pixels

# Ramos (2022), Table 5.1: accuracy with the dreams / accuracy with the training images.
THESIS_FACTORS = {
    "mnist": {"pyramid": 0.970, "random": 0.938, "zero": 0.905},
    "fashion-mnist": {"pyramid": 0.960, "random": 0.929, "zero": 0.909},
    "cifar10-gray": {"pyramid": 1.196, "random": 1.042, "zero": 0.872},
}


@dataclass(frozen=True)
class Settings:
    """What one profile trains and how it measures.

    Attributes
    ----------
    data : tuple of str
        The image sets.
    n_train : int
        Training images, as many of each class; the same for all sources of a seed.
    n_again : int
        How many of them are classified as well, by the generated sets.
    hidden : tuple of int
        Sizes of the hidden layers of each machine, data side first.
    n_seeds : dict of str to dict of int to int
        For each image set the repetitions by length of training in epochs, those of the stages
        included; the first is the length for which rates were chosen. 0 epochs are the controls.
    batch_size : int
        Samples in a mini-batch.
    learning_rates : dict of str to dict of str to float
        By image set and start, for every length of training.
    sizes : tuple of int
        Sizes of the generated sets, increasing; each set begins with the one before, and each size
        is a multiple of the number of classes.
    largest : dict of str to dict of int to int
        The last size by image set and length of training, as in ``n_seeds``.
    largest_once : dict of str to int
        The last size for the first seed of the longest training, where it is another.
    table_size : int
        The size that the table is about, and the last one for bits.
    noise, blur, pull, n_neighbors : float, float, float, int
        Of the controls: standard deviation of the noise; that of the blur, in pixels; the share of
        the way to the mean image of the class; of how many nearest training images of the same
        class one is mixed in.
    shown : dict of str to tuple of int
        For each image set, of which classes dreams are kept.
    n_shown : int
        How many of each.
    """

    data: tuple
    n_train: int
    n_again: int
    hidden: tuple
    n_seeds: dict
    batch_size: int
    learning_rates: dict
    sizes: tuple
    largest: dict
    largest_once: dict
    table_size: int
    noise: float = 0.1
    blur: float = 1.0
    pull: float = 0.5
    n_neighbors: int = 5
    shown: dict = None
    n_shown: int = 8


PROFILES = {
    "smoke": Settings(
        data=("digits",),
        n_train=200,
        n_again=50,
        hidden=(36, 16),
        n_seeds={"digits": {4: 2, 0: 1}},
        batch_size=20,
        learning_rates={"digits": dict.fromkeys(STARTS, 0.1)},
        sizes=(100, 200, 300, 500),
        largest={"digits": {4: 300, 0: 300}},
        largest_once={"digits": 500},
        table_size=200,
        shown={"digits": (3, 8)},
    ),
    "book": Settings(
        data=("digits",),
        n_train=1000,
        n_again=200,
        hidden=(36, 16),
        n_seeds={"digits": {12: 2, 40: 2, 0: 2}},
        batch_size=20,
        learning_rates={"digits": dict.fromkeys(STARTS, 0.1)},
        sizes=(100, 300, 1000, 3000, 10_000, 30_000),
        largest={"digits": {12: 3000, 40: 10_000, 0: 10_000}},
        largest_once={"digits": 30_000},
        table_size=1000,
        shown={"digits": (3, 8)},
    ),
    "paper": Settings(
        data=("mnist", "fashion-mnist", "cifar10-gray"),
        n_train=10_000,
        n_again=1000,
        hidden=(400, 100),
        n_seeds={
            "mnist": {24: 5, 60: 5, 0: 5},
            "fashion-mnist": {24: 5, 0: 5},
            "cifar10-gray": {24: 5, 0: 5},
        },
        batch_size=20,
        # Rates are the best of the experiment "learning-rates", which trains for 24 epochs.
        learning_rates={
            "mnist": {"zero": 0.05, "random": 0.05, "pyramid": 0.1, "clamped": 0.1},
            "fashion-mnist": {"zero": 0.02, "random": 0.02, "pyramid": 0.05, "clamped": 0.02},
            "cifar10-gray": {"zero": 0.02, "random": 0.02, "pyramid": 0.02, "clamped": 0.01},
        },
        sizes=(1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000),
        largest={
            "mnist": {24: 20_000, 60: 100_000, 0: 100_000},
            "fashion-mnist": {24: 20_000, 0: 20_000},
            "cifar10-gray": {24: 20_000, 0: 20_000},
        },
        largest_once={"mnist": 200_000},
        table_size=10_000,
        shown={"mnist": (3, 8), "fashion-mnist": (2, 9), "cifar10-gray": (1, 7)},
    ),
}


def runs(settings):
    """List the keys: image set, source, epochs (0 for a control) and seed; first each one once."""
    keys = [
        {"set": name, "source": source, "epochs": n_epochs, "seed": seed}
        for name in settings.data
        for n_epochs, n_seeds in settings.n_seeds[name].items()
        for source in (STARTS if n_epochs else CONTROLS)
        for seed in range(n_seeds)
    ]
    return sorted(keys, key=lambda key: (key["seed"], _is_longer(settings, key)))


def run(settings, run, *, data, checkpoint=None):
    """Train the machines of one start, or prepare a control; classify by what they generate.

    The machines are kept when they are trained, and what was measured of each kind of images.
    """
    images, key = data[run["set"]], {"set": run["set"], "seed": run["seed"]}
    train = class_samples(images, settings.n_train, key)
    machines, metrics = resume(checkpoint) or (None, {})
    is_start = run["source"] in STARTS
    if is_start and machines is None:
        machines, metrics = _train(settings, run, train, images)
        keep(checkpoint, machines, metrics)
    make = _Dreams(machines, run) if is_start else _control(settings, run, train, images.shape)
    kinds = {"bits": ["bits"]}.get(run["source"], ["grey", "bits"] if is_start else ["grey"])
    for kind in kinds:
        if f"accuracy_{kind}" not in metrics:
            metrics.update(_measure(settings, run, kind, make, train, images))
            keep(checkpoint, machines, metrics)
    metrics["template"] = template_accuracy(*train, images.x_test, images.y_test)
    metrics["table_size"] = settings.table_size
    some, labels = make(0, 0, settings.sizes[0], kinds[0])
    metrics["roughness"] = _roughness(some, images.shape) / _roughness(train.x, images.shape)
    metrics["spread"] = diversity(some, labels) / diversity(*train)
    if is_start and run["seed"] == 0:
        metrics["dreams"] = _show(settings, run, make)
    return metrics


def _is_longer(settings, run):
    """Say whether a run is trained longer than the rates were chosen for."""
    return run["epochs"] > next(iter(settings.n_seeds[run["set"]]))


def _train(settings, run, train, images):
    """Train a machine on each class; say how well each describes the test images of its class.

    ``bound`` is their mean free-energy bound in nats; grey pixels count as means of bits.
    """
    n_epochs, rate = run["epochs"], settings.learning_rates[run["set"]][run["source"]]
    machine = make_machine(
        run["source"],
        settings.hidden,
        n_epochs=n_epochs,
        stage_epochs=n_epochs // (2 * len(settings.hidden)),  # half of all epochs are in stages
        learning_rate=rate,
        batch_size=settings.batch_size,
    )
    rng = generator(set=run["set"], seed=run["seed"], what="machines")  # the same for all starts
    start = time.process_time()
    machines = ClasswiseGenerator(machine, random_state=rng).fit(*train)
    seconds = time.process_time() - start
    bounds = [
        machine.free_energy_bound(images.x_test[images.y_test == label], N_DRAWS, random_state=0)
        for label, machine in zip(machines.classes_, machines.machines_)
    ]
    return machines, {
        "learning_rate": rate,
        "bound": np.concatenate(bounds).mean(),
        "training_seconds": seconds,
    }


# What is generated --------------------------------------------------------------------------------


class _Dreams:
    """Dreams of machines: of the same dream the probabilities, or the bits that are drawn from them."""

    def __init__(self, machines, run):
        self.machines, self.run = machines, run

    def __call__(self, number, first, n, kind):
        """Make ``n`` labelled images, portion ``number`` of the set, classes taking turns."""
        rng = generator(**self.run, what="dreams", portion=number)
        per_class = n // len(self.machines.classes_)
        return self.machines.sample(per_class, probabilities=kind == "grey", random_state=rng)


def _control(settings, run, train, shape):
    """Return the function that makes a portion of a control, from training images in turn."""
    if run["source"] == "mixed":
        neighbors = _neighbors(train, settings.n_neighbors)
    if run["source"] == "blurred":
        width = (0, settings.blur, settings.blur)
        altered = gaussian_filter(train.x.reshape(-1, *shape), width).reshape(train.x.shape)
    if run["source"] == "pulled":
        means, _, row = _class_means(*train)
        altered = (train.x + settings.pull * (means[row] - train.x)).astype(train.x.dtype)

    def make(number, first, n, kind):
        rng = generator(**run, what="control", portion=number)
        rows = np.arange(first, first + n) % len(train.x)
        x = train.x[rows]
        if run["source"] == "noise":
            x = x + settings.noise * rng.standard_normal(x.shape, dtype=x.dtype)
        elif run["source"] == "bits":
            x = sample_bernoulli(x, rng)
        elif run["source"] in WITHOUT_CHANCE:
            x = altered[rows]
        elif run["source"] == "shifted":
            x = _shifted(x, shape, rng)
        else:
            other = train.x[neighbors[rows, rng.integers(settings.n_neighbors, size=n)]]
            x = x + rng.random((n, 1), dtype=x.dtype) * (other - x)
        return x.clip(0, 1), train.y[rows]

    return make


def _neighbors(train, k):
    """Find the k nearest other images of the same class, shape (n_images, k)."""
    found = np.empty((len(train.y), k), dtype=int)
    for label in np.unique(train.y):
        rows = np.flatnonzero(train.y == label)
        nearest = NearestNeighbors(n_neighbors=k).fit(train.x[rows])
        found[rows] = rows[nearest.kneighbors(return_distance=False)]
    return found


def _shifted(x, shape, rng):
    """Move each image by -1, 0 or 1 pixels in both directions; the edge is repeated."""
    height, width = shape
    wide = np.pad(x.reshape(-1, *shape), ((0, 0), (1, 1), (1, 1)), mode="edge")
    down, right = rng.integers(3, size=(2, len(x), 1, 1))
    rows, columns = down + np.arange(height)[:, None], right + np.arange(width)
    return wide[np.arange(len(x))[:, None, None], rows, columns].reshape(x.shape)


# What is measured ---------------------------------------------------------------------------------


def _measure(settings, run, kind, make, train, images):
    """Follow the accuracy with the size of the set; compare it with that of the training images."""
    seen = {"grey": lambda x: x, "bits": lambda x: (x > 0.5).astype(x.dtype)}[kind]
    queries = Images(
        seen(np.concatenate([images.x_test, train.x[: settings.n_again]])),
        np.concatenate([images.y_test, train.y[: settings.n_again]]),
    )
    n_test, sizes = len(images.y_test), _sizes(settings, run, kind)
    (line,) = one_nn_curve([(seen(train.x), train.y)], queries.x[:n_test], queries.y[:n_test])
    points = defaultdict(list)
    for result in one_nn_curve(_portions(make, run, kind, sizes), *queries):
        if result.n_generated in sizes:
            rng = generator(**run, what="bootstrap", kind=kind, size=result.n_generated)
            test = result.correct[:n_test]
            against = compare_accuracies(test, line.correct, random_state=rng)
            points["accuracy"].append(test.mean())
            points["accuracy_again"].append(result.correct[n_test:].mean())
            points["gap"].append(result.distance[:n_test].mean())
            points["factor"].append(against.ratio)
            points["factor_low"].append(against.ratio_interval[0])
            points["factor_high"].append(against.ratio_interval[1])
    points.update(sizes=sizes, line=line.accuracy, line_gap=line.distance.mean())
    return {f"{name}_{kind}": value for name, value in points.items()}


def _sizes(settings, run, kind):
    """List the sizes of the generated sets of a run."""
    largest = settings.largest[run["set"]][run["epochs"]]
    if run["seed"] == 0 and run["epochs"] == max(settings.n_seeds[run["set"]]):
        largest = settings.largest_once.get(run["set"], largest)
    if kind == "bits" and run["source"] in STARTS:
        largest = settings.table_size
    if run["source"] in WITHOUT_CHANCE:
        largest = min(largest, settings.n_train)
    return [size for size in settings.sizes if size <= largest]


def _portions(make, run, kind, sizes):
    """Make a generated set portion by portion, in random order, so that it grows through ``sizes``."""
    number = first = 0
    for size in sizes:
        while first < size:
            n = min(PORTION, size - first)
            x, y = make(number, first, n, kind)
            order = generator(**run, what="order", portion=number).permutation(n)
            yield x[order], y[order]
            number, first = number + 1, first + n


def _roughness(x, shape):
    """Compute the mean squared difference of neighbouring pixels: small if blurred, large if noisy."""
    pictures = x.reshape(-1, *shape)
    return np.mean([np.square(np.diff(pictures, axis=axis)).mean() for axis in (1, 2)])


def _show(settings, run, make):
    """Keep the first dreams of some classes, as probabilities."""
    n = settings.n_shown * len(make.machines.classes_)
    x, y = make(0, 0, n, "grey")
    return encode_pictures(np.concatenate([x[y == c] for c in settings.shown[run["set"]]]))


# Tables -------------------------------------------------------------------------------------------


def summary(records):
    """Average over seeds: at the size of the thesis's table, and at the largest of all seeds.

    The columns "low" and "high" hold the 95 % interval of the factor over seeds, by Student's t;
    "images low" and "images high" that over test images, by the bootstrap, averaged over seeds.
    "- random" is the difference in accuracy to the random start on the same training images, trained
    as long, with the half width of its interval over seeds. "bound" is that of test images
    by the machine of their class, in nats. "rough" is the mean squared difference of neighbouring
    pixels, of what is generated (of dreams the probabilities) over that of the training images.
    """
    groups = defaultdict(list)
    for record in records:
        for kind in ("grey", "bits"):
            if f"accuracy_{kind}" in record:
                groups[record["set"], kind, record["source"], record["epochs"]].append(record)
    sources = [*STARTS, *CONTROLS]
    order = sorted(
        groups, key=lambda key: (key[0], key[1] == "bits", sources.index(key[2]), key[3])
    )
    rows = []
    for name, kind, source, n_epochs in order:
        group = groups[name, kind, source, n_epochs]
        random = groups.get((name, kind, "random", n_epochs), [])
        table_size, largest = group[0]["table_size"], _common_sizes(group, kind)[-1]
        thesis = THESIS_FACTORS.get(name, {}).get(source.replace("clamped", "pyramid"))
        for size in dict.fromkeys([min(table_size, largest), largest]):
            what = {"set": name, "images": kind, "source": source, "epochs": n_epochs, "G": size}
            row = _row(group, random, kind, size)
            is_in_table = (kind, size) == ("grey", table_size)
            rows.append({**what, **row, "thesis": thesis if is_in_table else None})
    return rows


def at(record, quantity, kind, size):
    """Return the quantity of a record, such as "accuracy", for a generated set of that size."""
    return record[f"{quantity}_{kind}"][_sizes_of(record, kind).index(size)]


def interval(values):
    """Return mean and half width of the 95 % interval of the mean by Student's t, if there is one."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return mean, None
    return mean, float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))


def _sizes_of(record, kind):
    return record[f"sizes_{kind}"]


def _common_sizes(group, kind):
    """List the sizes that all records have."""
    return [s for s in _sizes_of(group[0], kind) if all(s in _sizes_of(r, kind) for r in group)]


def _row(group, random, kind, size):
    """Average what the records of one source say of one size."""
    mean = {
        name: float(np.mean([at(record, name, kind, size) for record in group]))
        for name in ("accuracy", "accuracy_again", "factor", "factor_low", "factor_high")
    }
    _, half = interval([at(record, "factor", kind, size) for record in group])
    others = {r["seed"]: r for r in random if size in _sizes_of(r, kind)}
    pairs = [(record, others[record["seed"]]) for record in group if record["seed"] in others]
    differences = [
        round(at(one, "accuracy", kind, size) - at(other, "accuracy", kind, size), DIGITS)
        for one, other in pairs
    ]
    is_random = group[0]["source"] == "random"
    difference, width = interval(differences) if differences and not is_random else (None, None)
    return {
        "accuracy": mean["accuracy"],
        "of training": mean["accuracy_again"],
        "line": float(np.mean([record[f"line_{kind}"] for record in group])),
        "template": float(np.mean([record["template"] for record in group])),
        "factor": mean["factor"],
        "low": None if half is None else mean["factor"] - half,
        "high": None if half is None else mean["factor"] + half,
        "images low": mean["factor_low"],
        "images high": mean["factor_high"],
        "- random": difference,
        "+-": width,
        "bound": float(np.mean([r["bound"] for r in group])) if "bound" in group[0] else None,
        "rough": float(np.mean([record["roughness"] for record in group])),
        "runs": len(group),
    }
