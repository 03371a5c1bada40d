"""How many images Helmholtz machines can remember, deep or shallow, by their start.

A run trains machines on N images, N = 2, 4, ..., lets each dream, and asks which of its images is
nearest to each dream. All machines take the same steps, whatever N is: the N images are repeated
until there are as many rows as for the largest N. Every number has two others beside it: what a
perfect sampler of the N images would get, and what images get that no machine has ever seen. A
machine that dreams of digits in general does as well as these; only what is better is memory. Chapter
*Small worlds*.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from hmlib.experiments.initialisations import class_samples, make_machine
from hmlib.experiments.pictures import encode_pictures
from hmlib.experiments.provenance import generator
from hmlib.experiments.training import keep, resume
from hmlib.metrics import (
    coverage_gap,
    expected_entropy,
    expected_unrepresented,
    nearest_training_image,
    representation_entropy,
    unrepresented,
)

NAME = "memory"


@dataclass(frozen=True)
class Settings:
    """What one profile trains and how it measures.

    Attributes
    ----------
    data : tuple of str
        The image set, one.
    machines : dict of str to tuple of int
        Sizes of the hidden layers, data side first.
    learning_rates : dict of str to dict of str to float
        For each machine its starts, and the rate with each, whatever N is.
    n_train : tuple of int
        The numbers N of images to remember, in increasing order; each divides the last.
    n_epochs, stage_epochs : int
        Passes over as many rows as the last of ``n_train``, in all, and in each stage of a pyramid.
    batch_size : int
        Rows in a mini-batch.
    n_dreams : int
        G, the dreams of each machine; they are probabilities of the pixels, not bits. Entropies
        depend on G: the table has those of test images only if there are as many of them.
    n_held_out : int
        Of how many test images the nearest dream is sought.
    n_seeds : int
        Repetitions, each with images of its own, the same for all machines.
    pictured : int
        The N of which the first repetition keeps dreams, as pictures.
    n_pictures : int
        How many.
    """

    data: tuple
    machines: dict
    learning_rates: dict
    n_train: tuple
    n_epochs: int
    stage_epochs: int
    batch_size: int
    n_dreams: int
    n_held_out: int
    n_seeds: int
    pictured: int
    n_pictures: int


PROFILES = {
    "smoke": Settings(
        data=("digits",),
        machines={"deep": (36, 16, 4), "shallow": (52,)},
        learning_rates={
            "deep": {"zero": 0.3, "random": 0.3, "pyramid": 0.3, "clamped": 0.3},
            "shallow": {"zero": 0.3, "random": 0.3},
        },
        n_train=(2, 16, 64),
        n_epochs=12,
        stage_epochs=2,
        batch_size=16,
        n_dreams=500,
        n_held_out=50,
        n_seeds=2,
        pictured=16,
        n_pictures=3,
    ),
    "book": Settings(
        data=("digits",),
        machines={"deep": (36, 16, 4), "shallow": (52,)},
        learning_rates={
            "deep": {"zero": 0.3, "random": 0.3, "pyramid": 0.3, "clamped": 0.3},
            "shallow": {"zero": 0.3, "random": 0.3},
        },
        n_train=(2, 8, 32, 128, 512),
        n_epochs=60,
        stage_epochs=10,
        batch_size=32,
        n_dreams=5000,
        n_held_out=200,
        n_seeds=1,
        pictured=32,
        n_pictures=10,
    ),
    # Rates are the best of "learning-rates" for machines of these sizes. Mini-batches and the share
    # of the stages are as there, and presentations nearly as many, but of 10,000 images.
    "paper": Settings(
        data=("mnist",),
        machines={"deep": (484, 225, 64), "shallow": (709,)},
        learning_rates={
            "deep": {"random": 0.05, "clamped": 0.1, "pyramid": 0.2, "zero": 0.05},
            "shallow": {"random": 0.05, "zero": 0.05},
        },
        n_train=(2, 16, 64, 128, 256, 512, 1024),
        n_epochs=96,
        stage_epochs=16,
        batch_size=20,
        n_dreams=10_000,
        n_held_out=1000,
        n_seeds=5,
        pictured=64,
        n_pictures=10,
    ),
}


def runs(settings):
    """List the keys: machine, start and seed; first all kinds of machine of one seed."""
    return [
        {"machine": machine, "start": start, "seed": seed}
        for seed in range(settings.n_seeds)
        for machine, rates in settings.learning_rates.items()
        for start in rates
    ]


def run(settings, run, *, data, checkpoint=None):
    """Train one machine for each N and measure it; what was measured is saved after each."""
    (name,) = settings.data
    pool = class_samples(data[name], settings.n_train[-1], {"seed": run["seed"]}).x
    held_out = generator(what="held out", seed=run["seed"]).permutation(data[name].x_test)
    points, pictures = resume(checkpoint) or ([], {})
    for n_train in settings.n_train[len(points) :]:
        images = pool[:n_train]
        machine = _trained(settings, run, images)
        rng = generator(**run, what="dreams", n_train=n_train)
        dreams = machine.sample(settings.n_dreams, probabilities=True, random_state=rng)
        points.append(_measure(dreams, images, held_out, settings.n_held_out))
        if n_train == settings.pictured and run["seed"] == 0:
            pictures = {"dreams": encode_pictures(dreams[: settings.n_pictures])}
        keep(checkpoint, points, pictures)
    counts = parameter_counts(pool.shape[1], settings.machines[run["machine"]])
    return {
        "n_train": settings.n_train,
        "n_dreams": settings.n_dreams,
        "n_test": min(len(held_out), settings.n_dreams),
        **{name: [point[name] for point in points] for name in points[0]},
        **counts._asdict(),
        **pictures,
    }


def _trained(settings, run, images):
    """Train the machine of a run on a few images, as often as if they were many."""
    machine = make_machine(
        run["start"],
        settings.machines[run["machine"]],
        n_epochs=settings.n_epochs,
        stage_epochs=settings.stage_epochs,
        learning_rate=settings.learning_rates[run["machine"]][run["start"]],
        batch_size=settings.batch_size,
        random_state=generator(what="training", seed=run["seed"], n_train=len(images)),
    )
    return machine.fit(np.tile(images, (settings.n_train[-1] // len(images), 1)))


def _measure(dreams, images, held_out, n_held_out):
    """Compare dreams with the images to be remembered, and images never seen with both of them."""
    n_train, n_dreams = len(images), len(dreams)
    floor = expected_unrepresented(n_dreams, n_train)
    return {
        **_compare(dreams, images, ""),
        **_compare(held_out[:n_dreams], images, "_of_held_out"),
        "coverage_gap": coverage_gap(dreams, images),
        "coverage_gap_of_held_out": coverage_gap(dreams, held_out[:n_held_out]),
        "expected_entropy": expected_entropy(n_dreams, n_train),
        "expected_unrepresented": floor.mean,
        "sd_unrepresented": floor.sd,
    }


def _compare(made, images, suffix):
    """Ask which of the images is nearest to each of those that were made, and how near."""
    nearest = nearest_training_image(made, images)
    measures = {
        "mean_distance": nearest.distance.mean(),
        "entropy": representation_entropy(nearest.index, len(images)),
        "unrepresented": unrepresented(nearest.index, len(images)),
    }
    return {name + suffix: value for name, value in measures.items()}


# Parameters ---------------------------------------------------------------------------------------


class ParameterCounts(NamedTuple):
    """How many numbers a machine learns.

    Attributes
    ----------
    parameters_printed : int
        The count of the thesis: generative weights, and the biases of the top layer alone.
    parameters_generative : int
        All weights and biases of the generative network.
    parameters_recognition : int
        All weights and biases of the recognition network.
    """

    parameters_printed: int
    parameters_generative: int
    parameters_recognition: int


def parameter_counts(n_visible, hidden):
    """Count the parameters of a Helmholtz machine.

    Parameters
    ----------
    n_visible : int
        Data units.
    hidden : sequence of int
        Sizes of the hidden layers, data side first.

    Returns
    -------
    ParameterCounts

    References
    ----------
    Ramos (2022), figure 5.4.
    """
    sizes = [n_visible, *hidden]
    weights = sum(below * above for below, above in zip(sizes, sizes[1:]))
    return ParameterCounts(weights + hidden[-1], weights + sum(sizes), weights + sum(hidden))


# The table ----------------------------------------------------------------------------------------


class Mean(NamedTuple):
    """A mean over repetitions, and half the width of its 95 % interval; None for one alone."""

    mean: float
    half_width: float | None

    def __str__(self):
        return f"{self.mean:.3g}" + ("" if self.half_width is None else f" ± {self.half_width:.2g}")


def mean_of(values):
    """Compute a mean and its interval by Student's t."""
    values = np.asarray(values, dtype=float)
    n = len(values)
    half = student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n) if n > 1 else None
    return Mean(float(values.mean()), half if half is None else float(half))


