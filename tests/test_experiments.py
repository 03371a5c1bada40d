"""Experiments: no record is lost, half-written, mixed with others or dependent on how it was made."""

import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import psutil
import pytest
from joblib.externals.loky import get_reusable_executor
from scipy.stats import binom

from hmlib import datasets, experiments
from hmlib.exact import all_states
from hmlib.experiments import (
    Checkpoint,
    ExperimentError,
    capacity,
    files,
    generator,
    reproduce,
    store,
)
from hmlib.experiments.files import locked, project_folder, write_atomically
from hmlib.experiments.provenance import machine_description
from hmlib.experiments.training import both_ways, lower_way
from hmlib.hopfield import error_probability, retrieval_overlap

# An experiment of six runs, each a random walk that takes its time and leaves checkpoints.
TOY = '''
"""A walk."""
import time
from dataclasses import dataclass
from pathlib import Path
from hmlib.experiments import generator

NAME = "toy"

@dataclass(frozen=True)
class Settings:
    n_steps: int = 3
    n_runs: int = 6
    pause: float = 0.0
    fails: tuple = ()
    data: tuple = ()

PROFILES = {
    "smoke": Settings(),
    "book": Settings(n_steps=40, n_runs=1, pause=0.05),
    "paper": Settings(n_runs=300, n_steps=1, pause=0.01),
}

def runs(settings):
    return [{"seed": seed, "length": 1.5} for seed in range(settings.n_runs)]

def run(settings, run, *, data, checkpoint=None):
    if run["seed"] in settings.fails:
        raise RuntimeError("it must be so")
    rng, step, walk = generator(**run), 0, 0.0
    saved = checkpoint.load() if checkpoint else None
    resumed_at = 0
    if saved:
        rng, step, walk = saved["rng"], int(saved["step"]), saved["walk"]
        Path(checkpoint.path.parent.parent, "resumed").write_text(str(step))
    while step < settings.n_steps:
        walk, step = walk + run["length"] * rng.normal(), step + 1
        if checkpoint and checkpoint.every(0):
            checkpoint.save(step=step, walk=walk, rng=rng)
        time.sleep(settings.pause)
    means = {name: data[name].x_train.mean() for name in settings.data}
    return {"walk": walk, "exact": walk.hex() if hasattr(walk, "hex") else float(walk).hex(), **means}

def summary(records):
    return [{"runs": len(records), "mean": sum(r["walk"] for r in records) / len(records)}]
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The toy as a module that other processes can import, and that the command knows."""
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(experiments.EXPERIMENTS, "toy", "toy")
    sys.modules.pop("toy", None)
    get_reusable_executor().shutdown()  # the processes of the last test have another path
    yield importlib.import_module("toy")
    sys.modules.pop("toy", None)


def settings(toy, **changes):
    """Give the toy's profile smoke other settings."""
    toy.PROFILES["smoke"] = toy.Settings(**changes)


def start(tmp_path, profile, jobs=1):
    """Run the toy in a process of its own, which can be killed."""
    code = f"""
        import toy
        from hmlib.experiments import reproduce
        reproduce(toy, {profile!r}, results={str(tmp_path / "there")!r}, jobs={jobs}, verbose=False)
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], start_new_session=True)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def without_times(path):
    contents = json.loads(path.read_text())
    for record in contents["records"]:
        del record["made"]["seconds"]
    return contents


# --- what is random, and where it was computed -------------------------------------------------------


def test_a_key_has_its_own_generator_wherever_it_is_made():
    draw = generator(n_units=3, seed=0).random(4)
    np.testing.assert_array_equal(generator(seed=0, n_units=3).random(4), draw)
    assert not np.isin(draw, generator(n_units=3, seed=1).random(4)).any()
    # The first draw is stored: another one would make all records irreproducible.
    assert generator(rule="hebb", load=0.1, seed=7).integers(2**40) == 795900977801


def test_the_machine_has_no_name_and_no_paths():
    machine = machine_description()
    assert set(machine) == {*("processor", "cores", "threads", "system", "python", "numpy", "blas")}
    text = json.dumps(machine)
    assert os.uname().nodename not in text and str(project_folder()) not in text
    assert machine["numpy"] == np.__version__
    assert machine["cores"] >= 1


# --- files -------------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def write(file):
        file.write(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, write)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"


def add_records(path, first):
    results = store.Results(path, "toy", "smoke", Nothing(), {})
    for seed in range(first, 40, 2):
        results.add(a_record(seed))


def a_record(seed, **more):
    made = {"hmlib": "0", "machine": {"cores": 1}, "seconds": 1.0}
    return {
        "run": {"seed": seed, "name": "b"},
        "metrics": {"x": 0.5},
        "data": {},
        "made": made,
    } | more


@dataclass(frozen=True)
class Nothing:
    sizes: tuple = (1, 2)
    by_size: dict = None


def test_two_processes_add_to_one_file(tmp_path):
    path = tmp_path / "toy.json"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=add_records, args=(path, first)) for first in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [r["run"]["seed"] for r in json.loads(path.read_text())["records"]] == list(range(40))


def test_the_lock_ends_with_its_process(tmp_path):
    code = f"""
        import time
        from hmlib.experiments.files import locked
        with locked({str(tmp_path)!r}):
            print("mine", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"mine\n"
        holder.kill()
        holder.wait()
        with locked(tmp_path):  # would wait forever
            assert list(tmp_path.iterdir()) == []


def test_a_record_is_a_block_and_the_order_does_not_depend_on_when_it_came(tmp_path):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    for path, seeds in ((one, (10, 9, 2)), (two, (2, 10, 9))):
        results = store.Results(path, "toy", "smoke", Nothing(), {})
        for seed in seeds:
            results.add(a_record(seed))
        results.add(a_record(9, metrics={"x": 7.0}))  # another process has done it again
    assert one.read_text() == two.read_text()
    block = """
  {
   "data": {},
   "made": {"hmlib": "0", "machine": "MACHINE", "seconds": 1.0},
   "metrics": {"x": 0.5},
   "run": {"name": "b", "seed": 9}
  },"""
    (machine,) = json.loads(one.read_text())["machines"]
    assert block.replace("MACHINE", machine) in one.read_text()
    assert [r["run"]["seed"] for r in json.loads(one.read_text())["records"]] == [2, 9, 10]


def test_numbers_are_rounded_and_numpy_leaves():
    metrics = {
        "a": np.float32(1) / 3,
        "b": [1.23456789012, np.int64(3)],
        "c": np.array([0.1, 2e-17 / 3]),
        "d": None,
        "e": np.True_,
        "f": "text",
    }
    assert store.rounded(metrics) == {
        "a": 0.33333334,
        "b": [1.2345679, 3],
        "c": [0.1, 6.6666667e-18],
        "d": None,
        "e": True,
        "f": "text",
    }
    assert json.dumps(store.rounded(metrics))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"records": []}', "<<<<<<< HEAD"])
def test_a_damaged_file_is_neither_read_nor_replaced(tmp_path, toy, text):
    (tmp_path / "toy.json").write_text(text)
    with pytest.raises(ExperimentError, match=r"toy\.json is no results file"):
        reproduce(toy, "paper", results=tmp_path, verbose=False)
    with pytest.raises(ExperimentError, match=r"toy\.json is no results file"):
        experiments.load_records("toy", results=tmp_path)
    assert (tmp_path / "toy.json").read_text() == text


# --- checkpoints -------------------------------------------------------------------------------------


def test_a_checkpoint_gives_back_what_it_got(tmp_path):
    checkpoint = Checkpoint(tmp_path / "deep" / "a.npz")
    assert checkpoint.load() is None
    for bit_generator in (np.random.PCG64, np.random.Philox, np.random.MT19937):
        rng = np.random.Generator(bit_generator(3))
        rng.normal(size=5)
        rng.spawn(1)
        checkpoint.save(step=3, weights=np.eye(2, dtype=np.float32), name="a", rng=rng)
        saved = Checkpoint(checkpoint.path).load()
        assert set(saved) == {"step", "weights", "name", "rng"}
        assert int(saved["step"]) == 3 and str(saved["name"]) == "a"
        assert saved["weights"].dtype == np.float32
        np.testing.assert_array_equal(saved["rng"].normal(size=9), rng.normal(size=9))
        children = [generator.spawn(1)[0] for generator in (saved["rng"], rng)]
        assert children[0].random() == children[1].random()
    checkpoint.delete()
    checkpoint.delete()
    assert checkpoint.load() is None


def test_a_checkpoint_knows_when_it_is_due_and_how_long_the_run_took(tmp_path):
    checkpoint = Checkpoint(tmp_path / "a.npz")
    assert checkpoint.every(0) and not checkpoint.every(60)
    time.sleep(0.05)
    assert checkpoint.every(0.05)
    checkpoint.save(step=1)
    assert not checkpoint.every(0.05)
    later = Checkpoint(checkpoint.path)
    assert later.seconds < 0.05
    later.load()
    assert later.seconds >= 0.05


# --- the runner --------------------------------------------------------------------------------------


def test_records_hold_the_run_the_metrics_and_where_they_come_from(toy, tmp_path):
    settings(toy, data=("digits",), n_runs=2)
    records = reproduce(toy, results=tmp_path, verbose=False)
    digits = datasets.load("digits")
    contents = json.loads((tmp_path / "toy.smoke.json").read_text())
    assert contents["settings"]["data"] == ["digits"]
    assert contents["data"] == {"digits": digits.fingerprint}
    record = contents["records"][1]
    assert record["run"] == {"seed": 1, "length": 1.5}
    assert record["data"] == {"digits": digits.fingerprint}
    steps = generator(seed=1, length=1.5).normal(size=3)
    assert record["metrics"]["walk"] == float(f"{1.5 * steps.sum():.8g}")
    assert record["metrics"]["digits"] == float(f"{float(digits.x_train.mean()):.8g}")
    assert record["made"]["hmlib"] == experiments.runner.hmlib.__version__
    assert contents["machines"][record["made"]["machine"]]["threads"] == 1
    assert records[1] == record["run"] | record["metrics"]


def test_the_number_of_processes_does_not_matter(toy, tmp_path):
    for jobs in (1, 2):
        reproduce(toy, jobs=jobs, results=tmp_path / str(jobs), verbose=False)
    one, two = (without_times(tmp_path / jobs / "toy.smoke.json") for jobs in ("1", "2"))
    assert len(one["records"]) == 6
    assert one == two
    assert not list(tmp_path.glob("*/checkpoints/*"))


def test_only_what_is_missing_is_executed(toy, tmp_path, monkeypatch):
    reproduce(toy, results=tmp_path, verbose=False)
    path = tmp_path / "toy.smoke.json"
    complete = json.loads(path.read_text())
    path.write_text(json.dumps(complete | {"records": complete["records"][:4]}))
    executed = []
    run = toy.run
    monkeypatch.setattr(toy, "run", lambda s, r, **k: executed.append(r["seed"]) or run(s, r, **k))
    reproduce(toy, results=tmp_path, verbose=False)
    assert sorted(executed) == [4, 5]
    assert [r["metrics"] for r in json.loads(path.read_text())["records"]] == [
        r["metrics"] for r in complete["records"]
    ]
    before = path.stat().st_mtime_ns
    reproduce(toy, results=tmp_path, verbose=False)
    assert path.stat().st_mtime_ns == before
    reproduce(toy, results=tmp_path, force=True, verbose=False)
    assert sorted(executed) == [0, 1, 2, 3, 4, 4, 5, 5]


def test_other_settings_are_refused_by_name(toy, tmp_path):
    reproduce(toy, results=tmp_path, verbose=False)
    before = (tmp_path / "toy.smoke.json").read_bytes()
    settings(toy, n_steps=4)
    for force in (False, True):
        with pytest.raises(ExperimentError, match=r"settings\['n_steps'\] is 3 there and 4 here"):
            reproduce(toy, results=tmp_path, force=force, verbose=False)
    with pytest.raises(ExperimentError, match="--results another-folder"):
        reproduce(toy, results=tmp_path, verbose=False)
    assert (tmp_path / "toy.smoke.json").read_bytes() == before


def test_other_data_are_refused(toy, tmp_path, monkeypatch):
    settings(toy, data=("digits",), n_runs=1)
    reproduce(toy, results=tmp_path, verbose=False)
    monkeypatch.setattr(experiments.runner, "_fingerprint", lambda name: "0ther")
    with pytest.raises(ExperimentError, match=r"data\['digits'\] is '\w+' there and '0ther' here"):
        reproduce(toy, results=tmp_path, verbose=False)
    # A worker on another machine may have other data than the one that collects the records.
    results = store.Results(tmp_path / "new.json", "toy", "smoke", Nothing(), {"digits": "mine"})
    with pytest.raises(ExperimentError, match="fingerprint theirs, but the settings say mine"):
        results.add(a_record(0, data={"digits": "theirs"}))
    assert not (tmp_path / "new.json").exists()


def test_a_missing_data_set_is_missed_before_anything_runs(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("HMLIB_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    experiments.runner._load.cache_clear()
    settings(toy, data=("mnist",))
    with pytest.raises(ExperimentError, match=r"(?s)mnist is missing.*hmlib data fetch.*By hand"):
        reproduce(toy, results=tmp_path, verbose=False)


def test_a_run_that_fails_does_not_stop_the_others(toy, tmp_path, capsys):
    settings(toy, fails=(2, 5))
    with pytest.raises(ExperimentError, match=r'2 of 6 runs failed.*"seed": [25]'):
        reproduce(toy, results=tmp_path)
    assert "it must be so" in capsys.readouterr().out
    seeds = [r["seed"] for r in experiments.load_records("toy", "smoke", tmp_path)]
    assert seeds == [0, 1, 3, 4]


@pytest.mark.parametrize("metrics", [{"x": np.nan}, {"x": {1, 2}}, {"seed": 3}])
def test_metrics_that_cannot_be_stored_are_failures(toy, tmp_path, monkeypatch, metrics):
    monkeypatch.setattr(toy, "run", lambda *a, **k: metrics)
    with pytest.raises(ExperimentError, match="6 of 6 runs failed"):
        reproduce(toy, results=tmp_path, verbose=False)


def test_a_key_must_tell_a_run_from_all_others(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "runs", lambda settings: [{"seed": 1}, {"seed": 1}])
    with pytest.raises(ValueError, match="different keys"):
        reproduce(toy, results=tmp_path, verbose=False)


def test_unknown_names_are_listed(tmp_path):
    with pytest.raises(ExperimentError, match="no experiment 'x'; there are: hopfield-capacity"):
        reproduce("x")
    with pytest.raises(ExperimentError, match="no profile 'x'; it has: smoke, book, paper"):
        reproduce("hopfield-capacity", "x")
    with pytest.raises(ExperimentError, match="hmlib reproduce hopfield-capacity --profile book"):
        experiments.load_records("hopfield-capacity", "book", tmp_path)


def test_only_the_profile_paper_writes_where_git_looks(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # any folder will do
    data = project_folder() / "data"
    assert experiments.results_path("a") == data / "results" / "a.json"
    smoke = experiments.results_path("a", "smoke")
    assert smoke == data / "cache" / "results" / "a.smoke.json"
    monkeypatch.setattr(store, "project_folder", lambda: None)
    with pytest.raises(ExperimentError, match="--results FOLDER"):
        experiments.results_path("a")


def test_the_project_is_found_from_an_installation_elsewhere(monkeypatch, tmp_path):
    project = project_folder()
    monkeypatch.setattr(files, "__file__", str(tmp_path / "site-packages/hmlib/experiments/f.py"))
    monkeypatch.chdir(project / "chapters")
    assert project_folder() == project
    monkeypatch.chdir(tmp_path)
    assert project_folder() is None


# --- kills -------------------------------------------------------------------------------------------


def test_no_kill_costs_a_record(toy, tmp_path):
    path = tmp_path / "there" / "toy.json"
    n_records = 0
    for _ in range(4):
        process, last = start(tmp_path, "paper"), n_records
        wait_for(lambda n=last: path.exists() and len(json.loads(path.read_text())["records"]) > n)
        time.sleep(np.random.default_rng().uniform(0, 0.3))
        seen = len(json.loads(path.read_text())["records"])
        process.send_signal(signal.SIGKILL)
        process.wait()
        n_records = len(json.loads(path.read_text())["records"])
        assert n_records >= seen
    assert n_records < 300
    seeds = [r["seed"] for r in experiments.load_records("toy", results=path.parent)]
    assert len(set(seeds)) == n_records


def test_a_long_run_goes_on_where_it_was_killed(toy, tmp_path):
    there, elsewhere = tmp_path / "there", tmp_path / "elsewhere"
    process = start(tmp_path, "book")

    def has_come_far():
        files = list(there.glob("checkpoints/*.npz"))
        return files and int(Checkpoint(files[0]).load()["step"]) >= 10

    wait_for(has_come_far)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (there / "toy.book.json").exists()
    reproduce(toy, "book", results=there, verbose=False)
    assert 10 <= int((there / "resumed").read_text()) < 40
    assert not list(there.glob("checkpoints/*"))
    reproduce(toy, "book", results=elsewhere, verbose=False)
    assert not (elsewhere / "resumed").exists()
    resumed, straight = (without_times(p / "toy.book.json") for p in (there, elsewhere))
    assert resumed == straight  # with the hexadecimal digits of the walk: bit for bit
    (record,) = json.loads((there / "toy.book.json").read_text())["records"]
    assert record["made"]["seconds"] > 1.9  # 40 steps of 0.05 s, those before the kill included


def test_runs_that_were_cut_off_go_first(toy, tmp_path, monkeypatch):
    cut_off, order, execute = {1, 4}, [], toy.run
    for run in toy.runs(toy.PROFILES["smoke"]):
        if run["seed"] in cut_off:
            path = experiments.runner._checkpoint_path("toy", toy.PROFILES["smoke"], run, tmp_path)
            Checkpoint(path).save(step=1, walk=0.0, rng=generator())

    def note(settings, run, **arguments):
        order.append(run["seed"])
        return execute(settings, run, **arguments)

    monkeypatch.setattr(toy, "run", note)
    reproduce(toy, results=tmp_path, verbose=False)
    assert set(order[:2]) == cut_off and len(order) == 6


def test_a_kill_ends_the_other_processes_too(toy, tmp_path):
    process = start(tmp_path, "paper", jobs=2)
    wait_for((tmp_path / "there" / "toy.json").exists)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()

    def lives(child):
        try:
            return child.status() != psutil.STATUS_ZOMBIE  # dead, but nobody has asked
        except psutil.NoSuchProcess:
            return False

    wait_for(lambda: not any(map(lives, children)))


def test_force_starts_from_the_beginning(toy, tmp_path):
    run = toy.runs(toy.PROFILES["smoke"])[0]
    settings(toy, n_runs=1)
    path = experiments.runner._checkpoint_path("toy", toy.PROFILES["smoke"], run, tmp_path)
    Checkpoint(path).save(step=3, walk=99.0, rng=generator())
    (record,) = reproduce(toy, results=tmp_path, force=True, verbose=False)
    assert record["walk"] != 99
    Checkpoint(path).save(step=3, walk=99.0, rng=generator())
    (tmp_path / "toy.smoke.json").unlink()
    (record,) = reproduce(toy, results=tmp_path, verbose=False)
    assert record["walk"] == 99


# --- a cluster ---------------------------------------------------------------------------------------


def test_a_cluster_gives_the_same_records(toy, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        reproduce(toy, dask=cluster.scheduler_address, results=tmp_path / "dask", verbose=False)
    reproduce(toy, results=tmp_path / "here", verbose=False)
    there, here = (without_times(tmp_path / p / "toy.smoke.json") for p in ("dask", "here"))
    assert there == here


# --- hopfield-capacity -------------------------------------------------------------------------------


def test_capacity_smoke(tmp_path):
    records = reproduce("hopfield-capacity", results=tmp_path, verbose=False)
    assert {r["rule"] for r in records} == {
        *("hebb", "pseudo-inverse", "storkey", "polynomial", "exponential")
    }
    rows = capacity.summary(records)
    assert len({tuple(row) for row in rows}) == 1
    row = next(r for r in rows if r["load"] == 0.2 and r["quantity"] == "unstable_bits")
    assert row["theory"] == error_probability(0.2)
    values = [r["unstable_bits"] for r in records if r["rule"] == "hebb" and r["load"] == 0.2]
    assert row["mean"] == np.mean(values)
    assert row["runs"] == 2


def test_a_cue_has_exactly_so_many_wrong_bits():
    patterns = capacity._random_patterns(30, 50, np.random.default_rng(0))
    assert set(np.unique(patterns)) == {-1, 1}
    wrong = capacity._flip(patterns, 0.1, np.random.default_rng(1)) != patterns
    assert (wrong.sum(axis=1) == 5).all()
    assert (wrong.sum(axis=0) > 0).sum() > 40  # not always the same bits


def test_a_unit_without_a_field_is_stable():
    # Two patterns that differ in half of the bits: with Hebb's rule no bit of either is unstable.
    run = {"rule": "hebb", "n_units": 100, "load": 0.02, "seed": 0}
    metrics = capacity.run(capacity.PROFILES["smoke"], run)
    assert metrics["n_patterns"] == 2
    assert metrics["unstable_bits"] == 0 and metrics["stable_patterns"] == 1


def test_the_search_finds_the_edge(monkeypatch):
    class UpTo:
        """Recalls perfectly as long as it holds at most 37 patterns."""

        def __init__(self, **parameters):
            pass

        def fit(self, X):
            self.patterns = X

        def recall(self, X):
            nearest = self.patterns[(X @ self.patterns.T).argmax(axis=1)]
            return nearest if len(self.patterns) <= 37 else -nearest

    monkeypatch.setattr(capacity, "DenseAssociativeMemory", UpTo)
    run = {"rule": "polynomial", "degree": 3, "n_units": 60, "seed": 0}
    for limit, found in ((200, 37), (37, 37), (20, 20)):
        only = capacity.Settings({}, {}, {}, 1, max_patterns=limit)
        metrics = capacity.run(only, run)
        assert metrics == {"n_patterns": found, "success": 1.0, "capped": limit <= 37}


@pytest.fixture(scope="module")
def paper():
    return experiments.load_records("hopfield-capacity")


def test_the_stored_records_are_complete():
    contents = experiments.load_results("hopfield-capacity")
    runs = [store.run_key(run) for run in capacity.runs(capacity.PROFILES["paper"])]
    assert sorted(runs) == sorted(store.run_key(r["run"]) for r in contents["records"])
    settings = experiments.settings_of(capacity, "paper")
    store.Results(  # refuses other settings
        experiments.results_path("hopfield-capacity"), capacity.NAME, "paper", settings, {}
    )


# Three of every kind, drawn by lot; those that take long are left out.
@pytest.mark.parametrize("kind", ["hebb", "pseudo-inverse", "storkey", "polynomial", "exponential"])
def test_stored_records_come_out_again(kind):
    contents = experiments.load_results("hopfield-capacity")
    quick = [
        record
        for record in contents["records"]
        if record["run"]["rule"] == kind and record["made"]["seconds"] < 0.6
    ]
    for k in np.random.default_rng(2).choice(len(quick), size=3, replace=False):
        again = store.rounded(capacity.run(capacity.PROFILES["paper"], quick[k]["run"]))
        assert again == pytest.approx(quick[k]["metrics"], rel=1e-7)


# The images are not part of the project: with a folder of them in HMLIB_DATA, or in the cache. A
# machine that learns in float32 differs on another processor like one of another seed.
REFERENCE = {"architecture": None, "seed": 0}


@pytest.mark.parametrize(
    ("name", "run", "tolerance"),
    [
        ("architectures", {**REFERENCE, "source": "class means"}, 1e-6),
        ("architectures", {**REFERENCE, "source": "training images"}, 1e-6),
        ("architectures", {"architecture": 3, "seed": 0, "source": "clamped, slower"}, 0.05),
        ("generated-sets", {"epochs": 0, "seed": 2, "set": "mnist", "source": "pulled"}, 1e-6),
    ],
)
def test_stored_records_of_mnist_come_out_again(name, run, tolerance):
    try:
        data = {"mnist": datasets.load("mnist", download=False)}
    except FileNotFoundError:
        pytest.skip("needs MNIST, see `hmlib data fetch mnist`")
    (record,) = [r for r in experiments.load_results(name)["records"] if r["run"] == run]
    module = experiments.find(name)
    again = module.run(module.PROFILES["paper"], run, data=data)
    for quantity, value in record["metrics"].items():
        if not isinstance(value, str):  # a picture
            np.testing.assert_allclose(again[quantity], value, rtol=tolerance, err_msg=quantity)


def unstable_probability(n_patterns, n_units):
    """The probability that a stored bit turns, exactly: no formula for large N.

    N xi_i h_i = N - 1 + S, where S is the sum of (p - 1)(N - 1) independent signs. The bit turns if
    that is negative, and keeps its state if it is zero.
    """
    n_signs = (n_patterns - 1) * (n_units - 1)
    return binom.cdf((n_signs - (n_units - 1) - 1) // 2, n_signs, 0.5)


def test_the_exact_probability_of_an_error_by_enumeration():
    # 3 patterns of 4 units: all 2^12 sets.
    states = all_states(12, spins=True).reshape(-1, 3, 4)
    fields = np.einsum("kmi,kmj,knj->kni", states, states, states) - 3 * states
    assert (states * fields < 0).mean() == pytest.approx(unstable_probability(3, 4), abs=1e-15)


def test_one_step_errors_agree_with_the_exact_probability(paper):
    groups = defaultdict(list)
    for record in paper:
        if record["rule"] == "hebb":
            groups[record["n_patterns"], record["n_units"]].append(record["unstable_bits"])
    scores = []
    for (n_patterns, n_units), shares in groups.items():
        expected = unstable_probability(n_patterns, n_units)
        if expected * n_patterns * n_units > 20:  # else the error bar itself is too uncertain
            standard_error = np.std(shares, ddof=1) / np.sqrt(len(shares))
            scores.append((np.mean(shares) - expected) / standard_error)
    assert len(scores) > 40
    assert np.abs(scores).max() < 5
    assert abs(np.mean(scores)) < 4 / np.sqrt(len(scores))  # no drift to either side


def test_a_run_counts_what_a_plain_sum_counts():
    run = {"rule": "hebb", "n_units": 60, "load": 0.3, "seed": 5}
    metrics = capacity.run(capacity.PROFILES["smoke"], run)
    rng = generator(n_units=60, load=0.3, seed=5)
    patterns = capacity._random_patterns(18, 60, rng).astype(int)
    fields = patterns @ (patterns.T @ patterns - 18 * np.eye(60, dtype=int))
    turns = patterns * fields < 0
    assert metrics["unstable_bits"] == turns.mean() > 0
    assert metrics["stable_patterns"] == (~turns.any(axis=1)).mean()


def test_overlaps_below_capacity_agree_with_amit_gutfreund_sompolinsky(paper):
    for load in (0.06, 0.1, 0.12):
        group = [
            r["overlap"]
            for r in paper
            if r["rule"] == "hebb" and r["n_units"] == 2000 and r["load"] == load
        ]
        assert np.mean(group) == pytest.approx(retrieval_overlap(load), abs=0.003)


def test_a_run_annealed_in_both_directions_counts_with_its_smaller_value():
    forward = {"log_likelihood": -111.987, "error_log_partition": 0.263}
    backward = {"log_likelihood_reverse": -86.75, "error_reverse": 0.05}
    chains = {"effective_sample_size": 9.6, "effective_sample_size_reverse": 154.0}
    plain = forward | backward | chains
    assert lower_way(plain) == -111.987
    assert both_ways(plain) == "-111.99 ± 0.26 ( 10)   -86.75 ± 0.05 (154)"
    prefixed = {"up_down_" + name: value for name, value in plain.items()}
    prefixed |= {"log_likelihood": -1.0, "log_likelihood_reverse": -2.0}  # of the other stage
    assert lower_way(prefixed, "up_down_") == -111.987
    assert both_ways(prefixed, "up_down_") == both_ways(plain)
    with pytest.raises(KeyError):
        lower_way(forward)
