"""The experiment on random architectures: what it draws, measures and fits; and its records."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import linregress

from hmlib.cli import _print_table
from hmlib.datasets import load
from hmlib.experiments import (
    Checkpoint,
    architectures,
    decode_pictures,
    reproduce,
)
from hmlib.experiments.architectures import (
    REFERENCES,
    SLOWER,
    SLOWEST,
    best_rates,
    bootstrap,
    difference,
    draw_architectures,
    slope,
    slope_difference,
    spread,
    spread_difference,
    stage_epochs,
)
from hmlib.experiments.initialisations import STARTS, Images, class_samples
from hmlib.experiments.store import rounded, run_key
from hmlib.helmholtz import HelmholtzMachine
from hmlib.metrics import coverage_gap, diversity, novelty, one_nn_accuracy

SMOKE, PAPER = (architectures.PROFILES[profile] for profile in ("smoke", "paper"))


@pytest.fixture(scope="module")
def digits():
    return {"digits": load("digits")}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return reproduce("architectures", results=tmp_path_factory.mktemp("results"), verbose=False)


def key(source="random", architecture=0):
    return {"source": source, "architecture": architecture, "seed": 0}


class KilledError(Exception):
    pass


def test_a_run_resumes_after_a_kill_as_if_nothing_had_happened(tmp_path, digits, monkeypatch):
    class Mortal(Checkpoint):
        def save(self, **state):
            super().save(**state)
            raise KilledError

    whole = architectures.run(SMOKE, key(), data=digits)
    for _ in range(9):
        with pytest.raises(KilledError):
            architectures.run(SMOKE, key(), data=digits, checkpoint=Mortal(tmp_path / "state.npz"))
    trained, fit = [], HelmholtzMachine.fit
    monkeypatch.setattr(
        HelmholtzMachine, "fit", lambda self, X: trained.append(len(X)) or fit(self, X)
    )
    resumed = architectures.run(
        SMOKE, key(), data=digits, checkpoint=Checkpoint(tmp_path / "state.npz")
    )
    assert rounded(resumed) == rounded(whole)
    assert trained == [20]  # the images of the last digit alone


# --- what is drawn ----------------------------------------------------------------------------------


def test_depth_and_sides_are_uniform_and_sides_strictly_decrease():
    many = draw_architectures(dataclasses.replace(PAPER, n_architectures=6000))
    assert many[:70] == draw_architectures(PAPER)
    depths = np.bincount([len(hidden) for hidden in many], minlength=7)
    assert depths[0] == 0 and (abs(depths[1:] - 1000) < 4.5 * np.sqrt(1000 * 5 / 6)).all()
    sides = [np.sqrt(hidden) for hidden in many]
    assert all((np.diff(s) < 0).all() for s in sides)
    counts = np.bincount(np.concatenate(sides).astype(int), minlength=28)
    assert_array_equal(np.flatnonzero(counts), np.arange(3, 28))
    expected = counts.sum() / 25
    assert (abs(counts[3:] - expected) < 4.5 * np.sqrt(expected)).all()


def test_about_half_of_the_epochs_are_stages_whatever_the_depth():
    shares = [depth * stage_epochs(PAPER.n_stage_epochs, depth * (1,)) for depth in range(1, 7)]
    assert shares == [6, 6, 6, 4, 5, 6] and PAPER.n_epochs == 12


# --- what is measured -------------------------------------------------------------------------------


def test_it_measures_what_the_metrics_say(digits):
    x_train, y_train, x_test, y_test, _ = digits["digits"]
    train, test = Images(x_train[::7], y_train[::7]), Images(x_test, y_test)
    made = Images(1 - x_train[::5], y_train[::5])
    measured = architectures._measure(made, train, test)
    assert measured == {
        "n_made": len(made.y),
        "accuracy_train": one_nn_accuracy(*made, *train),
        "accuracy_test": one_nn_accuracy(*made, *test),
        "diversity": diversity(made.x),
        "diversity_in_class": diversity(*made),
        "coverage_gap_train": coverage_gap(made.x, train.x),
        "coverage_gap_total": coverage_gap(made.x, train.x, total=True),
        "coverage_gap_test": coverage_gap(made.x, test.x),
        "novelty": novelty(made.x, train.x),
    }


def test_the_references_are_what_they_are_called(digits):
    found = {
        source: architectures.run(SMOKE, key(source, None), data=digits) for source in REFERENCES
    }
    parrot, fresh, mean = (
        found[source] for source in ("training images", "other images", "class means")
    )
    assert parrot["accuracy_train"] == 1 and parrot["novelty"] == parrot["coverage_gap_train"] == 0
    assert parrot["n_made"] == fresh["n_made"] == SMOKE.n_train and mean["n_made"] == 10
    assert 0.5 < fresh["accuracy_train"] < 1 and fresh["novelty"] > 0.5  # no image is in both
    assert mean["diversity_in_class"] == pytest.approx(0, abs=1e-6)
    train = class_samples(digits["digits"], SMOKE.n_train, {})
    assert parrot["diversity"] == pytest.approx(diversity(train.x))


def test_all_sources_share_the_training_images_and_starts_share_the_architecture(
    digits, monkeypatch
):
    fitted = []

    def fit(self, X):
        fitted.append((self.hidden, X))
        raise KilledError

    monkeypatch.setattr(HelmholtzMachine, "fit", fit)
    train = class_samples(digits["digits"], SMOKE.n_train, {})
    for source in STARTS:
        with pytest.raises(KilledError):
            architectures.run(SMOKE, key(source, 2), data=digits)
    assert {hidden for hidden, _ in fitted} == {draw_architectures(SMOKE)[2]}
    assert all((X == train.x[train.y == 0]).all() for _, X in fitted)


def test_every_architecture_is_trained_at_every_rate(digits, monkeypatch):
    fitted = {}

    def fit(self, X):
        fitted[run["source"]] = self.learning_rate, self.random_state.random(), self.n_epochs
        raise KilledError

    monkeypatch.setattr(HelmholtzMachine, "fit", fit)
    for number in range(SMOKE.n_architectures):
        of_one = [run for run in architectures.runs(SMOKE) if run["architecture"] == number]
        assert len(of_one) == 2 * len(STARTS)
        for run in of_one:
            with pytest.raises(KilledError):
                architectures.run(SMOKE, run, data=digits)
        for start in STARTS:
            rate, *others = fitted[start]
            assert rate == SMOKE.learning_rates[start]
            assert fitted[start + SLOWER] == (SMOKE.rates[SLOWER] * rate, *others)


def test_rates_are_chosen_by_training_images_for_each_start_or_for_each_machine():
    def record(start, rate, number, train, test):
        accuracies = {"accuracy_train": train, "accuracy_test": test}
        return {"source": start + rate, "architecture": number, **accuracies}

    reference = {"source": "class means", "architecture": None}
    records = [
        reference,
        record("random", "", 0, 0.9, 0.1),
        record("random", SLOWER, 0, 0.8, 0.2),
        record("random", "", 1, 0.3, 0.3),
        record("random", SLOWER, 1, 0.7, 0.4),
        record("clamped", "", 0, 0.6, 0.5),
        record("clamped", SLOWER, 0, 0.5, 0.9),
    ]
    unfinished = [record("clamped", SLOWEST, 0, 1, 1)]
    for found in (records, records + unfinished):
        first, *chosen = best_rates(found)
        assert first == reference
        assert [(r["source"], r["rate"], r["accuracy_test"]) for r in chosen] == [
            ("random", SLOWER, 0.2),
            ("random", SLOWER, 0.4),
            ("clamped", "", 0.5),
        ]
        _, *chosen = best_rates(found, own=True)
        assert [r["accuracy_test"] for r in chosen] == [0.1, 0.4, 0.5]
    assert best_rates([]) == []


# --- what is fitted ---------------------------------------------------------------------------------


def table(seed=0, n=40, gain=0.0):
    """Make records of two starts: accuracy falls with the units for one, and not for the other."""
    rng = np.random.default_rng(seed)
    units = rng.integers(10, 1000, size=n)
    both = 0.02 * rng.standard_normal(n)  # what an architecture does to both
    values = {
        "random": 0.9 - 1e-4 * units + both + 0.01 * rng.standard_normal(n),
        "clamped": 0.9 + gain + both + 0.01 * rng.standard_normal(n),
    }
    return [
        {"source": source, "architecture": k, "n_units": int(units[k]), "accuracy_test": y[k]}
        for source, y in values.items()
        for k in range(n)
    ]


def test_slopes_are_those_of_least_squares_and_their_intervals_cover():
    x, y = architectures._columns(table(), ["random"], ["n_units", "accuracy_test"])
    fit = linregress(x, y)
    estimate = slope(table(), "random", "accuracy_test", "n_units")
    assert estimate.value == pytest.approx(fit.slope)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * fit.stderr, rel=0.35)
    other = slope(table(), "clamped", "accuracy_test", "n_units")
    gap = slope_difference(table(), "clamped", "accuracy_test", "n_units")
    assert gap.value == pytest.approx(other.value - estimate.value)
    assert gap.high - gap.low < other.high - other.low + estimate.high - estimate.low
    hits = 0
    for seed in range(60):
        estimate = slope(table(seed), "random", "accuracy_test", "n_units")
        hits += estimate.low < -1e-4 < estimate.high
    assert 48 <= hits <= 60  # 57 expected; binomial sd 1.7, and bootstrap intervals are short


def test_differences_are_paired_by_architecture():
    records = table(gain=0.05)
    accuracy = {(r["source"], r["architecture"]): r["accuracy_test"] for r in records}
    pairs = [accuracy["clamped", k] - accuracy["random", k] for k in range(40)]
    estimate = difference(records, "clamped", "accuracy_test")
    assert estimate.value == pytest.approx(np.mean(pairs))
    error = np.std(pairs) / np.sqrt(40)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    shuffled = records[::-1]
    assert_allclose(difference(shuffled, "clamped", "accuracy_test"), estimate)
    incomplete = [r for r in records if (r["source"], r["architecture"]) != ("random", 3)]
    assert difference(incomplete, "clamped", "accuracy_test").value == pytest.approx(
        np.mean(np.delete(pairs, 3))
    )
    assert difference(records, "random", "accuracy_test") == (0, 0, 0)


def test_spreads_are_standard_deviations():
    records = table()
    values = {
        s: [r["accuracy_test"] for r in records if r["source"] == s] for s in ("random", "clamped")
    }
    stds = {s: np.std(v, ddof=1) for s, v in values.items()}
    assert spread(records, "random", "accuracy_test").value == pytest.approx(stds["random"])
    gap = spread_difference(records, "clamped", "accuracy_test")
    assert gap.value == pytest.approx(stds["clamped"] - stds["random"])
    assert gap.low < gap.value < gap.high < 0  # random varies with the units as well


def test_the_bootstrap_draws_rows():
    estimate = bootstrap(lambda a, b: (a - b).max(axis=-1), [1, 2, 3], [1, 2, 3])
    assert estimate == (0, 0, 0)
    assert str(bootstrap(lambda a: a.mean(axis=-1), [2, 2])) == "2 (2 to 2)"
    assert bootstrap(lambda a: a.mean(axis=-1), [2]) is None


def test_what_has_no_records_or_no_slope_is_not_estimated():
    records = [r for r in table() if r["source"] == "clamped"]
    assert difference(records, "clamped", "accuracy_test") is None
    alike = [{**r, "n_units": 100} for r in records]
    assert slope(alike, "clamped", "accuracy_test", "n_units") is None


# --- records ----------------------------------------------------------------------------------------


def test_smoke_gives_records_and_a_table(records, capsys):
    assert len(records) == len(architectures.runs(SMOKE)) == 3 + 4 * 3 * 2
    rows = architectures.summary(records)
    assert len(rows) == 7 * (3 + 8) and len({tuple(row) for row in rows}) == 1
    found = [r["accuracy_test"] for r in records if r["source"] == "clamped"]
    row = next(r for r in rows if (r["quantity"], r["source"]) == ("1-NN, test", "clamped"))
    assert row["runs"] == 3 and row["median"].value == np.median(found)
    slower = {
        start: [r["accuracy_test"] for r in records if r["source"] == start + SLOWER]
        for start in ("clamped", "random")
    }
    at = ("1-NN, test", "clamped" + SLOWER)
    row = next(r for r in rows if (r["quantity"], r["source"]) == at)
    expected = np.subtract(slower["clamped"], slower["random"]).mean()
    assert row["mean - random"].value == pytest.approx(expected)
    _print_table(rows)
    assert "other images" in capsys.readouterr().out


def test_records_say_how_large_the_machines_are(records):
    for record in records:
        if record["source"] not in REFERENCES:
            hidden = record["hidden"]
            assert hidden == list(draw_architectures(SMOKE)[record["architecture"]])
            assert record["depth"] == len(hidden) and record["n_units"] == sum(hidden)
            sizes = [64, *hidden]
            weights = sum(a * b for a, b in zip(sizes, hidden))
            assert record["n_parameters"] == 2 * weights + 64 + 2 * sum(hidden)
            assert record["n_made"] == 10 * SMOKE.n_dreams


def test_a_dream_of_each_class_is_kept_of_the_first_architectures(records):
    with_pictures = [r for r in records if "dreams" in r]
    assert {r["architecture"] for r in with_pictures} == {0} and len(with_pictures) == len(STARTS)
    assert decode_pictures(with_pictures[0]["dreams"], 64).shape == (10, 64)


@pytest.mark.parametrize("profile", ["smoke", "book", "paper"])
def test_the_settings_of_a_profile_fit_together(profile):
    settings = architectures.PROFILES[profile]
    runs = architectures.runs(settings)
    assert len({run_key(run) for run in runs}) == len(runs)
    assert set(settings.learning_rates) == set(STARTS)
    assert settings.n_dreams * 10 == settings.n_train
    assert stage_epochs(settings.n_stage_epochs, settings.max_depth * (1,)) >= 1
    assert settings.n_stage_epochs <= settings.n_epochs
    assert settings.max_depth <= settings.max_side - settings.min_side + 1
    assert run_key(dataclasses.asdict(settings))
