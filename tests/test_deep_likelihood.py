"""The experiment on deep machines: its steps against the library, its estimates against enumeration."""

import json
import pickle
from dataclasses import asdict, replace

import numpy as np
import pytest

from hmlib.datasets import load
from hmlib.deep import DeepBoltzmannMachine
from hmlib.experiments import Checkpoint, decode_pictures, generator, reproduce
from hmlib.experiments import deep_likelihood as deep
from hmlib.likelihood import annealed_importance_sampling
from hmlib.units import sample_bernoulli

SMOKE = deep.PROFILES["smoke"]
DBN, DBM = ({"machine": name, "seed": 0} for name in ("DBN 12-16", "DBM 12-16"))


@pytest.fixture(scope="module")
def digits():
    return {"digits": load("digits")}


@pytest.fixture(scope="module")
def bits(digits):
    return sample_bernoulli(digits["digits"].x_test[:200], np.random.default_rng(0))


@pytest.fixture(scope="module")
def small():
    """Settings for machines whose likelihoods can be enumerated, learnt far from their base."""
    layers = deep._layer(8, 30, 20, (0.2, 0.01)), deep._layer(10, 30, 20, (0.2, 0.01))
    return replace(
        SMOKE,
        belief_networks={
            "DBN": {
                "layers": layers,
                "n_fine_tuning_epochs": 5,
                "fine_tuning_rate": 0.05,
                "batch_size": 20,
            }
        },
        boltzmann_machines={
            "DBM": {
                "hidden": (8, 10),
                "n_epochs": 30,
                "learning_rate": (0.1, 0.01),
                "batch_size": 20,
            }
        },
        n_chains=100,
        n_betas=1000,
        n_explanations=200,
        every=30,
    )


@pytest.fixture(scope="module")
def trained(small, digits):
    """The machines at the end of their runs, and the metrics."""
    machines, measure = {}, deep._measure

    def spy(machine, measured, settings, key):
        machines[key["machine"], key.get("trained")] = pickle.loads(pickle.dumps(machine))
        return measure(machine, measured, settings, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deep, "_measure", spy)
        metrics = {
            name: deep.run(small, {"machine": name, "seed": 0}, data=digits)
            for name in ("DBN", "DBM")
        }
    return machines, metrics


# --- training ----------------------------------------------------------------------------------------


class KilledError(Exception):
    pass


@pytest.mark.parametrize("run", [DBN, DBM], ids=["DBN", "DBM"])
def test_a_run_goes_on_where_it_was_killed(run, digits, tmp_path, monkeypatch):
    straight = deep.run(SMOKE, run, data=digits)
    save, n_saved = Checkpoint.save, 0
    path = tmp_path / "run.npz"

    def save_and_die(checkpoint, **state):
        nonlocal n_saved
        save(checkpoint, **state)
        n_saved += 1
        raise KilledError

    monkeypatch.setattr(Checkpoint, "save", save_and_die)
    while True:
        try:
            resumed = deep.run(SMOKE, run, data=digits, checkpoint=Checkpoint(path))
            break
        except KilledError:
            pass
    # After every epoch, of the belief network 4 greedy and 2 others, and after its first measure.
    assert n_saved == (7 if run is DBN else 2)
    assert resumed == straight


def test_runs_that_share_a_seed_do_not_share_their_draws(digits):
    one, two = (
        deep.run(SMOKE, {"machine": "DBM 12-16", "seed": seed}, data=digits) for seed in (0, 1)
    )
    assert one["log_likelihood"] != two["log_likelihood"]
    assert one["log_likelihood_base"] == two["log_likelihood_base"]


# --- measures ----------------------------------------------------------------------------------------


STAGES = [("DBN", "greedily", ""), ("DBN", "up-down", "up_down_"), ("DBM", None, "")]


