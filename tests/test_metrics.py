"""The measures of dreams: by hand, against enumeration, and where they mislead."""

import itertools
import json
import re
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import bootstrap
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.neighbors import KNeighborsClassifier

from hmlib import metrics
from hmlib.datasets import load
from hmlib.exact import all_states
from hmlib.helmholtz import HelmholtzMachine
from hmlib.metrics import (
    compare_accuracies,
    coverage_gap,
    diversity,
    expected_entropy,
    expected_unrepresented,
    improvement_factor,
    layerwise_accuracy,
    mean_distance,
    nearest_training_image,
    novelty,
    one_nn_accuracy,
    one_nn_curve,
    representation_entropy,
    template_accuracy,
    unrepresented,
)

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"

# Two training images, three dreams: distances 0, 0.6 and 1, the last with a tie
TRAIN = [[0, 0], [1, 1]]
DREAMS = [[1, 1], [0.6, 0], [0, 1]]


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def brute_force(queries, references):
    """Return first nearest index and squared distance from float64 differences, pair by pair."""
    pairs = queries[:, None].astype(float) - references[None].astype(float)
    square = np.square(pairs).sum(axis=2)
    index = square.argmin(axis=1)
    return index, square[np.arange(len(queries)), index]


def check_nearest(queries, references):
    index, square = brute_force(queries, references)
    nearest = nearest_training_image(queries, references)
    assert_array_equal(nearest.index, index)
    assert_allclose(nearest.distance**2, square, rtol=1e-14, atol=0)


# --- nearest neighbours ---------------------------------------------------------------------------


def test_nearest_by_hand():
    nearest = nearest_training_image(DREAMS, TRAIN)
    assert_array_equal(nearest.index, [1, 0, 0])  # the tie goes to the first
    assert_allclose(nearest.distance, [0, 0.6, 1], atol=0)


KINDS = {
    "grey": lambda rng, n, d: rng.random((n, d), dtype=np.float32),
    "float64": lambda rng, n, d: rng.random((n, d)),
    "bits": lambda rng, n, d: (rng.random((n, d)) < 0.5).astype(np.float32),
    "repeated": lambda rng, n, d: rng.random((3, d), dtype=np.float32)[rng.integers(3, size=n)],
    "jitter": lambda rng, n, d: 0.5 + 1e-9 * rng.random((n, d)),  # float32 cannot tell them apart
    "jitter of float32": lambda rng, n, d: (0.5 + 1e-6 * rng.random((n, d))).astype(np.float32),
    "tiny": lambda rng, n, d: 1e-21 * rng.random((n, d)),  # squares vanish in float32
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("query_kind", KINDS)
@pytest.mark.parametrize("block", [7, 2000])
def test_nearest_is_exact_and_the_first_of_equals(kind, query_kind, block, monkeypatch):
    monkeypatch.setattr(metrics, "REFERENCES_AT_ONCE", block)
    rng = np.random.default_rng(0)
    for n, n_pixels in [(1, 1), (40, 2), (300, 30)]:
        check_nearest(KINDS[query_kind](rng, 50, n_pixels), KINDS[kind](rng, n, n_pixels))


@pytest.mark.parametrize("spread", [0, 1e-6, 1e-3, 1])
def test_collapsed_dreams_cost_no_more(digits, spread, monkeypatch):
    """Where all images are nearly the same, few pairs are measured pixel by pixel all the same."""
    measured = []
    monkeypatch.setattr(
        metrics,
        "_squared_distances",
        lambda a, i, b, k, original=metrics._squared_distances: (
            measured.append(len(i)) or original(a, i, b, k)
        ),
    )
    rng = np.random.default_rng(0)
    other = digits.x_train[rng.integers(len(digits.x_train), size=2000)]
    dreams = digits.x_train[0] + spread * (other - digits.x_train[0])
    nearest_training_image(digits.x_test, dreams)
    assert sum(measured) <= metrics.FEW * len(digits.x_test)  # of 2000 each


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.sampled_from([2, 3]), st.data())
def test_nearest_does_not_depend_on_the_size_of_blocks(n, n_queries, n_pixels, levels, data):
    """Few grey levels and pixels: nearly every query has ties, in one block and across blocks."""
    seed = data.draw(st.integers(0, 999))
    rng = np.random.default_rng(seed)
    queries, references = (
        rng.integers(levels, size=(k, n_pixels)) / (levels - 1) for k in (n_queries, n)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "QUERIES_AT_ONCE", data.draw(st.integers(1, 4)))
        patch.setattr(metrics, "REFERENCES_AT_ONCE", data.draw(st.integers(1, 4)))
        patch.setattr(metrics, "NUMBERS_AT_ONCE", data.draw(st.integers(1, 20)))
        patch.setattr(metrics, "FEW", data.draw(st.integers(0, 3)))
        check_nearest(queries, references)


