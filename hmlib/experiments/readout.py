"""What the layers of a deep recognition network know of the classes, by how the machine started.

A run trains one deep Helmholtz machine on all digits, or leaves it untrained, and lets logistic
regressions learn the classes from the activations of each layer, and of several side by side. What
they reach has to be compared with what they reach with the pixels, and in the same layer of a
machine that has learnt nothing. Classes are not all that a layer may know: what each layer costs,
and how many of its units are in use, does not depend on any label. Chapters *The depth problem* and
*The image pyramid*.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from hmlib._checks import check_count
from hmlib.experiments.initialisations import STARTS, Images, class_samples, make_machine
from hmlib.experiments.provenance import generator
from hmlib.experiments.training import keep, resume
from hmlib.metrics import layerwise_accuracy

NAME = "layer-readout"

UNTRAINED = "untrained"  # a random start, and nothing else
IN_USE = 0.01  # variance of a unit's mean from image to image; a bit that knows all has 0.25
SIDES = ("test", "train")
REFERENCES = {"gain": "random", "learnt": UNTRAINED}  # what a difference in the table is from


@dataclass(frozen=True)
class Settings:
    """What one profile trains and how it measures.

    Attributes
    ----------
    data : tuple of str
        The image set, one.
    n_train : int or None
        Training images of the machine, as many of each class; None means the whole training set.
    hidden : tuple of int
        Sizes of the hidden layers, data side first.
    learning_rates : dict of str to float
        The rate with each start.
    n_epochs, stage_epochs : int
        Epochs in all, and in each stage of a start that has stages.
    batch_size : int
        Samples in a mini-batch.
    n_seeds : int
        Repetitions.
    n_readout : int
        Training images that the regressions learn from, as many of each class: the same for all
        machines of a seed.
    n_samples : int
        Sampled paths over which the features "averaged" are averages.
    n_seeds_sets : int
        Repetitions of which layers are looked at side by side as well, which takes most of the time.
    n_seeds_others : int
        Repetitions of which other features of each layer are looked at as well: "sample" and
        "mean-field", see :func:`hmlib.metrics.layerwise_accuracy`.
    max_iter : int
        Iterations of a regression at most.
    n_bound, n_draws : int
        Test images of the free-energy bound and of the units in use, and explanations of each.
    """

    data: tuple
    n_train: int | None
    hidden: tuple
    learning_rates: dict
    n_epochs: int
    stage_epochs: int
    batch_size: int
    n_seeds: int
    n_readout: int
    n_samples: int
    n_seeds_sets: int
    n_seeds_others: int
    max_iter: int
    n_bound: int
    n_draws: int


PROFILES = {
    "smoke": Settings(
        data=("digits",),
        n_train=300,
        hidden=(49, 16, 4),
        learning_rates=dict.fromkeys(STARTS, 0.1),
        n_epochs=4,
        stage_epochs=1,
        batch_size=20,
        n_seeds=2,
        n_readout=200,
        n_samples=2,
        n_seeds_sets=1,
        n_seeds_others=1,
        max_iter=10_000,
        n_bound=50,
        n_draws=5,
    ),
    "book": Settings(
        data=("digits",),
        n_train=None,
        hidden=(49, 36, 16, 4),
        learning_rates=dict.fromkeys(STARTS, 0.1),
        n_epochs=24,
        stage_epochs=3,
        batch_size=20,
        n_seeds=1,
        n_readout=1000,
        n_samples=10,
        n_seeds_sets=1,
        n_seeds_others=0,
        max_iter=10_000,
        n_bound=360,
        n_draws=10,
    ),
    # Rates are the best of the experiment "learning-rates" for machines of this architecture, which
    # see as many samples there: 12 epochs of 50,000.
    "paper": Settings(
        data=("mnist",),
        n_train=None,
        hidden=(625, 484, 289, 196, 100, 16),
        learning_rates={"zero": 0.02, "random": 0.02, "pyramid": 0.1, "clamped": 0.05},
        n_epochs=10,
        stage_epochs=1,
        batch_size=20,
        n_seeds=5,
        n_readout=10_000,
        n_samples=10,
        n_seeds_sets=5,
        n_seeds_others=1,
        max_iter=10_000,
        n_bound=1000,
        n_draws=20,
    ),
}


def runs(settings):
    """List the keys: start and seed; first all starts of one seed."""
    return [
        {"start": start, "seed": seed}
        for seed in range(settings.n_seeds)
        for start in (*settings.learning_rates, UNTRAINED)
    ]


def run(settings, run, *, data, checkpoint=None):
    """Train one machine and read its layers; both are saved as they go on.

    ``layers`` lists what each regression sees; 0 is the data, looked at beside the untrained
    machine. ``train``, ``test`` and ``n_iter`` are the accuracies, and the iterations of the solver,
    in that order for the features "averaged"; for others, with the name appended, those of single
    layers, which come first. ``costs``, data
    first, are in nats and add up to ``bound``; ``in_use`` counts units by hidden layer.
    """
    (name,) = settings.data
    images = data[name]
    machine, metrics = resume(checkpoint) or (_new_machine(settings, run), {})
    machine = _trained(machine, _training_images(settings, images, run), checkpoint)
    if not metrics:
        metrics = _describe(settings, machine, images, run)
    for features in _features(settings, run):
        names = _names(features)
        if names["test"] not in metrics:
            metrics |= _read(settings, machine, images, run, features, names)
            keep(checkpoint, machine, metrics)
    return metrics


def _new_machine(settings, run):
    """Make the machine of a run, as it is before training."""
    is_trained = run["start"] != UNTRAINED
    start = run["start"] if is_trained else "random"
    return make_machine(
        start,
        settings.hidden,
        n_epochs=settings.n_epochs if is_trained else 0,
        stage_epochs=settings.stage_epochs,
        learning_rate=settings.learning_rates[start],
        batch_size=settings.batch_size,
        random_state=generator(**run),
    )


def _training_images(settings, images, run):
    if settings.n_train is None:
        return images.x_train
    return class_samples(images, settings.n_train, {"seed": run["seed"]}).x


def _trained(machine, X, checkpoint):
    """Train a machine from where it stands; keep it after every epoch, the first with all stages."""
    if machine.n_epochs == 0 and not hasattr(machine, "n_iter_"):
        machine.fit(X)
    for _ in range(getattr(machine, "n_iter_", 0), machine.n_epochs):
        machine.partial_fit(X)
        keep(checkpoint, machine, {})
    return machine


def _describe(settings, machine, images, run):
    """Say what the regressions will see, how well the machine models test images, and by which layers."""
    test = images.x_test[: settings.n_bound]
    costs, in_use = layer_costs(machine, test, settings.n_draws, generator(**run, what="bound"))
    return {
        "layers": _layers(settings, run),
        "bound": costs.sum(),
        "costs": costs.tolist(),
        "in_use": in_use.tolist(),
        "n_epochs_after_start": machine.n_iter_,
    }


def layer_costs(machine, X, n_draws, rng):
    r"""Split the free-energy bound by layers, and count the units that tell images apart.

    With the data as layer 0, of which <-log p_G(0|1)> is the cost, layer l costs

    .. math:: \langle \log p_R(l | l - 1) - \log p_G(l | l + 1) \rangle_R

    where nothing is above the top. Layers l and above cost together at least the mutual information
    of layer l and the data. A unit is in use if its probability, averaged over explanations, has a
    variance above ``IN_USE`` from image to image, as Burda et al. (2016) count.

    Parameters
    ----------
    machine : HelmholtzMachine
        The machine, fitted.
    X : ndarray, shape (n_samples, n_features)
        Images, fed as they are.
    n_draws : int
        Explanations of each, at least 2.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    costs : ndarray, shape (n_layers + 1,)
        In nats per image; their sum is the bound.
    in_use : ndarray of int, shape (n_layers,)
        Units in use by hidden layer.

    Raises
    ------
    ValueError
        If there are not at least 2 explanations: one does not say how much they vary.
    """
    G, R = machine.generative_, machine.recognition_
    nothing, n_draws = np.empty((len(X), 0), X.dtype), check_count(n_draws, "n_draws", minimum=2)
    costs, total, squares = np.zeros(len(G) + 1), 0, 0
    for _ in range(n_draws):
        path = machine.explain(X, rng)
        down = zip([*G, machine.prior_], [*path[1:], nothing], path)
        costs -= [layer.log_prob(above, below).mean() for layer, above, below in down]
        up = zip(R, path, path[1:])
        costs[1:] += [layer.log_prob(below, above).mean() for layer, below, above in up]
        means = np.hstack([layer.mean(below) for layer, below in zip(R, path)])
        total, squares = total + means, squares + means**2
    noise = (squares - total**2 / n_draws).mean(axis=0) / (n_draws - 1)  # of one explanation
    in_use = (total / n_draws).var(axis=0, ddof=1) - noise / n_draws > IN_USE
    ends = np.cumsum([layer.n_out for layer in R])
    return costs / n_draws, np.array([part.sum() for part in np.split(in_use, ends[:-1])])


def _layers(settings, run):
    """List sets of layers: each alone; for some seeds from the first to each, from each to the last."""
    top = len(settings.hidden)
    alone = [[layer] for layer in range(0 if run["start"] == UNTRAINED else 1, top + 1)]
    if run["seed"] >= settings.n_seeds_sets:
        return alone
    upwards = [list(range(1, last + 1)) for last in range(2, top + 1)]
    downwards = [list(range(first, top + 1)) for first in range(top - 1, 1, -1)]
    return alone + upwards + downwards


def _features(settings, run):
    """List the kinds of features of a run."""
    others = ["sample", "mean-field"] if run["seed"] < settings.n_seeds_others else []
    return ["averaged", *others]


def _names(features):
    """Name the metrics that belong to a kind of features."""
    suffix = "" if features == "averaged" else f"_{features}"
    return {name: name + suffix for name in ("train", "test", "n_iter")}


def _read(settings, machine, images, run, features, names):
    """Let the regressions learn from one kind of features."""
    learnt_from = class_samples(
        images, settings.n_readout, {"seed": run["seed"], "for": "read-out"}
    )
    layers = _layers(settings, run)
    if features != "averaged":
        layers = [alone for alone in layers if len(alone) == 1]
    results = layerwise_accuracy(
        machine,
        *learnt_from,
        *Images(images.x_test, images.y_test),
        layers=layers,
        features=features,
        n_samples=settings.n_samples,
        max_iter=settings.max_iter,
        random_state=generator(**run, what=features),
    )
    return {metric: [getattr(result, name) for result in results] for name, metric in names.items()}


def accuracies(records, start, *, side="test", features="averaged"):
    """Collect accuracies by layers.

    Parameters
    ----------
    records : list of dict
        Of this experiment, see :func:`hmlib.experiments.load_records`.
    start : str
        A start, or ``"untrained"``, where (0,) are the pixels.
    side : {"test", "train"}
        Which images are classified.
    features : {"averaged", "sample", "mean-field"}
        Which features.

    Returns
    -------
    dict of tuple of int to ndarray, shape (n_seeds,)
        By the layers that the regression saw, in order of the seeds that have them.
    """
    found = _by_seed(records, start, _names(features)[side])
    return {layers: _in_order(by_seed) for layers, by_seed in found.items()}


def gains(records, start, reference="random", *, side="test", features="averaged"):
    """Collect the differences of two starts, seed by seed, by layers as :func:`accuracies` does."""
    name = _names(features)[side]
    ours, theirs = (_by_seed(records, s, name) for s in (start, reference))
    differences = {
        layers: {
            s: ours[layers][s] - theirs[layers][s] for s in ours[layers] if s in theirs[layers]
        }
        for layers in ours
        if layers in theirs
    }
    return {layers: _in_order(by_seed) for layers, by_seed in differences.items() if by_seed}


def by_layer(records, start, quantity):
    """Collect "costs" or "in_use" of a start by layer, as :func:`accuracies` does."""
    found = sorted((r for r in records if r["start"] == start), key=lambda r: r["seed"])
    values = np.array([record[quantity] for record in found])
    lowest = 0 if quantity == "costs" else 1
    return {(lowest + k,): column for k, column in enumerate(values.T)}


def _by_seed(records, start, name):
    """Collect a metric of a start by layers and seed."""
    values = defaultdict(dict)
    for record in records:
        if record["start"] == start:
            for layers, value in zip(record["layers"], record.get(name, [])):
                values[tuple(layers)][record["seed"]] = value
    return values


def _in_order(by_seed):
    return np.array([by_seed[seed] for seed in sorted(by_seed)])


def half_width(values):
    """Compute half the width of the 95 % t interval of a mean over seeds; None for a single seed."""
    n = len(values)
    return float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else None


def summary(records):
    """Tabulate accuracies by start and layers, with differences on test images, seed by seed.

    "gain" is over a machine that started at random, "learnt" over one that has learnt nothing.
    Intervals are for a confidence of 95 %, over seeds; the test images are always the same.
    "costs" in nats and units "in_use" are explained at :func:`layer_costs`.
    """
    layers = dict.fromkeys(tuple(sets) for record in records for sets in record["layers"])
    rows = []
    for features in ("averaged", "sample", "mean-field"):
        for start in (*STARTS, UNTRAINED):
            for label, by_layers in _lines(records, start, features).items():
                mean = {s: float(np.mean(values)) for s, values in by_layers.items()}
                width = {s: half_width(values) for s, values in by_layers.items()}
                for what, values in {label: mean, f"{label} +-": width}.items():
                    if not any(value is not None for value in values.values()):
                        continue
                    columns = {_title(s): values.get(s) for s in layers}
                    head = {"features": features, "start": start, "what": what}
                    rows.append({**head, **columns, **_counts(by_layers)})
    return rows


def _lines(records, start, features):
    """Return what the table says of a start: accuracies and differences, costs and units in use."""
    lines = {side: accuracies(records, start, side=side, features=features) for side in SIDES}
    for label, reference in REFERENCES.items():
        if start not in (reference, UNTRAINED):
            lines[label] = gains(records, start, reference, features=features)
    if features == "averaged":
        lines |= {quantity: by_layer(records, start, quantity) for quantity in ("costs", "in_use")}
    return {label: by_layers for label, by_layers in lines.items() if by_layers}


def _counts(by_layers):
    """Say how many runs there are of single layers, and of several side by side."""
    runs = {len(s) > 1: len(values) for s, values in by_layers.items()}
    return {"runs": runs.get(False), "of several": runs.get(True)}


def _title(layers):
    """Name layers side by side by the first and the last."""
    return str(layers[0]) if len(layers) == 1 else f"{layers[0]}-{layers[-1]}"
