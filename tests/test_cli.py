"""The command hmlib: what it prints, and that a mistake gets a sentence instead of a traceback."""
# ruff: noqa: F811 (the fixture toy is used by naming it)

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_experiments import TOY, toy  # noqa: F401

from hmlib import __version__, cli, experiments
from hmlib.experiments import runner

HMLIB = Path(sys.executable).with_name("hmlib")


def hmlib(*arguments):
    """Run the command in this process: its exit status, output and errors."""
    result = CliRunner().invoke(cli.main, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception  # a traceback for the user
    return result.exit_code, result.stdout, result.stderr


def test_the_command_is_installed_and_starts_at_once():
    start = time.perf_counter()
    run = subprocess.run([HMLIB, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"hmlib, version {__version__}\n"
    assert time.perf_counter() - start < 5
    code = "import sys, hmlib.cli; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reproduce_then_report(toy, tmp_path):
    status, out, err = hmlib("reproduce", "toy", "--results", tmp_path, "--jobs", 2)
    assert status == 0
    assert f"toy: 6 records of the profile smoke in {tmp_path}/toy.smoke.json" in out
    assert "6/6" in err  # the progress bar
    status, out, _ = hmlib("report", "toy", "--profile", "smoke", "--results", tmp_path)
    walks = [r["walk"] for r in experiments.load_records("toy", "smoke", tmp_path)]
    assert status == 0
    assert out.splitlines() == [
        "toy, profile smoke, 6 records",
        "runs  mean",
        f"6     {sum(walks) / 6:.4g}",
    ]


def test_report_of_everything_says_what_is_not_there_yet(toy, tmp_path):
    hmlib("reproduce", "toy", "--results", tmp_path)
    status, out, _ = hmlib("report", "--profile", "smoke", "--results", tmp_path)
    assert status == 0
    assert "hopfield-capacity: no records yet of the profile smoke" in out
    assert "toy, profile smoke, 6 records" in out


def test_all_and_force(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "EXPERIMENTS", {"toy": "toy"})
    monkeypatch.setattr(experiments, "EXPERIMENTS", runner.EXPERIMENTS)
    assert hmlib("reproduce", "all", "--results", tmp_path)[0] == 0
    path = tmp_path / "toy.smoke.json"
    before = path.stat().st_mtime_ns
    assert hmlib("reproduce", "all", "--results", tmp_path)[0] == 0
    assert path.stat().st_mtime_ns == before
    assert hmlib("reproduce", "all", "--results", tmp_path, "--force")[0] == 0
    assert path.stat().st_mtime_ns > before


def test_the_list_names_every_experiment():
    status, out, _ = hmlib("reproduce", "--list")
    assert status == 0
    for name in experiments.EXPERIMENTS:
        module = experiments.find(name)
        (line,) = [line for line in out.splitlines() if line.startswith(name)]
        assert line.endswith(module.__doc__.splitlines()[0])
        assert str(len(module.runs(module.PROFILES["paper"]))) in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce"], "name an experiment, or all"),
        (["reproduce", "x"], "there is no experiment 'x'; there are: hopfield-capacity"),
        (["reproduce", "toy", "x"], "there is no experiment 'x'"),
        (["reproduce", "toy", "--profile", "x"], "toy has no profile 'x'; it has: smoke, book"),
        (["reproduce", "toy", "--jobs", "0"], "--jobs must not be 0"),
        (["reproduce", "toy", "--dask", "nowhere"], "no Dask scheduler at 'nowhere'"),
        (["report", "x"], "there is no experiment 'x'"),
        (["report", "toy", "--profile", "x"], "toy has no profile 'x'"),
        (["report", "toy"], "To make it: hmlib reproduce toy --profile paper"),
        (["data", "fetch", "x"], "name must be one of 'digits', 'mnist'"),
    ],
)
def test_mistakes(toy, tmp_path, arguments, message):
    folder = [] if arguments[0] == "data" else ["--results", tmp_path]
    status, _, err = hmlib(*arguments, *folder)
    assert status in (1, 2)
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.glob("*.json"))


def test_results_from_other_settings(toy, tmp_path):
    hmlib("reproduce", "toy", "--results", tmp_path)
    toy.PROFILES["smoke"] = toy.Settings(n_steps=4)
    status, _, err = hmlib("reproduce", "toy", "--results", tmp_path)
    assert status == 1
    assert "settings['n_steps'] is 3 there and 4 here" in err
    assert "--results another-folder" in err


def test_a_missing_data_set(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("HMLIB_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runner._load.cache_clear()
    toy.PROFILES["smoke"] = toy.Settings(data=("mnist",))
    status, _, err = hmlib("reproduce", "toy", "--results", tmp_path)
    assert status == 1
    assert "hmlib data fetch mnist" in err and "By hand" in err
    _, out, _ = hmlib("data")
    assert "mnist: missing. To download it: hmlib data fetch mnist" in out


def test_the_data_sets_are_listed_with_their_checksums(tmp_path, monkeypatch):
    monkeypatch.setenv("HMLIB_DATA", str(tmp_path))
    (tmp_path / "cifar10-gray.npz").write_bytes(b"no")
    from hmlib import datasets

    status, out, _ = hmlib("data")
    assert status == 0
    assert "digits: 1437 + 360 images, from scikit-learn" in out
    assert datasets.load("digits").fingerprint in out
    assert "cifar10-gray: damaged" in out
    assert hmlib("data", "fetch", "digits")[1].startswith("<Dataset 'digits'")


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_what_was_done(tmp_path, jobs):
    (tmp_path / "toy.py").write_text(TOY)
    code = (
        # a job in the background of a script starts with Ctrl-C ignored
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "import hmlib.cli, hmlib.experiments.runner as r; r.EXPERIMENTS['toy'] = 'toy'; hmlib.cli.main()"
    )
    command = [sys.executable, "-c", code, "reproduce", "toy", "--profile", "paper"]
    command += ["--results", tmp_path, "--jobs", str(jobs)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    )
    path = tmp_path / "toy.json"
    end = time.monotonic() + 30
    while not (path.exists() and len(json.loads(path.read_text())["records"]) >= 5):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "Stopped. What was done is in" in err and "Traceback" not in err
    assert 5 <= len(json.loads(path.read_text())["records"]) < 300