def test_nearest_agrees_with_sklearn(digits):
    x_train, x_test = digits.x_train.astype(np.float32), digits.x_test.astype(np.float32)
    index, distance = pairwise_distances_argmin_min(x_test, x_train)
    nearest = nearest_training_image(x_test, x_train)
    assert_array_equal(nearest.index, index)
    assert_allclose(nearest.distance, distance, rtol=1e-6)


def test_a_rounded_product_alone_finds_the_wrong_image():
    """The exact comparison is needed: the same search without it errs on images close together."""
    rng = np.random.default_rng(0)
    queries = rng.random((50, 30), dtype=np.float32)
    references = KINDS["jitter of float32"](rng, 300, 30)
    index, _ = brute_force(queries, references)
    rounded = (references**2).sum(axis=1) / 2 - queries @ references.T
    assert (rounded.argmin(axis=1) != index).any()


def test_memory_is_bounded():
    rng = np.random.default_rng(0)
    queries = rng.random((3000, 100), dtype=np.float32)
    references = rng.random((30_000, 100), dtype=np.float32)  # the table would take 360 MB
    tracemalloc.start()
    nearest_training_image(queries, references)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6


def test_results_stay_as_they_were_when_more_is_shown():
    steps = list(one_nn_curve([(TRAIN[:1], [0]), (TRAIN[1:], [1])], DREAMS, [1, 0, 0]))
    assert_allclose(steps[0].distance, [np.sqrt(2), 0.6, 1])
    assert_allclose(steps[1].distance, [0, 0.6, 1])


# --- memory ---------------------------------------------------------------------------------------


def test_mean_distance_by_hand():
    assert mean_distance(DREAMS, TRAIN) == pytest.approx(1.6 / 3, rel=1e-15)


def test_mean_distance_does_not_see_what_is_forgotten(digits):
    one = np.repeat(digits.x_train[:1], 20, axis=0)
    assert mean_distance(one, digits.x_train) == 0


def test_entropy_by_hand():
    """Ten dreams, six of them nearest to the first of two images: shares 0.6 and 0.4."""
    index = [0] * 6 + [1] * 4
    h = -0.6 * np.log(0.6) - 0.4 * np.log(0.4)
    assert representation_entropy(index, 2, normalized=False) == pytest.approx(h, rel=1e-14)
    assert representation_entropy(index, 2) == pytest.approx(h / np.log(2), rel=1e-14)
    corrected = representation_entropy(index, 2, normalized=False, miller_madow=True)
    assert corrected == pytest.approx(h + 1 / 20, rel=1e-14)
    assert representation_entropy([0, 0], 5) == 0
    assert representation_entropy([0], 1, normalized=False) == 0


@pytest.mark.parametrize("n", [2, 3, 64, 1024])
def test_entropy_of_even_shares_is_one_only_if_divided_by_log_n(n):
    index = np.tile(np.arange(n), 3)
    assert representation_entropy(index, n) == pytest.approx(1, rel=1e-13)
    undivided = representation_entropy(index, n, normalized=False)
    assert undivided == pytest.approx(np.log(n), rel=1e-13)
    assert abs(undivided - 1) > 0.09  # "close to one" for no N


def test_entropy_is_at_most_log_of_the_number_of_dreams():
    n_dreams, n = 50, 1000
    index = np.random.default_rng(0).permutation(n)[:n_dreams]
    h = representation_entropy(index, n, normalized=False)
    assert h == pytest.approx(np.log(n_dreams), rel=1e-13)


def test_miller_madow_can_exceed_one():
    assert representation_entropy(np.arange(8), 8, miller_madow=True) > 1


