"""What the image pyramid buys in nats: how deep machines model digits, by start and by depth.

A run trains one Helmholtz machine on all digits, drawn as bits anew at each presentation, from one of
the starts, and estimates the negative log-likelihood of test images by importance sampling. It says
what each layer is used for: how many units say something about the image, how many nats the
layer and all above it carry, and how good the machine would be if it ended there. Deeper machines add
smaller layers on top. Every start has the same number of presentations; in a variant zero and random
starts only get the work that the pyramid, whose stages are cheap, has had. The learning rate is constant
in stages and falls in ordinary training, to the same end for all. Controls are stages that are shown
scrambled images or noise, and stages from the data up, without small images. The chapters of *The
pyramid*.
"""

import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from hmlib.experiments.generated import interval
from hmlib.experiments.initialisations import (
    LAYERED,
    STARTS,
    class_samples,
    make_machine,
    n_stage_epochs,
    validation_split,
)
from hmlib.experiments.pictures import encode_pictures
from hmlib.experiments.provenance import generator
from hmlib.experiments.training import curve_of, keep, resume
from hmlib.likelihood import importance_log_likelihood
from hmlib.pyramid import GreedyInitializer
from hmlib.units import sample_bernoulli
from hmlib.wake_sleep import ReweightedWakeSleep

NAME = "pyramid-likelihood"

ACTIVE = 0.01  # variance of a unit's posterior mean over images (Burda et al., 2016)


@dataclass(frozen=True)
class Settings:
    """What one profile trains and how it measures.

    Attributes
    ----------
    data : tuple of str
        The image set, one.
    n_train : int
        Training images, as many of each class; the same for all machines of a seed.
    n_validation : int
        Images of the training set that are kept for validation.
    sides : tuple of int
        Of the hidden layers, seen as square images, data side first: a machine of depth d has the
        first d, each of side^2 units.
    n_epochs : int
        Passes over the training images, those of the stages included.
    training : dict
        Arguments that all machines share.
    learning_rates : dict of str to dict of str to float
        By rule and start.
    variants : dict of str to dict
        What each variant changes: ``rate``, a factor; ``images``, which the stages are shown;
        ``stage_share``, the share of the epochs that goes into the stages; ``rule``; ``n_epochs``;
        ``equal_work``, whether zero and random starts have the work of a pyramid only; ``draws``, the
        explanations of each test image: the same machine, measured better; ``hidden_bias``, where
        the generative biases of hidden units start, 0 if not said; ``greedy``, for a zero
        start, stages from the data up, all epochs for the "first pair", or "evenly".
    plan : tuple of dict
        The runs, the most telling first: ``variant``, ``starts``, ``depths``, ``seeds``. Any number
        of its parts is a complete comparison.
    every : int
        Epochs from one point of the learning curve to the next.
    n_curve, validation_draws : int
        Validation images of the learning curve and of the choice of rates, and explanations of each
        for the latter.
    n_test, draws : int
        Test images for the log-likelihood, from all over the test set, and explanations of each.
    n_paths : int
        Explanations of each test image from which the use of the layers is computed; even.
    n_dreams : int
        Dreams that the first seed keeps.
    """

    data: tuple
    n_train: int
    n_validation: int
    sides: tuple
    n_epochs: int
    training: dict
    learning_rates: dict
    variants: dict
    plan: tuple
    every: int
    n_curve: int
    validation_draws: int
    n_test: int
    draws: int
    n_paths: int = 4
    n_dreams: int = 10


VARIANTS = {
    "main": {},
    "half rate": {"rate": 0.5},
    "double rate": {"rate": 2.0},
    "scrambled": {"images": "scrambled"},
    "noise": {"images": "noise"},
    "short stages": {"stage_share": 0.125},
    "equal work": {"equal_work": True},
    "long": {"n_epochs": 48},
    "more draws": {"draws": 5000},
    "low biases": {"hidden_bias": -1.0},
    "first pair": {"greedy": "first pair", "rate": 2.0},
    "bottom up": {"greedy": "evenly", "rate": 2.0},
    "first pair, slower": {"greedy": "first pair"},
    "bottom up, slower": {"greedy": "evenly"},
    "reweighted": {"rule": "reweighted K=5"},
}
RULES = {"reweighted K=5": {"n_samples": 5, "recognition": "both"}}
TRAINING = {"batch_size": 20, "decay": 0.05, "binarize": "resample", "init_bias": "data"}


def _plan(variant, starts, depths, seeds=(0,)):
    return {"variant": variant, "starts": starts, "depths": depths, "seeds": seeds}


