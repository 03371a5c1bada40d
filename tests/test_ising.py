"""The Ising model: enumeration, exact transition matrices, Onsager's solution, sampling and errors."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.sparse.csgraph import connected_components

from hmlib import ising
from hmlib.chains import autocorrelation_time, mean_and_error
from hmlib.exact import all_states, distribution, log_partition
from hmlib.ising import (
    T_CRITICAL,
    IsingModel,
    onsager_energy,
    onsager_magnetization,
    sherrington_kirkpatrick,
)
from hmlib.spins import spin_energy

DYNAMICS = ("glauber", "metropolis")

# --- tools: everything about a small lattice, by listing its states --------------------------------


def lattice_states(model):
    """List all states, in the counting order of all_states: (2^N, rows, cols)."""
    return all_states(model.n_sites, spins=True).reshape(-1, *model.shape)


def boltzmann(model):
    return distribution(model.energy(lattice_states(model)), beta=model.beta)


def expectation(model, values):
    return boltzmann(model) @ values(lattice_states(model))


def update_matrix(model, sites):
    """Write down P(s -> s') of updating ``sites`` at once, from the model's flip probabilities."""
    states = lattice_states(model)
    flip = model.flip_probabilities(states).reshape(-1, model.n_sites)
    states = states.reshape(-1, model.n_sites)
    matrix = np.ones((len(states), len(states)))
    for i in range(model.n_sites):
        differ = states[:, None, i] != states[None, :, i]
        p = flip[:, None, i] if i in sites else 0
        matrix *= np.where(differ, p, 1 - p)
    return matrix


def colours(model):
    """Number the black and the white sites."""
    colour = np.add.outer(*map(np.arange, model.shape)).ravel() % 2
    return np.flatnonzero(colour == 0), np.flatnonzero(colour == 1)


def sweep_matrix(model):
    """Write down P(s -> s') of a sweep."""
    if model.order == "checkerboard":
        black, white = colours(model)
        return update_matrix(model, black) @ update_matrix(model, white)
    single = [update_matrix(model, [i]) for i in range(model.n_sites)]
    orders = list(itertools.permutations(single))
    return sum(np.linalg.multi_dot(order) for order in orders) / len(orders)


def state_numbers(states):
    """Find the places of states in the list of all states."""
    up = states.reshape(len(states), -1) > 0
    return up @ 2 ** np.arange(up.shape[1])[::-1]


# --- energies and enumeration ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "temperature", "energy", "magnetization", "heat_capacity", "log_z"),
    [
        (2, 1.0, -1.995982, 0.998661, 0.032082, 8.695158),
        (2, 2.0, -1.800825, 0.933709, 0.361096, 4.797714),
        (2, 3.0, -1.399947, 0.801114, 0.385426, 3.711687),
        (3, 2.0, -1.767678, 0.925985, 0.519663, 9.925150),
        (3, T_CRITICAL, -1.611246, 0.871072, 0.628736, 9.020213),
        (3, 3.0, -1.154886, 0.701167, 0.553053, 7.668322),
    ],
)
def test_tabulated_averages(side, temperature, energy, magnetization, heat_capacity, log_z):
    model = IsingModel((side, side), temperature=temperature, order="random")
    n, e = model.n_sites, model.energy(lattice_states(model))
    mean = expectation(model, model.energy)
    variance = expectation(model, lambda s: (model.energy(s) - mean) ** 2)
    digits = dict(rtol=0, atol=0.5000001e-6)
    assert_allclose(mean / n, energy, **digits)
    assert_allclose(
        expectation(model, lambda s: abs(model.magnetization(s))), magnetization, **digits
    )
    assert_allclose(model.beta**2 * variance / n, heat_capacity, **digits)
    assert_allclose(log_partition(e, beta=model.beta), log_z, **digits)


def test_the_smallest_torus_has_the_energies_of_the_textbook():
    # Z = 12 + 4 cosh(8 beta), so E = -8 sinh(8 beta) / (cosh(8 beta) + 3): every pair counts twice.
    model = IsingModel((2, 2), beta=0.3)
    e = model.energy(lattice_states(model))
    assert_array_equal(np.unique(e, return_counts=True), [[-8, 0, 8], [2, 12, 2]])
    assert_allclose(boltzmann(model) @ e, -8 * np.sinh(2.4) / (np.cosh(2.4) + 3))


def log_z_by_transfer_matrix(side, cols, beta):
    """Compute log Z of a torus as log trace V^cols, without listing its states."""
    column = all_states(side, spins=True)
    within = (column * np.roll(column, 1, axis=1)).sum(axis=1)
    v = np.exp(beta * (column @ column.T + within[:, None] / 2 + within / 2))
    return np.log(np.trace(np.linalg.matrix_power(v, cols)))


@pytest.mark.parametrize("shape", [(2, 2), (2, 4), (3, 3), (3, 5), (4, 4)])
def test_enumeration_agrees_with_the_transfer_matrix(shape):
    model = IsingModel(shape, beta=0.4, order="random")
    log_z = log_partition(model.energy(lattice_states(model)), beta=0.4)
    assert_allclose(log_z, log_z_by_transfer_matrix(*shape, 0.4), rtol=1e-12)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 3), (4, 3)])