CELLS = [2, 3, [0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [1.0, 0.0], [0.25, 0.25, 0.5]]


@pytest.mark.parametrize("p", CELLS, ids=str)
@pytest.mark.parametrize("n_dreams", [1, 2, 5])
def test_floors_against_every_sequence_of_dreams(p, n_dreams):
    """E[H], and mean and deviation of the images left out, summed over all N^G ways to fall."""
    probabilities = np.full(p, 1 / p) if isinstance(p, int) else np.array(p)
    n = len(probabilities)
    ways = np.array(list(itertools.product(range(n), repeat=n_dreams)))
    weight = probabilities[ways].prod(axis=1)
    h = np.array([representation_entropy(way, n, normalized=False) for way in ways])
    missing = np.array([unrepresented(way, n) for way in ways])
    assert expected_entropy(n_dreams, p, normalized=False) == pytest.approx(weight @ h, abs=1e-14)
    assert expected_entropy(n_dreams, p) == pytest.approx(weight @ h / np.log(n), abs=1e-14)
    mean = weight @ missing
    floor = expected_unrepresented(n_dreams, p)
    assert floor.mean == pytest.approx(mean, abs=1e-14)
    assert floor.sd**2 == pytest.approx(weight @ missing**2 - mean**2, abs=1e-14)


@pytest.mark.parametrize("even", [True, False])
def test_floors_against_simulation(even):
    rng = np.random.default_rng(1)
    n, n_dreams, n_machines = 64, 150, 2000
    p = np.full(n, 1 / n) if even else rng.dirichlet(np.ones(n))
    index = rng.choice(n, size=(n_machines, n_dreams), p=p)
    missing = np.array([unrepresented(row, n) for row in index])
    h = np.array([representation_entropy(row, n) for row in index])
    floor = expected_unrepresented(n_dreams, n if even else p)
    z = (missing.mean() - floor.mean) / (floor.sd / np.sqrt(n_machines))
    assert abs(z) < 4
    assert missing.std() == pytest.approx(floor.sd, rel=4 / np.sqrt(2 * n_machines))
    z = (h.mean() - expected_entropy(n_dreams, n if even else p)) / (h.std() / np.sqrt(n_machines))
    assert abs(z) < 4


def test_a_perfect_machine_leaves_images_out():
    """0 unrepresented is not necessary: N = 1024, and 1000 dreams of a perfect machine."""
    floor = expected_unrepresented(1000, 1024)
    assert floor.mean == pytest.approx(1024 * (1 - 1 / 1024) ** 1000, rel=1e-12)
    assert round(floor.mean) == 385  # what the docstring says
    index = np.random.default_rng(0).integers(1024, size=1000)
    assert abs(unrepresented(index, 1024) - floor.mean) < 4 * floor.sd


def test_n_log_n_dreams_leave_one_image_out():
    n = 1024
    assert expected_unrepresented(round(n * np.log(n)), n).mean == pytest.approx(1, abs=0.01)
    assert expected_unrepresented(round(3 * n * np.log(n)), n).mean < 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_noise_can_leave_nothing_out(digits, seed):
    """... nor sufficient: bits that know of no image, only how often each pixel is on."""
    rng = np.random.default_rng(seed)
    train = digits.x_train[rng.permutation(len(digits.x_train))[:64]]
    noise = (rng.random((10_000, 64)) < digits.x_train.mean(axis=0)).astype(float)
    index, distance = nearest_training_image(noise, train)
    held_out = nearest_training_image(digits.x_test, train)
    assert unrepresented(index, 64) == 0
    assert representation_entropy(index, 64) > 0.9  # a high entropy says as little
    assert distance.mean() > 1.5 * held_out.distance.mean()  # the distance says it


def test_shortfall_of_the_entropy_is_the_classical_one_for_many_dreams_only():
    n = 64
    for n_dreams, rtol in [(100 * n, 0.02), (10_000 * n, 2e-4)]:
        shortfall = np.log(n) - expected_entropy(n_dreams, n, normalized=False)
        assert shortfall == pytest.approx((n - 1) / (2 * n_dreams), rel=rtol)
    shortfall = np.log(n) - expected_entropy(n, n, normalized=False)
    assert shortfall > 1.1 * (n - 1) / (2 * n)


def test_miller_madow_mends_most_of_the_shortfall():
    rng = np.random.default_rng(0)
    n, n_dreams = 32, 320
    index = rng.integers(n, size=(500, n_dreams))
    plain = np.array([representation_entropy(row, n) for row in index])
    mended = np.array([representation_entropy(row, n, miller_madow=True) for row in index])
    error = mended.std() / np.sqrt(len(index))
    assert 1 - plain.mean() > 20 * error
    assert abs(1 - mended.mean()) < 0.1 * (1 - plain.mean())


def test_floors_for_a_million_dreams_and_for_few():
    assert expected_entropy(10**6, 1024) == pytest.approx(1 - 1023 / 2e6 / np.log(1024), abs=1e-7)
    assert expected_entropy(1, 1024) == pytest.approx(0, abs=1e-12)
    assert expected_unrepresented(10**6, 1024) == pytest.approx((0, 0), abs=1e-100)
    assert expected_unrepresented(1, 1024) == pytest.approx((1023, 0), abs=1e-4)


# --- variety and novelty --------------------------------------------------------------------------


def test_diversity_by_hand():
    assert diversity([[0, 0], [1, 0]]) == 0.5
    assert diversity([[0, 0], [0.6, 0.8]]) == pytest.approx(0.5, rel=1e-15)
    assert diversity([[0, 0], [1, 0], [0, 1], [0, 1]], ["a", "a", "b", "b"]) == 0.25
    assert diversity([[0.3, 0.2]]) == 0


def test_diversity_of_ten_collapsed_machines_lies_between_the_classes(digits):
    """One image for each class, the class mean, over and over: no variety, yet a large ADM."""
    x, y = digits.x_train, digits.y_train
    means = np.stack([x[y == k].mean(axis=0) for k in range(10)])
    dreams, labels = np.repeat(means, 20, axis=0), np.repeat(np.arange(10), 20)
    assert diversity(dreams) > 0.5 * diversity(x)
    assert diversity(dreams, labels) == pytest.approx(0, abs=1e-12)
    assert diversity(x, y) < diversity(x)


def test_noise_is_more_diverse_and_more_novel_than_digits(digits):
    noise = np.random.default_rng(0).random(digits.x_train.shape)
    assert diversity(noise) > diversity(digits.x_train)
    assert novelty(noise, digits.x_train) > 2 * novelty(digits.x_test, digits.x_train)


def test_novelty_and_coverage_by_hand():
    assert novelty(DREAMS, TRAIN) == pytest.approx(1.6 / 3, rel=1e-15)
    assert coverage_gap(DREAMS, TRAIN) == pytest.approx(0.3, rel=1e-15)  # 0.6 and 0
    assert coverage_gap(DREAMS, TRAIN, total=True) == pytest.approx(0.6, rel=1e-15)


def test_printed_novelty_rewards_collapse(digits):
    """Copies of one training image, all of them, or new digits: the printed order is upside down."""
    train, new = digits.x_train, digits.x_test
    copies = np.repeat(train[:1], len(new), axis=0)
    printed = {
        name: coverage_gap(dreams, train, total=True)
        for name, dreams in [("copies", copies), ("memoriser", train), ("new digits", new)]
    }
    assert printed["memoriser"] == 0 < printed["new digits"] < printed["copies"]
    assert novelty(copies, train) == novelty(train, train) == 0 < novelty(new, train)
    assert coverage_gap(train, new) < coverage_gap(copies, new)  # what the gap is good for


def test_printed_novelty_is_the_sum_and_shrinks_with_more_dreams(digits):
    train, dreams = digits.x_train[:200], digits.x_test
    few, many = (coverage_gap(dreams[:n], train) for n in (50, 300))
    assert many < few
    assert coverage_gap(dreams, train, total=True) == pytest.approx(
        200 * coverage_gap(dreams, train), rel=1e-12
    )


def test_gaps_do_not_depend_on_the_order(digits):
    rng = np.random.default_rng(0)
    dreams, train = digits.x_test, digits.x_train[:300]
    shuffled = rng.permutation(dreams), rng.permutation(train)
    for measure in (mean_distance, novelty, coverage_gap):
        assert measure(*shuffled) == pytest.approx(measure(dreams, train), rel=1e-12)
    assert diversity(shuffled[0]) == pytest.approx(diversity(dreams), rel=1e-12)


# --- what a classifier learns ---------------------------------------------------------------------


def test_one_nn_by_hand():
    assert one_nn_accuracy(TRAIN, ["a", "b"], DREAMS, ["b", "a", "b"]) == pytest.approx(2 / 3)


def test_one_nn_agrees_with_sklearn(digits):
    reference = KNeighborsClassifier(1).fit(digits.x_train, digits.y_train)
    expected = reference.score(digits.x_test, digits.y_test)
    accuracy = one_nn_accuracy(digits.x_train, digits.y_train, digits.x_test, digits.y_test)
    assert accuracy == expected


def test_one_nn_is_always_right_on_what_it_learnt(digits):
    x, y = digits.x_train, digits.y_train
    assert one_nn_accuracy(x, y, x, y) == 1
    assert one_nn_accuracy(x, y, digits.x_test, digits.y_test) < 1


def test_repeated_training_images_reach_the_baseline(digits):
    """No novelty at all, and an improvement factor of 1."""
    x, y = digits.x_train, digits.y_train
    baseline = one_nn_accuracy(x, y, digits.x_test, digits.y_test)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(x)), 2))
    repeated = one_nn_accuracy(x[order], y[order], digits.x_test, digits.y_test)
    assert improvement_factor(repeated, baseline) == 1