PROFILES = {
    "smoke": Settings(
        data=("digits",),
        n_train=1000,
        n_validation=200,
        sides=(4, 3, 2),
        n_epochs=6,
        training={**TRAINING, "batch_size": 100},
        learning_rates={
            "wake-sleep": dict.fromkeys(STARTS, 0.2),
            "reweighted K=5": dict.fromkeys(STARTS, 0.1),
        },
        variants=VARIANTS,
        plan=(
            _plan("main", STARTS, (3,), (0, 1)),
            _plan("main", STARTS, (1,)),
            _plan("noise", LAYERED, (3,)),
            _plan("equal work", ("zero", "random"), (3,)),
            _plan("reweighted", ("random", "pyramid"), (3,)),
        ),
        every=2,
        n_curve=100,
        validation_draws=20,
        n_test=100,
        draws=50,
        n_paths=20,
    ),
    "book": Settings(
        data=("digits",),
        n_train=1000,
        n_validation=237,
        sides=(7, 6, 5, 4, 3, 2),
        n_epochs=48,
        training=TRAINING,
        learning_rates={
            "wake-sleep": dict.fromkeys(STARTS, 0.2),
            "reweighted K=5": dict.fromkeys(STARTS, 0.1),
        },
        variants=VARIANTS,
        plan=(_plan("main", STARTS, (6, 4, 2, 1)),),
        every=8,
        n_curve=200,
        validation_draws=50,
        n_test=360,
        draws=200,
        n_paths=20,
    ),
    # Rates: the best of 0.05, 0.1, 0.2 and 0.4 for eight layers, by validation images; half and double
    # rate are in the plan.
    "paper": Settings(
        data=("mnist",),
        n_train=40_000,
        n_validation=5000,
        sides=(20, 16, 13, 10, 8, 6, 5, 4),  # each about four fifths of the one below
        n_epochs=16,
        training=TRAINING,
        learning_rates={
            "wake-sleep": {"zero": 0.1, "random": 0.1, "pyramid": 0.2, "clamped": 0.2},
            "reweighted K=5": {"zero": 0.1, "random": 0.1, "pyramid": 0.2, "clamped": 0.2},
        },
        variants=VARIANTS,
        plan=(
            _plan("main", STARTS, (8, 4, 2, 1)),
            _plan("half rate", STARTS, (8, 2)),
            _plan("double rate", STARTS, (8, 2)),
            _plan("scrambled", LAYERED, (8, 2)),
            _plan("noise", LAYERED, (8, 2)),
            _plan("long", ("random", *LAYERED), (8, 2)),
            _plan("more draws", ("random", *LAYERED), (8,)),
            _plan("main", STARTS, (8, 4, 2, 1), (1, 2)),
            _plan("equal work", ("zero", "random"), (8, 2)),
            _plan("reweighted", STARTS, (8,)),
            _plan("main", STARTS, (8, 2), (3, 4)),
            _plan("main", STARTS, (4, 1), (3, 4)),
            _plan("scrambled", LAYERED, (8,), (1, 2, 3, 4)),
            _plan("noise", LAYERED, (8,), (1, 2, 3, 4)),
            _plan("reweighted", ("random", "clamped"), (8,), (1, 2, 3, 4)),
            _plan("equal work", ("zero", "random"), (8,), (1, 2, 3, 4)),
            _plan("first pair", ("zero",), (8,), (0, 1, 2, 3, 4)),
            _plan("bottom up", ("zero",), (8,), (0, 1, 2, 3, 4)),
            _plan("first pair, slower", ("zero",), (8,)),
            _plan("bottom up, slower", ("zero",), (8,)),
            _plan("low biases", STARTS, (8, 2)),
            _plan("low biases", ("random",), (8, 2), (1, 2)),
            _plan("short stages", LAYERED, (2,)),  # of eight layers each has one epoch anyway
        ),
        every=2,
        n_curve=1000,
        validation_draws=100,
        n_test=1000,
        draws=500,
    ),
}


def runs(settings):
    """List the keys: variant, start, depth and seed, in the order of the plan."""
    return [
        {"variant": part["variant"], "start": start, "depth": depth, "seed": seed}
        for part in settings.plan
        for seed in part["seeds"]
        for depth in part["depths"]
        for start in part["starts"]
    ]


