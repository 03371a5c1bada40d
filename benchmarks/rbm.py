"""Restricted Boltzmann machines trained by PCD-1, next to scikit-learn's BernoulliRBM.

Both get the same bits, hidden units, learning rate, batches and epochs, so they take the same number
of updates; weights, biases and chains each starts in its own way. Timed is the whole fit. An update
of either takes five matrix products (p(h|v) of data and chains, p(v|h) of the chains, and the two
averages): these alone are timed as well, to show what no care with the rest can save.

The log-likelihood of held-out bits is compared too, over several seeds that both share: exactly for
16 hidden units, by annealed importance sampling for more.
"""

from dataclasses import dataclass

import numpy as np
import scipy
import sklearn
from harness import Comparison, compare, record
from scipy.stats import t as student
from sklearn.neural_network import BernoulliRBM

from hmlib.datasets import load
from hmlib.exact import MAX_UNITS
from hmlib.likelihood import annealed_importance_sampling
from hmlib.rbm import RestrictedBoltzmannMachine
from hmlib.units import sample_bernoulli

LEARNING_RATE = 0.05
N_TIMED = 2  # epochs in one timed call
N_BETAS = 1000  # errors of log Z: near 0.01 nats for 64 hidden units, 0.2 for 500


@dataclass(frozen=True)
class Problem:
    """What both libraries train: bits of the 8 x 8 digits, or of the digits enlarged."""

    n_hidden: int
    side: int = 8
    batch_size: int = 20
    n_epochs: int = 20  # before the likelihoods are compared
    n_seeds: int = 10  # that they are compared over


PROBLEMS = [Problem(16), Problem(64), Problem(500, side=28, batch_size=100, n_epochs=100)]


def images(side):
    """Return the digits for training and testing, enlarged without smoothing; grey values."""
    digits, nearest = load("digits"), np.arange(side) * 8 // side
    return [
        x.reshape(-1, 8, 8)[:, nearest][:, :, nearest].reshape(-1, side**2)
        for x in (digits.x_train, digits.x_test)
    ]


def bits(problem, dtype, seed):
    """Draw bits for training, in whole batches only, and for testing."""
    rng = np.random.default_rng(seed)
    train, test = (sample_bernoulli(x, rng).astype(dtype) for x in images(problem.side))
    return train[: len(train) // problem.batch_size * problem.batch_size], test


def machines(problem, n_epochs, seed=0):
    """Make a machine of either library with the same settings."""
    ours = RestrictedBoltzmannMachine(
        problem.n_hidden,
        method="pcd",
        learning_rate=LEARNING_RATE,
        batch_size=problem.batch_size,
        n_epochs=n_epochs,
        binarize="none",
        random_state=seed,
    )
    peer = BernoulliRBM(
        problem.n_hidden,
        learning_rate=LEARNING_RATE,
        batch_size=problem.batch_size,
        n_iter=n_epochs,
        random_state=seed,
    )
    return ours, peer


def wrapped(peer, X):
    """Put the parameters of a trained BernoulliRBM into a machine of ours."""
    machine = RestrictedBoltzmannMachine(peer.n_components, n_epochs=0, binarize="none").fit(X)
    machine.weights_ = np.ascontiguousarray(peer.components_.T)
    machine.visible_bias_, machine.hidden_bias_ = peer.intercept_visible_, peer.intercept_hidden_
    return machine


def log_partition(machine, seed):
    """Return log Z and its error: none where it is exact."""
    if machine.weights_.shape[1] <= MAX_UNITS:
        return machine.log_partition(), 0.0
    result = annealed_importance_sampling(machine, betas=N_BETAS, random_state=seed)
    return result.log_partition, result.standard_error


def log_likelihoods(problem, dtype, seed):
    """Train both on the bits of a seed; return (log-likelihood of the test bits, error) of each."""
    train, test = bits(problem, dtype, seed)
    ours, peer = (machine.fit(train) for machine in machines(problem, problem.n_epochs, seed))
    pairs = []
    for machine in (ours, wrapped(peer, train)):
        log_z, error = log_partition(machine, seed)
        pairs.append((-machine.free_energy(test).mean() - log_z, error))
    return pairs


def quality(problem, dtype):
    """Compare the likelihoods of both, seed by seed; ours must not be worse."""
    results = np.array([log_likelihoods(problem, dtype, seed) for seed in range(problem.n_seeds)])
    values, errors = results[..., 0], results[..., 1]
    difference = values[:, 0] - values[:, 1]
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    half = student.ppf(0.975, len(difference) - 1) * error
    low, high = difference.mean() - half, difference.mean() + half
    assert high > 0, f"hmlib is worse than scikit-learn by {-high:.3g} nats or more"
    numbers = {
        "hmlib": values[:, 0].mean(),
        "scikit-learn": values[:, 1].mean(),
        "difference": difference.mean(),
        "difference_95": [low, high],
        "error_log_partition": errors.mean(axis=0),
    }
    return {
        "log_likelihood": {name: np.round(value, 4).tolist() for name, value in numbers.items()},
        "log_likelihood_seeds": problem.n_seeds,
        "log_likelihood_updates": len(bits(problem, dtype, 0)[0])
        // problem.batch_size
        * problem.n_epochs,
    }


def products(problem, X):
    """Make a function that computes the products of :data:`N_TIMED` epochs and nothing else."""
    rng, n = np.random.default_rng(0), problem.batch_size
    W = rng.standard_normal((X.shape[1], problem.n_hidden)).astype(X.dtype)
    v, h = X[:n], rng.random((n, problem.n_hidden)).astype(X.dtype)

    def run():
        for _ in range(len(X) // n * N_TIMED):
            v @ W, v @ W, h @ W.T, v.T @ h, v.T @ h

    return run


def measure(problem, dtype, repeats=7):
    """Time both, and the products that both need; return seconds per epoch."""
    X = bits(problem, dtype, 0)[0]
    ours, peer = machines(problem, N_TIMED)
    calls = {"hmlib": lambda: ours.fit(X), "scikit-learn": lambda: peer.fit(X)}
    if dtype != np.float64:  # what it takes for itself, unless it is given float32
        X_wide = X.astype(np.float64)
        calls["scikit-learn, float64"] = lambda: peer.fit(X_wide)
    calls["five products"] = products(problem, X)
    timed = compare(calls, baseline="hmlib", repeats=repeats)
    return Comparison({name: s / N_TIMED for name, s in timed.seconds.items()}, "hmlib")


def main(problems=PROBLEMS, path=None):
    for problem in problems:
        n_visible = problem.side**2
        for dtype in (np.float64, np.float32):
            record(
                f"RBM {n_visible}-{problem.n_hidden}, PCD-1, {dtype.__name__}",
                measure(problem, dtype),
                path=path,
                n_visible=n_visible,
                n_hidden=problem.n_hidden,
                batch_size=problem.batch_size,
                n_samples=len(bits(problem, dtype, 0)[0]),
                learning_rate=LEARNING_RATE,
                **quality(problem, dtype),
                peer=f"scikit-learn {sklearn.__version__}",
                numpy=np.__version__,
                scipy=scipy.__version__,
            )


if __name__ == "__main__":
    main()