def differences(records, quantity, n_train, one, other):
    """Subtract what two kinds of machine came to for the same images, seed by seed.

    Parameters
    ----------
    records : list of dict
        Of the experiment.
    quantity : str
        A metric that is a list with an entry for each N.
    n_train : int
        N.
    one, other : tuple of str
        Machine and start, such as ``("deep", "clamped")``.

    Returns
    -------
    list of float
        One minus the other, for each seed that both have.
    """
    values = {
        (record["machine"], record["start"], record["seed"]): _at(record, quantity, n_train)
        for record in records
    }
    seeds = sorted({seed for *_, seed in values})
    pairs = [(values.get((*one, seed)), values.get((*other, seed))) for seed in seeds]
    return [a - b for a, b in pairs if a is not None and b is not None]


def _at(record, quantity, n_train):
    return record[quantity][record["n_train"].index(n_train)]


def summary(records):
    """Average over the repetitions at each N; differences are those from the deep random start."""
    groups = defaultdict(list)
    for record in records:
        groups[record["machine"], record["start"]].append(record)
    return [
        _row(records, group, *kind, n_train)
        for n_train in records[0]["n_train"]
        for kind, group in groups.items()
    ]


def _row(records, group, machine, start, n_train):
    def over_seeds(quantity):
        return mean_of([_at(record, quantity, n_train) for record in group])

    def minus_random(quantity):
        pairs = differences(records, quantity, n_train, (machine, start), ("deep", "random"))
        return mean_of(pairs) if pairs else None

    as_many = all(record["n_test"] == record["n_dreams"] for record in group)
    return {
        "N": n_train,
        "machine": machine,
        "start": start,
        "distance": over_seeds("mean_distance"),
        "of held out": over_seeds("mean_distance_of_held_out").mean,
        "distance - random": minus_random("mean_distance"),
        "gap": over_seeds("coverage_gap"),
        "gap of held out": over_seeds("coverage_gap_of_held_out"),
        "H / ln N": over_seeds("entropy"),
        "H of perfect": over_seeds("expected_entropy").mean,
        "H of held out": over_seeds("entropy_of_held_out").mean if as_many else None,
        "H - random": minus_random("entropy"),
        "left out": over_seeds("unrepresented"),
        "by perfect": over_seeds("expected_unrepresented").mean,
        "by held out": over_seeds("unrepresented_of_held_out").mean if as_many else None,
        "left out - random": minus_random("unrepresented"),
        "printed": group[0]["parameters_printed"],
        "generative": group[0]["parameters_generative"],
        "recognition": group[0]["parameters_recognition"],
        "runs": len(group),
    }