@pytest.mark.parametrize("bits", [False, True])
def test_one_nn_curve_is_the_accuracy_of_each_nested_set(digits, bits):
    x_train, x_test = (
        (x > 0.5).astype(float) if bits else x for x in (digits.x_train, digits.x_test)
    )
    ends = [10, 11, 200, 900, 1437]
    taken = []

    def batches():
        for first, last in zip([0, *ends], ends):
            taken.append(last)
            yield x_train[first:last], digits.y_train[first:last]

    for i, step in enumerate(one_nn_curve(batches(), x_test, digits.y_test)):
        n = ends[i]
        assert taken == ends[: i + 1]  # one batch at a time, none twice
        whole = KNeighborsClassifier(1).fit(x_train[:n], digits.y_train[:n])
        nearest = nearest_training_image(x_test, x_train[:n])
        assert step.n_generated == n
        assert_array_equal(step.distance, nearest.distance)
        assert_array_equal(step.correct, digits.y_train[nearest.index] == digits.y_test)
        assert step.accuracy == step.correct.mean()
        assert step.accuracy == one_nn_accuracy(
            x_train[:n], digits.y_train[:n], x_test, digits.y_test
        )
        if not bits:  # without ties there is one answer
            assert step.accuracy == whole.score(x_test, digits.y_test)
    assert i == len(ends) - 1


