"""Steps of wake-sleep, reweighted wake-sleep and CD-1, next to their matrix products and to PyTorch.

A wake-sleep step cannot do without six products for each pair of neighbouring layers: sample up,
predict down, update; sample down, predict up, update. These products alone are *the floor*: same
shapes, same type, same threads, arrays made beforehand, each by the quickest of several BLAS calls. What
a step takes above 1 floor is random numbers, sigmoids, and Python.

PyTorch does the same updates on the same shapes, as :mod:`peers` writes them, as it is and through its
compiler, in one thread and in two. Ours has one always, because that is how its machines are trained.

Then a step is taken apart: its time without exponentials and without random numbers, and with each
optimisation undone.
"""

import itertools
import time
from dataclasses import dataclass, replace
from functools import partial
from unittest.mock import patch

import numpy as np
from harness import compare, record, seconds_per_call
from scipy.linalg.blas import sgemm
from scipy.special import expit
from threadpoolctl import threadpool_limits

from hmlib import layers
from hmlib.helmholtz import HelmholtzMachine
from hmlib.rbm import RestrictedBoltzmannMachine
from hmlib.wake_sleep import ReweightedWakeSleep, WakeSleep

SIZES = [(784, 400, 100), (784, 484, 225, 64), (784, 625, 484, 289, 196, 100, 16)]
BATCHES = (20, 50, 100, 500)
RATE = 0.05
N_EXPLANATIONS = 5  # of reweighted wake-sleep
RBM_SIZES = (784, 500)


@dataclass(frozen=True)
class Problem:
    """What is timed: a rule, a machine's layers from the data up, a batch, and the peer's threads."""

    rule: str
    sizes: tuple
    batch_size: int
    n_threads: int = 1

    def __str__(self):
        units, threads = "-".join(map(str, self.sizes)), ", 2 threads" * (self.n_threads == 2)
        return f"{self.rule} step, {units}, batch {self.batch_size}{threads}"


def batch(problem):
    """Draw the bits that are learnt from: about as many are on as in a handwritten digit."""
    shape = problem.batch_size, problem.sizes[0]
    return (np.random.default_rng(0).random(shape) < 0.15).astype(np.float32)


def model(problem, d):
    """Make a machine of ours, and a function that lets it take one step on ``d``."""
    rng = np.random.default_rng(1)
    if problem.rule == "CD-1":
        settings = {"method": "cd", "n_steps": 1, "learning_rate": RATE, "batch_size": len(d)}
        rbm = RestrictedBoltzmannMachine(
            problem.sizes[1], n_epochs=0, binarize="none", random_state=2, **settings
        ).fit(d)
        return rbm, lambda: rbm._learn(d)
    rules = {"wake-sleep": WakeSleep(RATE), "RWS": ReweightedWakeSleep(N_EXPLANATIONS, RATE)}
    machine = HelmholtzMachine(problem.sizes[1:], n_epochs=0, random_state=2).fit(d)
    return machine, lambda: rules[problem.rule].step(machine, d, rng)


def floor(problem):
    """Make a function that computes a wake-sleep step's products and nothing else."""
    pairs = zip(problem.sizes, problem.sizes[1:])
    products = [p for n_in, n_out in pairs for p in _products(problem.batch_size, n_in, n_out)]

    def run():
        for product in products:
            product()

    return run


def _products(n, n_below, n_above):
    """List the six products of a pair: twice each of up, down, and one update for either network."""
    rng = np.random.default_rng(n)
    below, above = ((rng.random((n, size)) < 0.5).astype(np.float32) for size in (n_below, n_above))
    up, down = _quickest(_forward(below, n_above)), _quickest(_forward(above, n_below))
    learn_down, learn_up = _quickest(_update(above, below)), _quickest(_update(below, above))
    return [up, down, learn_down, down, up, learn_up]


def _forward(x, n_out):
    """List ways to compute x W, by how the two are stored."""
    n, n_in = x.shape
    W, out = np.zeros((n_in, n_out), np.float32), np.empty((n, n_out), np.float32)
    return [
        partial(np.matmul, np.asarray(x, order=a), np.asarray(W, order=b), out)
        for a, b in itertools.product("CF", repeat=2)
    ]


def _update(x, error):
    """List ways to add x^T error to W in place, by how W is stored."""
    shape = x.shape[1], error.shape[1]
    by_rows, by_columns = (np.zeros(shape, np.float32, order) for order in "CF")
    in_place = {"beta": 1, "trans_b": True, "overwrite_c": True}
    return [
        lambda: sgemm(1, error.T, x.T, c=by_rows.T, **in_place),
        lambda: sgemm(1, x.T, error.T, c=by_columns, **in_place),
    ]


def _quickest(calls, n_calls=20):
    """Return the call that took the shortest time in one of several trials."""
    return min(calls, key=lambda call: min(seconds_per_call(call) for _ in range(n_calls)))


def problems():
    """List what is compared with PyTorch: everything at one size, the deeper ones at one batch."""
    narrow = SIZES[0]
    for n_threads in (1, 2):
        for batch_size in BATCHES:
            yield Problem("wake-sleep", narrow, batch_size, n_threads)
            yield Problem("RWS", narrow, batch_size, n_threads)
            yield Problem("CD-1", RBM_SIZES, batch_size, n_threads)
        for sizes in SIZES[1:]:
            yield Problem("wake-sleep", sizes, 100, n_threads)


