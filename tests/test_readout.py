"""The experiment on what layers know of the classes: what its runs see and keep, and its table."""

import dataclasses
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from hmlib.cli import _print_table
from hmlib.datasets import load
from hmlib.experiments import Checkpoint, readout, reproduce
from hmlib.experiments.initialisations import LAYERED, STARTS, class_samples
from hmlib.experiments.store import rounded, run_key
from hmlib.helmholtz import HelmholtzMachine
from hmlib.pyramid import PyramidInitializer

SMOKE = readout.PROFILES["smoke"]


@pytest.fixture(scope="module")
def digits():
    return {"digits": load("digits")}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        return reproduce("layer-readout", results=tmp_path_factory.mktemp("results"), verbose=False)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("start", ["clamped", "untrained"])
def test_a_run_resumes_after_every_kill_as_if_nothing_had_happened(tmp_path, digits, start):
    class Mortal(Checkpoint):
        def save(self, **state):
            super().save(**state)
            raise KilledError

    key, path = {"start": start, "seed": 0}, tmp_path / "state.npz"
    whole = readout.run(SMOKE, key, data=digits)
    n_saves = 3 + (SMOKE.n_epochs - len(SMOKE.hidden) if start == "clamped" else 0)
    for _ in range(n_saves):
        with pytest.raises(KilledError):
            readout.run(SMOKE, key, data=digits, checkpoint=Mortal(path))
    resumed = readout.run(SMOKE, key, data=digits, checkpoint=Checkpoint(path))
    assert rounded(resumed) == rounded(whole)


def test_the_regressions_see_what_the_record_says(digits):
    key, images = {"start": "untrained", "seed": 1}, digits["digits"]
    metrics = readout.run(SMOKE, key, data=digits)
    machine = readout._new_machine(SMOKE, key).fit(images.x_train[:300])
    x, y = class_samples(images, SMOKE.n_readout, {"seed": 1, "for": "read-out"})
    assert len(x) == SMOKE.n_readout and machine.n_iter_ == 0
    lists = [metrics[name] for name in ("layers", "train", "test", "n_iter")]
    by_layers = {tuple(layers): values for layers, *values in zip(*lists)}
    assert len(by_layers) == len(metrics["layers"])
    for layer in (0, 1):  # of these the features are exact: no sampling is below them
        seen, unseen = (machine.transform(part, layer) for part in (x, images.x_test))
        model = LogisticRegression(max_iter=SMOKE.max_iter).fit(seen, y)
        train, test, n_iter = by_layers[layer,]
        assert train == pytest.approx(model.score(seen, y), abs=2 / len(x))
        assert test == pytest.approx(model.score(unseen, images.y_test), abs=2 / len(images.x_test))
        assert n_iter == pytest.approx(model.n_iter_[0], rel=0.2)
    assert by_layers[0,][1] > 0.85


def test_costs_add_up_to_the_bound(digits):
    X = digits["digits"].x_test[:40]
    machine = readout._new_machine(SMOKE, {"start": "random", "seed": 0}).fit(X)
    costs, in_use = readout.layer_costs(machine, X, 6, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    bounds = [-machine.log_weights(X, rng).mean() for _ in range(6)]
    assert_allclose(costs.sum(), np.mean(bounds), rtol=1e-5)
    assert costs.shape == (4,) and in_use.shape == (3,)


def test_a_machine_at_zero_pays_for_pixels_only_and_uses_no_unit(digits):
    X = digits["digits"].x_test[:40]
    machine = readout._new_machine(SMOKE, {"start": "zero", "seed": 0}).set_params(n_epochs=0)
    costs, in_use = readout.layer_costs(machine.fit(X), X, 3, np.random.default_rng(0))
    assert_allclose(costs, [64 * np.log(2), 0, 0, 0], atol=1e-4)
    assert_array_equal(in_use, 0)


def test_costs_and_units_in_use_are_those_of_a_machine_made_by_hand():
    # Two fair coins as data. Unit 0 copies the first, unit 1 is on for all, unit 2 is a coin.
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 2000, dtype=float)
    machine = HelmholtzMachine((3,), n_epochs=0, init="zero").fit(X)
    machine.recognition_[0].weights[:, :2] = [[40, 0], [0, 0]]
    machine.recognition_[0].bias[:2] = -20, 20
    costs, in_use = readout.layer_costs(machine, X, 4, np.random.default_rng(0))
    assert_allclose(costs, np.log(2) * np.array([2, 2]), atol=0.02)  # the coin costs nothing
    assert_array_equal(in_use, [1])