def test_distance_of_the_curve_is_the_coverage_gap(digits):
    (step,) = one_nn_curve([(digits.x_train, digits.y_train)], digits.x_test, digits.y_test)
    assert step.distance.mean() == coverage_gap(digits.x_train, digits.x_test)


def test_template_by_hand():
    x, y = [[0, 0], [0, 0.4], [1, 1]], [5, 5, 7]  # templates (0, 0.2) and (1, 1)
    assert template_accuracy(x, y, [[0, 0], [1, 0.9], [0.4, 0.6]], [5, 7, 7]) == pytest.approx(
        2 / 3
    )


def test_templates_without_variety_get_far(digits):
    x, y = digits.x_train, digits.y_train
    accuracy = template_accuracy(x, y, digits.x_test, digits.y_test)
    means = np.repeat([x[y == k].mean(axis=0) for k in range(10)], 3, axis=0)
    dreams = one_nn_accuracy(means, np.repeat(np.arange(10), 3), digits.x_test, digits.y_test)
    assert dreams == accuracy
    assert 0.85 < accuracy < one_nn_accuracy(x, y, digits.x_test, digits.y_test)


def test_ten_mean_images_do_as_well_as_one_nn_on_grey_cifar():
    """The control beside the published improvement factors above 1."""
    try:
        cifar = load("cifar10-gray", download=False)
    except FileNotFoundError as missing:
        pytest.skip(f"no CIFAR-10 here: {missing}")
    train, test = (cifar.x_train[:5000], cifar.y_train[:5000]), (cifar.x_test, cifar.y_test)
    factor = improvement_factor(template_accuracy(*train, *test), one_nn_accuracy(*train, *test))
    assert factor > 0.95


