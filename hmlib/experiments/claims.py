"""The claims of the thesis beside our records: what each demands, what came out, and a verdict.

A claim is turned into comparisons: quantities with 95 % intervals, each with the range that the
claim demands. The verdict follows from them by one rule, see :func:`verdict`. Which of two
procedures the thesis means by "image pyramid" is open, so each claim about it gets two verdicts: for
free stages, and for clamped ones. Chapter *Report*.
"""

import textwrap
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from hmlib.experiments import architectures, generated, memory, pyramid_likelihood, readout
from hmlib.experiments.architectures import Estimate
from hmlib.experiments.runner import settings_of
from hmlib.experiments.store import DIGITS, load_records, results_path

VERDICTS = ("reproduced", "partly", "not", "cannot tell", "no records yet")
REPRODUCED, PARTLY, NOT, CANNOT_TELL, NO_RECORDS = VERDICTS
READINGS = {"free": "pyramid", "clamped": "clamped"}  # of "image pyramid", and the start of each
OTHERS = ("random", "zero")
MODULES = (readout, memory, architectures, generated, pyramid_likelihood)

# What words of the thesis are taken to mean; chosen before there were records at full size.
LITTLE = 0.2  # "almost nothing": fewer than two classes in ten, where guessing gets one
NO_MORE = 0.01  # "no advantage": less than one point of accuracy
SIMILAR = 0.05  # "similar": within 5 %
UNCHANGED = 0.02  # "unchanged": two points from the smallest machine to the largest
SOME = 0.5  # "some images": on average at least half an image

# Fewer runs have no interval: two may agree by chance, and a bootstrap of few is too narrow.
SEEDS, ENOUGH = 3, 10  # of one machine; of the architectures