def run(settings, run, *, data, checkpoint=None):
    """Train one machine and measure it; its state is kept at every point of the learning curve."""
    (name,) = settings.data
    rest, validation = validation_split(data[name], settings.n_validation, {"set": name})
    train = class_samples(rest, settings.n_train, {"set": name, "seed": run["seed"]})
    validation = sample_bernoulli(
        validation.x[: settings.n_curve], generator(what="validation bits", data=name)
    )
    test = sample_bernoulli(data[name].x_test, generator(what="test bits", data=name))
    machine, curve = _train(settings, run, train.x, validation, checkpoint)
    rng = generator(**run, what="measure")
    metrics = {**curve, **_likelihood(settings, run, machine, validation, test, rng)}
    metrics.update(layer_use(machine, test, settings.n_paths, rng))
    if run["variant"] == "main" and run["seed"] == 0:
        dreams = machine.sample(settings.n_dreams, probabilities=True, random_state=rng)
        metrics["dreams"] = encode_pictures(dreams)
    return metrics


# Training -----------------------------------------------------------------------------------------


def _train(settings, run, X, validation, checkpoint):
    """Train the machine of a run; follow the bound of validation images and the seconds spent."""
    n_stages, n_epochs = _epochs(settings, run, X.shape[1])
    machine, seconds, points = resume(checkpoint) or (None, 0.0, [])
    while not points or points[-1][0] < n_stages + n_epochs:
        start = time.process_time()
        if machine is None:  # first nothing but the stages
            machine = _new_machine(settings, run, X.shape[1])
            machine.set_params(n_epochs=0).fit(X).set_params(n_epochs=n_epochs)
        else:
            for _ in range(min(settings.every, n_epochs - machine.n_iter_)):
                machine.partial_fit(X)
        seconds += time.process_time() - start
        rng = generator(**run, what="curve", epoch=machine.n_iter_)
        bound = machine.free_energy_bound(validation, 5, random_state=rng).mean()
        points.append([n_stages + machine.n_iter_, seconds, bound])
        keep(checkpoint, machine, seconds, points)
    return machine, {
        "hidden": list(machine.hidden),
        "learning_rate": _rate(settings, run),
        "n_epochs": points[-1][0],
        "stage_epochs": n_stages,
        "work_epochs": work_epochs(
            run["start"],
            X.shape[1],
            machine.hidden,
            n_stages,
            n_epochs,
            _greedy(settings, run, n_stages),
        ),
        "seconds_stages": points[0][1],
        "seconds_training": points[-1][1],
        **curve_of(points, ("seconds", "bound")),
    }