def test_improvement_factor():
    assert improvement_factor(0.9, 0.95) == pytest.approx(0.9 / 0.95)
    assert improvement_factor(np.float64(0.0), 1) == 0


def answers(both, only_a, only_b, none):
    """Return who is right on each image, for so many images of each kind."""
    a = np.repeat([True, True, False, False], [both, only_a, only_b, none])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, none])
    return a, b


def test_comparison_agrees_with_the_bootstrap_of_scipy():
    a, b = answers(150, 20, 12, 18)
    ours = compare_accuracies(a, b, n_resamples=20_000, random_state=0)
    assert ours.difference == pytest.approx(0.04, rel=1e-12)
    assert ours.ratio == pytest.approx(170 / 162, rel=1e-12)
    for statistic, interval in [
        (lambda a, b, axis: a.mean(axis) - b.mean(axis), ours.difference_interval),
        (lambda a, b, axis: a.mean(axis) / b.mean(axis), ours.ratio_interval),
    ]:
        theirs = bootstrap(
            (a, b),
            statistic,
            paired=True,
            method="percentile",
            n_resamples=20_000,
            batch=1000,
            rng=np.random.default_rng(1),
        )
        # error of a 2.5 % quantile of n draws, about sqrt(.025 * .975 / n) / density, density
        # .0584 / sd of the normal distribution; both sides have it
        error = theirs.standard_error * np.sqrt(0.025 * 0.975 / 20_000) / 0.0584
        grain = 1 / len(a)  # differences come in steps of one image
        limits = theirs.confidence_interval
        assert_allclose(interval, [limits.low, limits.high], atol=4 * np.sqrt(2) * error + grain)


def test_comparison_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    p = [0.75, 0.08, 0.05, 0.12]  # a - b = 0.03, a / b = 0.83 / 0.80
    hits = np.zeros((300, 2))
    for trial in hits:
        a, b = answers(*rng.multinomial(400, p))
        result = compare_accuracies(a, b, confidence=0.9, n_resamples=1000, random_state=rng)
        low, high = result.difference_interval
        trial[0] = low <= 0.03 <= high
        low, high = result.ratio_interval
        trial[1] = low <= 0.83 / 0.80 <= high
    assert_allclose(hits.mean(axis=0), 0.9, atol=4 * np.sqrt(0.9 * 0.1 / 300))


def test_paired_interval_is_narrower_than_two_separate_ones():
    a, b = answers(900, 15, 5, 80)
    low, high = compare_accuracies(a, b, random_state=0).difference_interval
    separate = 2 * 1.96 * np.sqrt((a.var() + b.var()) / len(a))
    assert high - low < 0.5 * separate


def test_comparison_of_equals_and_of_few():
    a, _ = answers(10, 0, 0, 10)
    same = compare_accuracies(a, a, random_state=0)
    assert same == (0, (0, 0), 1, (1, 1))
    few = compare_accuracies([1, 1, 0], [0, 0, 1], random_state=0)
    assert few.ratio == 2
    assert few.ratio_interval[1] == np.inf  # some samples miss the only image that b knows


def test_comparison_is_reproducible():
    a, b = answers(50, 8, 5, 10)
    assert compare_accuracies(a, b, random_state=3) == compare_accuracies(a, b, random_state=3)


# --- layers ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def machine(digits):
    return HelmholtzMachine((32, 16, 8), n_epochs=8, init_bias="data", random_state=0).fit(
        digits.x_train
    )


def sets(digits):
    return digits.x_train[:600], digits.y_train[:600], digits.x_test, digits.y_test


def test_layers_of_the_default(machine, digits):
    results = layerwise_accuracy(machine, *sets(digits), features="mean-field")
    expected = [(0,), (1,), (2,), (3,), (1, 2), (1, 2, 3), (2, 3)]
    assert [r.layers for r in results] == expected
    assert all(0 <= r.test <= 1 and 0 <= r.train <= 1 and r.n_iter > 0 for r in results)


