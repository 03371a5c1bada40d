"""The experiment on sigmoid belief nets: what it measures, against enumeration; and its records."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp

from hmlib.datasets import load
from hmlib.experiments import (
    Checkpoint,
    decode_pictures,
    generator,
    reproduce,
    sbn_likelihood,
)
from hmlib.experiments.store import rounded, run_key
from hmlib.units import sample_bernoulli
from hmlib.wake_sleep import ReweightedWakeSleep, WakeSleep

SMOKE = sbn_likelihood.PROFILES["smoke"]


@pytest.fixture(scope="module")
def digits():
    return {"digits": load("digits")}


def key(rule="reweighted K=5", bits="resampled", machine="6-4", seed=0):
    return {"rule": rule, "bits": bits, "machine": machine, "seed": seed}


class KilledError(Exception):
    pass


def test_a_run_resumes_after_a_kill_as_if_nothing_had_happened(tmp_path, digits):
    class Mortal(Checkpoint):
        def save(self, **state):
            super().save(**state)
            raise KilledError

    whole = sbn_likelihood.run(SMOKE, key(), data=digits)
    for _ in range(2):
        with pytest.raises(KilledError):
            sbn_likelihood.run(SMOKE, key(), data=digits, checkpoint=Mortal(tmp_path / "state.npz"))
    resumed = sbn_likelihood.run(
        SMOKE, key(), data=digits, checkpoint=Checkpoint(tmp_path / "state.npz")
    )
    assert rounded(resumed) == rounded(whole)
    assert whole["n_epochs"] == 2 and whole["curve_epochs"] == [1, 2]


@pytest.mark.parametrize("bits", ["resampled", "fixed"])
def test_it_measures_what_enumeration_gives(digits, bits):
    run = key(machine="6", bits=bits)
    metrics = sbn_likelihood.run(SMOKE, run, data=digits)
    train, held_out = np.split(digits["digits"].x_train, [-200])
    if bits == "fixed":
        train = sample_bernoulli(train, generator(what="train bits", data="digits"))
    machine = sbn_likelihood._new_machine(SMOKE, run).fit(train)
    test = sample_bernoulli(digits["digits"].x_test, generator(what="test bits", data="digits"))
    held_out = sample_bernoulli(held_out, generator(what="validation bits", data="digits"))
    exact, bound = -machine.score_samples(test), machine.free_energy_bound(test)
    # 200 explanations where 64 exist: the estimate is nearly exact, and a little too large
    assert metrics["nll"] == pytest.approx(exact.mean(), abs=5 * metrics["error_estimate"])
    assert metrics["bound"] == pytest.approx(bound.mean(), abs=0.05)
    assert metrics["nll_validation"] == pytest.approx(-machine.score(held_out), abs=0.2)
    spread = exact.std(ddof=1) / np.sqrt(len(test))
    assert metrics["error_images"] == pytest.approx(spread, rel=0.02)
    assert metrics["many_nll_by_draws"][-1] == pytest.approx(
        exact[: SMOKE.n_many].mean(), abs=5 * metrics["many_error_estimate"]
    )
    assert (np.diff(metrics["nll_by_draws"]) < 0).all()
    assert metrics["bound"] - metrics["nll"] > 10 * metrics["error_estimate"]


def test_the_ladder_averages_over_groups_of_the_same_draws():
    class Given:
        def draw_log_weights(self, images, n_draws, rng):
            return rng.standard_normal((n_draws, len(images)))

    draws = (1, 10, 3000)
    estimates, errors, sizes = sbn_likelihood._ladder(
        Given(), np.zeros((400, 1)), draws, np.random.default_rng(3)
    )
    rng, pieces = np.random.default_rng(3), []
    for n in (333, 67):  # a million weights at a time
        pieces.append(np.vstack([rng.standard_normal((1000, n)) for _ in range(3)]))
    log_w = np.hstack(pieces)
    tens = logsumexp(log_w.reshape(300, 10, 400), axis=1) - np.log(10)
    expected = [-log_w.mean(axis=0), -tens.mean(axis=0), np.log(3000) - logsumexp(log_w, axis=0)]
    assert_allclose(estimates, expected, rtol=1e-10)
    w = np.exp(log_w)
    assert_allclose(sizes, w.sum(axis=0) ** 2 / (w**2).sum(axis=0))
    assert_allclose(errors, w.std(axis=0, ddof=1) / w.mean(axis=0) / np.sqrt(3000))


def test_fixed_bits_are_drawn_once_and_resampled_ones_anew(digits, monkeypatch):
    seen = []
    monkeypatch.setattr(
        ReweightedWakeSleep, "step", lambda rule, machine, d, rng: seen.append(d.copy())
    )
    counts = {}
    for bits in ("fixed", "resampled"):
        seen.clear()
        sbn_likelihood.run(SMOKE, key(bits=bits), data=digits)
        epochs = np.split(np.concatenate(seen), 2)
        assert set(np.unique(epochs)) == {0, 1}
        rows = [{tuple(row) for row in epoch} for epoch in epochs]
        counts[bits] = len(rows[0] & rows[1]) / len(rows[0])
    assert counts["fixed"] == 1 and counts["resampled"] < 0.01


def test_the_machine_is_built_as_the_settings_say():
    machine = sbn_likelihood._new_machine(SMOKE, key())
    assert repr(machine.rule) == repr(ReweightedWakeSleep(5, (0.1, 0.05), "both"))
    assert machine.hidden == (6, 4) and machine.n_epochs == 2
    plain = sbn_likelihood._new_machine(SMOKE, key("wake-sleep", "fixed", "6"))
    assert plain.rule is None and plain.learning_rate == (0.1,)
    assert plain.binarize == "none" and plain.init_bias == "data" and plain.hidden_bias == 0
    low = sbn_likelihood._new_machine(SMOKE, key("reweighted K=5, low biases"))
    assert low.hidden_bias == -1 and repr(low.rule) == repr(machine.rule)


def test_smoke_gives_records_and_a_table(tmp_path):
    records = reproduce("sbn-likelihood", results=tmp_path, verbose=False)
    assert len(records) == len(sbn_likelihood.runs(SMOKE)) == 6
    rows = sbn_likelihood.summary(records)
    assert len(rows) == 5 and len({tuple(row) for row in rows}) == 1
    pair = [r for r in records if (r["rule"], r["machine"]) == ("wake-sleep", "6-4")]
    row = next(r for r in rows if (r["rule"], r["machine"]) == ("wake-sleep", "6-4"))
    assert row["runs"] == 2 and row["NLL test"] == np.mean([r["nll"] for r in pair])
    assert row["std. seeds"] == pytest.approx(np.std([r["nll"] for r in pair], ddof=1))
    assert decode_pictures(records[0]["dreams"], 64).shape == (20, 64)
    assert decode_pictures(records[0]["filters"], 64).shape == (6, 64)


@pytest.mark.parametrize("profile", ["smoke", "book", "paper"])
def test_the_settings_of_a_profile_fit_together(profile):
    settings = sbn_likelihood.PROFILES[profile]
    runs = sbn_likelihood.runs(settings)
    assert len({run_key(run) for run in runs}) == len(runs)
    for draws in (settings.draws, settings.many_draws):
        assert draws[0] == 1 and list(draws) == sorted(draws)
        assert all(draws[-1] % k == 0 for k in draws)
    assert settings.draws[-1] in settings.many_draws
    for run in runs:
        machine = sbn_likelihood._new_machine(settings, run)
        assert len(WakeSleep(machine.learning_rate).rates(len(machine.hidden))) > 0
    assert run_key(dataclasses.asdict(settings))
