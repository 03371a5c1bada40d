"""How many random patterns a Hopfield network can hold, by rule, size and load.

For the quadratic energy a run stores p = load * N patterns and measures how many bits and patterns
are stable, and where recall ends. For dense memories, whose capacity is no fixed share of N, a run
searches the largest p at which nine of ten patterns come back exactly. Chapter *Capacity*.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from hmlib.experiments.provenance import generator
from hmlib.hopfield import (
    DenseAssociativeMemory,
    HopfieldNetwork,
    error_probability,
    retrieval_overlap,
)

NAME = "hopfield-capacity"


@dataclass(frozen=True)
class Settings:
    """What one profile measures.

    Attributes
    ----------
    n_seeds : dict of str to dict of int to int
        For each rule, how many repetitions at each number of units.
    loads : dict of str to tuple of float
        For each rule, the loads p / N.
    dense_units : dict of str to tuple of int
        For each interaction of the dense memories ("exponential" or a degree), the numbers of units.
    dense_seeds : int
        Repetitions of each search.
    max_patterns : int
        Where the search ends.
    n_recalled : int
        Patterns from which recall starts, at most.
    n_cues : int
        Cues that one step of the search tests.
    flipped : float
        Share of the bits of a cue that are wrong.
    success : float
        Share of the cues that must come back exactly.
    max_sweeps : int
        When recall gives up.
    """

    n_seeds: dict
    loads: dict
    dense_units: dict
    dense_seeds: int
    max_patterns: int
    n_recalled: int = 50
    n_cues: int = 100
    flipped: float = 0.1
    success: float = 0.9
    max_sweeps: int = 100


def _grid(start, stop, step):
    return tuple(np.arange(start, stop + step / 2, step).round(3).tolist())


PROFILES = {
    "smoke": Settings(
        n_seeds={"hebb": {50: 2}, "pseudo-inverse": {50: 1}, "storkey": {50: 1}},
        loads={"hebb": (0.04, 0.2), "pseudo-inverse": (0.5,), "storkey": (0.2,)},
        dense_units={"2": (20,), "exponential": (10,)},
        dense_seeds=1,
        max_patterns=200,
    ),
    "book": Settings(
        n_seeds={"hebb": {100: 2, 200: 2}, "pseudo-inverse": {100: 2}, "storkey": {100: 2}},
        loads={
            "hebb": _grid(0.04, 0.24, 0.04),
            "pseudo-inverse": _grid(0.2, 0.8, 0.2),
            "storkey": _grid(0.1, 0.5, 0.1),
        },
        dense_units={"2": (20, 40), "3": (20, 40), "exponential": (10, 20)},
        dense_seeds=2,
        max_patterns=1000,
    ),
    "paper": Settings(
        n_seeds={
            "hebb": {250: 20, 500: 20, 1000: 12, 2000: 10},
            "pseudo-inverse": {250: 10, 500: 10, 1000: 8, 2000: 6},
            "storkey": {250: 10, 500: 10, 1000: 8},
        },
        loads={
            "hebb": (
                *_grid(0.02, 0.1, 0.02),
                *_grid(0.11, 0.18, 0.01),
                0.135,
                0.145,
                0.2,
                0.22,
                0.24,
            ),
            "pseudo-inverse": (*_grid(0.1, 0.9, 0.1), 0.45, 0.55, 0.95),
            "storkey": _grid(0.05, 0.6, 0.05),
        },
        dense_units={  # multiples of ten, so that a tenth of the bits is a whole number
            "2": (20, 30, 40, 60, 80, 120),
            "3": (20, 30, 40, 60, 80, 120),
            "4": (20, 30, 40, 60),
            "exponential": (10, 20, 30),
        },
        dense_seeds=5,
        max_patterns=30_000,
    ),
}


def runs(settings):
    """List the keys: rule, n_units, load and seed; for dense memories degree instead of load."""
    quadratic = [
        {"rule": rule, "n_units": n_units, "load": load, "seed": seed}
        for rule, sizes in settings.n_seeds.items()
        for n_units, n_seeds in sizes.items()
        for load in settings.loads[rule]
        for seed in range(n_seeds)
    ]
    dense = [
        {
            "rule": "exponential" if interaction == "exponential" else "polynomial",
            "degree": None if interaction == "exponential" else int(interaction),
            "n_units": n_units,
            "seed": seed,
        }
        for interaction, sizes in settings.dense_units.items()
        for n_units in sizes
        for seed in range(settings.dense_seeds)
    ]
    return quadratic + dense


def run(settings, run, *, data=None, checkpoint=None):
    """Measure one network; all rules meet the same patterns at the same size, load and seed."""
    if run["rule"] in ("polynomial", "exponential"):
        return _search(settings, run)
    n_units = run["n_units"]
    n_patterns = max(1, round(run["load"] * n_units))
    rng = generator(n_units=n_units, load=run["load"], seed=run["seed"])
    patterns = _random_patterns(n_patterns, n_units, rng).astype(float)
    network = HopfieldNetwork(
        rule=run["rule"], max_sweeps=settings.max_sweeps, random_state=rng
    ).fit(patterns)
    one_step = network.recall(patterns, update="synchronous", max_sweeps=1)  # ties keep their state
    targets = patterns[: settings.n_recalled]
    still = network.recall(targets)
    noisy = network.recall(_flip(targets, settings.flipped, rng))
    return {
        "n_patterns": n_patterns,
        "unstable_bits": (one_step != patterns).mean(),
        "stable_patterns": network.is_stable(patterns).mean(),
        "overlap": (still * targets).mean(),
        "overlap_noisy": (noisy * targets).mean(),
        "exact_noisy": (noisy == targets).all(axis=1).mean(),
    }


def _search(settings, run):
    """Find the largest p at which the share ``success`` of cues comes back: doubling, bisection."""
    n_units = run["n_units"]
    rng = generator(n_units=n_units, seed=run["seed"], what="dense memory")
    patterns = _random_patterns(settings.max_patterns, n_units, rng)
    memory = DenseAssociativeMemory(
        interaction=run["rule"],
        degree=run["degree"] or 2,  # the exponential has none
        max_sweeps=settings.max_sweeps,
        random_state=rng,
    )

    def measure(n_patterns):
        targets = np.resize(
            patterns[: min(n_patterns, settings.n_cues)], (settings.n_cues, n_units)
        )
        memory.fit(patterns[:n_patterns].astype(float))
        final = memory.recall(_flip(targets.astype(float), settings.flipped, rng))
        return (final == targets).all(axis=1).mean()

    limit = settings.max_patterns
    low, high, success = 1, 2, measure(1)
    while low < high and (share := measure(high)) >= settings.success:
        low, high, success = high, min(2 * high, limit), share
    while high - low > max(1, 0.03 * low):
        middle = (low + high) // 2
        if (share := measure(middle)) >= settings.success:
            low, success = middle, share
        else:
            high = middle
    return {"n_patterns": low, "success": success, "capped": low == limit}


def _random_patterns(n_patterns, n_units, rng):
    return 2 * rng.integers(0, 2, size=(n_patterns, n_units), dtype=np.int8) - 1


def _flip(patterns, share, rng):
    """Flip exactly ``round(share * n_units)`` bits of each pattern."""
    n_units = patterns.shape[1]
    ranks = rng.random(patterns.shape).argsort(axis=1).argsort(axis=1)
    return np.where(ranks < round(share * n_units), -patterns, patterns)


def summary(records):
    """Hold means over the repetitions against theory where there is one."""
    groups = defaultdict(list)
    for record in records:
        key = (record["rule"], record.get("degree"), record["n_units"], record.get("load"))
        groups[key].append(record)
    rows = []
    for (rule, degree, n_units, load), group in groups.items():
        load = group[0]["n_patterns"] / n_units if rule == "hebb" else load
        theory = {}
        if rule == "hebb":
            theory = {
                "unstable_bits": float(error_probability(load)),
                "overlap": float(retrieval_overlap(load)),
            }
        quantities = (
            ("n_patterns",) if load is None else ("unstable_bits", "overlap", "exact_noisy")
        )
        for quantity in quantities:
            values = np.array([record[quantity] for record in group], dtype=float)
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
            rows.append(
                {
                    "rule": rule if degree is None else f"{rule} {degree}",
                    "N": n_units,
                    "load": load,
                    "quantity": quantity,
                    "mean": float(values.mean()),
                    "std. error": error,
                    "theory": theory.get(quantity),
                    "runs": len(values),
                }
            )
    return rows