def test_layer_zero_is_a_logistic_regression_on_pixels(machine, digits):
    x_train, y_train, x_test, y_test = sets(digits)
    model = LogisticRegression(max_iter=10_000).fit(x_train, y_train)
    for features in ("averaged", "sample", "mean-field"):
        (result,) = layerwise_accuracy(
            machine, *sets(digits), layers=[0], features=features, random_state=0
        )
        assert result.train == model.score(x_train, y_train)
        assert result.test == model.score(x_test, y_test)


def test_layers_side_by_side(machine, digits):
    x_train, y_train, x_test, y_test = sets(digits)
    (result,) = layerwise_accuracy(machine, *sets(digits), layers=[(1, 3)], features="mean-field")
    side = [np.hstack([machine.transform(x, layer=k) for k in (1, 3)]) for x in (x_train, x_test)]
    model = LogisticRegression(max_iter=10_000).fit(side[0], y_train)
    scores = model.score(side[0], y_train), model.score(side[1], y_test)
    assert result == ((1, 3), *scores, model.n_iter_.max())


def test_averaged_features_are_the_marginals_of_the_recognition_network():
    """p_R(x_k = 1 | d), summed over the states of the layer below, for bits d."""
    machine = HelmholtzMachine((3, 2), n_epochs=0, init_scale=1.5, random_state=0)
    machine.fit(np.zeros((1, 4)))
    d, y = all_states(4), all_states(3)
    n_samples = 4000
    _, first, second = metrics._activations(
        machine, d, "averaged", n_samples, np.random.default_rng(0)
    )
    lower, upper = machine.recognition_
    assert_allclose(first, lower.mean(d), atol=1e-12)  # nothing below but the data
    p_y = np.exp(lower.log_prob_table(d, y))
    means = upper.mean(y)
    exact = p_y @ means
    error = np.sqrt((p_y @ means**2 - exact**2) / n_samples)
    z = (second - exact) / error
    assert np.abs(z).max() < 4.5
    mean_field = machine.recognize(d, means=True)[2]
    assert (np.abs(mean_field - exact) > 4.5 * error).any()  # the third choice is another number


def test_one_bit_per_unit_tells_less_than_averages(machine, digits):
    chosen = dict(layers=[1, 2], random_state=0)
    averaged = layerwise_accuracy(machine, *sets(digits), **chosen)
    bits = layerwise_accuracy(machine, *sets(digits), features="sample", **chosen)
    assert all(b.test < a.test - 0.2 for a, b in zip(averaged, bits))


def test_a_layer_that_has_learnt_nothing_can_score_high(digits):
    """Thirty-two random weighted sums of pixels still hold most of what tells digits apart."""
    machine = HelmholtzMachine((32,), n_epochs=0, random_state=0).fit(digits.x_train)
    (result,) = layerwise_accuracy(machine, *sets(digits), layers=[1], features="mean-field")
    assert result.test > 0.7


