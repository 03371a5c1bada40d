"""Provenance: where a number's randomness comes from, and on what it was computed."""

import hashlib
import json
import os
import platform
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

__all__ = ["generator", "machine_description"]


def generator(**key):
    """Make the generator that belongs to a key, the same wherever and whenever it is made.

    Runs with different keys get independent streams, so what a run draws depends neither on the
    order nor on the number of processes. Two runs that share a part of their key can share what
    they draw from it: ``generator(n_units=250, seed=3)`` gives every rule the same patterns.

    Parameters
    ----------
    **key : str, int, float, bool or None
        For instance a run: ``generator(**run)``.

    Returns
    -------
    numpy.random.Generator
        Seeded by the SHA-256 of the key through :class:`numpy.random.SeedSequence`.
    """
    text = json.dumps(key, sort_keys=True, allow_nan=False)
    words = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype="<u4")
    return np.random.default_rng(np.random.SeedSequence(words.tolist()))


def machine_description():
    """Describe what a time or a rounding error can depend on: processor, threads, versions.

    Returns
    -------
    dict
        ``processor`` (model), ``cores`` (that this process may use), ``threads`` (of the matrix
        products of NumPy), ``system``, ``python``, ``numpy`` and ``blas`` (versions). No host names
        and no paths: the description is published with the results.
    """
    blas = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    blas.sort(key=lambda lib: "numpy" not in lib["filepath"])  # SciPy may bring another one
    return {
        "processor": _processor(),
        "cores": _cores(),
        "threads": blas[0]["num_threads"] if blas else 1,
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas[0]['internal_api']} {blas[0]['version']}" if blas else "unknown",
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cores():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux knows which cores a process may use
        return os.cpu_count() or 1
