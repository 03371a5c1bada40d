"""How well sigmoid belief nets model images of digits, by wake-sleep and by reweighted wake-sleep.

A run trains one Helmholtz machine on images that are bits, drawn anew at each presentation or once
and for all, and estimates the negative log-likelihood of the test images, drawn as bits once and for
all, by importance sampling. The estimate is on average too large, the less so the more explanations
are drawn; with one explanation it is the free-energy bound. Chapter *Reweighted wake-sleep*.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, softmax

from hmlib.experiments.pictures import encode_pictures, filters
from hmlib.experiments.provenance import generator
from hmlib.experiments.training import mean_row, train
from hmlib.helmholtz import HelmholtzMachine
from hmlib.likelihood import importance_log_likelihood
from hmlib.units import sample_bernoulli
from hmlib.wake_sleep import ReweightedWakeSleep

NAME = "sbn-likelihood"

DRAWS_AT_ONCE = 1000  # explanations of each image
WEIGHTS_AT_ONCE = 10**6  # kept at a time: 8 MB


@dataclass(frozen=True)
class Settings:
    """What one profile trains and how it measures.

    Attributes
    ----------
    data : tuple of str
        The image set, one.
    n_validation : int
        The last images of the training set, which are kept for validation.
    machines : dict of str to tuple of int
        Sizes of the hidden layers, data side first.
    learning_rates : dict of str to tuple of float
        For each machine, those of its pairs of layers, data side first.
    rules : dict of str to dict
        Arguments of :class:`hmlib.wake_sleep.ReweightedWakeSleep`, by the name of the rule; none
        for wake-sleep.
    hidden_bias : dict of str to float
        Where the generative biases of hidden units start, by the name of the rule; 0 if not said.
    training : dict
        Arguments that all machines share.
    n_seeds : dict of str to dict of str to dict of str to int
        Repetitions by rule, by whether the bits of the training images are "resampled" at each
        presentation or "fixed", and by machine.
    every : int
        Epochs from one point of the learning curve to the next.
    n_curve, curve_draws : int
        Validation images of the learning curve, and explanations of each.
    validation_draws : int
        Explanations of each validation image after training.
    draws : tuple of int
        Explanations of each test image, in increasing order; each number divides the last.
    n_many, many_draws : int, tuple of int
        The same for the first few test images, with many more explanations; one of the numbers is
        the last of ``draws``.
    """

    data: tuple
    n_validation: int
    machines: dict
    learning_rates: dict
    rules: dict
    hidden_bias: dict
    training: dict
    n_seeds: dict
    every: int
    n_curve: int
    curve_draws: int
    validation_draws: int
    draws: tuple
    n_many: int
    many_draws: tuple


WEIGHTED = {"n_samples": 5, "recognition": "both"}
RULES = {
    "wake-sleep": {},
    "reweighted K=5": WEIGHTED,
    "wake-sleep, low biases": {},
    "reweighted K=5, low biases": WEIGHTED,
}
LOW = {"wake-sleep, low biases": -1.0, "reweighted K=5, low biases": -1.0}

PROFILES = {
    "smoke": Settings(
        data=("digits",),
        n_validation=200,
        machines={"6": (6,), "6-4": (6, 4)},
        learning_rates={"6": (0.1,), "6-4": (0.1, 0.05)},
        rules=RULES,
        hidden_bias=LOW,
        training={"n_epochs": 2, "batch_size": 20, "decay": 0.1, "init_bias": "data"},
        n_seeds={
            "wake-sleep": {"resampled": {"6-4": 2}, "fixed": {"6": 1}},
            "reweighted K=5": {"resampled": {"6-4": 1}, "fixed": {"6": 1}},
            "reweighted K=5, low biases": {"resampled": {"6-4": 1}},
        },
        every=1,
        n_curve=100,
        curve_draws=20,
        validation_draws=20,
        draws=(1, 10, 200),
        n_many=10,
        many_draws=(1, 200, 2000),
    ),
    "book": Settings(
        data=("digits",),
        n_validation=237,
        machines={"32": (32,), "32-16": (32, 16)},
        learning_rates={"32": (0.2,), "32-16": (0.2, 0.1)},
        rules=RULES,
        hidden_bias=LOW,
        training={"n_epochs": 60, "batch_size": 20, "decay": 0.05, "init_bias": "data"},
        n_seeds={
            rule: {"resampled": {"32": 1, "32-16": 1}, "fixed": {"32": 1}}
            for rule in ("wake-sleep", "reweighted K=5")
        },
        every=5,
        n_curve=200,
        curve_draws=100,
        validation_draws=100,
        draws=(1, 10, 100, 1000),
        n_many=20,
        many_draws=(1, 10, 100, 1000, 10_000),
    ),
    # Rates and the size of the batches were chosen by short runs, judged by validation images.
    "paper": Settings(
        data=("mnist",),
        n_validation=10_000,
        machines={"200": (200,), "200-200": (200, 200), "200-200-200": (200, 200, 200)},
        learning_rates={"200": (0.3,), "200-200": (0.2, 0.1), "200-200-200": (0.2, 0.1, 0.05)},
        rules=RULES,
        hidden_bias=LOW,
        training={"n_epochs": 150, "batch_size": 20, "decay": 0.05, "init_bias": "data"},
        n_seeds={
            "wake-sleep": {
                "resampled": {"200": 3, "200-200": 3, "200-200-200": 3},
                "fixed": {"200": 1},
            },
            "reweighted K=5": {
                "resampled": {"200": 1, "200-200": 1, "200-200-200": 1},
                "fixed": {"200": 1},
            },
            "reweighted K=5, low biases": {"resampled": {"200-200-200": 2, "200-200": 2, "200": 1}},
            "wake-sleep, low biases": {"resampled": {"200": 1, "200-200": 1, "200-200-200": 1}},
        },
        every=5,
        n_curve=1000,
        curve_draws=100,
        validation_draws=100,
        draws=(1, 10, 100, 1000),
        n_many=100,
        many_draws=(1, 10, 100, 1000, 10_000, 100_000),
    ),
}


def runs(settings):
    """List the keys: rule, bits, machine and seed; first one run of each kind, then repetitions."""
    keys = [
        {"rule": rule, "bits": bits, "machine": machine, "seed": seed}
        for rule, by_bits in settings.n_seeds.items()
        for bits, by_machine in by_bits.items()
        for machine, n_seeds in by_machine.items()
        for seed in range(n_seeds)
    ]
    return sorted(keys, key=lambda key: key["seed"] > 0)


def run(settings, run, *, data, checkpoint=None):
    """Train one machine and measure it; the state of training is saved after every epoch."""
    (name,) = settings.data
    images, validation = np.split(data[name].x_train, [-settings.n_validation])
    if run["bits"] == "fixed":
        images = sample_bernoulli(images, generator(what="train bits", data=name))
    validation = sample_bernoulli(validation, generator(what="validation bits", data=name))
    test = sample_bernoulli(data[name].x_test, generator(what="test bits", data=name))
    machine, curve = train(
        _new_machine(settings, run),
        images,
        checkpoint,
        every=settings.every,
        look=lambda machine: _light(machine, validation, settings, run),
        columns=("nll", "bound"),
    )
    return {**_measure(machine, validation, test, settings, run), **curve}


def _new_machine(settings, run):
    """Make the machine of a run, not yet trained."""
    rates, reweighting = settings.learning_rates[run["machine"]], settings.rules[run["rule"]]
    rule = ReweightedWakeSleep(learning_rate=rates, **reweighting) if reweighting else None
    return HelmholtzMachine(
        settings.machines[run["machine"]],
        rule=rule,
        learning_rate=rates,
        binarize="resample" if run["bits"] == "resampled" else "none",
        random_state=generator(**run),
        hidden_bias=settings.hidden_bias.get(run["rule"], 0.0),
        **settings.training,
    )


def _light(machine, validation, settings, run):
    """Estimate the mean of -log p of the first validation images, and of the bound, quickly."""
    rng = generator(**run, what="light", epoch=machine.n_iter_)
    nll, *_ = _ladder(machine, validation[: settings.n_curve], (1, settings.curve_draws), rng)
    return nll[1].mean(), nll[0].mean()


def _measure(machine, validation, test, settings, run):
    """Estimate -log p of all images, and look at the machine."""
    rng = generator(**run, what="measure")
    nll, error, size = _ladder(machine, test, settings.draws, rng)
    many, many_error, many_size = _ladder(
        machine, test[: settings.n_many], settings.many_draws, rng
    )
    valid = importance_log_likelihood(machine, validation, settings.validation_draws, rng)
    shift = many[-1] - many[settings.many_draws.index(settings.draws[-1])]
    dreams = machine.sample(20, probabilities=True, random_state=rng)
    return {
        "nll": nll[-1].mean(),
        "error_images": _error(nll[-1]),
        "error_estimate": np.sqrt((error**2).sum()) / len(test),
        "bound": nll[0].mean(),
        "draws": settings.draws,
        "nll_by_draws": nll.mean(axis=1),
        "effective_sample_size": size.mean(),
        "many_draws": settings.many_draws,
        "many_nll_by_draws": many.mean(axis=1),
        "many_error_estimate": np.sqrt((many_error**2).sum()) / len(many_error),
        "many_effective_sample_size": many_size.mean(),
        "many_shift": shift.mean(),
        "error_many_shift": _error(shift),
        "n_many": settings.n_many,
        "nll_validation": -valid.estimate.mean(),
        "n_epochs": machine.n_iter_,
        "dreams": encode_pictures(dreams),
        "filters": encode_pictures(filters(machine.generative_[0].weights.T)),
    }


def _ladder(machine, images, draws, rng):
    """Estimate -log p of each image with each number of explanations, all from the same draws.

    Returns
    -------
    estimates : ndarray, shape (len(draws), n_images)
        -log (1/k) sum w for each k in ``draws``, averaged over as many groups of k as there are.
    errors : ndarray, shape (n_images,)
        The standard error of the last.
    sizes : ndarray, shape (n_images,)
        The effective sample size of the explanations.
    """
    rows = max(1, WEIGHTS_AT_ONCE // draws[-1])
    pieces = []
    for first in range(0, len(images), rows):
        log_w = _log_weights(machine, images[first : first + rows], draws[-1], rng)
        groups = [log_w.reshape(-1, k, log_w.shape[1]) for k in draws]
        estimates = [
            -(logsumexp(group, axis=1) - np.log(k)).mean(axis=0) for group, k in zip(groups, draws)
        ]
        pieces.append([*estimates, 1 / (softmax(log_w, axis=0) ** 2).sum(axis=0)])
    *estimates, sizes = np.concatenate(pieces, axis=1)
    errors = np.sqrt(np.maximum(draws[-1] / sizes - 1, 0) / (draws[-1] - 1))
    return np.array(estimates), errors, sizes


def _log_weights(machine, images, n_draws, rng):
    """Draw explanations of images of bits: log-weights, shape (n_draws, n_images)."""
    portions = [min(DRAWS_AT_ONCE, n_draws - i) for i in range(0, n_draws, DRAWS_AT_ONCE)]
    return np.concatenate([machine.draw_log_weights(images, k, rng) for k in portions])


def _error(values):
    """Compute the standard error of a mean over images."""
    return values.std(ddof=1) / np.sqrt(len(values))


def summary(records):
    """Average over the repetitions of each rule, machine and kind of bits."""
    groups = defaultdict(list)
    for record in records:
        groups[record["rule"], record["bits"], record["machine"]].append(record)
    quantities = {
        "NLL test": "nll",
        "bound": "bound",
        "validation": "nll_validation",
        "err. images": "error_images",
        "more draws": "many_shift",
        "eff. size": "effective_sample_size",
    }
    return [
        {
            "rule": rule,
            "bits": bits,
            "machine": machine,
            "epochs": group[0]["n_epochs"],
            **mean_row(group, quantities, spread="nll"),
        }
        for (rule, bits, machine), group in groups.items()
    ]
