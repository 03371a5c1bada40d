"""The runner: execute the runs of an experiment that have no record yet, here or on a cluster."""

import hashlib
import importlib
import os
import threading
import time
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType

import joblib
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import hmlib
from hmlib.experiments.files import project_folder
from hmlib.experiments.provenance import machine_description
from hmlib.experiments.store import (
    Checkpoint,
    ExperimentError,
    Results,
    load_records,
    results_path,
    rounded,
    run_key,
)

__all__ = ["EXPERIMENTS", "find", "reproduce", "settings_of"]

EXPERIMENTS = {
    "hopfield-capacity": "hmlib.experiments.capacity",
    "rbm-likelihood": "hmlib.experiments.rbm_likelihood",
    "sbn-likelihood": "hmlib.experiments.sbn_likelihood",
    "deep-likelihood": "hmlib.experiments.deep_likelihood",
    "learning-rates": "hmlib.experiments.rates",
    "layer-readout": "hmlib.experiments.readout",
    "wake-sleep-recipes": "hmlib.experiments.recipes",
    "memory": "hmlib.experiments.memory",
    "architectures": "hmlib.experiments.architectures",
    "generated-sets": "hmlib.experiments.generated",
    "pyramid-likelihood": "hmlib.experiments.pyramid_likelihood",
}


def find(name):
    """Import the module of an experiment.

    Raises
    ------
    ExperimentError
        If there is no experiment of that name.
    """
    if name not in EXPERIMENTS:
        known = ", ".join(EXPERIMENTS)
        raise ExperimentError(f"there is no experiment {name!r}; there are: {known}")
    return importlib.import_module(EXPERIMENTS[name])


def settings_of(module, profile):
    """Look up the settings of a profile, or say which profiles there are."""
    if profile not in module.PROFILES:
        known = ", ".join(module.PROFILES)
        raise ExperimentError(f"{module.NAME} has no profile {profile!r}; it has: {known}")
    return module.PROFILES[profile]


def reproduce(
    experiment, profile="smoke", *, jobs=1, dask=None, results=None, force=False, verbose=True
):
    """Execute what is missing of an experiment, and return all its records.

    Every record is stored as soon as its run is done: a kill loses the runs under way and nothing
    else, and of those only what came after their last checkpoint. Runs that were cut off go first,
    the others in the order of the experiment's ``runs()``, so that what is there at any time is the
    most telling part.

    Parameters
    ----------
    experiment : str or module
        An id such as ``"hopfield-capacity"``, or a module with ``NAME``, ``PROFILES``, ``runs`` and
        ``run`` (see :mod:`hmlib.experiments`).
    profile : str
        ``"smoke"``, ``"book"`` or ``"paper"``.
    jobs : int
        Processes. Each uses one thread; results do not depend on their number.
    dask : str, optional
        The address of a Dask scheduler; then its workers do it and ``jobs`` plays no part. The
        workers need the same version of the library and the same data sets, and should have one
        thread each (``dask worker --nthreads 1``).
    results : path-like, optional
        Another folder for the records, see :func:`hmlib.experiments.results_path`.
    force : bool
        Whether runs that have a record are executed again and their records replaced.
    verbose : bool
        Whether to show a progress bar.

    Returns
    -------
    list of dict
        As from :func:`hmlib.experiments.load_records`.

    Raises
    ------
    ExperimentError
        If the experiment, profile or a data set does not exist, if the file holds records made with
        other settings, or, after all runs, if some of them have failed.
    """
    module = experiment if isinstance(experiment, ModuleType) else find(experiment)
    settings = settings_of(module, profile)
    fingerprints = {name: _fingerprint(name) for name in getattr(settings, "data", ())}
    path = results_path(module.NAME, profile, results)
    store = Results(path, module.NAME, profile, settings, fingerprints)
    runs = module.runs(settings)
    if len({run_key(run) for run in runs}) < len(runs):
        raise ValueError(f"the runs of {module.NAME} must have different keys")
    todo = [run for run in runs if force or run not in store]

    def checkpoint_path(run):
        return _checkpoint_path(module.NAME, settings, run, results)

    todo.sort(key=lambda run: not Path(checkpoint_path(run)).exists())

    def tasks():
        for run in todo:
            if not force and run in store:  # another process was faster
                bar.update()
            else:
                yield module.__name__, settings, run, checkpoint_path(run), force

    failures = []
    with (
        tqdm(
            total=len(todo), desc=f"{module.NAME} {profile}", unit="run", disable=not verbose
        ) as bar,
        threadpool_limits(1),
    ):
        for record in _on_dask(tasks(), dask) if dask else _on_processes(tasks(), jobs):
            bar.update()
            if "error" in record:
                failures.append(run_key(record["run"]))
                bar.write(f"{failures[-1]} failed:\n{record['error']}")
                continue
            store.add(record, replace=force)
            Checkpoint(checkpoint_path(record["run"])).delete()
    if failures:
        raise ExperimentError(f"{len(failures)} of {len(todo)} runs failed: {', '.join(failures)}")
    return load_records(module.NAME, profile, results) if path.exists() else []