# The rule -----------------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """A quantity with its 95 % interval, and what a claim demands of it.

    Attributes
    ----------
    what : str
        The quantity.
    now, low, high : float or None
        Estimate and interval, infinite if there are too few runs for one; None without any.
    demand : str
        Such as ``"> 0"``.
    side : int
        1 if the interval lies wholly where the claim has it, -1 if wholly elsewhere, else 0.
    """

    what: str
    now: float | None
    low: float | None
    high: float | None
    demand: str
    side: int

    def __str__(self):
        if self.now is None:
            return f"{self.what}: no records; claimed {self.demand}"
        ends = (
            f"{_text(self.low)} to {_text(self.high)}" if np.isfinite(self.low) else "no interval"
        )
        return f"{self.what}: {_text(self.now)} ({ends}); claimed {self.demand}"


def _text(x):
    return f"{x:.3g}" if abs(x) < 1000 else f"{x:.0f}"


def compare(what, estimate, *, above=-np.inf, below=np.inf):
    """Compare an :class:`Estimate`, or None, with the open range that a claim demands."""
    ends = {f"> {_text(above)}": above, f"< {_text(below)}": below}
    demand = " and ".join(text for text, end in ends.items() if np.isfinite(end))
    if estimate is None:
        return Comparison(what, None, None, None, demand, 0)
    now, low, high = (round(x, DIGITS - 2) for x in estimate)  # records hold so many digits
    inside, outside = above < low and high < below, high <= above or low >= below
    return Comparison(what, now, low, high, demand, int(inside) - int(outside))


def match(what, estimate, number, rivals=()):
    """Ask if an interval holds a published number; if it holds a rival as well, that is open."""
    if estimate is None or not np.isfinite(estimate.low):
        return Comparison(what, *(estimate or 3 * (None,)), f"= {number}", 0)
    held = [x for x in (number, *rivals) if estimate.low <= x <= estimate.high]
    return Comparison(what, *estimate, f"= {number}", int(held == [number]) - (number not in held))


def verdict(comparisons):
    """Judge a claim by its comparisons.

    Parameters
    ----------
    comparisons : sequence of Comparison

    Returns
    -------
    str
        "no records yet" if one of them has no records; "reproduced" if every interval lies wholly on
        the claimed side, "partly" if some do; "not" if none does and at least one lies wholly on the
        other side; "cannot tell" if all contain both, or there is nothing to compare.
    """
    if any(comparison.now is None for comparison in comparisons):
        return NO_RECORDS
    sides = [comparison.side for comparison in comparisons]
    if sides and min(sides) == 1:
        return REPRODUCED
    if 1 in sides:
        return PARTLY
    return NOT if -1 in sides else CANNOT_TELL


def over_seeds(values, new_run=False):
    """Estimate a mean by Student's t, or what one new run will give; None without values.

    Differences are taken seed by seed before, so what both sides share drops out. The test images
    are always the same: the interval is about other runs, not about other test images.
    """
    values, n = np.asarray(values, dtype=float), len(values)
    if n == 0:
        return None
    mean, half = values.mean(), np.inf
    if n >= SEEDS:
        half = student.ppf(0.975, n - 1) * values.std(ddof=1) * np.sqrt(1 / n + new_run)
    return Estimate(float(mean), float(mean - half), float(mean + half))


# Evidence: from records, and the start that stands for the pyramid, to comparisons ------------------


def differ(get, cells, **demand):
    """Compare what ``get(records, *key)`` has for two keys, seed by seed, or for one if other is None.

    ``cells(records)`` lists (what, one, other); "pyramid" in a key stands for either start.
    """

    def evidence(records, pyramid):
        def values(key):
            return get(records, *(pyramid if part == "pyramid" else part for part in key))

        def estimate(one, other):
            a, b = values(one), values(other) if other else None
            common = sorted(a.keys() & b.keys() if other else a)
            return over_seeds([a[seed] - b[seed] if other else a[seed] for seed in common])

        return [compare(what, estimate(*keys), **demand) for what, *keys in cells(records)]

    return evidence


def _log(get):
    """Let ``get``, which reads numbers by seed, return their logarithms."""
    return lambda *key: {seed: np.log(value) for seed, value in get(*key).items()}


def together(*parts):
    """Join the comparisons of several functions."""
    return lambda records, pyramid: [c for part in parts for c in part(records, pyramid)]


# Layers: a key is a start, and the layers that a regression sees.


def _read(records, start, *layers):
    return {
        record["seed"]: record["test"][record["layers"].index(list(layers))]
        for record in records
        if record["start"] == start and list(layers) in record["layers"]
    }


def _steepest_fall(records, start):
    read = [_read(records, start, layer) for layer in _layers(records)]
    seeds = set.intersection(*map(set, read))
    return {
        seed: max(low[seed] - high[seed] for low, high in zip(read, read[1:])) for seed in seeds
    }


def _layers(records):
    return sorted({layers[0] for r in records for layers in r["layers"] if len(layers) == 1} - {0})


def _deep(records):
    """List the upper half of the layers."""
    return _layers(records)[len(_layers(records)) // 2 :]


def _first_and_others(records):
    others = _layers(records)[1:]
    return [(f"{s}: layer 1 - {k}", (s, 1), (s, k)) for s in OTHERS for k in others]


def _deep_alone(records):
    return [(f"{s}: layer {k}", (s, k), None) for s in OTHERS for k in _deep(records)]


def _all_and_first(records):
    return [(f"{s}: all layers - layer 1", (s, *_layers(records)), (s, 1)) for s in OTHERS]


def _neighbours(records):
    pairs = zip(_layers(records), _layers(records)[1:])
    return [(f"layer {low} - {high}", ("pyramid", low), ("pyramid", high)) for low, high in pairs]


def _to_first(records):
    return [(f"layer {k} - layer 1", ("pyramid", k), ("pyramid", 1)) for k in _layers(records)[1:]]


def _better_than(others, which):
    return lambda records: [
        (f"layer {k}: pyramid - {other}", ("pyramid", k), (other, k))
        for other in others
        for k in which(records)
    ]


def _less_steep(_):
    return [(f"pyramid - {start}", ("pyramid",), (start,)) for start in OTHERS]


# Memory: a key is a quantity, N, and "shallow" or the start of a deep machine.


def _memory(records, quantity, n, name):
    kind = ("shallow", "random") if name == "shallow" else ("deep", name)
    return {
        record["seed"]: record[quantity][record["n_train"].index(n)]
        for record in records
        if (record["machine"], record["start"]) == kind and n in record["n_train"]
    }


def _at_n(pairs, chosen, one, other=None):
    """List cells for each N that is chosen; pairs of machines, or one machine and None."""
    title = (f"{one} - {other}" if other else one).replace("_", " ")

    def cells(records):
        return [
            (
                f"{title}, N = {n}: {a}" + (f" - {b}" if b else ""),
                (one, n, a),
                (other or one, n, b or a) if other or b else None,
            )
            for n in sorted({n for record in records for n in record["n_train"]} & set(chosen))
            for a, b in pairs
        ]

    return cells


def _parameters(records, _):
    def printed(name):
        found = {record["parameters_printed"] for record in records if record["machine"] == name}
        return Estimate(*3 * [found.pop()]) if found else None

    return [match("deep", printed("deep"), 502_820), match("shallow", printed("shallow"), 556_565)]


# Seventy architectures: no seeds, but a statistic over architectures with a bootstrap interval. Each
# start has the rate that is best for it in the mean over all of them.


def _compare_starts(statistic, quantities, **demand):
    def evidence(records, pyramid):
        records = architectures.best_rates(records)
        return [
            compare(
                f"{quantity.replace('_', ' ')}: pyramid - {other}",
                _checked(statistic(records, pyramid, quantity, other=other), records, pyramid),
                **demand,
            )
            for quantity in quantities
            for other in OTHERS
        ]

    return evidence


def _follow_sizes(starts, **demand):
    """Ask how accuracy changes along the fitted line from the smallest architecture to the largest."""

    def change(records, source, quantity, by):
        sizes = [record[by] for record in records if record["source"] == source]
        slope = architectures.slope(records, source, quantity, by)
        change = slope and Estimate(*(x * (max(sizes) - min(sizes)) for x in slope))
        return _checked(change, records, source)

    def evidence(records, pyramid):
        records = architectures.best_rates(records)
        return [
            compare(
                f"{quantity.replace('_', ' ')} by {title}: {start}",
                change(records, pyramid if start == "pyramid" else start, quantity, by),
                **demand,
            )
            for start in starts
            for quantity in ACCURACIES
            for by, title in {"n_units": "units", "depth": "layers"}.items()
        ]

    return evidence


def _checked(estimate, records, source):
    """Take away an interval that is from too few architectures."""
    n = sum(record["source"] == source for record in records)
    return estimate and (estimate if n >= ENOUGH else Estimate(estimate.value, -np.inf, np.inf))


def _slope_with_depth(records, source, quantity, other):
    return architectures.slope_difference(records, source, quantity, "depth", other=other)


# Nats: a key is a depth and a start.


def _nll(records, depth, start):
    key = ("main", depth, start)
    return {r["seed"]: r["nll"] for r in records if (r["variant"], r["depth"], r["start"]) == key}


def _by_depth(records):
    depths = sorted({record["depth"] for record in records if record["variant"] == "main"})
    return [
        (f"nats, {d} layer{'s' * (d > 1)}: pyramid - {s}", (d, "pyramid"), (d, s))
        for d in depths
        for s in OTHERS
    ]


# Generated sets: a key is an image set, a quantity, and a start or control.


def _of_sets(longest):
    """Look at the longest training and the largest size that all have, or at those of the table."""

    def values(records, name, quantity, source):
        trained = [record for record in records if record["set"] == name and record["epochs"]]
        if not trained:
            return {}
        epochs = (max if longest else min)(record["epochs"] for record in trained)
        sizes = [set(record["sizes_grey"]) for record in trained if record["epochs"] == epochs]
        size = max(set.intersection(*sizes)) if longest else trained[0]["table_size"]
        key = (name, source, 0 if source in generated.CONTROLS else epochs)
        return {
            r["seed"]: r[quantity] if quantity in r else generated.at(r, quantity, "grey", size)
            for r in records
            if (r["set"], r["source"], r["epochs"]) == key and size in r.get("sizes_grey", ())
        }

    return values


_table, _largest = _of_sets(longest=False), _of_sets(longest=True)


def _pairs(sets, quantity, *pairs, other=None):
    """List cells for each image set: two sources, two quantities of one source, or one alone."""

    def what(name, a, b):
        if b is None or other:
            pair = f"{a}, {quantity}" + (f" - {other.removesuffix('_grey')}" if other else "")
        else:
            pair = f"{quantity}, {a} - {b}"
        return f"{name}: {pair}".replace("_", " ")

    return lambda _: [
        (what(name, a, b), (name, quantity, a), b and (name, other or quantity, b))
        for name in sets
        for a, b in pairs
    ]


def _factor(name, row):
    numbers = generated.THESIS_FACTORS[name]
    rivals = [number for other, number in numbers.items() if other != row]

    def evidence(records, pyramid):
        factors = _table(records, name, "factor", pyramid if row == "pyramid" else row)
        estimate = over_seeds(list(factors.values()), new_run=True)
        return [match("factor of a new run", estimate, numbers[row], rivals)]

    return evidence


# The claims ---------------------------------------------------------------------------------------


class Claim(NamedTuple):
    """A claim of the thesis, in our words.

    Attributes
    ----------
    name, section, figure : str
        Our name for it, and where the thesis makes it.
    claim, then : str
        What it says; the number or the order that it gives.
    experiment : str or None
        Whose records decide; None if no records can.
    evidence : callable or None
        ``evidence(records, pyramid)`` lists the comparisons, with the start ``pyramid`` in the place
        of the thesis's image pyramid.
    remark : str
        How words became numbers, or why no records decide.
    measure : str
        "as printed" or "repaired" where the thesis measures something other than it means; "control"
        where a yardstick is added.
    pyramid : bool
        Whether it is about the image pyramid.
    """

    name: str
    section: str
    figure: str
    claim: str
    then: str
    experiment: str | None
    evidence: Callable | None
    remark: str = ""
    measure: str = ""
    pyramid: bool = True


LAYERS, MEMORY, SEVENTY, SETS, NATS = (module.NAME for module in MODULES)
SMALL, MIDDLE, LARGE = (2, 4, 8, 16, 32, 64), (128, 256), (512, 1024)
ALL_N = SMALL + MIDDLE + LARGE
EVERY = (("pyramid", None), ("random", None), ("shallow", None))
DEEP, SHALLOW, RANDOM = EVERY[:2], EVERY[2:], EVERY[1:2]
TO_RANDOM, TO_SHALLOW = [("pyramid", "random")], [("pyramid", "shallow"), ("random", "shallow")]
GAPS = ("coverage_gap_of_held_out", "coverage_gap")
ACCURACIES = ("accuracy_test", "accuracy_train")
TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10-gray": "grey CIFAR-10"}
MNIST, FASHION, CIFAR = ([name] for name in TITLES)
SELF, LINE = ("pyramid", "pyramid"), "line_grey"
PRINTED, REPAIRED, CONTROL = "as printed", "repaired", "control"

# fmt: off
CLAIMS = [
    # 5.1, 5.2
    Claim("first-layer", "5.1", "fig. 5.2", "The first layer tells the classes apart better than the others.",
          "layer 1 best", LAYERS, differ(_read, _first_and_others, above=0),
          "Test images. The thesis does not name the start: random and zero are asked.", pyramid=False),
    Claim("deep-know-little", "5.1", "fig. 5.2", "Layers far from the data know almost nothing of classes.",
          "almost none", LAYERS, differ(_read, _deep_alone, below=LITTLE),
          "Upper half of layers; fewer than two in ten are named, where guessing gets one.", pyramid=False),
    Claim("depth-unused", "5.1", "fig. 5.2", "A deep machine takes no advantage of its further layers.",
          "no advantage", LAYERS, differ(_read, _all_and_first, below=NO_MORE),
          "All layers side by side name less than one in 100 more than the first alone.", pyramid=False),
    Claim("locality", "5.1", "", "The cause is that wake-sleep learns locally.", "a suggestion", None, None,
          "All machines compared learn locally: there is no control.", pyramid=False),
    Claim("reads-better", "5.2", "fig. 5.3", "With the pyramid every layer tells the classes apart better.",
          "higher overall", LAYERS, differ(_read, _better_than(OTHERS, _layers), above=0),
          "Against both other starts, on test images."),
    Claim("falls", "5.2", "fig. 5.3", "With the pyramid each layer tells less than the one below it.",
          "decreasing", LAYERS, differ(_read, _neighbours, above=0), "Test images."),
    Claim("falls-smoothly", "5.2", "fig. 5.3", "With the pyramid what layers tell is lost gradually.",
          "smooth", LAYERS,
          differ(_steepest_fall, _less_steep, below=0),
          "The steepest fall from a layer to the next is less than with either other start."),
    Claim("separates-uniformly", "5.2", "", "With the pyramid all layers tell the classes apart alike.",
          "uniformly (6.1)", LAYERS, differ(_log(_read), _to_first, above=-SIMILAR, below=SIMILAR),
          "As 6.1 sums up; section 5.2 itself has a decrease. Within 5 % of the first layer."),
    Claim("deep-used", "5.2", "", "With the pyramid deep layers come to hold something meaningful.",
          "fully used", LAYERS, differ(_read, _better_than([readout.UNTRAINED], _deep), above=0),
          "Upper half of the layers; more than with small random weights, untrained."),
    # 5.3
    Claim("parameters", "5.3", "fig. 5.4", "The shallow machine has more free weights than the deep ones.",
          "502820 < 556565", MEMORY, _parameters,
          "As printed: generative weights and the biases of the top.", pyramid=False),
    Claim("none-left-out", "5.3", "fig. 5.5", "Up to 64 images, all three machines remember every one.",
          "0 left out", MEMORY, differ(_memory, _at_n(EVERY, SMALL, "unrepresented"), below=SOME),
          "An image is left out if it is the nearest to no dream.", PRINTED),
    Claim("none-left-out-repaired", "5.3", "fig. 5.5",
          "Up to 64 images, all three machines remember every one.", "0 left out", MEMORY,
          differ(_memory, _at_n(EVERY, SMALL, *GAPS), above=0),
          "Dreams come nearer to them than to test images; else it is no memory.", REPAIRED),
    Claim("zero-is-memory", "5.3", "", "A machine that leaves no image out has remembered them all.",
          "a definition", MEMORY,
          differ(_memory, _at_n(RANDOM, SMALL, "unrepresented_of_held_out"), above=SOME),
          "Then as many test images, which nobody has learnt, should leave some out.", pyramid=False),
    Claim("shallow-forgets", "5.3", "fig. 5.5",
          "Of 128 and 256, the shallow one forgets some, the deep ones none.", "shallow > 0 = deep", MEMORY,
          together(differ(_memory, _at_n(SHALLOW, MIDDLE, "unrepresented"), above=SOME),
                   differ(_memory, _at_n(DEEP, MIDDLE, "unrepresented"), below=SOME)),
          "Images left out, as above.", PRINTED),
    Claim("shallow-forgets-repaired", "5.3", "fig. 5.5",
          "Of 128 and 256, the shallow one forgets some, the deep ones none.", "shallow > 0 = deep", MEMORY,
          differ(_memory, _at_n(TO_SHALLOW, MIDDLE, "coverage_gap"), below=0),
          "Mean distance from an image to its nearest dream is smaller for deep ones.", REPAIRED),
    Claim("pyramid-remembers", "5.3", "fig. 5.5",
          "Of 512 and 1024 images the pyramid forgets fewer than random.", "fewer", MEMORY,
          differ(_memory, _at_n(TO_RANDOM, LARGE, "unrepresented"), below=0),
          "The number left out depends on how many dreams there are.", PRINTED),
    Claim("pyramid-remembers-repaired", "5.3", "fig. 5.5",
          "Of 512 and 1024 images the pyramid forgets fewer than random.", "fewer", MEMORY,
          differ(_memory, _at_n(TO_RANDOM, LARGE, "coverage_gap"), below=0),
          "Mean distance from an image to its nearest dream.", REPAIRED),
    Claim("pyramid-always", "5.3", "fig. 5.5", "The pyramid leaves the fewest images out at every N.",
          "best at all N", MEMORY,
          differ(_memory, _at_n([*TO_RANDOM, *TO_SHALLOW[:1]], ALL_N, "unrepresented"), below=0),
          "From the caption; the text has ties up to N = 256, and a tie is not fewer."),
    Claim("entropy-first", "5.3", "fig. 5.5", "The pyramid's dreams are spread most evenly over the images.",
          "pyramid > random", MEMORY, differ(_memory, _at_n(TO_RANDOM, ALL_N, "entropy"), above=0),
          "H / ln N, of which 1 is even; at equal N the order is that of the printed H."),
    Claim("entropy-last", "5.3", "fig. 5.5", "The random deep machine is next, the shallow one last.",
          "random > shallow", MEMORY, differ(_memory, _at_n(TO_SHALLOW[1:], ALL_N, "entropy"), above=0),
          "As above, at every N.", pyramid=False),
    Claim("distance-similar", "5.3", "fig. 5.5", "Both deep machines dream equally close to their images.",
          "similar", MEMORY,
          differ(_log(_memory), _at_n(TO_RANDOM, ALL_N, "mean_distance"), above=-SIMILAR, below=SIMILAR),
          "Difference of logarithms: mean distances within 5 %, at every N."),
    Claim("distance-last", "5.3", "fig. 5.5", "Both dream closer to their images than the shallow one.",
          "deep < shallow", MEMORY, differ(_memory, _at_n(TO_SHALLOW, ALL_N, "mean_distance"), below=0),
          "At every N. Copies of a single image would be closest of all."),
    Claim("shallow-worst", "5.3", "fig. 5.5", "The shallow machine leaves the most images out at every N.",
          "worst at all N", MEMORY, differ(_memory, _at_n(TO_SHALLOW, ALL_N, "unrepresented"), below=0),
          "From the caption; the text has ties up to N = 64."),
    Claim("composition", "5.3", "", "The deep ones win because layers compose features.", "a suggestion",
          None, None,
          "The machines differ in depth, width and rate at once.", pyramid=False),
    # 5.4
    Claim("accuracy-mean", "5.4", "fig. 5.6", "Over 70 architectures the pyramid's dreams teach 1-NN best.",
          "pyramid first", SEVENTY, _compare_starts(architectures.difference, ACCURACIES, above=0),
          "At equal architecture, each start at its best rate; on test and on training images."),
    Claim("accuracy-spread", "5.4", "fig. 5.6", "What they teach varies least with the architecture.",
          "smallest spread", SEVENTY, _compare_starts(architectures.spread_difference, ACCURACIES, below=0),
          "Standard deviations over architectures."),
    Claim("better-minima", "5.4", "", "The pyramid starts where training finds better minima.",
          "a suggestion", NATS, differ(_nll, _by_depth, below=0),
          "A better minimum is a better model: negative log-likelihood of test images."),
    Claim("adm", "5.4", "fig. 5.7", "The pyramid's dreams are the most varied.", "largest ADM",
          SEVENTY, _compare_starts(architectures.difference, ["diversity"], above=0),
          "Distance to the mean of all dreams, mostly how far classes are apart.", PRINTED),
    Claim("adm-repaired", "5.4", "fig. 5.7", "The pyramid's dreams are the most varied.", "largest ADM",
          SEVENTY, _compare_starts(architectures.difference, ["diversity_in_class"], above=0),
          "Distance to the mean of the dreams of the class.", REPAIRED),
    Claim("novelty", "5.4", "fig. 5.7", "The pyramid's dreams are the newest.", "largest novelty",
          SEVENTY, _compare_starts(architectures.difference, ["coverage_gap_total"], above=0),
          "Summed over training images: large if many of them have no dream near.", PRINTED),
    Claim("novelty-repaired", "5.4", "fig. 5.7", "The pyramid's dreams are the newest.", "largest novelty",
          SEVENTY, _compare_starts(architectures.difference, ["novelty"], above=0),
          "Mean distance from a dream to the nearest training image; noise is new as well.", REPAIRED),
    Claim("like-unseen", "5.4", "", "What is new in them resembles digits that they were never shown.",
          "perhaps very similar", SEVENTY,
          _compare_starts(architectures.difference, ["coverage_gap_test"], below=0),
          "Mean distance from a test image to its nearest dream, against the other starts."),
    Claim("size-hurts", "5.4", "fig. 5.8", "With other starts larger machines are worse.", "falling",
          SEVENTY, _follow_sizes(OTHERS, below=0),
          "Fitted line, from the smallest to the largest, by hidden units and by layers.", pyramid=False),
    Claim("size-is-equal", "5.4", "fig. 5.8", "With the pyramid large machines are as good as small ones.",
          "unchanged", SEVENTY, _follow_sizes(["pyramid"], above=-UNCHANGED, below=UNCHANGED),
          "Within two points from the smallest to the largest."),
    Claim("lead-grows", "5.4", "", "So the pyramid mends what makes deep machines bad.", "a lead that grows",
          SEVENTY, _compare_starts(_slope_with_depth, ACCURACIES, above=0),
          "Difference of slopes per layer."),
    Claim("mnist-too-easy", "5.4", "", "It gains nothing from size because MNIST is too simple.",
          "a suggestion", None, None, "The seventy architectures are tried on no harder images."),
    # 5.5
    Claim("transcends", "5.5", "fig. 5.9", "The pyramid's dreams teach 1-NN more than its training images.",
          "a small margin", SETS, differ(_largest, _pairs(MNIST, "accuracy", SELF, other=LINE), above=0),
          "Grey dreams, as many as all have; the line is accuracy on test images.", PRINTED),
    Claim("transcends-train", "5.5", "fig. 5.9",
          "The pyramid's dreams teach 1-NN more than its training images.", "a small margin", SETS,
          differ(_largest, _pairs(MNIST, "accuracy_again", ("pyramid", None)), above=1),
          "Also in the figure; of training images the line is at 1, and nothing surpasses it.", CONTROL),
    Claim("transcends-control", "5.5", "", "For this it takes a machine.", "not asked", SETS,
          differ(_largest, _pairs(MNIST, "accuracy", *zip(SELF, ("shifted", "mixed"))), above=0),
          "Against training images that are shifted by a pixel, or mixed in pairs.", CONTROL),
    Claim("others-stay-below", "5.5", "fig. 5.9", "The dreams of the other starts do not.", "below the line",
          SETS, differ(_largest, _pairs(MNIST, "accuracy", *zip(OTHERS, OTHERS), other=LINE), below=0),
          "On test images, as above.", PRINTED, pyramid=False),
    Claim("nearer-to-unseen", "5.5", "", "Its dreams are nearer to test images than training images are.",
          "more similar", SETS, differ(_largest, _pairs(MNIST, "gap", SELF, other="line_gap_grey"), below=0),
          "Mean distance to the nearest; there are more dreams than training images."),
    # 5.6
    *[Claim(f"factor-{name}-{row}", "5.6", "table 5.1", f"{TITLES[name]}, {row}: the factor.",
            f"{number:.3f}", SETS, _factor(name, row),
            "Is it in the 95 % interval for a new run, and no other start's?", pyramid=row == "pyramid")
      for name, numbers in generated.THESIS_FACTORS.items() for row, number in numbers.items()],
    Claim("best-everywhere", "5.6", "table 5.1", "The pyramid is the best start on all three sets.",
          "pyramid first", SETS, differ(_table, _pairs(TITLES, "accuracy", *zip(SELF, OTHERS)), above=0),
          "Accuracies with equal training images."),
    Claim("random-next", "5.6", "table 5.1", "The random start is next, zero last.", "random > zero",
          SETS, differ(_table, _pairs(TITLES, "accuracy", OTHERS), above=0),
          "Accuracies with equal training images.", pyramid=False),
    Claim("cifar-transcends", "5.6", "table 5.1", "On CIFAR-10 its dreams teach more than training images.",
          "1.196 > 1", SETS, differ(_table, _pairs(CIFAR, "accuracy", SELF, other=LINE), above=0),
          "Accuracy on test images."),
    Claim("cifar-control", "5.6", "", "For this it takes a machine.", "not asked",
          SETS, differ(_table, _pairs(CIFAR, "accuracy", ("pyramid", "pulled")), above=0),
          "Against training images that are pulled half way to the mean of their class.", CONTROL),
    Claim("cifar-looks", "5.6", "fig. 5.10", "Its pictures of CIFAR-10 often look clearly better.",
          "an impression", None, None, "Nobody has compared them without knowing which is which."),
    Claim("fashion-blurred", "5.6", "fig. 5.11", "On Fashion-MNIST zero dreams more blurred pictures.",
          "an impression", SETS, differ(_table, _pairs(FASHION, "roughness", ("zero", "pyramid")), below=0),
          "In place of looking: squared steps between neighbouring pixels, all classes."),
    Claim("fashion-noisy", "5.6", "fig. 5.11", "On Fashion-MNIST random dreams noisier textures.",
          "an impression", SETS, differ(_table, _pairs(FASHION, "roughness", TO_RANDOM[0][::-1]), above=0),
          "As above."),
]
# fmt: on


# Judging ------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """A verdict, and the comparisons that it follows from."""

    verdict: str
    comparisons: tuple

    @property
    def counts(self):
        """How many comparisons came out which way, in words."""
        sides = [None if c.now is None else c.side for c in self.comparisons]
        words = {1: "as claimed", -1: "against", 0: "open", None: "without records"}
        return ", ".join(f"{sides.count(s)} {word}" for s, word in words.items() if s in sides)


class Row(NamedTuple):
    """A claim and what became of it.

    Attributes
    ----------
    claim : Claim
    findings : dict of str to Finding
        By reading, "free" and "clamped"; by "" if the claim is not about the pyramid.
    """

    claim: Claim
    findings: dict


def judge(claim, records):
    """Judge one claim by the records of its experiment, of which there may be none: a :class:`Row`."""

    def finding(pyramid):
        if claim.evidence is None:
            return Finding(CANNOT_TELL, ())
        comparisons = tuple(claim.evidence(records, pyramid)) if records else ()
        return Finding(verdict(comparisons) if comparisons else NO_RECORDS, comparisons)

    readings = READINGS if claim.pyramid else {"": None}
    return Row(claim, {name: finding(start) for name, start in readings.items()})


def claims(results=None, profile="paper"):
    """Judge all claims by the records that there are.

    Parameters
    ----------
    results : path-like, optional
        The folder of the records, as in :func:`hmlib.experiments.results_path`.
    profile : str
        Whose records. Those of the smaller profiles are about other images.

    Returns
    -------
    list of Row
        In the order of the thesis.

    Raises
    ------
    ExperimentError
        If there is no such profile, or a file is damaged.
    """
    records = {}
    for module in MODULES:
        settings_of(module, profile)
        if results_path(module.NAME, profile, results).exists():
            records[module.NAME] = load_records(module.NAME, profile, results)
    return [judge(claim, records.get(claim.experiment, [])) for claim in CLAIMS]


def table(rows, width=100):
    """Write claims, verdicts and for each the comparison that is least as claimed, as text."""
    lines = []
    for claim, findings in rows:
        measure = f" [{claim.measure}]" if claim.measure else ""
        text = f"{claim.section:4s} {claim.figure:9s}  {claim.claim} ({claim.then}){measure}"
        lines += textwrap.wrap(text, width, subsequent_indent=16 * " ")
        for reading, (verdict, comparisons) in findings.items():
            text = f"{reading:>14s}  {verdict:15s} {findings[reading].counts or claim.remark}"
            if verdict != NO_RECORDS and comparisons:
                text += f"; {min(comparisons, key=lambda c: c.side)}"
            lines += textwrap.wrap(text, width, subsequent_indent=32 * " ")
    return "\n".join(lines)