def test_energies_are_those_of_the_weights(shape, periodic):
    model = IsingModel(shape, coupling=-0.7, field=0.3, periodic=periodic, order="random")
    states, weights = lattice_states(model), model.weights()
    assert_array_equal(weights, weights.T)
    assert not np.diag(weights).any()
    flat = states.reshape(len(states), -1)
    assert_allclose(model.energy(states), spin_energy(flat, weights, -0.3), atol=1e-12)
    assert_allclose(model.magnetization(states), flat.mean(axis=1), atol=1e-15)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 7), (2, 2), (3, 5), (6, 4)])
def test_bonds_are_counted_once(rows, cols):
    up = np.ones((1, rows, cols), dtype=int)
    open_bonds = rows * (cols - 1) + (rows - 1) * cols
    open_model = IsingModel((rows, cols), periodic=False, field=0.5)
    assert_allclose(open_model.energy(up), -open_bonds - 0.5 * rows * cols)
    assert_allclose(open_model.energy(-up), -open_bonds + 0.5 * rows * cols)
    assert open_model.weights().sum() == 2 * open_bonds
    if min(rows, cols) > 1:
        torus = IsingModel((rows, cols), order="random")
        assert torus.energy(up) == -2 * rows * cols
        assert_array_equal(torus.weights().sum(axis=1), 4)


def test_a_chessboard_is_the_ground_state_of_negative_couplings():
    chessboard = 1 - 2 * (np.indices((1, 4, 6)).sum(axis=0) % 2)
    assert IsingModel((4, 6), coupling=-1).energy(chessboard) == -2 * 24
    assert IsingModel((4, 6), coupling=-1).magnetization(chessboard) == 0


# --- exact properties of the dynamics --------------------------------------------------------------


SMALL = [
    dict(shape=(2, 2)),
    dict(shape=(2, 4)),
    dict(shape=(2, 3), periodic=False),
    dict(shape=(3, 3), periodic=False),
    dict(shape=(2, 4), field=0.4, coupling=-0.8),
    dict(shape=(3, 2), field=-0.4, coupling=0.8, periodic=False),
]


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("settings", SMALL)
def test_single_updates_fulfil_detailed_balance(settings, dynamics):
    model = IsingModel(**settings, temperature=1.7, dynamics=dynamics)
    p = boltzmann(model)
    for i in range(model.n_sites):
        matrix = update_matrix(model, [i])
        assert_allclose(matrix.sum(axis=1), 1, rtol=1e-14)
        flow = p[:, None] * matrix
        assert_allclose(flow, flow.T, rtol=1e-11)
        assert (flow[~np.eye(len(p), dtype=bool)] > 0).any()


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("settings", SMALL)
def test_half_sweeps_of_the_checkerboard_keep_the_boltzmann_distribution(settings, dynamics):
    model = IsingModel(**settings, temperature=1.7, dynamics=dynamics)
    p = boltzmann(model)
    for sites in colours(model):
        matrix = update_matrix(model, sites)
        one_by_one = np.linalg.multi_dot([update_matrix(model, [i]) for i in sites])
        assert_allclose(matrix, one_by_one, atol=1e-15)
        assert_allclose(p @ matrix, p, rtol=1e-12)


