"""Annealed importance sampling, held against sums over every state."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_rbm import gaussian_machine, scrambled_machine

from hmlib.exact import all_states
from hmlib.likelihood import _summarize, annealed_importance_sampling
from hmlib.rbm import _softplus, _softplus_change


def z_scores(machine, n_runs=100, **kwargs):
    """Compare many seeded estimates with the exact value, in their own standard errors."""
    exact = machine.log_partition()
    results = [
        annealed_importance_sampling(machine, random_state=seed, **kwargs) for seed in range(n_runs)
    ]
    return np.array([(r.log_partition - exact) / r.standard_error for r in results])


MACHINES = {
    "binary": lambda: scrambled_machine(6, 4),
    "wide": lambda: scrambled_machine(4, 7, seed=1),
    "centred on data": lambda: scrambled_machine(8, 8, seed=2, scale=0.7),
    "gaussian": lambda: gaussian_machine(2, 4, scale=0.6),
}


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", list(MACHINES))
def test_at_least_95_of_100_estimates_lie_within_their_error_bar(name, reverse):
    """2.6 standard errors hold 99 % of a normal distribution."""
    z = z_scores(MACHINES[name](), n_chains=100, betas=60, reverse=reverse)
    assert (np.abs(z) < 2.6).sum() >= 95
    assert 0.7 < z.std() < 1.4, "the error bar is neither too small nor too large"


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("betas", [2, 3, 10])
@pytest.mark.parametrize("name", list(MACHINES))
def test_the_mean_weight_is_unbiased_however_few_the_temperatures(name, betas, reverse):
    """A wrong order of weighing and moving would show here: with 2 betas the error is not small."""
    machine = MACHINES[name]()
    if name == "gaussian":  # few betas need a machine close to the base
        machine.weights_ *= 0.5
    n = 40_000
    result = annealed_importance_sampling(
        machine, n_chains=n, betas=betas, reverse=reverse, random_state=1
    )
    sign = -1 if reverse else 1
    ratio = np.exp(sign * (result.log_weights - machine.log_partition()))  # of mean 1
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(n)
    assert ratio.std() / np.sqrt(n) < 0.1


def test_forward_is_too_small_and_reverse_too_large_on_average():
    machine = scrambled_machine(6, 6, scale=2.0)
    exact = machine.log_partition()
    means = []
    for reverse in (False, True):
        runs = [
            annealed_importance_sampling(
                machine, n_chains=2, betas=10, reverse=reverse, random_state=seed
            ).log_partition
            for seed in range(400)
        ]
        error = np.std(runs) / np.sqrt(len(runs))
        means.append((np.mean(runs) - exact) / error)
    assert means[0] < -4 and means[1] > 4


def test_more_temperatures_and_a_base_that_fits_make_the_weights_even():
    X = np.random.default_rng(0).random((200, 8)) < np.linspace(0.05, 0.6, 8)
    machine = scrambled_machine(8, 4, scale=0.0).fit(X.astype(float))
    machine.weights_ += 0.5 * np.random.default_rng(1).standard_normal((8, 4))
    size = [
        annealed_importance_sampling(
            machine, betas=betas, base=base, random_state=0
        ).effective_sample_size
        for betas, base in [(5, "uniform"), (5, "data"), (500, "data")]
    ]
    assert size[0] < size[1] < size[2] > 99


def test_any_base_and_schedule_gives_the_same_answer():
    machine = scrambled_machine(6, 4)
    exact = machine.log_partition()
    schedules = [300, np.linspace(0, 1, 300) ** 2]
    for base in ("data", "uniform", np.linspace(-1, 1, 6)):
        for betas in schedules:
            result = annealed_importance_sampling(machine, base=base, betas=betas, random_state=0)
            assert abs(result.log_partition - exact) < 3.5 * result.standard_error


def test_without_weights_every_weight_is_exact():
    machine = scrambled_machine(6, 4)
    machine.weights_[:] = 0
    machine.hidden_bias_[:] = 0
    result = annealed_importance_sampling(
        machine, base=machine.visible_bias_, betas=5, random_state=0
    )
    assert_allclose(result.log_weights, machine.log_partition(), atol=1e-12)
    assert result.standard_error < 1e-12
    assert result.effective_sample_size == pytest.approx(100)


def test_the_summary_of_three_given_weights():
    w = np.array([1.0, 3.0, 8.0])
    result = _summarize(np.log(w) + 1000, 1)
    assert result.log_partition == pytest.approx(np.log(4) + 1000)
    assert result.standard_error == pytest.approx(w.std(ddof=1) / (np.sqrt(3) * 4))
    assert result.effective_sample_size == pytest.approx(144 / 74)
    reverse = _summarize(np.log(w), -1)
    assert reverse.log_partition == pytest.approx(-np.log(np.mean(1 / w)))


def test_differences_of_softplus_lose_no_digits():
    u = np.random.default_rng(0).normal(scale=20, size=(50, 30))
    exact = (_softplus(0.5 * u) - _softplus(0.2 * u)).sum(axis=1)
    assert_allclose(_softplus_change(u, 0.2, 0.5), exact, rtol=1e-12)
    assert_allclose(_softplus_change(u, 0.5, 0.2), -exact, rtol=1e-12)
    tiny = _softplus_change(u, 0.5, 0.5 + 1e-4)
    single = _softplus_change(u.astype(np.float32), 0.5, 0.5 + 1e-4)
    assert_allclose(single, tiny, atol=1e-5)


def test_single_precision_gives_the_same_log_partition():
    double, single = scrambled_machine(30, 12), scrambled_machine(30, 12, dtype=np.float32)
    for a, b in zip(single._parameters(), double._parameters()):
        a[:] = b
    result = annealed_importance_sampling(single, betas=2000, random_state=0)
    assert abs(result.log_partition - double.log_partition()) < 3.5 * result.standard_error
    assert result.log_weights.dtype == np.float64


def test_chains_are_annealed_in_groups_that_fit_the_memory(monkeypatch):
    machine = scrambled_machine(6, 4)
    monkeypatch.setattr("hmlib.likelihood.CHAINS_AT_ONCE", 30)
    most = []
    path = type(machine.annealing_path())
    step = path.step

    def spy(self, states, *args):
        most.append(len(states))
        return step(self, states, *args)

    monkeypatch.setattr(path, "step", spy)
    result = annealed_importance_sampling(machine, betas=200, random_state=0)
    assert max(most) == 30 and len(result.log_weights) == 100
    assert abs(result.log_partition - machine.log_partition()) < 3.5 * result.standard_error


def test_reverse_chains_start_where_they_are_told(monkeypatch):
    machine = scrambled_machine(6, 4)
    exact = machine.log_partition()
    start = machine._exact_states(500, np.random.default_rng(0))
    result = annealed_importance_sampling(
        machine, n_chains=500, betas=100, reverse=True, start=start, random_state=1
    )
    assert abs(result.log_partition - exact) < 3.5 * result.standard_error
    # all in one corner: no samples of the machine, and the promise is void
    corner = np.tile(all_states(6)[machine.free_energy(all_states(6)).argmax()], (500, 1))
    result = annealed_importance_sampling(
        machine, n_chains=500, betas=100, reverse=True, start=corner, random_state=1
    )
    assert abs(result.log_partition - exact) > 5 * result.standard_error


def test_large_machines_start_in_reverse_from_long_chains(monkeypatch):
    machine = scrambled_machine(6, 4, method="pcd", scale=0.5)
    exact = machine.log_partition()
    monkeypatch.setattr("hmlib.rbm.MAX_UNITS", 3)
    result = annealed_importance_sampling(machine, betas=300, reverse=True, random_state=1)
    assert abs(result.log_partition - exact) < 3.5 * result.standard_error


def test_the_seed_decides_and_the_machine_is_left_alone():
    machine = scrambled_machine(6, 4)
    state = machine.rng_.bit_generator.state
    a, b = (annealed_importance_sampling(machine, betas=50, random_state=7) for _ in range(2))
    assert_array_equal(a.log_weights, b.log_weights)
    assert machine.rng_.bit_generator.state == state


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_chains": 1}, "n_chains must be an int of at least 2"),
        ({"betas": 1}, "betas must be an int of at least 2"),
        ({"betas": 10.0}, "betas must be an int of at least 2"),
        ({"betas": [0, 0.5]}, "betas must increase from 0 to 1"),
        ({"betas": [0.1, 1]}, "betas must increase from 0 to 1"),
        ({"betas": [0, 0.5, 0.5, 1]}, "betas must increase from 0 to 1"),
        ({"base": "normal"}, "base must be"),
        ({"start": np.zeros((100, 6))}, "start is for reverse=True only"),
        ({"start": np.zeros((9, 6)), "reverse": True}, "start must have one row for each chain"),
        ({"start": np.zeros((100, 5)), "reverse": True}, "v must have 6 columns"),
        ({"start": np.full((100, 6), 2), "reverse": True}, r"v must lie in \[0, 1\]"),
        ({"random_state": "seed"}, "random_state must be"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        annealed_importance_sampling(scrambled_machine(6, 4), **arguments)
