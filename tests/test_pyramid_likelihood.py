"""The experiment on what the pyramid buys: work counted, the use of layers enumerated, records resumed."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logit

from hmlib.datasets import load
from hmlib.exact import all_states
from hmlib.experiments import (
    Checkpoint,
    decode_pictures,
    generator,
    reproduce,
)
from hmlib.experiments import pyramid_likelihood as experiment
from hmlib.experiments.initialisations import STARTS, class_samples, validation_split
from hmlib.experiments.store import rounded, run_key
from hmlib.helmholtz import HelmholtzMachine
from hmlib.layers import SigmoidLayer
from hmlib.pyramid import PyramidInitializer
from hmlib.units import sample_bernoulli
from hmlib.wake_sleep import ReweightedWakeSleep

SMOKE = experiment.PROFILES["smoke"]
TIMES = ("seconds_stages", "seconds_training", "curve_seconds")


@pytest.fixture(scope="module")
def digits():
    return {"digits": load("digits")}


@pytest.fixture(scope="module")
def small():
    """A machine 5-4-3 with weights large enough to matter, and images to show it."""
    rng = np.random.default_rng(0)
    images = (rng.random((4000, 5)) < 0.5).astype(float)
    machine = HelmholtzMachine((4, 3), n_epochs=0, random_state=0).fit(images)
    for layer in [*machine.generative_, *machine.recognition_, machine.prior_]:
        layer.weights[:] = rng.normal(0, 1.5, layer.weights.shape)
        layer.bias[:] = rng.normal(0, 0.5, layer.bias.shape)
    return machine, images


def key(start="pyramid", depth=3, variant="main", seed=0):
    return {"variant": variant, "start": start, "depth": depth, "seed": seed}


def untimed(metrics):
    return rounded({name: value for name, value in metrics.items() if name not in TIMES})


# --- what layers are used for -----------------------------------------------------------------------


def test_the_bound_falls_into_layers_as_enumeration_says(small):
    machine, images = small
    use = experiment.layer_use(machine, images, 40, np.random.default_rng(1))
    exact = machine.free_energy_bound(images)
    assert use["bound"] == pytest.approx(exact.mean(), abs=0.02)
    assert use["bound"] == pytest.approx(use["reconstruction"] + use["carried"][0], rel=1e-12)
    # What the top carries: KL[p_R(x | y), p_G(x)], averaged over explanations y.
    y = all_states(4)
    p_y = np.exp(machine.recognition_[0].log_prob_table(images, y)).mean(axis=0)
    q = machine.recognition_[1].mean(y)
    p = machine.prior_.mean(y[:1, :0])
    divergence = (q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))).sum(axis=1)
    assert use["carried"][1] == pytest.approx(p_y @ divergence, abs=0.02)


def test_a_cut_is_the_bound_of_the_machine_that_ends_there_with_the_best_biases(small):
    machine, images = small
    cut = experiment.layer_use(machine, images, 40, np.random.default_rng(2))["cut"]
    for n_layers in (1, 2):
        short = HelmholtzMachine((4, 3)[:n_layers], n_epochs=0, random_state=0).fit(images)
        short.generative_ = machine.generative_[:n_layers]
        short.recognition_ = machine.recognition_[:n_layers]
        layers = machine.explain(np.tile(images, (40, 1)), np.random.default_rng(3))
        short.prior_.bias[:] = logit(layers[n_layers].mean(axis=0))
        best = short.free_energy_bound(images).mean()
        assert cut[n_layers - 1] == pytest.approx(best, abs=0.02)
        short.prior_.bias += 0.3  # any other biases are worse
        assert short.free_energy_bound(images).mean() > best
    assert cut[1] < machine.free_energy_bound(images).mean()


def test_units_are_active_if_the_image_moves_their_mean(small):
    _, images = small
    machine = HelmholtzMachine((4, 3), n_epochs=0, init="zero", random_state=0).fit(images)
    lower, upper = machine.recognition_
    use = experiment.layer_use(machine, images, 4, np.random.default_rng(0))
    assert use["active"] == [0, 0]
    assert_allclose(use["carried"], 0, atol=1e-12)
    assert use["bound"] == pytest.approx(5 * np.log(2))
    lower.weights[0, :3] = 4, 0.25, 1  # variances of the means: 0.23, 0.001, 0.013
    lower.bias[:] = -2, 0, 0, 3  # a unit that is always on says nothing
    upper.weights[0, :2] = 4, 1  # 0.23 squared and more, 0.013 * 0.77^2: too little to count
    upper.bias[:2] = -2, -0.5
    active = experiment.layer_use(machine, images, 4, np.random.default_rng(0))["active"]
    assert active == [2, 1]


# --- work ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("depth", [1, 3])
def test_work_is_what_is_counted(start, depth, digits, monkeypatch):
    run, count = key(start, depth), [0]
    logits, correct = SigmoidLayer.logits, SigmoidLayer.correct

    def counted_logits(layer, x):
        count[0] += len(x) * layer.weights.size
        return logits(layer, x)

    def counted_correct(layer, x, error, rate, weights=None):
        count[0] += len(x) * layer.weights.size
        correct(layer, x, error, rate, weights)

    X = digits["digits"].x_train[:45]
    machine = experiment._new_machine(SMOKE, run, 64)
    monkeypatch.setattr(SigmoidLayer, "logits", counted_logits)
    monkeypatch.setattr(SigmoidLayer, "correct", counted_correct)
    machine.fit(X)
    n_stages, n_epochs = experiment._epochs(SMOKE, run, 64)
    assert n_stages + n_epochs == SMOKE.n_epochs == machine.n_iter_ + n_stages
    epoch = 6 * len(X) * sum(layer.weights.size for layer in machine.generative_)
    work = experiment.work_epochs(start, 64, machine.hidden, n_stages, n_epochs)
    assert count[0] / epoch == pytest.approx(work, rel=1e-12)
    assert work <= SMOKE.n_epochs if depth > 1 or start == "clamped" else work == SMOKE.n_epochs


@pytest.mark.parametrize("variant", ["main", "short stages", "noise", "reweighted"])
@pytest.mark.parametrize("start", STARTS)
def test_every_start_gets_the_same_number_of_epochs(start, variant, digits, monkeypatch):
    seen = []
    for owner in (PyramidInitializer, HelmholtzMachine):
        monkeypatch.setattr(owner, "_epoch", lambda self, *args: seen.append(type(self)))
    machine = experiment._new_machine(SMOKE, key(start, variant=variant), 64)
    machine.fit(digits["digits"].x_train)
    assert len(seen) == SMOKE.n_epochs
    assert seen.count(PyramidInitializer) == (3 if start in experiment.LAYERED else 0)


def test_equal_work_gives_other_starts_the_epochs_that_a_pyramid_costs():
    pyramid = experiment._epochs(SMOKE, key("pyramid"), 64)
    hidden = experiment._hidden(SMOKE, key())
    assert hidden == (16, 9, 4) and pyramid == (3, 3)
    # pairs 64 x 16, 16 x 9, 9 x 4: 1024, 144, 36; one epoch of each stage in products
    stages = (6 * 1024 + 180) + (6 * 144 + 36) + 6 * 36
    work = 3 + stages / (6 * 1204)
    assert experiment.work_epochs("pyramid", 64, hidden, 3, 3) == pytest.approx(work)
    for start in ("zero", "random"):
        assert experiment._epochs(SMOKE, key(start, variant="equal work"), 64) == (0, round(work))
        assert experiment._epochs(SMOKE, key(start), 64) == (0, 6)


# --- runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["first pair", "bottom up"])
def test_greedy_stages_spend_what_a_pyramid_spends(variant, digits):
    run = key("zero", variant=variant)
    metrics = experiment.run(SMOKE, run, data=digits)
    epochs = {"first pair": [3, 0, 0], "bottom up": [1, 1, 1]}[variant]
    assert experiment._new_machine(SMOKE, run, 64).init.n_epochs == epochs
    assert (metrics["stage_epochs"], metrics["n_epochs"]) == (3, 6)
    pairs = np.array([64 * 16, 16 * 9, 9 * 4])
    assert metrics["work_epochs"] == pytest.approx(3 + pairs @ epochs / pairs.sum())


def test_the_machine_is_built_as_the_settings_say():
    machine = experiment._new_machine(SMOKE, key("pyramid", variant="reweighted"), 64)
    assert machine.hidden == (16, 9, 4) and machine.n_epochs == 3 and machine.init.n_epochs == 1
    assert repr(machine.rule) == repr(ReweightedWakeSleep(5, 0.1, "both"))
    assert (machine.binarize, machine.init_bias, machine.decay) == ("resample", "data", 0.05)
    plain = experiment._new_machine(SMOKE, key("random", depth=1, variant="double rate"), 64)
    assert plain.hidden == (16,) and plain.n_epochs == 6 and plain.init == "random"
    assert plain.rule is None and plain.learning_rate == 0.4 and plain.hidden_bias == 0
    low = experiment._new_machine(SMOKE, key("random", variant="low biases"), 64)
    assert low.hidden_bias == -1 and low.learning_rate == 0.2
    for images in ("scrambled", "noise"):
        for start in experiment.LAYERED:
            init = experiment._new_machine(SMOKE, key(start, variant=images), 64).init
            assert init.images == images and init.clamped == (start == "clamped")


def test_a_run_measures_what_enumeration_gives(digits):
    shallow = dataclasses.replace(SMOKE, sides=(3,), n_test=360, n_paths=20)
    metrics = experiment.run(shallow, key("zero", depth=1), data=digits)
    rest, held_out = validation_split(digits["digits"], 200, {"set": "digits"})
    train = class_samples(rest, 1000, {"set": "digits", "seed": 0})
    machine = experiment._new_machine(shallow, key("zero", depth=1), 64).fit(train.x)
    test = sample_bernoulli(digits["digits"].x_test, generator(what="test bits", data="digits"))
    exact, bound = -machine.score_samples(test), machine.free_energy_bound(test)
    assert metrics["nll"] == pytest.approx(exact.mean(), abs=5 * metrics["error_estimate"])
    assert metrics["bound"] == pytest.approx(bound.mean(), abs=0.1)
    assert metrics["nll_bound"] == pytest.approx(bound.mean(), abs=0.1)
    spread = exact.std(ddof=1) / np.sqrt(360)
    assert metrics["error_images"] == pytest.approx(spread, rel=0.05)
    assert 1 <= metrics["effective_sample_size"] <= 50
    assert metrics["nll"] < metrics["bound"]
    bits = sample_bernoulli(held_out.x[:100], generator(what="validation bits", data="digits"))
    assert metrics["nll_validation"] == pytest.approx(-machine.score(bits), abs=0.3)
    last = machine.free_energy_bound(bits).mean()
    assert metrics["curve_bound"][-1] == pytest.approx(last, abs=0.3)


def test_more_draws_measure_the_same_machine_better(digits):
    variants = {"main": {}, "more draws": {"draws": 500}}
    settings = dataclasses.replace(SMOKE, draws=2, variants=variants)
    few, many = (
        experiment.run(settings, key(variant=variant), data=digits) for variant in variants
    )
    assert many["bound"] == pytest.approx(few["bound"], abs=0.2)
    assert many["nll_bound"] == pytest.approx(few["nll_bound"], abs=0.3)
    assert many["error_estimate"] < few["error_estimate"] / 5
    assert few["effective_sample_size"] <= 2 < many["effective_sample_size"]


@pytest.mark.parametrize("start", ["random", "pyramid"])
def test_the_curve_counts_the_stages(start, digits):
    metrics = experiment.run(SMOKE, key(start), data=digits)
    stages = 3 if start == "pyramid" else 0
    assert metrics["curve_epochs"] == sorted({stages, *range(stages, 6, 2), 6})
    assert metrics["stage_epochs"] == stages and metrics["n_epochs"] == 6
    seconds = metrics["curve_seconds"]
    assert seconds == sorted(seconds) and seconds[0] == metrics["seconds_stages"]
    assert seconds[-1] == metrics["seconds_training"]
    assert len(metrics["active"]) == len(metrics["cut"]) == len(metrics["carried"]) == 3


class KilledError(Exception):
    pass


@pytest.mark.parametrize("variant", ["main", "reweighted"])
def test_a_run_resumes_after_kills_as_if_nothing_had_happened(variant, tmp_path, digits):
    class Mortal(Checkpoint):
        def save(self, **state):
            super().save(**state)
            raise KilledError

    run, path = key(variant=variant), tmp_path / "state.npz"
    whole = experiment.run(SMOKE, run, data=digits)
    for _ in whole["curve_epochs"]:  # after the stages, then after every point of the curve
        with pytest.raises(KilledError):
            experiment.run(SMOKE, run, data=digits, checkpoint=Mortal(path))
    resumed = experiment.run(SMOKE, run, data=digits, checkpoint=Checkpoint(path))
    assert untimed(resumed) == untimed(whole)


def test_smoke_gives_records_and_a_table(tmp_path):
    records = reproduce("pyramid-likelihood", results=tmp_path, verbose=False)
    assert len(records) == len(experiment.runs(SMOKE)) == 3 * len(STARTS) + 6
    rows = experiment.summary(records)
    assert len({tuple(row) for row in rows}) == 1
    found = {(r["variant"], r["depth"], r["start"]): r for r in rows}
    row = found["main", 3, "pyramid"]
    nll = {
        (r["start"], r["seed"]): r["nll"]
        for r in records
        if (r["variant"], r["depth"]) == ("main", 3)
    }
    differences = [nll["pyramid", seed] - nll["random", seed] for seed in (0, 1)]
    assert row["runs"] == 2 and row["- random"] == pytest.approx(np.mean(differences))
    half = 12.7062 * abs(differences[0] - differences[1]) / 2
    assert row["+- "] == pytest.approx(half, rel=1e-4)
    assert found["main", 3, "random"]["- random"] is None
    noise = found["noise", 3, "pyramid"]
    assert noise["- random"] == pytest.approx(noise["NLL test"] - nll["random", 0])
    other = found["reweighted", 3, "pyramid"]["NLL test"]
    other -= found["reweighted", 3, "random"]["NLL test"]
    assert found["reweighted", 3, "pyramid"]["- random"] == pytest.approx(other)
    shown = [r for r in records if "dreams" in r]
    assert {(r["variant"], r["seed"]) for r in shown} == {("main", 0)}
    assert decode_pictures(shown[0]["dreams"], 64).shape == (10, 64)


# --- settings --------------------------------------------------------------------------------------


def test_the_best_rate_is_chosen_by_validation_images():
    def record(variant, nll, start="zero", seed=0):
        names = ("variant", "start", "depth", "seed", "nll_validation", "nll")
        return dict(zip(names, (variant, start, 2, seed, nll, -nll)))

    records = [record("main", 3.0), record("half rate", 2.0), record("double rate", 4.0)]
    records += [record("double rate", 1.0, seed=1), record("main", 1.0, start="random")]
    assert experiment.best_rates(records) == {("zero", 2): "half rate"}


def test_the_parts_of_the_paper_plan_compare_what_is_there():
    """Every part but the first has its counterpart, of the same depth and seed, before it."""
    seen = set()
    for part in experiment.PROFILES["paper"].plan:
        cells = {(depth, seed) for depth in part["depths"] for seed in part["seeds"]}
        if part["variant"] == "main":
            assert part["starts"] == STARTS and not seen & cells
            seen |= cells
        assert cells <= seen
    assert {seed for depth, seed in seen} == set(range(5)) and len(seen) == 20


@pytest.mark.parametrize("profile", ["smoke", "book", "paper"])
def test_the_settings_of_a_profile_fit_together(profile):
    settings = experiment.PROFILES[profile]
    runs = experiment.runs(settings)
    assert len({run_key(run) for run in runs}) == len(runs)
    assert runs[0]["variant"] == "main" and runs[0]["depth"] == len(settings.sides)
    n_pixels = 784 if "mnist" in settings.data else 64
    for run in runs:
        n_stages, n_epochs = experiment._epochs(settings, run, n_pixels)
        total = settings.variants[run["variant"]].get("n_epochs", settings.n_epochs)
        assert n_epochs > 0 and n_stages + n_epochs <= total + (run["variant"] == "equal work")
        machine = experiment._new_machine(settings, run, n_pixels)
        assert machine.n_epochs == n_epochs and len(machine.hidden) == run["depth"]
    assert settings.n_paths % 2 == 0
    assert run_key(dataclasses.asdict(settings))