def test_updating_all_spins_at_once_does_not():
    model = IsingModel((2, 4), temperature=1.7)
    p = boltzmann(model)
    assert np.abs(p @ update_matrix(model, range(8)) - p).sum() > 0.1


def test_flip_probabilities_are_the_rules():
    model = IsingModel((4, 4), temperature=1.5, coupling=0.8, field=0.3)
    states = model.start(5)
    change = np.empty(states.shape)
    for _, i, j in np.ndindex(1, 4, 4):
        flipped = states.copy()
        flipped[:, i, j] *= -1
        change[:, i, j] = model.energy(flipped) - model.energy(states)
    assert_allclose(model.flip_probabilities(states), 1 / (1 + np.exp(change / 1.5)), rtol=1e-12)
    model = IsingModel((4, 4), temperature=1.5, coupling=0.8, field=0.3, dynamics="metropolis")
    expected = np.minimum(1, np.exp(-change / 1.5))
    assert_allclose(model.flip_probabilities(states), expected, rtol=1e-12)
    assert (expected == 1).any() and (expected < 1).any()


FEW_SITES = [
    dict(shape=(2, 2)),
    dict(shape=(2, 2), field=0.3, coupling=-0.6),
    dict(shape=(1, 4), periodic=False, field=-0.2),
    dict(shape=(3, 1), periodic=False, coupling=-1.0),
]
MORE_SITES = [  # too many orders to list
    dict(shape=(2, 3), periodic=False, coupling=0.7, field=0.2),
    dict(shape=(2, 4), coupling=0.7, field=0.2),
]


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize(
    ("settings", "order"),
    [
        *itertools.product(FEW_SITES + MORE_SITES, ["checkerboard"]),
        *itertools.product(FEW_SITES, ["random"]),
    ],
)
def test_a_sweep_makes_the_steps_of_the_exact_transition_matrix(settings, dynamics, order):
    model = IsingModel(**settings, temperature=1.9, dynamics=dynamics, order=order, random_state=1)
    matrix, n = sweep_matrix(model), 2000 if order == "checkerboard" else 1000
    assert_allclose(boltzmann(model) @ matrix, boltzmann(model), rtol=1e-11)
    counts = np.zeros(matrix.shape)
    for _ in range(1 if order == "checkerboard" else n):  # samples share a random order
        per_call = n if order == "checkerboard" else 1
        states = np.repeat(lattice_states(model), per_call, axis=0)
        steps = np.repeat(np.arange(len(matrix)), per_call), state_numbers(model.sweep(states))
        np.add.at(counts, steps, 1)
    assert not counts[matrix < 1e-14].any()
    # Pearson's test for each row, where all rare steps count as one; then Bonferroni's bound, since in
    # random order the rows are not independent.
    p_values = [pearson(row, n * exact) for row, exact in zip(counts, matrix)]
    assert min(p_values) * len(p_values) > 1e-4


def pearson(counts, expected):
    rare = expected < 10
    counts, expected = (np.append(x[~rare], x[rare].sum()) for x in (counts, expected))
    if expected[-1] < 10:
        counts, expected = counts[:-1], expected[:-1]
    chi2 = ((counts - expected) ** 2 / expected).sum()
    return stats.chi2.sf(chi2, max(len(counts) - 1, 1))


levels = st.lists(st.floats(0, 1), min_size=1, max_size=9).map(sorted)


@given(levels)
def test_demands_have_exactly_the_right_distribution(p):
    class NoMarks:
        def poisson(self, mean):
            return 0

        def random(self, shape):
            return np.empty(shape)

    sampler = ising._Demand(np.array(p), (256,))
    demand = sampler.draw(np.arange(256, dtype=np.uint8), NoMarks())
    marked = -np.expm1(-sampler.marks_per_site)
    for k, probability in enumerate(p):
        unmarked = np.count_nonzero(demand <= k) / 256
        drawn = (1 - marked) * unmarked + marked * sampler.cumulative[k]
        assert_allclose(drawn, probability, rtol=0, atol=1e-15)
    assert (np.diff(sampler.cumulative) >= -1e-12).all()
    assert marked <= 0.05


