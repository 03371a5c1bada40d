"""The store: one JSON file per experiment and profile, one block per record; and checkpoints.

A results file says once what holds for all its records: the settings and the fingerprints of the
data sets. A file that was made with others is refused, so records are never mixed. A record is

``run``      the key: numbers and strings, among them the seed, that tell this run from all others
``metrics``  what came out, floats rounded to ``DIGITS`` significant digits
``data``     the fingerprints of the data sets that the run has read
``made``     the version of the library, the seconds it took, and on which of ``machines``

Every addition replaces the whole file atomically, under a lock: killed at any moment it is
complete, and several processes can add to it.
"""

import dataclasses
import hashlib
import json
import time
from pathlib import Path

import numpy as np

from hmlib.experiments.files import locked, project_folder, write_atomically

__all__ = [
    "DIGITS",
    "Checkpoint",
    "ExperimentError",
    "Results",
    "load_records",
    "load_results",
    "results_path",
]

DIGITS = 8  # significant digits of stored floats: more would differ between machines


class ExperimentError(ValueError):
    """Something that the user can mend, said in a message that needs no traceback."""


def results_path(name, profile="paper", results=None):
    """Say which file holds the records of an experiment.

    Parameters
    ----------
    name, profile : str
        The experiment's id and the profile.
    results : path-like, optional
        The folder. Unless given, it is ``data/results`` of the project for the profile ``paper``,
        which is committed, and ``data/cache/results`` for the others, which are not.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ExperimentError
        If no folder is given and there is no clone of the project in sight.
    """
    if results is None:
        if project_folder() is None:
            raise ExperimentError(
                "hmlib is installed without its project, so there is no data/results: "
                "name a folder (--results FOLDER), or work in a clone"
            )
        subfolder = "results" if profile == "paper" else "cache/results"
        results = project_folder() / "data" / subfolder
    return Path(results, f"{name}.json" if profile == "paper" else f"{name}.{profile}.json")


def load_results(name, profile="paper", results=None):
    """Read a results file: a dict with ``settings``, ``data``, ``machines``, ``records`` and more.

    Raises
    ------
    ExperimentError
        If there is no such file, or it is damaged.
    """
    path = results_path(name, profile, results)
    if not path.exists():
        raise ExperimentError(
            f"{path} does not exist. To make it: hmlib reproduce {name} --profile {profile}"
        )
    return _read(path)


def load_records(name, profile="paper", results=None):
    """Read the records of an experiment, each as one flat dict: the run's key and its metrics.

    Parameters
    ----------
    name, profile : str
        The experiment's id and the profile.
    results : path-like, optional
        The folder, as in :func:`results_path`.

    Returns
    -------
    list of dict
        In the order of the file: sorted by key.

    Raises
    ------
    ExperimentError
        If there is no such file, or it is damaged.
    """
    records = load_results(name, profile, results)["records"]
    return [{**record["run"], **record["metrics"]} for record in records]


class Results:
    """The results file of one experiment and profile, made when the first record is added.

    Parameters
    ----------
    path : path-like
        The file.
    experiment, profile : str
        What it belongs to.
    settings : dataclass
        The settings of the profile.
    data : dict of str to str
        Names and fingerprints of the data sets.

    Raises
    ------
    ExperimentError
        If the file is there, but is damaged or was made with other settings or data.
    """

    def __init__(self, path, experiment, profile, settings, data):
        self.path = Path(path)
        header = {
            "experiment": experiment,
            "profile": profile,
            "settings": dataclasses.asdict(settings),
            "data": data,
            "digits": DIGITS,
        }
        self.header = json.loads(json.dumps(header))  # as it will be read again: tuples are lists
        self._cached = None
        self._contents()

    def __contains__(self, run):
        return run_key(run) in self._contents()[0]

    def __len__(self):
        return len(self._contents()[0])

    def add(self, record, *, replace=False):
        """Add one record; one that is already there stays, unless ``replace`` is true."""
        for name, fingerprint in record["data"].items():
            if self.header["data"].get(name) != fingerprint:
                raise ExperimentError(
                    f"{run_key(record['run'])} has read {name} with the fingerprint {fingerprint}, "
                    f"but the settings say {self.header['data'].get(name, 'nothing about it')}"
                )
        made = dict(record["made"])
        machine, made["machine"] = made["machine"], _digest(made["machine"])[:8]
        with locked(self.path.parent):
            records, machines = self._contents()
            key = run_key(record["run"])
            if replace or key not in records:
                records = {**records, key: {**record, "made": made}}
                machines = {**machines, made["machine"]: machine}
                text = _dump(self.header, machines, records.values())
                write_atomically(self.path, lambda file: file.write(text.encode()))
                self._cached = self._stamp(), records, machines

    def _contents(self):
        """Return records and machines; read the file only if another process has changed it.

        What is cached is replaced as a whole, with its stamp: joblib asks from another thread.
        """
        cached, stamp = self._cached, self._stamp()
        if cached is None or cached[0] != stamp:
            contents = _read(self.path) if stamp else {**self.header, "machines": {}, "records": []}
            self._check(contents)
            records = {run_key(record["run"]): record for record in contents["records"]}
            self._cached = cached = stamp, records, contents["machines"]
        return cached[1:]

    def _stamp(self):
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _check(self, contents):
        differences = [
            f"{part}{f'[{name!r}]' if name else ''} is {there!r} there and {here!r} here"
            for part in self.header
            for name, there, here in _differences(contents.get(part), self.header[part])
        ]
        if differences:
            raise ExperimentError(
                f"{self.path} holds records made with others: {'; '.join(differences)}. They are "
                "never mixed. Write elsewhere (--results another-folder), or delete that file"
            )