@pytest.mark.parametrize(("name", "stage", "prefix"), STAGES)
def test_estimates_agree_with_enumeration(trained, digits, name, stage, prefix):
    machine, metrics = trained[0][name, stage], trained[1][name]
    test = sample_bernoulli(digits["digits"].x_test, generator(what="test bits", data="digits"))
    exact = machine.score_samples(test).mean()
    error = np.hypot(
        metrics[prefix + "error_log_partition"], metrics[prefix + "error_explanations"]
    )
    assert error < 0.1
    assert abs(metrics[prefix + "log_likelihood"] - exact) < 4 * error
    log_z = machine.log_partition()
    for direction in ("", "_reverse"):
        error = metrics[f"{prefix}error_{'reverse' if direction else 'log_partition'}"]
        assert abs(metrics[f"{prefix}log_partition{direction}"] - log_z) < 4 * error
    shift = metrics[prefix + "log_partition"] - metrics[prefix + "log_partition_reverse"]
    assert metrics[prefix + "log_likelihood_reverse"] == pytest.approx(
        metrics[prefix + "log_likelihood"] + shift
    )
    # The bound of the same log Z: the average over explanations written out, or the mean field.
    if name == "DBN":
        bound = -machine.free_energy_bound(test)
        error = metrics[prefix + "error_explanations"]
    else:
        bound, error = machine.bound(test, log_z), 1e-9
    bound = bound.mean() + log_z - metrics[prefix + "log_partition"]
    assert abs(metrics[prefix + "bound"] - bound) < 4 * error
    assert metrics[prefix + "bound"] < metrics[prefix + "log_likelihood"]
    assert exact > metrics[prefix + "log_likelihood_base"] + 0.5  # it has learnt something


def test_the_training_images_are_some_of_the_training_set(small, trained, digits):
    network, metrics = trained[0]["DBN", "up-down"], trained[1]["DBN"]
    rng = generator(what="training bits", data="digits")
    x_train = digits["digits"].x_train
    train = sample_bernoulli(x_train[rng.permutation(len(x_train))[: small.n_train]], rng)
    exact = network._log_sum(train).mean() - metrics["up_down_log_partition"]
    n_test = len(digits["digits"].x_test)
    error = metrics["up_down_error_explanations"] * np.sqrt(n_test / small.n_train)
    assert abs(metrics["up_down_log_likelihood_train"] - exact) < 4 * error
    bound = -network.free_energy_bound(train).mean()
    bound += network.log_partition() - metrics["up_down_log_partition"]
    assert abs(metrics["up_down_bound_train"] - bound) < 4 * error


def test_the_base_is_the_machine_without_weights(trained, digits):
    test = sample_bernoulli(digits["digits"].x_test, generator(what="test bits", data="digits"))
    x_train = digits["digits"].x_train.astype(float)
    p = (x_train.sum(axis=0) + 1) / (len(x_train) + 2)
    base = (test * np.log(p) + (1 - test) * np.log(1 - p)).sum(axis=1).mean()
    for metrics in trained[1].values():
        assert metrics["log_likelihood_base"] == pytest.approx(base, rel=1e-6)


def test_reverse_chains_start_in_the_layers_that_are_annealed(trained, bits):
    for (name, _), machine in trained[0].items():
        start = deep._chains(machine, bits, 3, np.random.default_rng(0))
        assert start.shape == (len(bits), 8)
        assert set(np.unique(start)) == {0, 1}
        result = annealed_importance_sampling(
            deep._undirected(machine), n_chains=len(bits), betas=50, reverse=True, start=start
        )
        assert np.isfinite(result.log_partition), name


def test_reverse_chains_start_at_samples_of_the_machine(trained, digits):
    # Long chains from training images: exact means of layer 1 under the machine, by enumeration.
    x_train = digits["digits"].x_train
    images = sample_bernoulli(x_train, np.random.default_rng(0))
    for machine in trained[0].values():
        start = deep._chains(machine, images, 100, np.random.default_rng(1))
        undirected = deep._undirected(machine)
        rbm = undirected._restricted() if isinstance(machine, DeepBoltzmannMachine) else undirected
        log_p = np.array([-rbm.free_energy(s[None])[0] for s in _states(8)])
        p = np.exp(log_p - np.logaddexp.reduce(log_p))
        means = p @ _states(8)
        error = np.sqrt(means * (1 - means) / len(start))
        assert (np.abs(start.mean(axis=0) - means) < 5 * error).all()


