"""The harness of the benchmarks; what they find is no matter of tests."""

import json

import harness
import numpy as np
import pytest
import rbm
import run
import scaling
import wake_sleep
from harness import Comparison, compare, record

from hmlib import layers
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


# --- the machines of rbm.py --------------------------------------------------------------------------


SMALL = rbm.Problem(n_hidden=5, batch_size=50, n_epochs=2, n_seeds=2)


def count_calls(monkeypatch, owner, name):
    calls, method = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *a, **k: calls.append(1) or method(*a, **k))
    return calls


def test_both_take_as_many_updates_as_the_record_says(monkeypatch):
    of_ours = count_calls(monkeypatch, rbm.RestrictedBoltzmannMachine, "_learn")
    of_peer = count_calls(monkeypatch, rbm.BernoulliRBM, "_fit")
    rbm.log_likelihoods(SMALL, np.float64, seed=0)
    assert len(of_ours) == len(of_peer) == 2 * (1437 // 50)
    of_ours.clear()
    assert rbm.quality(SMALL, np.float64)["log_likelihood_updates"] == len(of_ours) / SMALL.n_seeds


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_wrapped_machine_is_the_same_machine(dtype):
    train, test = rbm.bits(SMALL, dtype, seed=1)
    peer = rbm.machines(SMALL, n_epochs=3)[1].fit(train)
    ours = rbm.wrapped(peer, train)
    assert ours.weights_.dtype == ours.visible_bias_.dtype == peer.components_.dtype == dtype
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(ours.free_energy(test), peer._free_energy(test), rtol=rtol)
    np.testing.assert_allclose(ours.transform(test), peer.transform(test), rtol=rtol)


def test_digits_are_enlarged_pixel_by_pixel():
    small, large = rbm.images(8)[1], rbm.images(28)[1]
    assert large.shape == (len(small), 784)
    rows = [0, 9, 18, 27]  # in pixel 0, 2, 5 and 7 of 8, 3.5 of these to one of those
    corners = large.reshape(-1, 28, 28)[:, rows][:, :, rows]
    picked = small.reshape(-1, 8, 8)[:, [0, 2, 5, 7]][:, :, [0, 2, 5, 7]]
    np.testing.assert_array_equal(corners, picked)


def test_a_worse_machine_is_noticed(monkeypatch):
    values = [[(-30.0 - seed, 0), (-25.0, 0)] for seed in range(3)]
    monkeypatch.setattr(rbm, "log_likelihoods", lambda problem, dtype, seed: values[seed])
    problem = rbm.Problem(5, n_seeds=3)
    with pytest.raises(AssertionError, match="worse than scikit-learn by 3.52 nats or more"):
        rbm.quality(problem, np.float64)
    for pair in values:
        pair.reverse()
    numbers = rbm.quality(problem, np.float64)["log_likelihood"]
    assert numbers["difference"] == 6
    assert numbers["difference_95"] == [
        3.5159,
        8.4841,
    ]  # 6 -+ 4.3027 / sqrt(3), 2 degrees of freedom


def test_times_and_likelihoods_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(
        rbm, "compare", lambda calls, **_: compare(calls, baseline="hmlib", repeats=1)
    )
    rbm.main([SMALL], tmp_path / "benchmarks.json")
    sections = json.loads((tmp_path / "benchmarks.json").read_text())
    assert list(sections) == ["RBM 64-5, PCD-1, float32", "RBM 64-5, PCD-1, float64"]
    wide = sections["RBM 64-5, PCD-1, float64"]
    assert set(wide["ratio"]) == {"hmlib", "scikit-learn", "five products"}
    assert -64 * np.log(2) < wide["context"]["log_likelihood"]["hmlib"] < 0
    narrow = sections["RBM 64-5, PCD-1, float32"]
    assert set(narrow["ratio"]) == {*wide["ratio"], "scikit-learn, float64"}


# --- the steps of wake_sleep.py ----------------------------------------------------------------------

SMALL_STEPS = [
    wake_sleep.Problem("wake-sleep", (6, 4, 3), 5),
    wake_sleep.Problem("RWS", (6, 4, 3), 5),
    wake_sleep.Problem("CD-1", (6, 4), 5),
]


@pytest.mark.parametrize("problem", SMALL_STEPS, ids=str)
def test_what_is_timed_learns(problem):
    machine, take_step = wake_sleep.model(problem, wake_sleep.batch(problem))
    before = [p.copy() for p in wake_sleep.parameters(machine)]
    take_step()
    assert all((p != old).any() for p, old in zip(wake_sleep.parameters(machine), before))


def test_the_floor_multiplies_six_times_for_each_pair():
    x, error = np.ones((5, 3), np.float32), np.arange(10, dtype=np.float32).reshape(5, 2)
    for add in wake_sleep._update(x, error):
        once, twice = np.array(add()), np.array(add())
        np.testing.assert_array_equal(twice, 2 * once)
        np.testing.assert_array_equal(once if once.shape == (3, 2) else once.T, x.T @ error)
    assert [multiply().shape for multiply in wake_sleep._forward(x, 7)] == 4 * [(5, 7)]
    assert len(wake_sleep._products(5, 4, 3)) == 6


def test_a_step_is_taken_apart_and_put_together_again():
    before = {name: getattr(layers, name) for names in wake_sleep.UNDONE.values() for name in names}
    timed = wake_sleep.taken_apart(SMALL_STEPS[0], repeats=1)
    assert set(timed.seconds) == {"hmlib", "floor", "float64", "two threads", *wake_sleep.UNDONE}
    assert before == {name: getattr(layers, name) for name in before}


def test_what_stands_in_computes_the_same():
    x = np.random.default_rng(1).random((5, 3))
    naive = wake_sleep.UNDONE["products stored, then added"]["add_product"]
    expected = layers.add_product(np.ones((3, 3)), x, x, 0.5)
    np.testing.assert_allclose(naive(np.ones((3, 3)), x, x, 0.5), expected, rtol=1e-14)
    expit = wake_sleep.UNDONE["SciPy's expit"]["_sigmoid"]
    np.testing.assert_allclose(expit(x.copy()), layers._sigmoid(x.copy()), rtol=1e-14)
    error = wake_sleep.UNDONE["new arrays"]["_error"]
    np.testing.assert_array_equal(error(x, 1 - x), layers._error(x, 1 - x))
    for kind in ("new arrays", "uniform numbers of 64 bits"):
        bits = wake_sleep.UNDONE[kind]["_bernoulli"](x, np.random.default_rng(0))
        np.testing.assert_array_equal(bits, layers._bernoulli(x, np.random.default_rng(0)))


@pytest.mark.parametrize("problem", SMALL_STEPS, ids=str)
def test_the_peer_learns_the_same(problem):
    pytest.importorskip("torch", reason="PyTorch is installed for `make bench` only")
    wake_sleep.assert_same_updates(problem)


def test_what_a_process_prints_comes_back():
    seconds, printed = scaling.in_a_process(f"import numpy as np{scaling.REPORT}")
    assert 0 < printed < 1000 and seconds > 0


def test_long_calls_are_timed_in_rounds(clock):
    timed = scaling.in_rounds({"a": clock(1), "b": clock(2)}, "a", n_rounds=2)
    assert timed.ratios == {"a": 1, "b": 2}
    assert len(timed.seconds["a"]) == 2
