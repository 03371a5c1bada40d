"""What experiments that train a machine have in common: resuming, learning curves, annealing, tables."""

import pickle

import numpy as np

from hmlib.likelihood import annealed_importance_sampling

__all__ = [
    "anneal_both_ways",
    "base_log_likelihood",
    "both_ways",
    "curve_of",
    "keep",
    "lower_way",
    "mean_row",
    "resume",
    "train",
]


def keep(checkpoint, *state):
    """Save a state: objects that share a generator share it again when they come back."""
    if checkpoint:
        checkpoint.save(state=np.frombuffer(pickle.dumps(state), np.uint8))


def resume(checkpoint):
    """Return the state that was kept, a tuple, or None."""
    saved = checkpoint and checkpoint.load()
    return pickle.loads(saved["state"].tobytes()) if saved else None


def train(machine, X, checkpoint, *, every, look, columns):
    """Train a machine for its ``n_epochs``, from where the checkpoint stands; keep it every epoch.

    Parameters
    ----------
    machine : estimator with ``partial_fit``, ``n_epochs`` and ``n_iter_``
        As it is before training; not used if a later state was kept.
    X : ndarray
        Data.
    checkpoint : Checkpoint or None
        Where to keep the machine and its curve.
    every : int
        Epochs from one look to the next.
    look : callable
        ``look(machine)`` returns a tuple of numbers, one point of the learning curve.
    columns : sequence of str
        What these numbers are.

    Returns
    -------
    machine : estimator
        The machine, trained.
    curve : dict of str to list
        ``"curve_epochs"``, and ``"curve_" + column`` for each of the columns.
    """
    machine, points = resume(checkpoint) or (machine, [])
    for epoch in range(getattr(machine, "n_iter_", 0) + 1, machine.n_epochs + 1):
        machine.partial_fit(X)
        if epoch % every == 0:
            points.append([epoch, *look(machine)])
        keep(checkpoint, machine, points)
    return machine, curve_of(points, columns)


def curve_of(points, columns):
    """Turn the points of a learning curve, each with its epoch first, into named lists."""
    return {
        f"curve_{name}": [point[k] for point in points]
        for k, name in enumerate(("epochs", *columns))
    }


def anneal_both_ways(machine, start, *, n_chains, betas, rng):
    """Estimate log Z on the way from the base to a machine, and on the way back.

    Parameters
    ----------
    machine : object with a method ``annealing_path``
        See :func:`hmlib.likelihood.annealed_importance_sampling`.
    start : callable
        ``start()`` returns states of the machine, one for each chain, from which to go back. It is
        called when the way there is done.
    n_chains, betas : int
        Chains and inverse temperatures of each way.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    dict of str to float
        The two estimates, ``"log_partition"`` and ``"log_partition_reverse"``, with their standard
        errors and effective sample sizes.
    """
    common = {"n_chains": n_chains, "betas": betas, "random_state": rng}
    forward = annealed_importance_sampling(machine, **common)
    reverse = annealed_importance_sampling(machine, reverse=True, start=start(), **common)
    return {
        "log_partition": forward.log_partition,
        "log_partition_reverse": reverse.log_partition,
        "error_log_partition": forward.standard_error,
        "error_reverse": reverse.standard_error,
        "effective_sample_size": forward.effective_sample_size,
        "effective_sample_size_reverse": reverse.effective_sample_size,
    }


def lower_way(record, prefix=""):
    """Return the smaller log-likelihood of a run that was annealed in both directions."""
    return min(record[prefix + "log_likelihood"], record[prefix + "log_likelihood_reverse"])


def both_ways(record, prefix=""):
    """Write the two log-likelihoods of a run as part of a line.

    Parameters
    ----------
    record : dict
        A run that was annealed in both directions.
    prefix : str
        What stands before the names of its metrics, such as ``"up_down_"``.

    Returns
    -------
    str
        Forward and backward value, each with the error of log Z and, in brackets, the effective
        sample size. The columns fit values of up to three digits before the point.
    """
    columns = (
        ("log_likelihood", "error_log_partition", "effective_sample_size"),
        ("log_likelihood_reverse", "error_reverse", "effective_sample_size_reverse"),
    )
    values = ([record[prefix + name] for name in names] for names in columns)
    return "  ".join(f"{y:7.2f} ± {error:.2f} ({chains:3.0f})" for y, error, chains in values)


def base_log_likelihood(base_bias, X):
    """Compute the mean log-likelihood of independent units with these biases, where learning began."""
    b = base_bias.astype(float)
    return (X.astype(float) @ b).mean() - np.logaddexp(0, b).sum()


def mean_row(records, quantities, spread):
    """Average over repetitions: the columns of a table.

    Parameters
    ----------
    records : list of dict
        The repetitions.
    quantities : dict of str to str
        Titles of columns, and the metrics that they average.
    spread : str
        The metric whose standard deviation over repetitions is told, where there are some.

    Returns
    -------
    dict of str to float
        The means, ``"std. seeds"`` and ``"runs"``.
    """
    values = [record[spread] for record in records]
    means = {
        title: float(np.mean([record[name] for record in records]))
        for title, name in quantities.items()
    }
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {**means, "std. seeds": std, "runs": len(values)}
