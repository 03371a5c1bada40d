"""The experiment on learning rates: what its runs measure, and which rate it calls the best."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hmlib.cli import _print_table
from hmlib.datasets import load
from hmlib.experiments import (
    Checkpoint,
    ExperimentError,
    architectures,
    generated,
    generator,
    load_records,
    memory,
    rates,
    readout,
    reproduce,
)
from hmlib.experiments.initialisations import STARTS, class_samples, make_machine, validation_split
from hmlib.experiments.store import rounded, run_key
from hmlib.helmholtz import HelmholtzMachine

SMOKE, PAPER = rates.PROFILES["smoke"], rates.PROFILES["paper"]


@pytest.fixture(scope="module")
def digits():
    return {"digits": load("digits")}


def key(architecture="64-16-4", start="clamped", rate=0.05, seed=0):
    return {"architecture": architecture, "start": start, "rate": rate, "seed": seed}


class KilledError(Exception):
    pass


def test_a_run_resumes_after_a_kill_as_if_nothing_had_happened(tmp_path, digits):
    class Mortal(Checkpoint):
        def save(self, **state):
            super().save(**state)
            raise KilledError

    whole, path = rates.run(SMOKE, key(), data=digits), tmp_path / "state.npz"
    for _ in range(2):  # two epochs after two stages of two
        with pytest.raises(KilledError):
            rates.run(SMOKE, key(), data=digits, checkpoint=Mortal(path))
    resumed = rates.run(SMOKE, key(), data=digits, checkpoint=Checkpoint(path))
    assert rounded(resumed) == rounded(whole)
    assert whole["curve_epochs"] == [1, 2] and len(whole["curve_bound"]) == 2


def test_it_measures_what_enumeration_gives(digits):
    """The sum over 2^20 explanations is too long, that over 2^8 is not."""
    small = {**SMOKE.architectures["64-16-4"], "hidden": (4, 4), "rates": {"zero": (0.1,)}}
    settings = dataclasses.replace(SMOKE, architectures={"64-4-4": small}, n_draws=2000)
    run = key("64-4-4", "zero", 0.1)
    metrics = rates.run(settings, run, data=digits)
    train, validation = validation_split(digits["digits"], 200, {})
    images = class_samples(train, 400, {"seed": 0})
    arguments = {"n_epochs": 6, "stage_epochs": 2, "learning_rate": 0.1, "batch_size": 20}
    machine = make_machine("zero", (4, 4), random_state=generator(**run), **arguments).fit(images.x)
    exact = machine.free_energy_bound(validation.x)
    assert metrics["bound"] == pytest.approx(exact.mean(), abs=0.02)
    assert metrics["error_bound"] == pytest.approx(exact.std(ddof=1) / np.sqrt(200), rel=0.02)
    seen = machine.free_energy_bound(images.x[:200]).mean()
    assert metrics["bound_train"] == pytest.approx(seen, abs=0.02)
    errors = [
        ((machine.reconstruct(validation.x, random_state=k) - validation.x) ** 2).mean(dtype=float)
        for k in range(20)
    ]
    spread = np.std(errors, ddof=1)
    assert metrics["reconstruction"] == pytest.approx(np.mean(errors), abs=5 * spread)


def test_with_a_machine_for_each_class_every_image_is_measured_by_its_own(digits, monkeypatch):
    """Machines that know nothing but the mean of their class: all can be computed by hand."""

    def fit(machine, X):
        machine._check_data(X, reset=True)
        machine._start(X)
        machine._take_bias(0, X)
        return machine

    monkeypatch.setattr(HelmholtzMachine, "fit", fit)
    run = key("by class 64-16", "zero", 0.2)
    monkeypatch.setattr(
        rates,
        "make_machine",
        lambda *args, **kwargs: make_machine(*args, init_bias="data", **kwargs),
    )
    metrics = rates.run(SMOKE, run, data=digits)
    train, (x, y) = validation_split(digits["digits"], 200, {})
    images, labels = class_samples(train, 400, {"seed": 0})
    p = np.array(
        [(images[labels == c].sum(axis=0) + 1) / ((labels == c).sum() + 2) for c in range(10)]
    )
    lengths = -(x @ np.log(p).T + (1 - x) @ np.log(1 - p).T)
    assert metrics["accuracy"] == pytest.approx((lengths.argmin(axis=1) == y).mean(), abs=1e-6)
    own = lengths[np.arange(200), y]
    assert metrics["bound"] == pytest.approx(own.mean(), rel=1e-4)
    assert metrics["error_bound"] == pytest.approx(own.std(ddof=1) / np.sqrt(200), rel=1e-3)
    assert metrics["reconstruction"] == pytest.approx(((p[y] - x) ** 2).mean(), rel=1e-4)
    seen = [
        -(image * np.log(p[c]) + (1 - image) * np.log(1 - p[c])).sum()
        for c in range(10)
        for image in images[labels == c][:20]
    ]
    assert metrics["bound_train"] == pytest.approx(np.mean(seen), rel=1e-4)


def test_no_test_image_is_looked_at(digits):
    class Blind:
        x_train, y_train = digits["digits"].x_train, digits["digits"].y_train

    assert rates.run(SMOKE, key(), data={"digits": Blind}) == rates.run(SMOKE, key(), data=digits)


def test_machines_of_a_seed_see_the_same_images(digits, monkeypatch):
    seen, start_it = [], HelmholtzMachine._start
    monkeypatch.setattr(
        HelmholtzMachine, "_start", lambda machine, X: seen.append(X) or start_it(machine, X)
    )
    for start in ("zero", "random"):
        rates.run(SMOKE, key(start=start), data=digits)
    assert_array_equal(*seen)
    assert len(seen[0]) == SMOKE.architectures["64-16-4"]["n_train"]


def record(rate, bound, start="zero", seed=0, **others):
    values = {"bound": bound, "bound_train": bound, "reconstruction": 0.1, "accuracy": rate}
    return {**key("a", start, rate, seed), **values, **others}


def test_the_best_rate_has_the_lowest_mean_bound():
    records = [
        *(record(rate, bound) for rate, bound in ((0.1, 100), (0.01, 110), (1.0, 130))),
        *(record(rate, bound, seed=1) for rate, bound in ((0.1, 105), (0.01, 94), (1.0, 90))),
        record(0.1, 80, "random"),
        record(0.5, 70, "random", architecture="b"),
    ]
    assert rates.best_rates(records, "a") == {"zero": 0.01, "random": 0.1}
    assert rates.best_rates(records, "b") == {"random": 0.5}
    with pytest.raises(ValueError, match="architecture must be one of a, b, got 'c'"):
        rates.best_rates(records, "c")
    with pytest.raises(ValueError, match="start zero, there are 2 at 0.01, 1 at 0.1, 2 at 1"):
        rates.best_rates(records[1:], "a")


def test_the_table_says_whether_the_best_is_inside_the_grid():
    bounds = {0.01: 110, 0.1: 100, 1.0: 103}
    records = [record(rate, bound) for rate, bound in bounds.items()]
    (inside,) = rates.summary(records)
    assert inside["best rate"] == 0.1 and inside["inside"] == "yes"
    assert (inside["lower"], inside["+nats"]) == (0.01, 10)
    assert (inside["higher"], inside["+nats there"]) == (1.0, 3)
    assert inside["rate by accuracy"] == 1.0 and inside["accuracy"] == 0.1
    (low,), (high,) = rates.summary(records[1:]), rates.summary(records[:2])
    assert low["inside"] == high["inside"] == "no"
    assert low["+nats"] is None and high["higher"] is None


def test_smoke_gives_records_and_a_table(tmp_path, capsys):
    records = reproduce("learning-rates", results=tmp_path, verbose=False)
    assert len(records) == len(rates.runs(SMOKE)) == 2 * 2 * len(STARTS) + 1
    rows = rates.summary(records)
    assert [(row["architecture"], row["start"]) for row in rows] == [
        *(("64-16-4", start) for start in STARTS),
        ("by class 64-16", "zero"),
    ]
    best = rates.best_rates(records, "64-16-4")
    assert [row["best rate"] for row in rows[:-1]] == list(best.values())
    _print_table(rows)
    assert len(capsys.readouterr().out.splitlines()) == len(rows) + 1


@pytest.mark.parametrize("profile", ["smoke", "book", "paper"])
def test_the_settings_of_a_profile_fit_together(profile):
    settings = rates.PROFILES[profile]
    keys = rates.runs(settings)
    assert len({run_key(run) for run in keys}) == len(keys)
    assert run_key(dataclasses.asdict(settings))
    used = {architecture["data"] for architecture in settings.architectures.values()}
    assert used == set(settings.data)
    n_pixels = {"digits": 64, "mnist": 784, "fashion-mnist": 784, "cifar10-gray": 1024}
    for name, architecture in settings.architectures.items():
        sizes = [n_pixels[architecture["data"]], *architecture["hidden"]]
        assert name.endswith("-".join(map(str, sizes)))
        assert architecture["by_class"] == ("by class" in name)
        for start, grid in architecture["rates"].items():
            assert list(grid) == sorted(set(grid))
            epochs = {k: architecture[k] for k in ("n_epochs", "stage_epochs")}
            machine = make_machine(
                start, sizes[1:], learning_rate=grid[0], batch_size=settings.batch_size, **epochs
            )
            assert machine.n_epochs > 0
            if hasattr(machine.init, "shapes"):
                machine.init.shapes(sizes[0], sizes[1:])


def used():
    """Yield what takes its rates from this experiment: architecture, hidden layers, rates, batch."""
    settings = readout.PROFILES["paper"]
    name = "mnist 784-625-484-289-196-100-16"
    yield name, settings.hidden, settings.learning_rates, settings.batch_size
    settings = memory.PROFILES["paper"]
    for machine, name in {"deep": "mnist 784-484-225-64", "shallow": "mnist 784-709"}.items():
        found = settings.learning_rates[machine]
        yield name, settings.machines[machine], found, settings.batch_size
    settings = generated.PROFILES["paper"]
    names = [name for name in PAPER.architectures if "by class" in name]
    for name, data in zip(names, settings.data, strict=True):
        assert name.startswith(data)
        yield name, settings.hidden, settings.learning_rates[data], settings.batch_size
    settings = architectures.PROFILES["paper"]
    yield names[0], (400, 100), settings.learning_rates, settings.batch_size


@pytest.mark.parametrize(("name", "hidden", "found", "batch_size"), list(used()))
def test_other_experiments_use_the_best_rates_that_were_tried(name, hidden, found, batch_size):
    assert PAPER.architectures[name]["hidden"] == hidden
    assert PAPER.batch_size == batch_size
    try:
        records = load_records("learning-rates")
    except ExperimentError as error:
        pytest.skip(str(error))
    n_planned = sum(run["architecture"] == name for run in rates.runs(PAPER))
    if sum(record["architecture"] == name for record in records) < n_planned:
        pytest.skip(f"not all rates have been tried for {name}")
    assert found == rates.best_rates(records, name)


def test_rates_of_labelled_dreams_are_tried_under_the_conditions_of_their_use():
    settings = generated.PROFILES["paper"]
    for data, n_seeds in settings.n_seeds.items():
        (tried,) = (a for a in PAPER.architectures.values() if a["data"] == data and a["by_class"])
        assert tried["n_train"] == settings.n_train
        assert tried["n_epochs"] == next(iter(n_seeds))
        assert 2 * len(settings.hidden) * tried["stage_epochs"] == tried["n_epochs"]