def execute(module, settings, run, checkpoint_path, fresh):
    """Execute one run, in whatever process, and return its record, or the error as text."""
    experiment = importlib.import_module(module)
    threadpool_limits(1)  # sums must not depend on how many cores there are
    data = DataSets()
    checkpoint = Checkpoint(checkpoint_path)
    if fresh:
        checkpoint.delete()
    try:
        metrics = experiment.run(settings, run, data=data, checkpoint=checkpoint)
        made = {
            "hmlib": hmlib.__version__,
            "machine": machine_description(),
            "seconds": float(f"{checkpoint.seconds:.3g}"),
        }
        used = {name: _fingerprint(name) for name in data}
        record = {"run": run, "metrics": rounded(metrics), "data": used, "made": made}
        run_key(record["metrics"])  # no NaN, nothing that JSON cannot hold
        if clash := metrics.keys() & run.keys():
            raise ValueError(f"a metric must not be called like a part of the key: {clash}")
        return record
    except Exception:
        return {"run": run, "error": traceback.format_exc()}


def _on_processes(tasks, jobs):
    """Yield the records as they are done by processes of this machine."""
    parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
    yield from parallel(joblib.delayed(_execute_for)(os.getpid(), *task) for task in tasks)


def _execute_for(parent, *task):
    """Execute one run in a process that ends when its parent does."""
    if os.getpid() != parent:
        _end_with(parent)
    return execute(*task)


@cache
def _end_with(parent):
    """Watch the parent, once in a process: killed, it cannot end the long runs it has started."""

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_dask(tasks, address):
    """Yield the records as they are done by the workers of a Dask cluster."""
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise ExperimentError(
            "--dask needs the package distributed: pip install 'dask[distributed]'"
        ) from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise ExperimentError(f"there is no Dask scheduler at {address!r}: {error}") from error
    with client:
        futures = [client.submit(execute, *task, pure=False) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
                future.release()
        finally:
            client.cancel(futures)


class DataSets(dict):
    """The data sets of a run by name, loaded when it asks for them."""

    def __missing__(self, name):
        self[name] = _load(name)
        return self[name]


@cache
def _load(name):
    """Load a data set once in each process."""
    from hmlib import datasets  # brings scikit-learn, which not every experiment needs

    try:
        return datasets.load(name, download=False)
    except FileNotFoundError as error:
        raise ExperimentError(
            f"the data set {name} is missing. To download it: hmlib data fetch {name}\n{error}"
        ) from None
    except ValueError as error:  # no such name, or a damaged file
        raise ExperimentError(str(error)) from None


@cache
def _fingerprint(name):
    return _load(name).fingerprint


def _checkpoint_path(experiment, settings, run, results):
    """One file for each run; its name changes with all that the state of the run depends on."""
    folder = Path(results) if results else project_folder() / "data" / "cache"
    what = repr((hmlib.__version__, settings, run_key(run)))
    name = f"{experiment}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.npz"
    return str(folder.absolute() / "checkpoints" / name)