def _differences(there, here):
    """List (name, there, here) of what two values, or two dicts, do not have in common."""
    if not (isinstance(there, dict) and isinstance(here, dict)):
        return [] if there == here else [("", there, here)]
    names = sorted(there.keys() | here.keys())
    pairs = [(name, there.get(name), here.get(name)) for name in names]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _read(path):
    try:
        contents = json.loads(path.read_text())
        contents["records"], contents["machines"]
    except (ValueError, TypeError, KeyError) as error:
        raise ExperimentError(
            f"{path} is no results file: {error!r}. Get it back from git, or delete it"
        ) from None
    return contents


def _dump(header, machines, records):
    """Write JSON that a person can read and compare: a record is a block of a few lines."""
    lines = [
        f'\n  {{\n   "data": {_line(record["data"])},\n   "made": {_line(record["made"])},'
        f'\n   "metrics": {_line(record["metrics"])},\n   "run": {_line(record["run"])}\n  }}'
        for record in sorted(records, key=lambda record: _order(record["run"]))
    ]
    used = {record["made"]["machine"] for record in records}
    parts = {**header, "machines": {name: machines[name] for name in used}, "records": None}
    body = ",\n".join(
        f' "{name}": ' + (f"[{','.join(lines)}\n ]" if name == "records" else _block(parts[name]))
        for name in sorted(parts)
    )
    return f"{{\n{body}\n}}\n"


def _line(value):
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _block(value):
    """Write a dict with one line for each entry, anything else in one line."""
    if not isinstance(value, dict) or not value:
        return _line(value)
    return "{\n" + ",\n".join(f'  "{k}": {_line(v)}' for k, v in sorted(value.items())) + "\n }"


def _order(run):
    """Sort by the texts of a key, then by its numbers, as numbers."""
    values = [run[name] for name in sorted(run)]
    numbers = [(v is not None, v or 0) for v in values if not isinstance(v, str)]
    return [v for v in values if isinstance(v, str)], numbers


def run_key(run):
    """Write the key of a run as one string, the same for the same run at any time."""
    return json.dumps(run, sort_keys=True, allow_nan=False)


def rounded(value):
    """Turn NumPy's numbers and arrays into JSON's, floats rounded to ``DIGITS`` significant digits."""
    if isinstance(value, dict):
        return {name: rounded(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _digest(value):
    return hashlib.sha256(_line(value).encode()).hexdigest()


# Checkpoints --------------------------------------------------------------------------------------

SECONDS, GENERATOR = "@seconds", "@generator"  # marks of entries that are not the run's own arrays


class Checkpoint:
    """Where one long run keeps its state, to go on after a kill as if nothing had happened.

    >>> saved = checkpoint.load() if checkpoint else None
    >>> if saved:
    ...     step, weights, rng = int(saved["step"]), saved["weights"], saved["rng"]
    >>> while step < n_steps:
    ...     weights, step = learn(weights, rng), step + 1
    ...     if checkpoint and checkpoint.every(60):
    ...         checkpoint.save(step=step, weights=weights, rng=rng)

    What is saved must be all that the rest of the run depends on, the generator included: then the
    resumed run gives bit for bit the same record.

    Parameters
    ----------
    path : path-like
        A ``.npz`` file, one for each run. It is deleted when the record is stored.
    """

    def __init__(self, path):
        self.path = Path(path)
        self._start = self._last = time.perf_counter()

    @property
    def seconds(self):
        """Seconds that the run has taken so far, those before a kill included."""
        return time.perf_counter() - self._start

    def load(self):
        """Return what was saved last, as a dict of arrays and generators, or None."""
        if not self.path.exists():
            return None
        with np.load(self.path, allow_pickle=False) as file:
            saved = {name: file[name] for name in file}
        self._last = time.perf_counter()
        self._start = self._last - float(saved.pop(SECONDS))
        return dict(_unpack(name, value) for name, value in saved.items())

    def save(self, **state):
        """Replace what was saved by these arrays, numbers, strings and generators, atomically."""
        arrays = dict(_pack(name, value) for name, value in state.items())
        arrays[SECONDS] = self.seconds
        with locked(self.path.parent):
            write_atomically(self.path, lambda file: np.savez(file, **arrays))
        self._last = time.perf_counter()

    def every(self, seconds):
        """Say whether the last save, or the start, was that long ago."""
        return time.perf_counter() - self._last >= seconds

    def delete(self):
        """Forget what was saved."""
        self.path.unlink(missing_ok=True)


def _pack(name, value):
    if isinstance(value, np.random.Generator):
        source = value.bit_generator  # its seed as well: children are spawned from that
        state = {"state": source.state, "seed": source.seed_seq.state}
        return name + GENERATOR, json.dumps(state, default=np.ndarray.tolist)
    return name, value


def _unpack(name, value):
    if not name.endswith(GENERATOR):
        return name, value
    saved = json.loads(str(value))
    kind = getattr(np.random, saved["state"]["bit_generator"])
    source = kind(np.random.SeedSequence(**saved["seed"]))
    source.state = saved["state"]
    return name.removesuffix(GENERATOR), np.random.Generator(source)