def test_a_unit_is_not_in_use_because_few_explanations_differ():
    X = np.zeros((500, 4))  # one image, shown often
    machine = HelmholtzMachine((16, 4), n_epochs=0, init_scale=3, random_state=0).fit(X)
    _, in_use = readout.layer_costs(machine, X, 2, np.random.default_rng(0))
    assert_array_equal(in_use, 0)
    means = [machine.recognition_[1].mean(machine.explain(X, machine.rng_)[1]) for _ in range(2)]
    assert (np.mean(means, axis=0).var(axis=0) > readout.IN_USE).any()  # uncorrected they would be


def test_sets_of_layers_are_single_from_below_and_from_above():
    layers = readout._layers(SMOKE, {"start": "zero", "seed": 0})
    assert layers == [[1], [2], [3], [1, 2], [1, 2, 3], [2, 3]]
    assert readout._layers(SMOKE, {"start": "untrained", "seed": 0}) == [[0], *layers]
    deep = readout.PROFILES["paper"]
    sets = readout._layers(deep, {"start": "zero", "seed": 0})
    assert len(sets) == len({*map(tuple, sets)}) == 15
    assert readout._layers(SMOKE, {"start": "zero", "seed": 1}) == [[1], [2], [3]]


@pytest.mark.parametrize("start", [*STARTS, "untrained"])
def test_machines_start_as_they_should(digits, start):
    machine = readout._new_machine(SMOKE, {"start": start, "seed": 0})
    if start == "untrained":
        assert (machine.init, machine.n_epochs) == ("random", 0)
    elif start in LAYERED:
        assert isinstance(machine.init, PyramidInitializer)
        assert machine.n_epochs == SMOKE.n_epochs - len(SMOKE.hidden)
    else:
        assert (machine.init, machine.n_epochs) == (start, SMOKE.n_epochs)
    assert machine.binarize == "none" and machine.hidden == SMOKE.hidden


def test_all_machines_of_a_seed_see_the_same_images(digits):
    seen = [
        readout._training_images(SMOKE, digits["digits"], {"start": start, "seed": 1})
        for start in STARTS
    ]
    for images in seen:
        assert_array_equal(images, seen[0])
    whole = dataclasses.replace(SMOKE, n_train=None)
    images = readout._training_images(whole, digits["digits"], {"start": "zero", "seed": 1})
    assert images is digits["digits"].x_train


def test_smoke_gives_records_that_have_converged(records):
    assert len(records) == len(readout.runs(SMOKE)) == 10
    for record in records:
        kinds = ["", "_sample", "_mean-field"] if record["seed"] == 0 else [""]
        for kind in kinds:
            sets = [s for s in record["layers"] if not kind or len(s) == 1]
            assert len(record["test" + kind]) == len(sets)
            assert record["layers"][: len(sets)] == sets
            assert 0 < max(record["n_iter" + kind]) < SMOKE.max_iter
        assert ("test_sample" in record) == (record["seed"] == 0)
        assert record["bound"] == pytest.approx(sum(record["costs"]), rel=1e-6)
        assert len(record["in_use"]) == len(SMOKE.hidden)
        stages = len(SMOKE.hidden) if record["start"] in LAYERED else 0
        expected = 0 if record["start"] == "untrained" else SMOKE.n_epochs - stages
        assert record["n_epochs_after_start"] == expected


