"""Time callables side by side, and keep the numbers.

A benchmark is a module in this folder with a ``main()`` that compares and records:

    from harness import compare, record
    from hmlib.hopfield import HopfieldNetwork

    def main():
        ours = HopfieldNetwork(random_state=0).fit(patterns)
        comparison = compare(
            {"hmlib": lambda: ours.recall(cues), "peer": lambda: peer.run(cues)},
            baseline="hmlib",
        )
        record("recall, N = 1000", comparison, n_units=1000, n_patterns=50, peer="peer 1.0.1")

    if __name__ == "__main__":
        main()

``make bench`` runs all of them, ``python benchmarks/run.py recall`` one. A ratio is a time divided
by the baseline's: above 1 is slower than the baseline. Do the work that is not to be timed before,
and let every callable do the same job; assert that they do where that is possible.
"""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmlib.experiments.files import locked, project_folder, write_atomically
from hmlib.experiments.provenance import machine_description

DIGITS = 4  # significant digits of what is stored: times do not repeat better


@dataclass(frozen=True)
class Comparison:
    """Seconds per call of several callables, timed in alternation.

    Attributes
    ----------
    seconds : dict of str to ndarray, shape (repeats,)
        Seconds per call. Entry k of all of them was measured in round k.
    baseline : str
        What ratios refer to.
    """

    seconds: dict[str, np.ndarray]
    baseline: str

    @property
    def medians(self):
        """Median seconds per call."""
        return {name: float(np.median(times)) for name, times in self.seconds.items()}

    @property
    def spread(self):
        """Smallest and largest seconds per call."""
        return {name: (float(t.min()), float(t.max())) for name, t in self.seconds.items()}

    @property
    def ratios(self):
        """Median over rounds of time / time of the baseline in the same round."""
        base = self.seconds[self.baseline]
        return {name: float(np.median(times / base)) for name, times in self.seconds.items()}

    @property
    def ratio_spread(self):
        """Smallest and largest of these ratios."""
        base = self.seconds[self.baseline]
        pairs = {name: times / base for name, times in self.seconds.items()}
        return {name: (float(r.min()), float(r.max())) for name, r in pairs.items()}

    def __str__(self):
        width = max(map(len, self.seconds))
        lines = [f"{'':{width}}   seconds (smallest .. largest)      ratio (smallest .. largest)"]
        for name, median in self.medians.items():
            low, high = self.spread[name]
            ratio, (least, most) = self.ratios[name], self.ratio_spread[name]
            lines.append(
                f"{name:{width}}  {median:8.3g} ({low:8.3g} .. {high:8.3g})"
                f"   {ratio:8.3g} ({least:8.3g} .. {most:8.3g})"
            )
        return "\n".join(lines)


def compare(callables, *, baseline, repeats=5, min_seconds=0.05):
    """Time callables in alternation, so that what slows the machine down slows all of them down.

    Parameters
    ----------
    callables : dict of str to callable
        What to time, without arguments. Each is called once beforehand, to warm up.
    baseline : str
        The name that ratios refer to.
    repeats : int
        Rounds; every callable is timed once in each.
    min_seconds : float
        A quicker callable is called several times in a row, to fill this time.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If ``baseline`` is no name of a callable or ``repeats`` is not positive.
    """
    if baseline not in callables:
        raise ValueError(f"baseline must be one of {list(callables)}, got {baseline!r}")
    if repeats < 1:
        raise ValueError(f"repeats must be an int of at least 1, got {repeats!r}")
    for call in callables.values():
        call()  # imports, caches and compilers
    loops = {
        name: max(1, math.ceil(min_seconds / max(seconds_per_call(call), 1e-7)))
        for name, call in callables.items()
    }
    rounds = [
        {name: seconds_per_call(call, loops[name]) for name, call in callables.items()}
        for _ in range(repeats)
    ]
    seconds = {name: np.array([each[name] for each in rounds]) for name in callables}
    return Comparison(seconds, baseline)


def seconds_per_call(call, n_loops=1):
    """Measure the seconds per call over ``n_loops`` calls."""
    start = time.perf_counter()
    for _ in range(n_loops):
        call()
    return (time.perf_counter() - start) / n_loops


def record(section, comparison, *, path=None, **context):
    """Print a comparison and merge it into ``data/results/benchmarks.json``.

    Parameters
    ----------
    section : str
        What was compared. A section of this name is replaced, all others stay.
    comparison : Comparison
        The times.
    path : path-like, optional
        Another file.
    **context
        What the times depend on: sizes, versions of peers; numbers, strings, lists.
    """
    path = Path(path or project_folder() / "data" / "results" / "benchmarks.json")
    entry = {
        "baseline": comparison.baseline,
        "context": context,
        "machine": machine_description(),
        "median_seconds": _rounded(comparison.medians),
        "ratio": _rounded(comparison.ratios),
        "ratio_spread": _rounded(comparison.ratio_spread),
        "repeats": len(comparison.seconds[comparison.baseline]),
        "spread_seconds": _rounded(comparison.spread),
    }
    with locked(path.parent):
        sections = json.loads(path.read_text()) if path.exists() else {}
        sections[section] = entry
        text = json.dumps(sections, indent=1, sort_keys=True, allow_nan=False) + "\n"
        write_atomically(path, lambda file: file.write(text.encode()))
    print(f"{section}\n{comparison}\n", flush=True)


def _rounded(values):
    def short(x):
        return [short(y) for y in x] if isinstance(x, tuple) else float(f"{x:.{DIGITS}g}")

    return {name: short(value) for name, value in values.items()}