def measure(problem, repeats=5, peers=None):
    """Time our step, the floor where there is one, and the peers."""
    with threadpool_limits(1):
        calls = {"hmlib": model(problem, batch(problem))[1]}
        if problem.rule == "wake-sleep":
            calls["floor"] = floor(problem)
        if peers is not None:
            calls |= peers(problem, batch(problem))
        baseline = "floor" if peers is None else "hmlib"
        return compare(calls, baseline=baseline, repeats=repeats, min_seconds=0.1)


def naive_add_product(total, x, y, scale=1.0):
    total += scale * (x.T @ y)
    return total


def naive_bernoulli(p, rng):
    return (rng.random(p.shape) < p).astype(p.dtype)


def new_bernoulli(p, rng):
    return (rng.random(p.shape, dtype=p.dtype) < p).astype(p.dtype)


# What a step would be like otherwise: functions of hmlib.layers that others stand in for.
UNDONE = {
    "no exponentials": {"_sigmoid": lambda u: u},
    "no random numbers": {"_bernoulli": lambda p, rng: (p > 0.5).astype(p.dtype)},
    "products stored, then added": {"add_product": naive_add_product},
    "SciPy's expit": {"_sigmoid": expit},
    "uniform numbers of 64 bits": {"_bernoulli": naive_bernoulli},
    "new arrays": {"_bernoulli": new_bernoulli, "_error": lambda y, p: y - p},
}


def taken_apart(problem, repeats=7):
    """Time a step as it is, with parts of it replaced, in float64, in two threads, and the floor.

    The weights stay near their start, so that it makes no difference to the others what is left out.
    """
    rule, rng, d = WakeSleep(1e-9), np.random.default_rng(1), batch(problem)

    def step(d):
        machine = HelmholtzMachine(problem.sizes[1:], n_epochs=0, random_state=2).fit(d)
        return lambda: rule.step(machine, d, rng)

    timing = {"baseline": "hmlib", "repeats": repeats, "min_seconds": 0.1}
    with threadpool_limits(1):
        calls = {"hmlib": step(d), "floor": floor(problem), "float64": step(d.astype(np.float64))}
        calls |= {name: _with(changes, step(d)) for name, changes in UNDONE.items()}
        timed = compare(calls, **timing)
    with threadpool_limits(2, user_api="blas"):  # last: these threads go on waiting for a while
        in_two = compare({"hmlib": step(d)}, **timing)
    return replace(timed, seconds=timed.seconds | {"two threads": in_two.seconds["hmlib"]})


def _with(changes, call):
    """Make a call during which functions of hmlib.layers are others."""
    originals = {name: getattr(layers, name) for name in changes}

    def changed():
        vars(layers).update(changes)
        try:
            call()
        finally:
            vars(layers).update(originals)

    return changed


def main(path=None):
    import peers  # PyTorch is needed for the comparison only
    import torch

    for sizes, batch_size in itertools.product(SIZES, BATCHES):
        problem = Problem("wake-sleep", sizes, batch_size)
        record(f"floor: {problem}", measure(problem, repeats=7), path=path, **context(problem))
    for sizes, batch_size in [*itertools.product(SIZES[:1], BATCHES), (SIZES[-1], 500)]:
        problem = Problem("wake-sleep", sizes, batch_size)
        record(f"apart: {problem}", taken_apart(problem), path=path, **context(problem))
        time.sleep(3)  # until threads that are no longer needed have given up
    for problem in problems():
        assert_same_updates(problem)
        timed = measure(problem, peers=peers.steps)
        record(
            str(problem), timed, path=path, peer=f"torch {torch.__version__}", **context(problem)
        )


def assert_same_updates(problem):
    """Make sure that PyTorch learns what we learn, if every unit takes its likelier state."""
    import peers
    import torch

    def likelier(p, rng=None):
        return (p > 0.5).astype(p.dtype)

    d = batch(problem)
    with (
        patch("hmlib.layers._bernoulli", likelier),
        patch("hmlib.rbm._bernoulli", likelier),
        patch("peers.draw", lambda p: (p > 0.5).to(p.dtype)),
        torch.no_grad(),
    ):
        peer = peers.make(problem.sizes)
        machine, take_step = model(problem, d)
        ours = parameters(machine)
        theirs = peers.parameters(problem, peer)
        for mine, other in zip(ours, theirs, strict=True):
            mine[...] = other.numpy()
        take_step()
        peers.RULES[problem.rule](peer, torch.from_numpy(d))
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other.numpy(), atol=1e-5)


def parameters(machine):
    """List the arrays that a machine learns."""
    if isinstance(machine, RestrictedBoltzmannMachine):
        return machine._parameters()
    layers = [*machine.generative_, *machine.recognition_]
    return [p for layer in layers for p in (layer.weights, layer.bias)] + [machine.prior_bias_]


def context(problem):
    """Tell what the times depend on."""
    return {"sizes": list(problem.sizes), "batch_size": problem.batch_size, "dtype": "float32"}


if __name__ == "__main__":
    main()
