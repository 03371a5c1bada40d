"""The Helmholtz machine and wake-sleep, held against sums over every state."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from hmlib.exact import all_states, entropy, kl_divergence
from hmlib.helmholtz import HelmholtzMachine
from hmlib.likelihood import importance_log_likelihood
from hmlib.wake_sleep import ReweightedWakeSleep, WakeSleep


def scrambled_machine(n_data=4, hidden=(3, 2), seed=0, scale=1.2, dtype=float, **kwargs):
    """Make a machine whose two networks have random, unrelated parameters."""
    machine = HelmholtzMachine(hidden, n_epochs=0, random_state=seed, **kwargs)
    machine.fit(np.zeros((1, n_data), dtype))
    rng = np.random.default_rng(seed)
    for layer in layers_of(machine):
        layer.weights += scale * rng.standard_normal(layer.weights.shape)
        layer.bias += scale * rng.standard_normal(layer.bias.shape)
    return machine


def layers_of(machine):
    return [*machine.generative_, *machine.recognition_, machine.prior_]


def parameters(layers):
    return np.concatenate([np.append(layer.weights.ravel(), layer.bias) for layer in layers])


def joint_states(machine):
    """Return every state of all units, as a list of layers, data first."""
    sizes = [machine.n_features_in_, *machine.hidden]
    return np.split(all_states(sum(sizes)), np.cumsum(sizes)[:-1], axis=1)


def tables(machine, d):
    """Compute log p_G(xyd) and log p_R(xy|d) of every explanation, row by row, from single layers."""
    hidden = np.split(all_states(sum(machine.hidden)), np.cumsum(machine.hidden)[:-1], axis=1)
    log_joint, log_recognition = [], []
    for row in d:
        layers = [np.tile(row, (len(hidden[0]), 1)), *hidden]
        log_joint.append(-machine.energy(*layers[::-1]))
        steps = zip(machine.recognition_, layers, layers[1:])
        log_recognition.append(sum(layer.log_prob(a, b) for layer, a, b in steps))
    return np.array(log_joint), np.array(log_recognition)


SHAPES = [(4, (3, 2)), (5, (3,)), (3, (3, 2, 2)), (6, (1, 1, 1))]


@pytest.fixture(params=SHAPES, ids=str)
def machine(request):
    return scrambled_machine(*request.param)


# --- the distribution -------------------------------------------------------------------------------


def test_the_joint_and_the_marginal_sum_to_one(machine):
    layers = joint_states(machine)
    assert_allclose(np.exp(-machine.energy(*layers[::-1])).sum(), 1, rtol=1e-12)
    p = np.exp(machine.score_samples(all_states(machine.n_features_in_)))
    assert_allclose(p.sum(), 1, rtol=1e-12)


def test_the_marginal_is_the_joint_summed_over_explanations(machine):
    n, layers = machine.n_features_in_, joint_states(machine)
    joint = np.exp(-machine.energy(*layers[::-1])).reshape(2**n, -1)
    assert_allclose(np.exp(machine.score_samples(all_states(n))), joint.sum(axis=1), rtol=1e-10)


def test_the_bound_is_free_energy_plus_divergence_of_the_explanations(machine):
    d = all_states(machine.n_features_in_)
    log_joint, log_recognition = tables(machine, d)
    free_energy, bound = -machine.score_samples(d), machine.free_energy_bound(d)
    posterior = np.exp(log_joint + free_energy[:, None])
    gap = [kl_divergence(r, g) for r, g in zip(np.exp(log_recognition), posterior)]
    assert (bound >= free_energy - 1e-12).all()
    assert_allclose(bound - free_energy, gap, rtol=1e-10)


def test_free_energy_and_bound_are_energy_minus_entropy(machine):
    d = all_states(machine.n_features_in_)
    log_joint, log_recognition = tables(machine, d)
    energy, free_energy = -log_joint, -machine.score_samples(d)
    log_posterior = log_joint + free_energy[:, None]
    for log_q, value in (
        (log_posterior, free_energy),
        (log_recognition, machine.free_energy_bound(d)),
    ):
        mean_energy = (np.exp(log_q) * energy).sum(axis=1)
        H = [entropy(q) for q in np.exp(log_q)]
        assert_allclose(mean_energy - H, value, atol=1e-10, rtol=0)


def test_the_bound_is_reconstruction_plus_cost_of_the_explanation(machine):
    d, layers = all_states(machine.n_features_in_), joint_states(machine)
    log_joint, log_recognition = tables(machine, d)
    x, y = layers[:2]
    log_likelihood = machine.generative_[0].log_prob(y, x).reshape(log_joint.shape)
    q, log_prior = np.exp(log_recognition), log_joint - log_likelihood
    costs = [kl_divergence(*pair) for pair in zip(q, np.exp(log_prior))]
    reconstruction = -(q * log_likelihood).sum(axis=1)
    assert_allclose(reconstruction + costs, machine.free_energy_bound(d), atol=1e-10, rtol=0)


def test_dreams_follow_the_exact_distribution(machine):
    n, n_dreams = machine.n_features_in_, 40_000
    p = np.exp(machine.score_samples(all_states(n)))
    dreams = machine.sample(n_dreams, random_state=1)
    frequency = (
        np.bincount((dreams @ 2.0 ** np.arange(n)[::-1]).astype(int), minlength=2**n) / n_dreams
    )
    assert (np.abs(frequency - p) < 5 * np.sqrt(p * (1 - p) / n_dreams) + 1e-9).all()


def test_dreams_as_probabilities_have_the_mean_of_the_bits(machine):
    p = machine.sample(20_000, probabilities=True, random_state=1)
    exact = np.exp(machine.score_samples(all_states(machine.n_features_in_)))
    mean = exact @ all_states(machine.n_features_in_)
    assert (np.abs(p.mean(axis=0) - mean) < 5 * p.std(axis=0) / np.sqrt(len(p)) + 1e-9).all()
    assert not np.isin(p, (0, 1)).all()


def test_explanations_follow_the_recognition_network(machine):
    d = np.tile(all_states(machine.n_features_in_)[3], (20_000, 1))
    layers = machine.recognize(d, random_state=2)
    index = (np.hstack(layers[1:]) @ 2.0 ** np.arange(sum(machine.hidden))[::-1]).astype(int)
    p = np.exp(tables(machine, d[:1])[1][0])
    frequency = np.bincount(index, minlength=len(p)) / len(d)
    assert (np.abs(frequency - p) < 5 * np.sqrt(p * (1 - p) / len(d)) + 1e-9).all()


# --- learning ---------------------------------------------------------------------------------------


def expected_update(machine, layers, weights, which):
    """Average the delta rule over states of all layers with the given weights, rate 1."""
    updates = []
    pairs = list(zip(layers, layers[1:]))
    if which == "wake":
        tasks = [(layer, above, below) for layer, (below, above) in zip(machine.generative_, pairs)]
        tasks.append((machine.prior_, layers[-1][:, :0], layers[-1]))
    else:
        tasks = [
            (layer, below, above) for layer, (below, above) in zip(machine.recognition_, pairs)
        ]
    for layer, x, y in tasks:
        error = weights[:, None] * (y - layer.mean(x))
        updates.append(np.append((x.T @ error).ravel(), error.sum(axis=0)))
    return np.concatenate(updates)


def numerical_gradient(objective, layers, h=1e-5):
    gradient = []
    for layer in layers:
        for array in (layer.weights, layer.bias):
            for index in np.ndindex(array.shape):
                value = array[index]
                array[index] = value + h
                up = objective()
                array[index] = value - h
                down = objective()
                array[index] = value
                gradient.append((up - down) / (2 * h))
    return np.array(gradient)


def test_the_expected_wake_step_descends_the_bound(machine):
    d, layers = all_states(machine.n_features_in_), joint_states(machine)
    world = np.random.default_rng(5).dirichlet(np.ones(len(d)))
    log_recognition = tables(machine, d)[1]
    weights = (world[:, None] * np.exp(log_recognition)).ravel()
    update = expected_update(machine, layers, weights, "wake")
    gradient = numerical_gradient(
        lambda: world @ machine.free_energy_bound(d), [*machine.generative_, machine.prior_]
    )
    assert_allclose(update, -gradient, atol=1e-8)


def test_the_expected_sleep_step_descends_the_divergence_averaged_over_dreams(machine):
    d, layers = all_states(machine.n_features_in_), joint_states(machine)
    joint = np.exp(-machine.energy(*layers[::-1]))

    def divergence_over_dreams():
        log_joint, log_recognition = tables(machine, d)
        log_posterior = log_joint - machine.score_samples(d)[:, None]
        return (np.exp(log_joint) * (log_posterior - log_recognition)).sum()

    update = expected_update(machine, layers, joint, "sleep")
    assert_allclose(
        update, -numerical_gradient(divergence_over_dreams, machine.recognition_), atol=1e-8
    )


@pytest.mark.parametrize("phase", ["wake", "sleep"])
def test_each_phase_takes_that_expected_step_and_touches_one_network_only(phase):
    n = 200_000
    machine = scrambled_machine()
    d, rule, rng = all_states(4), WakeSleep(1.0), np.random.default_rng(0)
    taught = [*machine.generative_, machine.prior_] if phase == "wake" else machine.recognition_
    others = machine.recognition_ if phase == "wake" else [*machine.generative_, machine.prior_]
    if phase == "wake":
        weights = np.exp(tables(machine, d)[1]).ravel() / len(d)
    else:
        weights = np.exp(-machine.energy(*joint_states(machine)[::-1]))
    expected = expected_update(machine, joint_states(machine), weights, phase)
    before, untouched = parameters(taught), parameters(others)
    rule.wake(machine, np.tile(d, (n // 16, 1)), rng) if phase == "wake" else rule.sleep(
        machine, n, rng
    )
    # every entry of the update is a mean of n numbers in [-1, 1]
    assert np.abs(parameters(taught) - before - expected).max() < 5 / np.sqrt(n)
    assert np.abs(expected).max() > 0.05
    assert_array_equal(parameters(others), untouched)


def test_rates_go_to_the_layers_they_are_meant_for():
    machine = scrambled_machine()
    before = [parameters([layer]) for layer in layers_of(machine)]
    WakeSleep([1e-9, 0.5]).step(machine, all_states(4), np.random.default_rng(0))
    change = [np.abs(parameters([a]) - b).max() for a, b in zip(layers_of(machine), before)]
    data_side, top_side = [change[0], change[2]], [change[1], change[3], change[4]]
    assert max(data_side) < 1e-8 and min(top_side) > 1e-3


# --- importance sampling ----------------------------------------------------------------------------


def test_the_importance_estimate_lies_within_its_error_bar():
    """Of 640 error bars of 1.96 standard errors 95 % hold the exact value: 608 +- 5.5."""
    machine = scrambled_machine(n_data=6, hidden=(4, 2), scale=0.3)
    d = np.tile(all_states(6), (10, 1))
    estimate, error, bound = importance_log_likelihood(machine, d, 2000, random_state=0)
    assert (bound < estimate).all()
    z = (estimate - machine.score_samples(d)) / error
    assert 0.92 < np.mean(np.abs(z) < 1.96) < 0.98
    assert abs(z.mean()) < 4 / np.sqrt(len(z))


def test_more_samples_come_closer_and_one_sample_is_the_bound():
    machine = scrambled_machine(n_data=6, hidden=(4, 2))
    d = all_states(6)
    exact, bound = machine.score_samples(d), machine.free_energy_bound(d)
    errors = [np.mean(exact - machine.score_samples(d, k, random_state=0)) for k in (2, 20, 2000)]
    assert errors[0] > errors[1] > abs(errors[2])
    draws = -np.array([machine.log_weights(d, np.random.default_rng(seed)) for seed in range(4000)])
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    sampled = machine.free_energy_bound(d, 4000, random_state=0)
    assert (np.abs(sampled - bound) < 5 * error).all()


@pytest.mark.parametrize("mode", ["resample", "threshold", "none"])
def test_exact_and_sampled_answers_are_about_the_same_bits(mode):
    machine = scrambled_machine(binarize=mode, scale=0.5)
    grey = np.random.default_rng(0).random((40, 4))
    seen = machine.recognize(grey, random_state=3)[0]
    for measure in (machine.score_samples, machine.free_energy_bound):
        exact = measure(grey, random_state=3)
        assert_allclose(exact, measure(seen), rtol=1e-12)
        assert_allclose(measure(grey, 4000, random_state=3), exact, atol=0.15)


def test_large_machines_draw_one_hundred_explanations_by_default(monkeypatch):
    machine, d = scrambled_machine(), all_states(4)
    exact = machine.score_samples(d)
    monkeypatch.setattr("hmlib.helmholtz.MAX_EXACT", 4)
    for measure in (machine.score_samples, machine.free_energy_bound):
        assert_array_equal(measure(d, random_state=0), measure(d, 100, random_state=0))
    assert (machine.score_samples(d, random_state=0) != exact).all()


def test_large_tables_are_computed_piece_by_piece(monkeypatch):
    machine, d = scrambled_machine(), all_states(4)
    whole = machine.score_samples(d), machine.free_energy_bound(d)
    monkeypatch.setattr("hmlib._estimator.ROWS_AT_ONCE", 5)
    assert_allclose(whole, (machine.score_samples(d), machine.free_energy_bound(d)), rtol=1e-12)


def test_estimate_and_error_bar_of_three_given_weights():
    class Given:
        def __init__(self, weights):
            self.log_weights_left = iter(np.log(weights))

        def log_weights(self, X, rng):
            return next(self.log_weights_left)

    w = np.array([[1.0, 2.0], [3.0, 2.0], [8.0, 2.0]])
    result = importance_log_likelihood(Given(w), np.zeros((2, 1)), 3)
    assert_allclose(result.estimate, np.log([4, 2]))
    error = [w[:, 0].std(ddof=1) / (np.sqrt(3) * 4), 0]
    assert_allclose(result.standard_error, error, atol=1e-7)
    assert_allclose(result.bound, np.log(w).mean(axis=0))


# --- behaviour --------------------------------------------------------------------------------------


def test_score_is_the_mean_and_transform_the_mean_field_pass():
    machine, d = scrambled_machine(), all_states(4)
    assert machine.score(d) == pytest.approx(machine.score_samples(d).mean())
    y = machine.recognition_[0].mean(d)
    assert_array_equal(machine.transform(d, 1), y)
    assert_array_equal(machine.transform(d), machine.recognition_[1].mean(y))


def test_reconstructions_have_the_exact_mean():
    machine = scrambled_machine()
    d, y, x = np.tile([1.0, 0, 1, 1], (40_000, 1)), all_states(3), all_states(2)
    R, G = machine.recognition_, machine.generative_
    p_x = np.exp(R[0].log_prob_table(d[:1], y)) @ np.exp(R[1].log_prob_table(y, x))
    exact = p_x @ np.exp(G[1].log_prob_table(x, y)) @ G[0].mean(y)
    p = machine.reconstruct(d, random_state=0)
    assert (np.abs(p.mean(axis=0) - exact[0]) < 5 * p.std(axis=0) / 200).all()


def test_an_epoch_presents_every_sample_once_in_a_new_order_as_new_bits(monkeypatch):
    seen = []
    monkeypatch.setattr(WakeSleep, "step", lambda rule, machine, d, rng: seen.append(d.copy()))
    HelmholtzMachine((2,), n_epochs=2, batch_size=5, random_state=0).fit(np.eye(12))
    assert [len(d) for d in seen] == [5, 5, 2] * 2
    first, second = np.split(np.concatenate(seen).argmax(axis=1), 2)
    assert_array_equal(np.sort(first), np.arange(12))
    assert_array_equal(np.sort(second), np.arange(12))
    assert (first != second).any() and (first != np.arange(12)).any()
    seen.clear()
    HelmholtzMachine((2,), n_epochs=1, random_state=0).fit(np.full((2000, 2), 0.3))
    d = np.concatenate(seen)
    assert set(np.unique(d)) == {0, 1} and abs(d.mean() - 0.3) < 5 * np.sqrt(0.21 / d.size)


def test_a_step_dreams_as_often_as_it_wakes(monkeypatch):
    n = []
    monkeypatch.setattr(WakeSleep, "sleep", lambda rule, machine, n_dreams, rng: n.append(n_dreams))
    WakeSleep().step(scrambled_machine(), all_states(4), np.random.default_rng(0))
    assert n == [16]


def test_both_networks_start_as_told():
    def start(init):
        machine = HelmholtzMachine((40, 30), n_epochs=0, init=init, init_scale=0.7, random_state=0)
        return machine.fit(np.zeros((1, 50)))

    assert not parameters(layers_of(start("zero"))).any()
    machine = start("random")
    for layer in [*machine.generative_, *machine.recognition_]:
        assert abs(layer.weights.std() / 0.7 - 1) < 0.1 and not layer.bias.any()


def test_looking_at_a_machine_does_not_change_how_it_learns():
    X = np.random.default_rng(0).random((30, 6))
    machines = [HelmholtzMachine((3, 2), n_epochs=1, random_state=3).fit(X) for _ in range(2)]
    machines[0].sample(3)
    machines[0].score(X)
    machines[0].reconstruct(X)
    for machine in machines:
        machine.partial_fit(X)
    assert_array_equal(*(parameters(layers_of(machine)) for machine in machines))


def test_a_fitted_machine_keeps_its_sizes_whatever_is_set_afterwards():
    machine, d = scrambled_machine(), all_states(4)
    before = machine.score_samples(d)
    machine.set_params(hidden=(64, 16))
    assert_array_equal(machine.score_samples(d), before)
    assert len(machine.get_feature_names_out()) == machine.transform(d).shape[1] == 2


@settings(max_examples=20, deadline=None)
@given(
    n_data=st.integers(1, 5),
    hidden=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    init=st.sampled_from(["zero", "random"]),
    seed=st.integers(0, 1000),
)
def test_any_architecture_trains_and_stays_a_distribution(n_data, hidden, init, seed):
    X = np.random.default_rng(seed).integers(0, 2, (10, n_data)).astype(float)
    machine = HelmholtzMachine(hidden, n_epochs=2, batch_size=3, init=init, random_state=seed).fit(
        X
    )
    d = all_states(n_data)
    log_p = machine.score_samples(d)
    assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-9)
    assert (machine.free_energy_bound(d) >= -log_p - 1e-9).all()
    assert [layer.shape for layer in machine.recognize(X)] == [(10, n) for n in (n_data, *hidden)]
    assert machine.transform(X).shape == (10, hidden[-1])
    assert machine.reconstruct(X).shape == X.shape


@pytest.mark.parametrize("init", ["zero", "random"])
def test_training_lowers_the_divergence_from_the_world(init):
    """The world is all on or all off, which no factorised model tells from fair coins: KL = ln 4."""
    patterns, world = np.array([[0.0] * 3, [1.0] * 3]), np.full(2, 0.5)
    machine = HelmholtzMachine((3, 2), n_epochs=0, learning_rate=0.3, init=init, random_state=0)
    machine.fit(patterns)
    before = kl_divergence(world, np.exp(machine.score_samples(patterns)))
    assert_allclose(before, np.log(4), rtol=1e-12 if init == "zero" else 0.1)
    for _ in range(200):
        machine.partial_fit(np.tile(patterns, (100, 1)))
    assert kl_divergence(world, np.exp(machine.score_samples(patterns))) < 0.1


def test_the_seed_decides_everything_and_partial_fit_continues():
    X = np.random.default_rng(0).random((30, 6))
    make = lambda: HelmholtzMachine((3, 2), n_epochs=4, random_state=3)  # noqa: E731
    whole = make().fit(X)
    pieces = make().set_params(n_epochs=1).fit(X)
    for _ in range(3):
        pieces.partial_fit(X)
    assert_array_equal(parameters(layers_of(whole)), parameters(layers_of(pieces)))
    assert whole.n_iter_ == pieces.n_iter_ == 4
    assert_array_equal(whole.sample(5), pieces.sample(5))
    copy = pickle.loads(pickle.dumps(whole))
    assert_array_equal(copy.sample(5), whole.sample(5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_have_the_dtype_of_the_data(dtype):
    X = np.random.default_rng(0).random((20, 4)).astype(dtype)
    machine = HelmholtzMachine((3, 2), n_epochs=2, random_state=0).fit(X)
    machine.partial_fit(X.astype(np.float64))
    assert {layer.weights.dtype for layer in layers_of(machine)} == {np.dtype(dtype)}
    assert machine.sample(2).dtype == machine.transform(X).dtype == dtype


def test_binarize_says_what_the_machine_sees():
    grey = np.full((500, 4), 0.3)
    seen = {
        mode: scrambled_machine(binarize=mode).recognize(grey, random_state=0)[0]
        for mode in ("resample", "threshold", "none")
    }
    assert set(np.unique(seen["resample"])) == {0, 1} and abs(seen["resample"].mean() - 0.3) < 0.05
    assert not seen["threshold"].any()
    assert_array_equal(seen["none"], grey)


def test_saturated_machines_stay_finite_and_silent(recwarn):
    machine = scrambled_machine(scale=1e4, dtype=np.float32)
    d = all_states(4).astype(np.float32)
    for _ in range(3):
        machine.partial_fit(d)
    assert (
        np.isfinite(machine.free_energy_bound(d)).all()
        and np.isfinite(machine.score_samples(d)).all()
    )
    assert np.isfinite(machine.score_samples(d, 10)).all()
    assert not recwarn.list


def test_an_interrupt_keeps_what_was_learnt(monkeypatch):
    X = np.random.default_rng(0).random((20, 4))
    machine = HelmholtzMachine((3,), n_epochs=10, random_state=0)
    epoch = HelmholtzMachine._epoch

    def interrupted(self, X):
        if self.n_iter_ == 3:
            raise KeyboardInterrupt
        epoch(self, X)

    monkeypatch.setattr(HelmholtzMachine, "_epoch", interrupted)
    with pytest.warns(UserWarning, match="after 3 of 10 epochs"):
        machine.fit(X)
    reference = HelmholtzMachine((3,), n_epochs=3, random_state=0).fit(X)
    assert_array_equal(parameters(layers_of(machine)), parameters(layers_of(reference)))


def test_verbose_shows_a_progress_bar(capfd):
    HelmholtzMachine((2,), n_epochs=2, verbose=True).fit(np.zeros((4, 3)))
    assert "HelmholtzMachine" in capfd.readouterr().err


GOOD = np.zeros((5, 4))


@pytest.mark.parametrize(
    ("parameters", "X", "message"),
    [
        ({"hidden": ()}, GOOD, "hidden must be a tuple"),
        ({"hidden": 5}, GOOD, "hidden must be a tuple"),
        ({"hidden": (3, 0)}, GOOD, r"hidden\[1\] must be an int of at least 1"),
        ({"learning_rate": 0}, GOOD, "learning_rate must be a number"),
        ({"learning_rate": -1, "n_epochs": 0}, GOOD, "learning_rate must be a number"),
        ({"learning_rate": [0.1, 0.1, 0.1]}, GOOD, "learning_rate must be one number or 2 numbers"),
        ({"n_epochs": -1}, GOOD, "n_epochs must be an int of at least 0"),
        ({"batch_size": 0}, GOOD, "batch_size must be an int of at least 1"),
        ({"init": "ones"}, GOOD, 'init must be "zero" or "random"'),
        ({"init_scale": -1}, GOOD, "init_scale must be a number"),
        ({"binarize": "yes"}, GOOD, "binarize must be"),
        ({"random_state": "seed"}, GOOD, "random_state must be"),
        ({}, GOOD + 2, r"X must lie in \[0, 1\], got values from 2 to 2"),
        ({}, GOOD - 1, r"X must lie in \[0, 1\]"),
        ({}, GOOD * np.nan, "contains NaN"),
        ({}, np.zeros((0, 4)), "0 sample"),
        ({}, np.zeros(4), "2D array"),
    ],
)
def test_bad_training_input_is_named(parameters, X, message):
    machine = HelmholtzMachine((3, 2), n_epochs=1).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        machine.fit(X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.recognize(np.zeros((2, 3))), "expecting 4 features"),
        (lambda m: m.score_samples(GOOD + 1.5), r"X must lie in \[0, 1\]"),
        (lambda m: m.score_samples(GOOD, 1), "n_samples must be an int of at least 2"),
        (lambda m: m.free_energy_bound(GOOD, 0), "n_samples must be an int of at least 1"),
        (lambda m: m.sample(0), "n_samples must be an int of at least 1"),
        (lambda m: m.sample(2, random_state=1.5), "random_state must be"),
        (lambda m: m.transform(GOOD, layer=3), "layer must be an int from 0 to 2"),
        (lambda m: m.transform(GOOD, layer=1.0), "layer must be an int from 0 to 2"),
        (
            lambda m: m.energy(np.full((5, 2), 0.5), np.zeros((5, 3)), GOOD),
            "layer 2 must hold only 0 and 1",
        ),
        (lambda m: m.energy(GOOD), "energy needs the states of 3 layers, got 1"),
        (lambda m: m.energy(GOOD, GOOD, GOOD), "layer 2 must have 2 columns"),
        (lambda m: m.energy(np.zeros((5, 2)), np.zeros((4, 3)), GOOD), "as many rows each"),
        (lambda m: m.energy(np.full((5, 2), 7), np.zeros((5, 3)), GOOD), "layer 2 must hold only"),
    ],
)
def test_bad_use_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(scrambled_machine())


# --- scikit-learn's contract ------------------------------------------------------------------------


# The checks feed arbitrary real numbers, which only thresholding takes; seeds reach no pipeline step.
@parametrize_with_checks(
    [
        HelmholtzMachine((4, 2), n_epochs=3, binarize="threshold"),
        HelmholtzMachine((3,), n_epochs=3, binarize="threshold", init="zero"),
        HelmholtzMachine(
            (3, 2, 2), n_epochs=2, binarize="threshold", learning_rate=[0.3, 0.1, 0.1]
        ),
        HelmholtzMachine(
            (3, 2),
            rule=ReweightedWakeSleep(3, 0.2),
            decay=0.1,
            n_epochs=2,
            init_bias="data",
            binarize="threshold",
        ),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_it_works_in_a_pipeline_and_names_its_features():
    X = np.random.default_rng(0).normal(size=(30, 5))
    pipeline = make_pipeline(MinMaxScaler(clip=True), HelmholtzMachine((4, 2), n_epochs=2))
    assert pipeline.fit(X).transform(X).shape == (30, 2)
    names = ["helmholtzmachine0", "helmholtzmachine1"]
    assert pipeline.get_feature_names_out().tolist() == names
    assert np.isfinite(pipeline.score(X))