def test_layers_are_reproducible(machine, digits):
    runs = [
        layerwise_accuracy(machine, *sets(digits), layers=[3], n_samples=2, random_state=4)
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_regressions_converge_in_float32(digits):
    data = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in sets(digits)]
    machine = HelmholtzMachine((16, 8), n_epochs=2, random_state=0).fit(data[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        results = layerwise_accuracy(machine, *data, layers=[1, (1, 2)], random_state=0)
    assert max(r.n_iter for r in results) < 10_000


# --- bad input ------------------------------------------------------------------------------------

ONE = [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nearest_training_image([[0, 255]], ONE), r"generated must lie in \[0, 1\]"),
        (lambda: nearest_training_image(ONE, [[0, np.nan]]), "train must be finite"),
        (lambda: nearest_training_image(ONE, [[0, 1, 1]]), "train must have 2 columns"),
        (lambda: nearest_training_image(np.empty((0, 2)), ONE), "generated must have at least 1"),
        (lambda: nearest_training_image(ONE, np.empty((0, 2))), "train must have at least 1"),
        (lambda: nearest_training_image(np.empty((2, 0)), ONE), "generated must have at least 1"),
        (lambda: nearest_training_image([0, 1], ONE), "generated must have 2 dimension"),
        (lambda: coverage_gap([[0, 1, 1]], ONE), "generated must have 2 columns"),
        (lambda: coverage_gap(ONE, [[2, 0]]), "reference must lie in"),
        (lambda: diversity(ONE, [1, 2]), "y must hold one label for each of 1 images"),
        (lambda: representation_entropy([0, 1], 1), "n_train must be an int of at least 2"),
        (lambda: representation_entropy([0, 2], 2), r"index must lie in \[0, 1\]"),
        (lambda: representation_entropy([-1], 2), r"index must lie in \[0, 1\]"),
        (lambda: representation_entropy([], 2), "index must be a non-empty vector of ints"),
        (lambda: representation_entropy([0.5], 2), "index must be a non-empty vector of ints"),
        (lambda: unrepresented([[0]], 2), "index must be a non-empty vector of ints"),
        (lambda: unrepresented([0], 0), "n_train must be an int of at least 1"),
        (lambda: expected_unrepresented(0, 2), "n_generated must be an int of at least 1"),
        (lambda: expected_unrepresented(5, [0.5, 0.6]), "p must sum to 1"),
        (lambda: expected_unrepresented(5, 0.5), "p must be an int of at least 1"),
        (lambda: expected_entropy(5, 1), "number of probabilities p must be an int of at least 2"),
        (lambda: one_nn_accuracy(ONE, [1, 2], ONE, [1]), "y_generated must hold one label"),
        (lambda: one_nn_accuracy(ONE, [1], ONE, [[1]]), "y must hold one label"),
        (lambda: one_nn_accuracy([[1.0]], [1], ONE, [1]), "generated must have 2 columns"),
        (lambda: template_accuracy(ONE, [1, 2], ONE, [1]), "y_train must hold one label"),
        (lambda: improvement_factor(94.6, 0.9), r"accuracy_generated must be a number in \[0, 1\]"),
        (lambda: improvement_factor(0.9, 0), r"accuracy_train must be a number in \(0, 1\]"),
        (lambda: compare_accuracies([1, 0], [1]), "equally long"),
        (lambda: compare_accuracies([1, 0], [0, 0]), "b right once"),
        (lambda: compare_accuracies([3, 0], [0, 1]), "correct_a must hold only 0 and 1"),
        (lambda: compare_accuracies([1], [1], confidence=95), "confidence must be a number"),
        (lambda: compare_accuracies([1], [1], n_resamples=0), "n_resamples must be an int"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(layers=[4]), "layers must be ints from 0 to 3"),
        (dict(layers=[(1, -1)]), "layers must be ints from 0 to 3"),
        (dict(layers=[1.0]), "layers must be ints from 0 to 3"),
        (dict(layers=[()]), "layers must be ints from 0 to 3"),
        (dict(layers=["top"]), "layers must be ints from 0 to 3"),
        (dict(features="probabilities"), 'features must be "averaged", "sample" or "mean-field"'),
        (dict(n_samples=0), "n_samples must be an int of at least 1"),
    ],
)
def test_bad_options_of_layers(machine, digits, options, message):
    with pytest.raises(ValueError, match=message):
        layerwise_accuracy(machine, *sets(digits), **options)


def test_layers_want_labels_for_all_images_and_a_trained_machine(machine, digits):
    x_train, y_train, x_test, y_test = sets(digits)
    with pytest.raises(ValueError, match="y_train must hold one label for each of 600"):
        layerwise_accuracy(machine, x_train, y_train[1:], x_test, y_test)
    with pytest.raises(ValueError, match="y_test must hold one label for each of 360"):
        layerwise_accuracy(machine, x_train, y_train, x_test, y_test[1:])
    with pytest.raises(NotFittedError):
        layerwise_accuracy(HelmholtzMachine(), x_train, y_train, x_test, y_test)


def test_every_public_name_has_a_docstring_that_names_its_chapter():
    chapters = [json.loads(path.read_text()) for path in CHAPTERS.glob("*.ipynb")]
    first = ["".join(chapter["cells"][0]["source"]).splitlines() for chapter in chapters]
    titles = {line[2:] for lines in first for line in lines if line.startswith("# ")}
    for name in metrics.__all__:
        thing = getattr(metrics, name)
        if not isinstance(thing, type):
            named = re.findall(r"chapter \*(.+?)\*", " ".join(thing.__doc__.split()))
            assert named and set(named) <= titles, name
