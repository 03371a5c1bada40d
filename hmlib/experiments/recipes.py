"""What matters in wake-sleep: order of the phases, learning rates, starting values, batches.

A run trains one Helmholtz machine by one recipe on a world whose pictures can be listed, so that
KL[world, G] and the gap between bound and free energy are exact sums. All recipes of a world see the
same number of pictures. Most differ from the plain one in one thing; those in ``COMBINED`` are the
recommended recipe and the recommended recipe without one of its parts. Rates and recommendations were
chosen by looking at other seeds than those of the records. Chapter *Wake-sleep*.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from hmlib import datasets
from hmlib.exact import kl_divergence
from hmlib.experiments.provenance import generator
from hmlib.helmholtz import HelmholtzMachine
from hmlib.wake_sleep import WakeSleep

NAME = "wake-sleep-recipes"

WORLDS = {"stripes": datasets.stripes, "bars": datasets.bars}


@dataclass(frozen=True)
class Recipe:
    """How to train; what is not said stays as in the plain run.

    Attributes
    ----------
    rate : float
        Learning rate for each picture. A step on a batch of B moves by B times the mean rule of the
        batch, so that recipes with different B move at the same speed.
    upper : tuple of float
        Factors on the rates of all layers above the data side, the prior included: in the first
        half of the run, and in the second.
    recognition : float
        Factor on the rates of the recognition network.
    left : float
        Share of the rates that is left at the end; they fall linearly in the second half.
    batch_size : int
        Pictures of one step, and dreams.
    night : int
        Wake steps in a row; then come as many sleep steps.
    sleep_first : bool
        Whether each night comes before its day.
    n_sleeps : int
        Sleep steps for each wake step.
    init_scale : float
        Standard deviation of the weights at the start.
    init_bias : {"zero", "data"}
        As in :class:`hmlib.helmholtz.HelmholtzMachine`.
    hidden_bias : float
        Where the generative biases of the layer above the data start.
    positive : bool
        Whether negative generative weights to the data units are set to zero after each wake step.
    """

    rate: float
    upper: tuple = (1.0, 1.0)
    recognition: float = 1.0
    left: float = 1.0
    batch_size: int = 20
    night: int = 1
    sleep_first: bool = False
    n_sleeps: int = 1
    init_scale: float = 0.0
    init_bias: str = "zero"
    hidden_bias: float = 0.0
    positive: bool = False


@dataclass(frozen=True)
class Settings:
    """What one profile trains; each dict has the worlds as keys.

    Attributes
    ----------
    hidden : dict of str to tuple of int
        Sizes of the hidden layers.
    n_pictures : dict of str to int
        Pictures that a machine sees.
    n_points : int
        Points of the learning curve, evenly spaced.
    recipes : dict of str to dict of str to Recipe
        The recipes by name.
    n_seeds : dict of str to int
        Repetitions of each recipe.
    few_seeds : dict of str to int
        Repetitions of the recipes that take long, by name.
    """

    hidden: dict
    n_pictures: dict
    n_points: int
    recipes: dict
    n_seeds: dict
    few_seeds: dict


def _stripes():
    """Name the recipes for the stripes world."""
    plain = Recipe(rate=0.08)
    changes = {
        "plain": {},
        "half the rate": {"rate": 0.04},
        "twice the rate": {"rate": 0.16},
        "falling rates": {"left": 0.05},
        "slower above": {"upper": (0.15, 0.15)},
        "slower recognition": {"recognition": 0.3},
        "three sleeps": {"n_sleeps": 3},
        "sleep first": {"sleep_first": True},
        "whole nights": {"night": 100},
        "batches of 100": {"batch_size": 100},
        "single pictures": {"batch_size": 1},
        "low hidden biases": {"hidden_bias": -2.0},
        "random start": {"init_scale": 0.3},
        "recommended": {
            "rate": 0.7,
            "upper": (0.15, 0.15),
            "recognition": 0.15,
            "left": 0.05,
            "init_scale": 0.3,
        },
    }
    return {name: replace(plain, **change) for name, change in changes.items()}


def _bars():
    """Name the recipes for the bars world."""
    plain = Recipe(rate=0.1, batch_size=50)
    changes = {
        "falling rates": {"left": 0.05},
        "slow top": {"upper": (0.001, 0.3)},
        "slower recognition": {"recognition": 0.3},
        "positive weights": {"positive": True},
        "low hidden biases": {"hidden_bias": -3.0},
        "biases from data": {"init_bias": "data"},
    }
    all_of_them = {field: value for change in changes.values() for field, value in change.items()}
    recommended = replace(plain, **all_of_them)
    return {
        "plain": plain,
        **{name: replace(plain, **change) for name, change in changes.items()},
        "recommended": recommended,
        "without slow top": replace(recommended, upper=plain.upper),
        "without positive weights": replace(recommended, positive=False),
        "without low hidden biases": replace(recommended, hidden_bias=0.0),
    }


COMBINED = (
    "recommended",
    "without slow top",
    "without positive weights",
    "without low hidden biases",
)

SHORT = ("plain", "recommended")

PROFILES = {
    "smoke": Settings(
        hidden={"stripes": (6, 1), "bars": (4, 1)},
        n_pictures={"stripes": 4000, "bars": 4000},
        n_points=4,
        recipes={
            "stripes": {name: _stripes()[name] for name in SHORT},
            "bars": {name: _bars()[name] for name in SHORT},
        },
        n_seeds={"stripes": 2, "bars": 1},
        few_seeds={},
    ),
    "book": Settings(
        hidden={"stripes": (6, 1), "bars": (8, 1)},
        n_pictures={"stripes": 80_000, "bars": 400_000},
        n_points=20,
        recipes={"stripes": _stripes(), "bars": _bars()},
        n_seeds={"stripes": 3, "bars": 2},
        few_seeds={"single pictures": 1},
    ),
    "paper": Settings(
        hidden={"stripes": (6, 1), "bars": (8, 1)},
        n_pictures={"stripes": 80_000, "bars": 400_000},
        n_points=20,
        recipes={"stripes": _stripes(), "bars": _bars()},
        n_seeds={"stripes": 20, "bars": 20},
        few_seeds={"single pictures": 10},
    ),
}


def runs(settings):
    """List the keys: world, recipe and seed."""
    return [
        {"world": world, "recipe": recipe, "seed": seed}
        for world, recipes in settings.recipes.items()
        for recipe in recipes
        for seed in range(settings.few_seeds.get(recipe, settings.n_seeds[world]))
    ]


def run(settings, run, *, data=None, checkpoint=None):
    """Train one machine and measure it; takes too little time for a checkpoint."""
    name, rng = run["world"], generator(**run)
    world, recipe = WORLDS[name](), settings.recipes[name][run["recipe"]]
    machine = _new_machine(world, settings.hidden[name], recipe, rng)
    points = [
        _measure(machine, world)
        for _ in _train(machine, world, recipe, settings.n_pictures[name], settings.n_points, rng)
    ]
    kl, gap = points[-1]
    return {
        "kl": kl,
        "gap": gap,
        "legal": np.exp(machine.score_samples(world.patterns)).sum(),
        "n_pictures": settings.n_pictures[name],
        "curve_kl": [round(point[0], 4) for point in points],
    }


def _new_machine(world, hidden, recipe, rng):
    """Make the machine as it is before training."""
    machine = HelmholtzMachine(
        hidden,
        n_epochs=0,
        init="random" if recipe.init_scale else "zero",
        init_scale=recipe.init_scale,
        init_bias=recipe.init_bias,
        random_state=rng,
    ).fit(world.sample(1000, rng))  # they only give the biases of the data units
    machine.generative_[1].bias[:] = recipe.hidden_bias
    return machine


def _train(machine, world, recipe, n_pictures, n_points, rng):
    """Train, and pause ``n_points`` times for a look."""
    batch_size, n_steps = recipe.batch_size, n_pictures // recipe.batch_size
    for point in range(n_points):
        pictures = world.sample(n_pictures // n_points, rng)
        batches = pictures.reshape(-1, batch_size, pictures.shape[1])
        for first in range(0, len(batches), recipe.night):
            rates = _rates(recipe, (point * len(batches) + first) / n_steps)
            _day_and_night(machine, batches[first : first + recipe.night], recipe, rates, rng)
        yield


def _rates(recipe, progress):
    """Compute the generative rates, data side first, at this part of the run, 0 to 1."""
    share = 1 + (recipe.left - 1) * max(0.0, 2 * progress - 1)
    speed = share * recipe.batch_size * recipe.rate
    return speed, speed * recipe.upper[progress >= 0.5]


@lru_cache(maxsize=2)
def _rules(rates, recognition):
    """Make the rules for wake and sleep; most rates stay for many steps."""
    return WakeSleep(rates), WakeSleep([recognition * rate for rate in rates])


def _day_and_night(machine, batches, recipe, rates, rng):
    """Wake on each of the batches in turn, and sleep as often, in the order of the recipe."""
    awake, asleep = _rules(rates, recipe.recognition)

    def wake():
        for d in batches:
            awake.wake(machine, d, rng)
            if recipe.positive:
                V = machine.generative_[0].weights
                np.maximum(V, 0, out=V)

    def sleep():
        for _ in range(recipe.n_sleeps * len(batches)):
            asleep.sleep(machine, recipe.batch_size, rng)

    for phase in (sleep, wake) if recipe.sleep_first else (wake, sleep):
        phase()


def _measure(machine, world):
    """Compute KL[world, G] and the mean gap KL[R, G], in nats, by enumeration."""
    log_p = machine.score_samples(world.patterns)
    gap = world.probabilities @ (machine.free_energy_bound(world.patterns) + log_p)
    return kl_divergence(world.probabilities, np.exp(log_p)), gap


def summary(records):
    """Give median and range over the repetitions of each recipe."""
    groups = defaultdict(list)
    for record in records:
        groups[record["world"], record["recipe"]].append(record)
    rows = []
    for (world, recipe), group in groups.items():
        kl = np.array([record["kl"] for record in group])
        low, median, high = np.quantile(kl, [0, 0.5, 1]).tolist()
        rows.append(
            {
                "world": world,
                "recipe": recipe,
                "KL median": median,
                "lowest": low,
                "highest": high,
                "median, bits": median / np.log(2),
                "gap median": float(np.median([record["gap"] for record in group])),
                "runs": len(group),
            }
        )
    return rows