def _states(n):
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(float)


def test_images_are_explained_piece_by_piece(trained, bits, monkeypatch):
    machine = trained[0]["DBN", "up-down"]
    whole = deep._explain(machine, bits, 3.0, 400, np.random.default_rng(0))
    monkeypatch.setattr(deep, "IMAGES_AT_ONCE", 77)
    pieces = deep._explain(machine, bits, 3.0, 400, np.random.default_rng(1))
    for explained in (whole, pieces):
        assert explained.estimate.shape == explained.bound.shape == (len(bits),)
        difference = explained.estimate - (machine._log_sum(bits) - 3.0)
        bias = -(explained.standard_error**2).mean() / 2  # of the logarithm of a mean
        error = np.sqrt((explained.standard_error**2).sum()) / len(bits)
        assert abs(difference.mean() - bias) < 4 * error
    assert (pieces.bound < pieces.estimate).all()


def test_filters_of_the_second_layer_are_seen_through_the_first(trained, small):
    for machine in trained[0].values():
        W = deep._weights(machine)
        assert [w.shape for w in W] == [(64, 8), (8, 10)]
    machine, metrics = trained[0]["DBM", None], trained[1]["DBM"]
    pictures = decode_pictures(metrics["filters_2"], 64)
    projected = machine.weights_[0] @ machine.weights_[1]
    strongest = projected[:, np.argmax(np.linalg.norm(projected, axis=0))]
    expected = 0.5 + strongest / (2 * np.abs(strongest).max())
    np.testing.assert_allclose(pictures[0], expected, atol=1 / 500)


# --- records -----------------------------------------------------------------------------------------


def test_smoke(tmp_path):
    records = reproduce("deep-likelihood", results=tmp_path, verbose=False)
    rows = deep.summary(records)
    assert [(row["machine"], row["trained"], row["epochs"]) for row in rows] == [
        ("DBM 12-16", "together", 2),
        ("DBN 12-16", "greedily", 4),
        ("DBN 12-16", "up-down", 2),
    ]
    assert len({tuple(row) for row in rows}) == 1
    dbm, dbn = records
    assert rows[2]["log-lik. test"] == dbn["up_down_log_likelihood"] != dbn["log_likelihood"]
    assert dbn["curve_epochs"] == [0, 1, 2] and dbm["curve_epochs"] == [1, 2]
    for name, n in (("dreams", 20), ("filters_1", 12), ("filters_2", 16)):
        for text in (dbm[name], dbn[name], dbn[f"up_down_{name}"]):
            assert decode_pictures(text, 64).shape == (n, 64)


def test_rows_average_over_seeds():
    names = (
        *("log_likelihood", "bound", "log_likelihood_reverse", "log_likelihood_train"),
        *("error_log_partition", "error_reverse", "error_explanations", "n_epochs"),
    )
    records = [{"machine": "DBM", "seed": s, **dict.fromkeys(names, -3.0 - 2 * s)} for s in (0, 1)]
    (row,) = deep.summary(records)
    assert row["log-lik. test"] == -4 and row["runs"] == 2
    assert row["std. seeds"] == pytest.approx(np.sqrt(2))
    assert deep.summary(records[:1])[0]["std. seeds"] is None


@pytest.mark.parametrize("profile", deep.PROFILES)
def test_every_run_has_its_machine(profile):
    settings = deep.PROFILES[profile]
    machines = {**settings.belief_networks, **settings.boltzmann_machines}
    assert {run["machine"] for run in deep.runs(settings)} == set(machines) == set(settings.n_seeds)
    json.dumps(asdict(settings))
    for name, arguments in machines.items():
        layers = arguments.get("layers")
        sizes = [layer["n_hidden"] for layer in layers] if layers else arguments["hidden"]
        assert name.split()[1] == "-".join(map(str, sizes))
