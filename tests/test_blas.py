"""Products that are added in place, and training in one thread."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from threadpoolctl import threadpool_info, threadpool_limits

from hmlib._blas import add_product, one_thread
from hmlib.deep import DeepBoltzmannMachine
from hmlib.helmholtz import HelmholtzMachine
from hmlib.rbm import RestrictedBoltzmannMachine

BITS = (np.random.default_rng(0).random((20, 6)) < 0.5).astype(float)


def n_threads():
    """Threads of all BLAS libraries of this process."""
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("n", [1, 5])
def test_a_product_is_added(dtype, rtol, order, n):
    rng = np.random.default_rng(n)
    total = np.asarray(rng.standard_normal((4, 3)), dtype, order)
    x, y = rng.random((n, 4)).astype(dtype), rng.random((n, 3)).astype(dtype)
    expected = total - 0.5 * (x.T @ y)
    result = add_product(total, x, y, -0.5)
    assert result.dtype == dtype
    assert_allclose(result, expected, rtol=rtol, atol=rtol)
    assert np.shares_memory(result, total) == (order == "C")


def test_rows_need_not_be_contiguous():
    x = np.arange(24.0).reshape(4, 6)[:, ::2]
    assert_allclose(add_product(np.zeros((3, 3)), x, x), x.T @ x)


class Watched(HelmholtzMachine):
    def _learn(self, d):
        self.threads_ = n_threads()
        super()._learn(d)


def test_machines_learn_in_one_thread_and_leave_the_others_as_they_were():
    with threadpool_limits(2, user_api="blas"):
        before = n_threads()
        assert Watched((3,), n_epochs=1).fit(BITS).threads_ == {1}
        assert n_threads() == before


def test_an_error_gives_the_threads_back():
    @one_thread
    def fail():
        raise ArithmeticError

    with threadpool_limits(2, user_api="blas"):
        before = n_threads()
        with pytest.raises(ArithmeticError):
            fail()
        assert n_threads() == before


def test_chains_run_in_one_thread(monkeypatch):
    seen, rbm = [], RestrictedBoltzmannMachine(3, n_epochs=1).fit(BITS)
    deep = DeepBoltzmannMachine((3, 2), n_epochs=1).fit(BITS)
    for machine in (rbm, deep):
        original = machine._gibbs
        monkeypatch.setattr(
            machine, "_gibbs", lambda *a, f=original: seen.append(n_threads()) or f(*a)
        )
    with threadpool_limits(2, user_api="blas"):
        rbm.sample(2, n_steps=3)
        rbm.gibbs(BITS)
        deep.sample(2, n_steps=3)
    assert seen == [{1}] * 3