def test_marked_sites_draw_from_what_is_left_over():
    p = np.array([0.3e-3, 0.0301, 0.5002, 0.9, 0.9997])
    n = 2_000_000
    sampler = ising._Demand(p, (n,))
    rng = np.random.default_rng(1)
    demand = sampler.draw(ising._random_bytes((n,), rng), rng)
    for k, probability in enumerate(p):
        count = np.count_nonzero(demand <= k)
        assert abs(count - n * probability) <= 4 * np.sqrt(n * probability * (1 - probability))
    # Rounded to bytes alone, the first probability would be zero.
    assert np.count_nonzero(demand == 0) > 0 == np.floor(256 * p[0])


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.SFC64])
def test_random_bytes_use_every_bit_and_do_not_depend_on_the_machine(bits):
    width = 4 if bits is np.random.MT19937 else 8
    raw = bits(3).random_raw(6)
    expected = b"".join(int(number).to_bytes(width, "little") for number in raw)
    got = ising._random_bytes((3, 5), np.random.Generator(bits(3)))
    assert got.shape == (3, 5)
    assert got.tobytes() == expected[:15]
    many = ising._random_bytes((256_000,), np.random.Generator(bits(4)))
    assert stats.chisquare(np.bincount(many, minlength=256)).pvalue > 1e-4