def _new_machine(settings, run, n_pixels):
    """Make the machine of a run, not yet trained."""
    rate, name = _rate(settings, run), settings.variants[run["variant"]].get("rule")
    images = settings.variants[run["variant"]].get("images")
    n_stages, n_epochs = _epochs(settings, run, n_pixels)
    machine = make_machine(
        run["start"],
        _hidden(settings, run),
        n_epochs=n_stages + n_epochs,
        stage_epochs=max(1, n_stages // run["depth"]),
        learning_rate=rate,
        rule=ReweightedWakeSleep(learning_rate=rate, **RULES[name]) if name else None,
        random_state=generator(depth=run["depth"], seed=run["seed"]),  # the same for all starts
        **({"pyramid": {"images": images}} if images else {}),
        hidden_bias=settings.variants[run["variant"]].get("hidden_bias", 0.0),
        **settings.training,
    )
    if epochs := _greedy(settings, run, n_stages):
        machine.set_params(init=GreedyInitializer(epochs), n_epochs=n_epochs)
    return machine


def _greedy(settings, run, n_stages):
    """Return the epochs of each pair, the lowest first, if the stages go from the data up."""
    shares = {
        "first pair": [n_stages, *[0] * (run["depth"] - 1)],
        "evenly": [n_stages // run["depth"]] * run["depth"],
    }
    return shares.get(settings.variants[run["variant"]].get("greedy"))


def _hidden(settings, run):
    return tuple(side**2 for side in settings.sides[: run["depth"]])


def _rate(settings, run):
    """Return the learning rate of a run."""
    variant = settings.variants[run["variant"]]
    rule = variant.get("rule", "wake-sleep")
    return settings.learning_rates[rule][run["start"]] * variant.get("rate", 1.0)


def _epochs(settings, run, n_pixels):
    """Return the epochs of all stages of a run, and those of ordinary training after them."""
    variant, hidden = settings.variants[run["variant"]], _hidden(settings, run)
    total = variant.get("n_epochs", settings.n_epochs)
    share = variant.get("stage_share", 0.5)
    per_stage = max(1, int(share * total / len(hidden)))
    like = "pyramid" if "greedy" in variant else run["start"]
    n_stages = n_stage_epochs(like, hidden, per_stage)
    if variant.get("equal_work"):
        n_stages_there = n_stage_epochs("pyramid", hidden, per_stage)
        rest = total - n_stages_there
        total = round(work_epochs("pyramid", n_pixels, hidden, n_stages_there, rest))
    return n_stages, total - n_stages


def work_epochs(start, n_pixels, hidden, n_stages, n_epochs, greedy=None):
    """Count the work of a training in epochs of ordinary training.

    Per sample and pair of layers wake-sleep takes six products with a matrix of weights: to
    explain, to predict downwards and to learn from it; to dream, to predict upwards and to learn from
    it. A stage takes these for its own pair, and one more for each pair above, to dream; a clamped one
    takes four for its own pair, and one from the data up takes six.

    Parameters
    ----------
    start : str
        One of the starts.
    n_pixels : int
        Data units.
    hidden : sequence of int
        Sizes of the hidden layers, data side first.
    n_stages, n_epochs : int
        Epochs of all stages together, and of ordinary training.
    greedy : sequence of int, optional
        Epochs of each stage, if the stages go from the data up.

    Returns
    -------
    float
        ``n_epochs`` and the work of the stages.
    """
    pairs = np.multiply([n_pixels, *hidden[:-1]], hidden)
    above = 0 if greedy else np.cumsum(pairs[::-1])[::-1] - pairs
    stages = 4 * pairs if start == "clamped" else 6 * pairs + above
    epochs = greedy or np.full(len(hidden), n_stages / len(hidden))
    return float(n_epochs + np.dot(epochs, stages) / (6 * pairs.sum()))


# Measuring ----------------------------------------------------------------------------------------


def _likelihood(settings, run, machine, validation, test, rng):
    """Estimate -log p of validation and test images, in nats."""
    chosen = importance_log_likelihood(machine, validation, settings.validation_draws, rng)
    some = test[:: len(test) // settings.n_test][: settings.n_test]
    draws = settings.variants[run["variant"]].get("draws", settings.draws)
    result = importance_log_likelihood(machine, some, draws, rng)
    n_images = len(result.estimate)
    relative_variance = result.standard_error**2 * (draws - 1)
    return {
        "nll": -result.estimate.mean(),
        "error_images": result.estimate.std(ddof=1) / np.sqrt(n_images),
        "error_estimate": np.sqrt((result.standard_error**2).sum()) / n_images,
        "nll_bound": -result.bound.mean(),  # of the same images, from the same explanations
        "effective_sample_size": (draws / (1 + relative_variance)).mean(),
        "nll_validation": -chosen.estimate.mean(),
    }


def layer_use(machine, images, n_paths, rng):
    r"""Say what each hidden layer of a machine is used for, with explanations drawn from R.

    With layers h_1 ... h_L above the data h_0, the free-energy bound is a sum of what is left to say of
    the pixels and what each layer costs:

    .. math:: F = \langle -\log p_G(h_0 | h_1) \rangle + \sum_l n_l, \qquad
              n_l = \langle \log p_R(h_l | h_{l-1}) - \log p_G(h_l | h_{l+1}) \rangle.

    Parameters
    ----------
    machine : HelmholtzMachine
        The machine.
    images : ndarray, shape (n_images, n_pixels)
        Bits.
    n_paths : int
        Explanations of each image, an even number.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    dict
        ``"bound"``, F, and ``"reconstruction"``, its first term; and lists over layers l = 1 ... L:
        ``"carried"`` is n_l + ... + n_L, the mean divergence KL[p_R(h_l ... h_L | h_{l-1}),
        p_G(h_l ... h_L)], nats which layer l and those above carry: zero only if they say nothing of
        the layer below.
        ``"cut"`` is the bound if the machine ended with layer l, whose units were then independent
        with biases that fit the explanations: that ``"cut"`` falls from one layer to the next is what
        the next is good for, and the last is the best that new biases of the top can do.
        ``"active"`` is the number of units whose mean E_R[h | image] has a variance over images of
        more than 0.01, computed as the covariance of two independent estimates.

    References
    ----------
    Burda, Grosse and Salakhutdinov (2016), *Importance weighted autoencoders*, for active units.
    """
    paths = [_follow(machine, images, rng) for _ in range(n_paths)]
    log_q, log_p = (np.mean([path[k] for path in paths], axis=0) for k in (0, 1))
    halves = [_average(paths[: n_paths // 2]), _average(paths[n_paths // 2 :])]
    nats = log_q - log_p[1:]
    before = -log_p[0] + np.cumsum(nats) - nats  # the terms of the layers below
    surprise = [_entropy((a + b).mean(axis=0) / 2) for a, b in zip(*halves)]
    return {
        "bound": nats.sum() - log_p[0],
        "reconstruction": -log_p[0],
        "carried": np.cumsum(nats[::-1])[::-1],
        "cut": before + log_q + surprise,
        "active": [int((_covariance(a, b) > ACTIVE).sum()) for a, b in zip(*halves)],
    }


def _follow(machine, images, rng):
    """Explain images once: mean log-probabilities of the layers by R and by G, and R's means."""
    layers = machine.explain(images, rng)
    upwards = list(zip(machine.recognition_, layers, layers[1:]))
    downwards = [*zip(machine.generative_, layers[1:], layers)]
    downwards.append((machine.prior_, layers[-1][:1, :0], layers[-1]))
    log_q = [layer.log_prob(x, y).mean(dtype=float) for layer, x, y in upwards]
    log_p = [layer.log_prob(x, y).mean(dtype=float) for layer, x, y in downwards]
    return np.array(log_q), np.array(log_p), [layer.mean(x) for layer, x, _ in upwards]


def _average(paths):
    """Average R's means of each layer over paths, shape (n_images, size of the layer) each."""
    return [np.mean(means, axis=0, dtype=float) for means in zip(*(path[2] for path in paths))]


def _covariance(a, b):
    """Compute the covariance over images of what a and b say of each unit."""
    return ((a - a.mean(axis=0)) * (b - b.mean(axis=0))).mean(axis=0)


def _entropy(p):
    """Compute the entropy of independent bits with probabilities p, in nats."""
    return -(xlogy(p, p) + xlogy(1 - p, 1 - p)).sum()


# Tables -------------------------------------------------------------------------------------------


def summary(records):
    """Average over seeds, by variant, depth and start, shallow machines first.

    "- random" is the difference in NLL to the random start of the same depth, seed and rule, with the
    half width of its 95 % interval by Student's t; negative is better than random. "active" counts
    units in use, of all layers and of the top.
    """
    groups = defaultdict(list)
    for record in records:
        groups[record["variant"], record["depth"], record["start"]].append(record)
    variants = list(dict.fromkeys([*VARIANTS, *(variant for variant, *_ in groups)]))
    order = sorted(groups, key=lambda key: (variants.index(key[0]), key[1], STARTS.index(key[2])))
    return [_row(*key, groups[key], groups) for key in order]


def best_rates(records):
    """Return for each start and depth of the sweep the best variant by the NLL of validation images.

    Parameters
    ----------
    records : list of dict
        Records of this experiment.

    Returns
    -------
    dict of (str, int) to str
        "main", "half rate" or "double rate"; only where all three were tried, with the first seed.
    """
    found = defaultdict(dict)
    for record in records:
        if record["seed"] == 0 and record["variant"] in ("main", "half rate", "double rate"):
            found[record["start"], record["depth"]][record["variant"]] = record["nll_validation"]
    return {key: min(nll, key=nll.get) for key, nll in found.items() if len(nll) == 3}


def _row(variant, depth, start, group, groups):
    """Average what the records of one variant, depth and start say."""
    rule_of = "reweighted" if variant == "reweighted" else "main"
    random = {
        record["seed"]: record["nll"] for record in groups.get((rule_of, depth, "random"), [])
    }
    differences = [r["nll"] - random[r["seed"]] for r in group if r["seed"] in random]
    is_random = (variant, start) == (rule_of, "random")
    difference, width = interval(differences) if differences and not is_random else (None, None)
    nll, half = interval([record["nll"] for record in group])

    def mean(name, take=float):
        return float(np.mean([take(record[name]) for record in group]))

    return {
        "variant": variant,
        "depth": depth,
        "start": start,
        "rate": group[0]["learning_rate"],
        "epochs": group[0]["n_epochs"],
        "work": mean("work_epochs"),
        "seconds": mean("seconds_training"),
        "NLL test": nll,
        "+-": half,
        "- random": difference,
        "+- ": width,
        "bound": mean("bound"),
        "validation": mean("nll_validation"),
        "eff. size": mean("effective_sample_size"),
        "active": mean("active", sum),
        "active top": mean("active", lambda units: units[-1]),
        "carried top": mean("carried", lambda nats: nats[-1]),
        "runs": len(group),
    }
