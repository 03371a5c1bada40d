"""The experiment on memory: what it counts and measures, by hand where it can be; and its records."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hmlib.cli import _print_table
from hmlib.datasets import load
from hmlib.experiments import (
    Checkpoint,
    decode_pictures,
    memory,
    reproduce,
)
from hmlib.experiments.initialisations import STARTS, class_samples
from hmlib.experiments.memory import differences, mean_of, parameter_counts
from hmlib.experiments.store import rounded, run_key
from hmlib.helmholtz import HelmholtzMachine
from hmlib.wake_sleep import WakeSleep

SMOKE = memory.PROFILES["smoke"]


@pytest.fixture(scope="module")
def digits():
    return {"digits": load("digits")}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return reproduce("memory", results=tmp_path_factory.mktemp("results"), verbose=False)


def key(machine="deep", start="random", seed=0):
    return {"machine": machine, "start": start, "seed": seed}


class KilledError(Exception):
    pass


def test_a_run_resumes_after_a_kill_as_if_nothing_had_happened(tmp_path, digits, monkeypatch):
    class Mortal(Checkpoint):
        def save(self, **state):
            super().save(**state)
            raise KilledError

    whole = memory.run(SMOKE, key(), data=digits)
    for _ in SMOKE.n_train[:-1]:
        with pytest.raises(KilledError):
            memory.run(SMOKE, key(), data=digits, checkpoint=Mortal(tmp_path / "state.npz"))
    trained, fit = [], HelmholtzMachine.fit
    monkeypatch.setattr(
        HelmholtzMachine, "fit", lambda self, X: trained.append(len(X)) or fit(self, X)
    )
    resumed = memory.run(SMOKE, key(), data=digits, checkpoint=Checkpoint(tmp_path / "state.npz"))
    assert rounded(resumed) == rounded(whole)
    assert len(trained) == 1  # the last N alone was left


# --- what is trained --------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [start for start in STARTS if start != "clamped"])
def test_all_machines_take_equally_many_steps_and_see_each_image_equally_often(
    start, digits, monkeypatch
):
    seen, step = [], WakeSleep.step

    def counted(rule, machine, d, rng):
        seen.append(d.copy())
        step(rule, machine, d, rng)

    monkeypatch.setattr(WakeSleep, "step", counted)
    pool = class_samples(digits["digits"], SMOKE.n_train[-1], {"seed": 0}).x
    n_steps = SMOKE.n_epochs * SMOKE.n_train[-1] // SMOKE.batch_size
    for n_train in SMOKE.n_train:
        seen.clear()
        memory._trained(SMOKE, key(start=start), pool[:n_train])
        assert [len(d) for d in seen] == n_steps * [SMOKE.batch_size]
        whole = np.concatenate([d for d in seen if d.shape[1] == pool.shape[1]])
        images, counts = np.unique(whole, axis=0, return_counts=True)
        assert_array_equal(images, np.unique(pool[:n_train], axis=0))
        assert (counts == counts[0]).all()


def test_all_machines_of_a_seed_remember_the_same_images_balanced_over_classes(digits, monkeypatch):
    shown = {}

    def look(settings, run, images):
        shown.setdefault(len(images), []).append(images)
        raise KilledError

    monkeypatch.setattr(memory, "_trained", look)
    one_size = dataclasses.replace(SMOKE, n_train=(20,), pictured=20)
    for run in memory.runs(one_size):
        with pytest.raises(KilledError):
            memory.run(one_size, run, data=digits)
    first, other = shown[20][0], shown[20][-1]
    n_runs = len(memory.runs(one_size)) // 2
    assert all((images == first).all() for images in shown[20][:n_runs])
    assert all((images == other).all() for images in shown[20][n_runs:])
    assert not (first == other).all()
    known = {image.tobytes(): y for image, y in zip(*list(digits["digits"])[:2])}
    assert_array_equal(np.bincount([known[image.tobytes()] for image in first]), 10 * [2])


# --- what is measured -------------------------------------------------------------------------------


def test_it_measures_what_can_be_counted_by_hand():
    images = np.array([[0, 0, 0], [1, 1, 1], [0, 1, 1], [1, 0, 0.0]])
    dreams = np.array([[0, 0, 0.3], [0, 0, 0.4], [1, 1, 0.5], [0.0, 1, 1]])
    held_out = np.array([[0, 0, 0.5], [1, 0, 0.25], [0, 1, 0.9]])
    measured = memory._measure(dreams, images, held_out, 2)
    assert measured["mean_distance"] == pytest.approx((0.3 + 0.4 + 0.5 + 0) / 4)
    assert measured["unrepresented"] == 1
    assert measured["entropy"] == pytest.approx(1.5 * np.log(2) / np.log(4))
    assert measured["mean_distance_of_held_out"] == pytest.approx((0.5 + 0.25 + 0.1) / 3)
    assert measured["unrepresented_of_held_out"] == 1
    assert measured["entropy_of_held_out"] == pytest.approx(np.log(3) / np.log(4))
    # the last image is nearest to no dream: sqrt(1 + 0.3^2) from the first of them
    assert measured["coverage_gap"] == pytest.approx((0.3 + 0.5 + 0 + np.sqrt(1.09)) / 4)
    two = (0.1 + np.sqrt(1 + 0.05**2)) / 2  # from the second dream and from the first
    assert measured["coverage_gap_of_held_out"] == pytest.approx(two)
    assert measured["expected_unrepresented"] == pytest.approx(4 * 0.75**4)


def test_a_perfect_sampler_gets_the_floors():
    rng = np.random.default_rng(0)
    images = rng.random((64, 16))
    measured = memory._measure(images[rng.integers(64, size=200)], images, images, 64)
    assert measured["mean_distance"] == 0
    assert measured["entropy"] == pytest.approx(measured["expected_entropy"], abs=0.02)
    excess = measured["unrepresented"] - measured["expected_unrepresented"]
    assert abs(excess) < 4 * measured["sd_unrepresented"]


def test_parameters_are_counted_as_printed_and_as_they_are(digits):
    assert parameter_counts(784, (484, 225, 64)) == (502_820, 504_313, 503_529)
    assert parameter_counts(784, (709,)) == (556_565, 557_349, 556_565)
    machine = HelmholtzMachine((6, 4), n_epochs=0).fit(digits["digits"].x_train[:5])

    def size(*layers):
        return sum(layer.weights.size + layer.bias.size for layer in layers)

    counts = parameter_counts(64, (6, 4))
    assert counts.parameters_generative == size(*machine.generative_, machine.prior_)
    assert counts.parameters_recognition == size(*machine.recognition_)


def test_intervals_are_those_of_student():
    mean = mean_of([1.0, 2.0, 4.0])
    assert mean.mean == pytest.approx(7 / 3)
    assert mean.half_width == pytest.approx(4.302653 * np.sqrt(7 / 3) / np.sqrt(3), rel=1e-6)
    assert str(mean) == "2.33 ± 3.8" and str(mean_of([2.0])) == "2"
    assert str(mean_of([2.0, 2.0])) == "2 ± 0"


def test_differences_are_paired_by_seed():
    def record(machine, start, seed, values):
        return {**key(machine, start, seed), "n_train": [2, 4], "entropy": values}

    records = [
        record("deep", "random", 0, [0.5, 0.4]),
        record("deep", "random", 1, [0.7, 0.3]),
        record("shallow", "zero", 1, [0.6, 0.1]),
        record("shallow", "zero", 2, [0.9, 0.9]),
        record("shallow", "zero", 0, [0.1, 0.2]),
    ]
    pairs = differences(records, "entropy", 4, ("shallow", "zero"), ("deep", "random"))
    assert_allclose(pairs, [0.2 - 0.4, 0.1 - 0.3])


# --- records ----------------------------------------------------------------------------------------


def test_smoke_gives_records_and_a_table(records, capsys):
    assert len(records) == len(memory.runs(SMOKE)) == 12
    rows = memory.summary(records)
    assert len(rows) == 18 and len({tuple(row) for row in rows}) == 1
    pair = [r for r in records if (r["machine"], r["start"]) == ("deep", "clamped")]
    row = next(r for r in rows if (r["N"], r["machine"], r["start"]) == (16, "deep", "clamped"))
    assert row["runs"] == 2
    assert row["distance"].mean == pytest.approx(np.mean([r["mean_distance"][1] for r in pair]))
    assert row["distance - random"].mean == pytest.approx(
        np.mean(differences(records, "mean_distance", 16, ("deep", "clamped"), ("deep", "random")))
    )
    assert row["by perfect"] == pytest.approx(pair[0]["expected_unrepresented"][1])
    _print_table(rows)
    assert "±" in capsys.readouterr().out
    alone = memory.summary([r for r in records if r["start"] == "pyramid" and r["seed"] == 0])
    assert len(alone) == 3 and alone[0]["H - random"] is None


def test_images_never_seen_are_the_same_for_all_machines_of_a_seed(records):
    for seed in (0, 1):
        found = [r["unrepresented_of_held_out"] for r in records if r["seed"] == seed]
        assert all(values == found[0] for values in found)
    assert records[0]["unrepresented_of_held_out"][0] == 0  # 360 images, two to be nearest to
    assert (records[0]["n_test"], records[0]["n_dreams"]) == (360, 500)
    assert all(
        row["H of held out"] is row["by held out"] is None for row in memory.summary(records)
    )
    as_many = memory.summary([{**r, "n_dreams": 360} for r in records])
    found = np.mean([r["unrepresented_of_held_out"][2] for r in records])
    assert as_many[-1]["N"] == 64 and as_many[-1]["by held out"] == pytest.approx(found)


def test_few_dreams_are_kept_of_the_first_seed(records):
    with_pictures = [r for r in records if "dreams" in r]
    assert {r["seed"] for r in with_pictures} == {0} and len(with_pictures) == 6
    dreams = decode_pictures(with_pictures[0]["dreams"], 64)
    assert dreams.shape == (SMOKE.n_pictures, 64)
    assert ((dreams > 0.01) & (dreams < 0.99)).any()  # probabilities


@pytest.mark.parametrize("profile", ["smoke", "book", "paper"])
def test_the_settings_of_a_profile_fit_together(profile):
    settings = memory.PROFILES[profile]
    runs = memory.runs(settings)
    assert len({run_key(run) for run in runs}) == len(runs)
    assert all(settings.n_train[-1] % n == 0 for n in settings.n_train)
    assert list(settings.n_train) == sorted(settings.n_train) and settings.n_train[0] > 1
    assert settings.pictured in settings.n_train
    assert settings.n_dreams > settings.n_train[-1] * np.log(settings.n_train[-1])
    assert set(settings.learning_rates["deep"]) == set(STARTS)
    for machine, hidden in settings.machines.items():
        is_pyramid = {"pyramid", "clamped"} & set(settings.learning_rates[machine])
        assert not is_pyramid or 2 * settings.stage_epochs * len(hidden) == settings.n_epochs
    assert run_key(dataclasses.asdict(settings))