def test_metropolis_without_field_can_lock_a_small_checkerboard():
    def groups(**settings):
        model = IsingModel((2, 2), temperature=2.3, **settings)
        return connected_components(sweep_matrix(model) > 0, connection="strong")[0]

    assert groups(dynamics="metropolis") == 3
    assert groups(dynamics="metropolis", field=0.1) == 1
    assert groups(dynamics="metropolis", order="random") == 1
    assert groups() == 1
    # Diagonal stripes are the trap on larger lattices: every flip costs nothing, for ever.
    stripes = np.where(np.add.outer(np.arange(8), np.arange(8)) // 2 % 2, 1, -1)[None]
    model = IsingModel((8, 8), dynamics="metropolis", random_state=0)
    for _ in range(10):
        assert (model.flip_probabilities(stripes) == 1).all()
        stripes = model.sweep(stripes)


def test_metropolis_at_infinite_temperature_flips_every_spin():
    for order in ("checkerboard", "random"):
        model = IsingModel((4, 4), beta=0, dynamics="metropolis", order=order, random_state=0)
        states = model.start(3)
        assert_array_equal(model.sweep(states), -states)
    assert model.temperature == np.inf


# --- sampling --------------------------------------------------------------------------------------


def deviations(model, run):
    """Compare energy, |m| and m of a run with enumeration, in standard errors."""
    n = model.n_sites
    pairs = [
        (run.energy, expectation(model, model.energy) / n),
        (abs(run.magnetization), expectation(model, lambda s: abs(model.magnetization(s)))),
        (run.magnetization, expectation(model, model.magnetization)),
    ]
    results = [(mean_and_error(series), exact) for series, exact in pairs]
    return [(result.mean - exact) / result.error for result, exact in results]


LATTICES = [
    dict(shape=(2, 2)),
    dict(shape=(4, 4)),
    dict(shape=(2, 6)),
    dict(shape=(3, 3), order="random"),
    dict(shape=(4, 4), order="random"),
    dict(shape=(4, 4), periodic=False),
    dict(shape=(3, 5), periodic=False),
    dict(shape=(3, 4), periodic=False),
    dict(shape=(3, 3), periodic=False, order="random"),
    dict(shape=(1, 7), periodic=False),
]


@pytest.mark.parametrize("energies", [(1.0, 0.0), (0.8, 0.25), (-0.8, 0.25)])
@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("lattice", LATTICES)
def test_averages_agree_with_enumeration(lattice, dynamics, energies):
    if lattice == dict(shape=(2, 2)) and dynamics == "metropolis" and energies[1] == 0:
        pytest.skip("locked: see test_metropolis_without_field_can_lock_a_small_checkerboard")
    coupling, field = energies
    model = IsingModel(
        **lattice,
        temperature=2.5,
        coupling=coupling,
        field=field,
        dynamics=dynamics,
        random_state=1,
    )
    # In random order, samples are updated in the same order: a little less than independent.
    n_sweeps, n_chains = (800, 50) if model.order == "checkerboard" else (800, 10)
    run = model.measure(n_sweeps, n_chains=n_chains, burn_in=50)
    assert np.abs(deviations(model, run)).max() <= 4


@pytest.mark.parametrize("temperature", [1.5, 2.0, 2.5])
def test_a_large_lattice_agrees_with_onsager(temperature):
    model = IsingModel((64, 64), temperature=temperature, random_state=1)
    run = model.measure(3000, n_chains=8, burn_in=500, start="up")
    energy, magnetization = mean_and_error(run.energy), mean_and_error(run.magnetization)
    assert abs(energy.mean - onsager_energy(temperature)) <= 4 * energy.error
    assert abs(magnetization.mean - onsager_magnetization(temperature)) <= 4 * magnetization.error
    # The bars are narrow enough to tell from other formulas.
    assert energy.error < 0.005 and magnetization.error < 0.02
    if temperature > T_CRITICAL:
        # |m| of a finite lattice is not 0 but of the order of 1 / side.
        assert 0 < abs(run.magnetization).mean() < 0.2


def test_the_autocorrelation_time_is_that_of_the_transition_matrix():
    model = IsingModel((2, 4), temperature=2.5, random_state=1)
    p, matrix = boltzmann(model), sweep_matrix(model)
    run = model.measure(5000, n_chains=16, start="random")
    for values, series in (
        (model.energy(lattice_states(model)), run.energy),
        (model.magnetization(lattice_states(model)), run.magnetization),
    ):
        x = values - p @ values
        # sum_{t >= 1} T^t x = T (1 - T)^-1 x for x of mean zero.
        later = matrix @ np.linalg.solve(np.eye(len(p)) - matrix + p, x)
        tau = 0.5 + p @ (x * later) / (p @ x**2)
        precision = np.sqrt(2 * (12 * max(tau, 0.5) + 1) / series.size)
        assert_allclose(autocorrelation_time(series), tau, rtol=4 * precision + np.exp(-6))


# --- the interface of sampling ---------------------------------------------------------------------


@pytest.mark.parametrize("order", ["checkerboard", "random"])
@pytest.mark.parametrize("settings", [dict(shape=(4, 6)), dict(shape=(3, 5), periodic=False)])
def test_sweep_sample_and_measure_walk_the_same_path(settings, order):
    def model():
        return IsingModel(**settings, field=0.2, coupling=-0.9, order=order, random_state=7)

    samples = model().sample(5, n_chains=3, burn_in=4, thin=2, start="down")
    assert samples.shape == (5, 3, *settings["shape"])
    assert samples.dtype == np.int8
    walker = model()
    states = walker.sweep(walker.start(3, "down"), 4)
    for sample in samples:
        states = walker.sweep(states, 2)
        assert_array_equal(sample, states)

    every = model().sample(6, n_chains=3, burn_in=4, start="down")
    run = model().measure(6, n_chains=3, burn_in=4, start="down")
    assert run.energy.shape == run.magnetization.shape == (6, 3)
    n = walker.n_sites
    assert_allclose(run.energy, [walker.energy(states) / n for states in every], atol=1e-14)
    assert_allclose(run.magnetization, [walker.magnetization(states) for states in every])


def test_a_run_can_start_anywhere():
    model = IsingModel((4, 4), temperature=1e-3, random_state=0)
    starts = np.stack([np.ones((4, 4)), -np.ones((4, 4))])
    samples = model.sample(3, n_chains=2, burn_in=0, start=starts)
    assert_array_equal(samples, np.broadcast_to(starts, (3, 2, 4, 4)))
    run = model.measure(3, n_chains=2, burn_in=0, start=starts)
    assert_array_equal(run.magnetization, [[1, -1]] * 3)
    assert_array_equal(run.energy, -2)


def test_start_states():
    model = IsingModel((100, 100), random_state=0)
    assert (model.start(2, "up") == 1).all() and (model.start(2, "down") == -1).all()
    states = model.start(4)
    assert states.shape == (4, 100, 100) and states.dtype == np.int8
    assert_array_equal(np.unique(states), [-1, 1])
    assert np.abs(states.mean(axis=(1, 2))).max() <= 4 / 100
    assert (states[0] != states[1]).any()


@pytest.mark.parametrize("order", ["checkerboard", "random"])
@pytest.mark.parametrize("dtype", [np.int8, int, float, np.float32])
def test_states_of_any_type_are_welcome_and_stay_as_they_are(dtype, order):
    states = IsingModel((4, 4), random_state=0).start(3).astype(dtype)
    before = states.copy()
    model = IsingModel((4, 4), order=order, random_state=1)
    after = model.sweep(states, 3)
    assert_array_equal(states, before)
    assert after.dtype == np.int8 and after.shape == states.shape and (after != states).any()
    assert_array_equal(model.sweep(after, 0), after)
    same = IsingModel((4, 4), order=order, random_state=1).sweep(before.astype(np.int8), 3)
    assert_array_equal(after, same)


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    state = np.random.get_state()[1].copy()
    runs = [
        IsingModel((8, 8), random_state=s).sample(3) for s in (5, 5, np.random.default_rng(5), 6)
    ]
    assert_array_equal(runs[0], runs[1])
    assert_array_equal(runs[0], runs[2])
    assert (runs[0] != runs[3]).any()
    assert (np.random.get_state()[1] == state).all()


def test_samples_are_independent_of_each_other_and_of_their_number():
    # Chains at infinite temperature are fair coins.
    model = IsingModel((2, 2), beta=0, random_state=2)
    samples = model.sample(1, n_chains=20_000, burn_in=0)[0].reshape(-1, 4)
    assert np.abs(samples.mean(axis=0)).max() <= 4 / np.sqrt(20_000)
    products = (samples[:-1] * samples[1:]).mean(axis=0)
    assert np.abs(products).max() <= 4 / np.sqrt(20_000)


def test_the_temperature_may_be_changed_on_the_way():
    model = IsingModel((16, 16), temperature=1.0, random_state=0)
    states = model.sweep(model.start(kind="up"), 50)
    assert model.magnetization(states) > 0.95
    model.beta = 1 / 10
    assert model.temperature == 10
    assert abs(model.magnetization(model.sweep(states, 50))) < 0.5


def test_what_a_model_says_of_itself():
    model = IsingModel((4, 6), periodic=False)
    assert model.temperature == pytest.approx(T_CRITICAL) and model.n_sites == 24
    assert repr(model) == (
        "IsingModel((4, 6), temperature=2.26919, coupling=1, field=0, periodic=False, "
        "dynamics='glauber', order='checkerboard')"
    )
    assert IsingModel(beta=0.5).temperature == 2
    assert IsingModel(temperature=2.0).beta == 0.5
    assert IsingModel().shape == (64, 64)


# --- exact solutions -------------------------------------------------------------------------------


def test_tabulated_values_of_the_infinite_lattice():
    temperature = [1.0, 1.5, 2.0, 2.1, 2.2, 2.25, 2.3, 2.5, 3.0, 4.0]
    energy = [
        *(-1.997160, -1.951117, -1.745565, -1.662082, -1.546489),
        *(-1.463103, -1.342866, -1.106079, -0.817310, -0.557272),
    ]
    magnetization = [0.999276, 0.986500, 0.911319, 0.868748, 0.784755, 0.671854, 0, 0, 0, 0]
    digits = dict(rtol=0, atol=0.5000001e-6)
    assert_allclose(onsager_energy(temperature), energy, **digits)
    assert_allclose(onsager_magnetization(temperature), magnetization, **digits)


def test_the_critical_point():
    assert_allclose(np.sinh(2 / T_CRITICAL), 1, rtol=1e-15)
    assert_allclose(T_CRITICAL, 2.269185314, rtol=0, atol=0.5e-9)
    assert_allclose(onsager_energy(T_CRITICAL), -np.sqrt(2), rtol=1e-14)
    # Through the point where the elliptic integral diverges; so near to it the slope is 16.
    near = T_CRITICAL + np.arange(-50, 51) * np.spacing(T_CRITICAL)
    assert_allclose(
        onsager_energy(near), -np.sqrt(2), atol=20 * 50 * np.spacing(T_CRITICAL), rtol=0
    )
    x = 2 * np.tanh(2 / near) ** 2 - 1
    assert x.min() < 0 < x.max() and np.abs(x).min() < 1e-15
    # The slope diverges, as slowly as log(1 / d) at the distance d.
    d = np.array([1e-4, 1e-6, 1e-8])
    slope = (onsager_energy(T_CRITICAL + d) - onsager_energy(T_CRITICAL - d)) / (2 * d)
    jump = (
        8 / np.pi / T_CRITICAL**2 * np.log(100)
    )  # from C = (2 / pi) (2 / T_c)^2 log(1 / d) + const
    assert_allclose(np.diff(slope), jump, rtol=1e-3)
    assert onsager_magnetization(T_CRITICAL * (1 + 1e-9)) == 0
    below = onsager_magnetization(T_CRITICAL * (1 - d))
    assert_allclose(np.diff(np.log(below)) / np.log(0.01), 1 / 8, rtol=1e-3)  # the exponent beta


@pytest.mark.parametrize("temperature", [1.2, 1.8, 2.8, 4.0, 30.0])
def test_the_energy_is_the_derivative_of_onsagers_free_energy(temperature):
    # -beta f = log 2 + (1 / 2) mean of log[c^2 - s (cos a + cos b)] over angles a and b, with
    # c = cosh(2 beta) and s = sinh(2 beta). Equally spaced angles integrate it to all digits.
    beta = 1 / temperature
    c, s = np.cosh(2 * beta), np.sinh(2 * beta)
    cosine = np.cos((np.arange(1000) + 0.5) * 2 * np.pi / 1000)
    cosines = cosine[:, None] + cosine
    derivative = (4 * c * s - 2 * c * cosines) / (c**2 - s * cosines)
    assert_allclose(onsager_energy(temperature), -0.5 * derivative.mean(), rtol=1e-10)


def test_limits_of_the_infinite_lattice():
    assert_allclose(onsager_energy([1e-300, 1e-3, 0.1]), -2, rtol=1e-15)
    assert_array_equal(onsager_magnetization([1e-300, 1e-3]), 1)
    hot = np.array([1e2, 1e3, 1e4])
    # Each of the two bonds of a site: -tanh(beta), plus 2 tanh(beta)^3 for the squares beside it.
    t = np.tanh(1 / hot)
    assert_allclose(onsager_energy(hot), -2 * (t + 2 * t**3), rtol=1e-7)
    assert_array_equal(onsager_magnetization(hot), 0)
    assert onsager_energy(2.0).shape == () and onsager_energy(np.ones((2, 3))).shape == (2, 3)


# --- the spin glass --------------------------------------------------------------------------------


def test_couplings_of_the_spin_glass():
    weights = sherrington_kirkpatrick(300, 1)
    assert_array_equal(weights, weights.T)
    assert not np.diag(weights).any()
    scaled = np.sqrt(300) * weights[np.triu_indices(300, k=1)]
    n = len(scaled)
    assert abs(scaled.mean()) <= 4 / np.sqrt(n)
    assert abs((scaled**2).mean() - 1) <= 4 * np.sqrt(2 / n)
    assert stats.kstest(scaled, "norm").pvalue > 1e-4
    assert_array_equal(weights, sherrington_kirkpatrick(300, np.random.default_rng(1)))
    assert (weights != sherrington_kirkpatrick(300, 2)).any()


# --- errors ----------------------------------------------------------------------------------------

MODEL = IsingModel((4, 6))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: IsingModel((5, 4)),
            r"shape: a periodic checkerboard needs an even side; use order='random' or "
            r"periodic=False for a side that is odd, got \(5, 4\)",
        ),
        (lambda: IsingModel((4, 3)), "needs an even side"),
        (lambda: IsingModel((1, 4)), "each side of shape must be an int of at least 2"),
        (lambda: IsingModel((0, 4), periodic=False), "each side of shape must be .* at least 1"),
        (lambda: IsingModel((4.0, 4)), "each side of shape must be an int"),
        (lambda: IsingModel(64), r"shape must be a pair \(rows, cols\), got 64"),
        (lambda: IsingModel((4, 4, 4)), "shape must be a pair"),
        (lambda: IsingModel(beta=1.0, temperature=1.0), "give beta or temperature, not both"),
        (lambda: IsingModel(beta=-0.1), "beta must be a number in"),
        (lambda: IsingModel(beta=np.inf), "beta must be a number in"),
        (lambda: IsingModel(temperature=-2.0), "temperature must be a number in"),
        (lambda: IsingModel(temperature=0), "temperature must be a number in"),
        (lambda: IsingModel(temperature=np.nan), "temperature must be a number in"),
        (lambda: IsingModel(coupling=np.nan), "coupling must be a number"),
        (lambda: IsingModel(field="up"), "field must be a number"),
        (lambda: IsingModel(dynamics="kawasaki"), 'dynamics must be "glauber" or "metropolis"'),
        (lambda: IsingModel(order="typewriter"), 'order must be "checkerboard" or "random"'),
        (lambda: IsingModel(random_state=-1), "random_state must be"),
        (lambda: MODEL.start(0), "n_samples must be an int of at least 1"),
        (lambda: MODEL.start(kind="left"), 'kind must be "random" or "up" or "down"'),
        (lambda: MODEL.energy(np.ones((4, 6))), r"states must have shape \(n_samples, 4, 6\)"),
        (lambda: MODEL.energy(np.ones((1, 6, 4))), r"got \(1, 6, 4\)"),
        (lambda: MODEL.energy(np.ones((0, 4, 6))), "states must hold at least one sample"),
        (lambda: MODEL.sweep(np.zeros((1, 4, 6))), r"states must hold only the spins \+1 and -1"),
        (lambda: MODEL.magnetization(np.full((1, 4, 6), np.nan)), "only the spins"),
        (lambda: MODEL.flip_probabilities(np.full((1, 4, 6), "a")), "only the spins"),
        (lambda: MODEL.sweep(MODEL.start(), -1), "n_sweeps must be an int of at least 0"),
        (lambda: MODEL.sample(0), "n_samples must be an int of at least 1"),
        (lambda: MODEL.sample(1, thin=0), "thin must be an int of at least 1"),
        (lambda: MODEL.sample(1, n_chains=0), "n_chains must be an int of at least 1"),
        (lambda: MODEL.sample(1, burn_in=-1), "burn_in must be an int of at least 0"),
        (lambda: MODEL.sample(1, start="sideways"), "kind must be"),
        (lambda: MODEL.sample(1, start=np.ones((2, 4, 6))), "one state for each of 1 chains"),
        (lambda: MODEL.sample(1, start=np.ones((4, 6))), "start must have shape"),
        (lambda: MODEL.measure(0), "n_sweeps must be an int of at least 1"),
        (lambda: MODEL.measure(1, start=np.zeros((1, 4, 6))), "start must hold only the spins"),
        (lambda: onsager_energy(0.0), "temperature must be above 0"),
        (lambda: onsager_energy([1.0, np.inf]), "temperature must be finite"),
        (lambda: onsager_magnetization([1.0, -1.0]), "temperature must be above 0, .* from -1"),
        (lambda: sherrington_kirkpatrick(1), "n_units must be an int of at least 2"),
        (lambda: sherrington_kirkpatrick(4, "seed"), "random_state must be"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