def test_the_table_says_what_the_records_say(records, capsys):
    rows = readout.summary(records)
    assert len({tuple(row) for row in rows}) == 1

    def row(**wanted):
        (found,) = [row for row in rows if wanted.items() <= row.items()]
        return found

    zero, random = (
        np.array([r["test"][r["layers"].index([2])] for r in records if r["start"] == start])
        for start in ("zero", "random")
    )
    (pair,) = (
        r["test"][r["layers"].index([1, 2])]
        for r in records
        if r["start"] == "zero" and [1, 2] in r["layers"]
    )
    test = row(features="averaged", start="zero", what="test")
    assert test["2"] == pytest.approx(zero.mean()) and test["0"] is None
    assert test["1-2"] == pytest.approx(pair)
    assert (test["runs"], test["of several"]) == (2, SMOKE.n_seeds_sets)
    gain = row(features="averaged", start="zero", what="gain")
    assert gain["2"] == pytest.approx((zero - random).mean())
    width = row(features="averaged", start="zero", what="gain +-")
    interval = stats.ttest_rel(zero, random).confidence_interval(0.95)
    assert width["2"] == pytest.approx((interval.high - interval.low) / 2, abs=1e-9)
    assert width["1-2"] is None  # a single seed
    other = row(features="mean-field", start="zero", what="test")
    assert (other["1-2"], other["runs"], other["of several"]) == (None, 1, None)
    assert row(features="averaged", start="untrained", what="test")["0"] > 0.85
    assert not [row for row in rows if row["start"] == "random" and row["what"] == "gain"]
    learnt = row(features="averaged", start="random", what="learnt")
    untrained = row(features="averaged", start="untrained", what="test")
    for column in ("1", "2-3"):
        assert learnt[column] == pytest.approx(
            row(features="averaged", start="random", what="test")[column] - untrained[column]
        )
    costs = row(features="averaged", start="zero", what="costs")
    bounds = [r["bound"] for r in records if r["start"] == "zero"]
    assert sum(costs[layer] for layer in "0123") == pytest.approx(np.mean(bounds), rel=1e-6)
    assert row(features="averaged", start="zero", what="in_use")["1"] <= SMOKE.hidden[0]
    _print_table(rows)
    assert len(capsys.readouterr().out.splitlines()) == len(rows) + 1


def test_gains_pair_the_seeds():
    def record(start, seed, value):
        return {"start": start, "seed": seed, "layers": [[1]], "test": [value]}

    records = [record("zero", 2, 0.7), record("zero", 0, 0.2), record("zero", 1, 0.5)]
    records += [record("random", 1, 0.4), record("random", 2, 0.1)]
    assert_allclose(readout.accuracies(records, "zero")[1,], [0.2, 0.5, 0.7])
    assert_allclose(readout.gains(records, "zero")[1,], [0.1, 0.6])
    assert readout.accuracies(records, "pyramid") == {} == readout.gains(records, "pyramid")
    records += [{**record("zero", 4, 0.3), "layers": [[1], [1, 2]], "test": [0.3, 0.8]}]
    assert_allclose(readout.accuracies(records, "zero")[1, 2], [0.8])
    assert list(readout.gains(records, "zero")) == [(1,)]


@pytest.mark.parametrize("profile", ["smoke", "book", "paper"])
def test_the_settings_of_a_profile_fit_together(profile):
    settings = readout.PROFILES[profile]
    keys = readout.runs(settings)
    assert len({run_key(key) for key in keys}) == len(keys)
    assert set(settings.learning_rates) == set(STARTS)
    for key in keys:
        machine = readout._new_machine(settings, key)
        assert machine.n_epochs > 0 or key["start"] == "untrained"
        if key["start"] in LAYERED:
            machine.init.shapes({"digits": 64, "mnist": 784}[settings.data[0]], settings.hidden)
    assert run_key(dataclasses.asdict(settings))
