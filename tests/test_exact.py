"""Brute-force enumeration: hand-computable values, identities and errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from hmlib import exact

energies = hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(-500, 500))


def test_all_states_counts_in_binary():
    assert_array_equal(exact.all_states(2), [[0, 0], [0, 1], [1, 0], [1, 1]])
    assert_array_equal(exact.all_states(2, spins=True), 2 * exact.all_states(2) - 1)
    assert exact.all_states(0).shape == (1, 0)
    states = exact.all_states(10)
    assert len(np.unique(states, axis=0)) == 1024
    assert_array_equal(states @ 2.0 ** np.arange(9, -1, -1), np.arange(1024))


def test_two_state_system_by_hand():
    assert_allclose(exact.log_partition([0.0, 1.0], beta=2), np.log(1 + np.exp(-2)))
    assert_allclose(exact.distribution([0.0, 1.0], beta=2), [1, np.exp(-2)] / (1 + np.exp(-2)))


@given(energies, st.floats(0, 5))
def test_free_energy_is_mean_energy_minus_temperature_times_entropy(e, beta):
    p = exact.distribution(e, beta=beta)
    assert_allclose(p.sum(), 1, rtol=1e-9)
    assert_allclose(-exact.log_partition(e, beta=beta), beta * p @ e - exact.entropy(p), atol=1e-6)


def test_energies_may_be_stacked():
    e = np.arange(6.0).reshape(2, 3)
    assert exact.log_partition(e).shape == (2,)
    assert_allclose(exact.distribution(e).sum(axis=1), 1)


def test_entropy_and_divergence_by_hand():
    assert_allclose(exact.entropy(np.full(8, 1 / 8)), np.log(8))
    assert exact.entropy([0.0, 1.0]) == 0
    assert_allclose(
        exact.kl_divergence([0.5, 0.5], [0.25, 0.75]), 0.5 * np.log(2) + 0.5 * np.log(2 / 3)
    )
    assert exact.kl_divergence([1.0, 0.0], [1.0, 0.0]) == 0
    assert exact.kl_divergence([0.5, 0.5], [1.0, 0.0]) == np.inf


@given(energies, st.integers(0, 2**32))
def test_divergence_is_not_negative(e, seed):
    p = exact.distribution(e / 100)
    q = exact.distribution(np.random.default_rng(seed).normal(size=len(e)))
    assert exact.kl_divergence(p, q) >= -1e-12


def test_the_second_distribution_may_be_restricted_to_the_support_of_the_first():
    assert_allclose(exact.kl_divergence([0.5, 0.5], [0.3, 0.3]), np.log(0.5 / 0.3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exact.all_states(21), "n_units must be at most 20"),
        (lambda: exact.all_states(-1), "n_units must be an int of at least 0"),
        (lambda: exact.all_states(2.0), "n_units must be an int"),
        (lambda: exact.log_partition([]), "at least one state"),
        (lambda: exact.log_partition([np.nan]), "energies must be finite"),
        (lambda: exact.log_partition([0.0], beta=-1), "beta must be a number"),
        (lambda: exact.entropy([0.5, 0.6]), "p must sum to 1"),
        (lambda: exact.entropy([1.5, -0.5]), "p must lie in"),
        (lambda: exact.kl_divergence([0.5, 0.5], [1.0]), "same states"),
        (lambda: exact.kl_divergence([0.5, 0.5], [0.9, 0.9]), "q must sum to at most 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
