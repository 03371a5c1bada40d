"""Which learning rate suits which start: machines of several architectures, judged by validation images.

A run trains one machine, or one for each class of images, on a part of the training set, and measures
it on another part; the test images are not looked at. The other experiments on starts take their
rates from :func:`best_rates`. Chapter *The image pyramid*.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from hmlib.experiments.initialisations import (
    STARTS,
    class_samples,
    make_machine,
    validation_split,
)
from hmlib.experiments.provenance import generator
from hmlib.experiments.training import train
from hmlib.helmholtz import ClasswiseGenerator
from hmlib.metrics import layerwise_accuracy

NAME = "learning-rates"


@dataclass(frozen=True)
class Settings:
    """What one profile trains and how it measures.

    Attributes
    ----------
    data : tuple of str
        The image sets.
    n_validation : int
        Images of each set that are kept from training, as many of each class.
    batch_size : int
        Samples in a mini-batch; rates are for the mean over it.
    architectures : dict of str to dict
        By name: ``data``, the image set; ``hidden``, sizes of the hidden layers, data side first;
        ``by_class``, whether there is a machine for each class or one for all; ``n_train``, images
        to learn from, in all; ``n_epochs``, epochs in all, of which ``stage_epochs`` go into each
        stage of a start that has stages; ``n_seeds``; and ``rates`` by start, in increasing order.
    n_draws : int
        Explanations of each image for the bound.
    n_readout : int
        Training images that the logistic regression learns from.
    """

    data: tuple
    n_validation: int
    batch_size: int
    architectures: dict
    n_draws: int
    n_readout: int


DEEP = (625, 484, 289, 196, 100, 16)
LOW, MIDDLE = (0.005, 0.01, 0.02, 0.05), (0.01, 0.02, 0.05, 0.1)
HIGH, HIGHER = (0.02, 0.05, 0.1, 0.2), (0.05, 0.1, 0.2, 0.5)


def _architecture(data, hidden, rates, n_epochs, stage_epochs, **others):
    """Describe an architecture; what is not told is as in most."""
    return {
        "data": data,
        "hidden": hidden,
        "rates": rates,
        "n_epochs": n_epochs,
        "stage_epochs": stage_epochs,
        **{"by_class": False, "n_train": 10_000, "n_seeds": 2, **others},
    }


def _rates(*of_each_start):
    """Give each start its grid, in the order of ``STARTS``."""
    return dict(zip(STARTS, of_each_start))


BY_CLASS = {"by_class": True, "n_epochs": 24, "stage_epochs": 6}

PROFILES = {
    "smoke": Settings(
        data=("digits",),
        n_validation=200,
        batch_size=20,
        architectures={
            "64-16-4": _architecture(
                "digits", (16, 4), dict.fromkeys(STARTS, (0.05, 0.2)), 6, 2, n_train=400
            ),
            "by class 64-16": _architecture(
                "digits", (16,), {"zero": (0.2,)}, 4, 1, n_train=400, n_seeds=1, by_class=True
            ),
        },
        n_draws=5,
        n_readout=200,
    ),
    "book": Settings(
        data=("digits",),
        n_validation=200,
        batch_size=20,
        architectures={
            "64-49-16": _architecture(
                "digits",
                (49, 16),
                dict.fromkeys(STARTS, (0.05, 0.1, 0.2, 0.5)),
                20,
                5,
                n_train=1000,
            ),
        },
        n_draws=20,
        n_readout=1000,
    ),
    "paper": Settings(
        data=("mnist", "fashion-mnist", "cifar10-gray"),
        n_validation=1000,
        batch_size=20,
        architectures={
            "mnist 784-625-484-289-196-100-16": _architecture(
                "mnist", DEEP, _rates(LOW, LOW, MIDDLE, MIDDLE), 12, 1, n_train=50_000, n_seeds=1
            ),
            "mnist 784-484-225-64": _architecture(
                "mnist", (484, 225, 64), _rates(MIDDLE, MIDDLE, HIGH, HIGH), 12, 2
            ),
            "mnist 784-709": _architecture("mnist", (709,), _rates(MIDDLE, MIDDLE), 12, 2),
            "mnist 784-400-100": _architecture(
                "mnist", (400, 100), _rates(MIDDLE, MIDDLE, HIGHER, HIGH), 12, 3
            ),
            "mnist by class 784-400-100": _architecture(
                "mnist", (400, 100), _rates(MIDDLE, MIDDLE, HIGH, HIGH), **BY_CLASS
            ),
            "fashion-mnist by class 784-400-100": _architecture(
                "fashion-mnist", (400, 100), _rates(*4 * [MIDDLE]), n_seeds=1, **BY_CLASS
            ),
            "cifar10-gray by class 1024-400-100": _architecture(
                "cifar10-gray", (400, 100), _rates(*4 * [LOW]), n_seeds=1, **BY_CLASS
            ),
        },
        n_draws=20,
        n_readout=3000,
    ),
}


def runs(settings):
    """List the keys: architecture, start, rate and seed; first all that have no repetition yet."""
    keys = [
        {"architecture": name, "start": start, "rate": rate, "seed": seed}
        for name, architecture in settings.architectures.items()
        for start, rates in architecture["rates"].items()
        for rate in rates
        for seed in range(architecture["n_seeds"])
    ]
    return sorted(keys, key=lambda key: key["seed"])


def run(settings, run, *, data, checkpoint=None):
    """Train at one rate and measure; with one machine for all images every epoch is saved.

    ``bound`` and ``bound_train`` are free-energy bounds in nats, and ``reconstruction`` is the mean
    squared error of a pixel. ``accuracy`` is that of a logistic regression on the top layer, or with
    a machine for each class that of the shortest description.
    """
    architecture = settings.architectures[run["architecture"]]
    images, validation = validation_split(data[architecture["data"]], settings.n_validation, {})
    images = class_samples(images, architecture["n_train"], {"seed": run["seed"]})
    machine = make_machine(
        run["start"],
        architecture["hidden"],
        learning_rate=run["rate"],
        batch_size=settings.batch_size,
        random_state=generator(**run),
        **{name: architecture[name] for name in ("n_epochs", "stage_epochs")},
    )
    if architecture["by_class"]:
        machines = ClasswiseGenerator(machine, random_state=generator(**run)).fit(*images)
        return _measure_classes(machines, images, validation, settings, run)
    machine, curve = train(
        machine,
        images.x,
        checkpoint,
        every=1,
        look=lambda machine: (_bound(machine, validation.x, 1, run).mean(),),
        columns=("bound",),
    )
    return {**_measure(machine, images, validation, settings, run), **curve}


def _measure(machine, images, validation, settings, run):
    """Measure a machine for all images, and how well its top layer tells the classes apart."""
    (readout,) = layerwise_accuracy(
        machine,
        *(part[: settings.n_readout] for part in images),
        *validation,
        layers=[len(machine.recognition_)],
        random_state=generator(**run, what="read-out"),
    )
    seen = images.x[: len(validation.x)]
    bounds, bounds_seen = (_bound(machine, X, settings.n_draws, run) for X in (validation.x, seen))
    rng = generator(**run, what="reconstruction")
    again = machine.reconstruct(validation.x, random_state=rng)
    return _metrics(bounds, bounds_seen, again - validation.x, readout.test)


def _measure_classes(machines, images, validation, settings, run):
    """Measure a machine for each class, on its class, and tell classes by the shortest description."""
    rng = generator(**run, what="bound")
    lengths = machines.description_lengths(validation.x, settings.n_draws, random_state=rng)
    shortest = machines.classes_[lengths.argmin(axis=1)]
    own = np.searchsorted(machines.classes_, validation.y)
    bounds_seen, errors = [], []
    for machine, label in zip(machines.machines_, machines.classes_):
        seen = images.x[images.y == label][: (validation.y == label).sum()]
        bounds_seen.extend(_bound(machine, seen, settings.n_draws, run))
        unseen = validation.x[validation.y == label]
        errors.append(machine.reconstruct(unseen, random_state=rng) - unseen)
    bounds = lengths[np.arange(len(own)), own]
    accuracy = (shortest == validation.y).mean()
    return _metrics(bounds, np.array(bounds_seen), np.concatenate(errors), accuracy)


def _bound(machine, X, n_draws, run):
    """Compute the free-energy bound of each image in nats; grey pixels count as means of bits."""
    rng = generator(**run, what="bound")
    return machine.free_energy_bound(X, n_draws, random_state=rng)


def _metrics(bounds, bounds_seen, errors, accuracy):
    return {
        "bound": bounds.mean(),
        "error_bound": bounds.std(ddof=1) / np.sqrt(len(bounds)),
        "bound_train": bounds_seen.mean(),
        "reconstruction": (errors**2).mean(),
        "accuracy": accuracy,
    }


def best_rates(records, architecture):
    """Name the rate of each start with the lowest bound on validation images.

    Parameters
    ----------
    records : list of dict
        Of this experiment, see :func:`hmlib.experiments.load_records`.
    architecture : str
        The name of one in the settings.

    Returns
    -------
    dict of str to float
        The rate by start; means over the seeds are compared.

    Raises
    ------
    ValueError
        If there are no records of that architecture, or some rate of a start has fewer seeds than
        another.
    """
    names = sorted({record["architecture"] for record in records})
    if architecture not in names:
        raise ValueError(f"architecture must be one of {', '.join(names)}, got {architecture!r}")
    chosen = {}
    for start, by_rate in _by_rate(records, architecture).items():
        if len({len(group) for group in by_rate.values()}) > 1:
            raise ValueError(
                f"records must be complete: of {architecture}, start {start}, there are "
                + ", ".join(f"{len(group)} at {rate:g}" for rate, group in by_rate.items())
            )
        chosen[start] = _best(by_rate, "bound", min)
    return chosen


def _by_rate(records, architecture):
    """Group the records of an architecture by start, then by rate, in increasing order."""
    groups = defaultdict(lambda: defaultdict(list))
    for record in sorted(records, key=lambda record: record["rate"]):
        if record["architecture"] == architecture:
            groups[record["start"]][record["rate"]].append(record)
    return {start: groups[start] for start in STARTS if start in groups}


def _best(by_rate, quantity, best):
    return best(by_rate, key=lambda rate: _mean(by_rate[rate], quantity))


def _mean(records, quantity):
    return float(np.mean([record[quantity] for record in records]))


def summary(records):
    """Name the best rate of each architecture and start, beside the rates next to it."""
    return [
        _row(architecture, start, by_rate)
        for architecture in dict.fromkeys(record["architecture"] for record in records)
        for start, by_rate in _by_rate(records, architecture).items()
    ]


def _row(architecture, start, by_rate):
    rates, rate = list(by_rate), _best(by_rate, "bound", min)
    place, group = rates.index(rate), by_rate[rate]
    bounds = {r: _mean(by_rate[r], "bound") for r in rates}
    beside = rates[place - 1] if place else None, rates[place + 1] if rates[-1] > rate else None
    lower, higher = (None if r is None else bounds[r] - bounds[rate] for r in beside)
    return {
        "architecture": architecture,
        "start": start,
        "best rate": rate,
        "lower": beside[0],
        "+nats": lower,
        "higher": beside[1],
        "+nats there": higher,
        "inside": "no" if None in beside else "yes",
        "bound": bounds[rate],
        "training": _mean(group, "bound_train"),
        "reconstruction": _mean(group, "reconstruction"),
        "accuracy": _mean(group, "accuracy"),
        "rate by accuracy": _best(by_rate, "accuracy", max),
        "runs": sum(map(len, by_rate.values())),
    }
