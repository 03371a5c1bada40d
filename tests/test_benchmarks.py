"""The harness of the benchmarks; what they find is no matter of tests."""

import json

import harness
import numpy as np
import pytest
import run
from harness import Comparison, compare, record

from hmlib.experiments import machine_description


def test_callables_are_timed_in_alternation():
    calls = []
    compare(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        baseline="a",
        repeats=3,
        min_seconds=0,
    )
    # One call to warm up and one to see how long it takes, then the rounds.
    assert calls[-6:] == ["a", "b"] * 3


@pytest.fixture
def clock(monkeypatch):
    """A clock that only callables move, by what they are told."""
    now = [0.0]
    monkeypatch.setattr(harness.time, "perf_counter", lambda: now[0])

    def taking(seconds):
        def call():
            now[0] += seconds

        return call

    return taking


def test_what_takes_twice_as_long_has_the_ratio_two(clock):
    comparison = compare({"one": clock(0.25), "two": clock(0.5)}, baseline="one", repeats=3)
    assert comparison.medians == {"one": 0.25, "two": 0.5}
    assert comparison.ratios == {"one": 1, "two": 2}


def test_medians_ratios_and_spread():
    seconds = {"a": np.array([1.0, 2.0, 4.0]), "b": np.array([3.0, 3.0, 2.0])}
    comparison = Comparison(seconds, "a")
    assert comparison.medians == {"a": 2, "b": 3}
    assert comparison.spread == {"a": (1, 4), "b": (2, 3)}
    assert comparison.ratios == {"a": 1, "b": 1.5}  # of 3, 1.5 and 0.5, round by round
    assert comparison.ratio_spread == {"a": (1, 1), "b": (0.5, 3)}
    assert len(str(comparison).splitlines()) == 3


def test_quick_callables_are_repeated_to_fill_the_time(clock):
    calls, tick = [], clock(2**-10)
    comparison = compare(
        {"a": lambda: (tick(), calls.append("a"))}, baseline="a", repeats=1, min_seconds=0.1
    )
    assert len(calls) == 2 + 103
    assert comparison.medians["a"] == 2**-10


def test_sections_are_merged(tmp_path, capsys):
    path = tmp_path / "benchmarks.json"
    comparison = Comparison({"a": np.array([1.23456]), "b": np.array([2.0])}, "a")
    record("old", comparison, path=path, n_units=3)
    record("new", comparison, path=path)
    record("old", comparison, path=path, n_units=4)
    sections = json.loads(path.read_text())
    assert set(sections) == {"old", "new"}
    assert sections["old"] == {
        "baseline": "a",
        "context": {"n_units": 4},
        "machine": machine_description(),
        "median_seconds": {"a": 1.235, "b": 2.0},
        "ratio": {"a": 1.0, "b": 1.62},
        "ratio_spread": {"a": [1.0, 1.0], "b": [1.62, 1.62]},
        "repeats": 1,
        "spread_seconds": {"a": [1.235, 1.235], "b": [2.0, 2.0]},
    }
    assert "old\n" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [{"baseline": "x"}, {"baseline": "a", "repeats": 0}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=r"^(baseline|repeats) must be"):
        compare({"a": int}, **arguments)


def test_all_benchmarks_are_run_or_those_named(tmp_path, monkeypatch, capsys):
    for name in ("first_one", "second_one"):
        text = f'"""A benchmark."""\n\n\ndef main():\n    print("this is {name}")\n'
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "helper.py").write_text("x = 1\n")
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert run.main([]) == 0
    assert "this is first_one\n== second_one\nthis is second_one" in capsys.readouterr().out
    assert run.main(["second_one"]) == 0
    assert "first" not in capsys.readouterr().out
    assert run.main(["helper"]) == 2
    assert "there are: first_one, second_one" in capsys.readouterr().err


def test_the_benchmarks_of_the_project_are_found():
    assert "harness" not in run.benchmarks()
    for name in run.benchmarks():
        assert (run.FOLDER / f"{name}.py").exists()
