"""Keeping machines: one ``.npz`` file holds one, trained or not, with all that it will do next.

A file has an array for each array of the machine, under the name that it has there, such as
``generative_.0.weights``, and a text ``@header`` in JSON, which says how they make up the machine.
It holds numbers and text only. What a text calls an object is looked up in ``CLASSES``, nothing is
imported or run because a file says so, and there are no pickles: loading a stranger's file is safe.
"""

import inspect
import io
import json
import zipfile
from pathlib import Path

import numpy as np

import hmlib
from hmlib.boltzmann import BoltzmannMachine
from hmlib.datasets import _store
from hmlib.deep import DeepBeliefNetwork, DeepBoltzmannMachine, _DoublingMachine
from hmlib.helmholtz import ClasswiseGenerator, HelmholtzMachine
from hmlib.hopfield import ContinuousHopfieldNetwork, DenseAssociativeMemory, HopfieldNetwork
from hmlib.layers import SigmoidLayer
from hmlib.pyramid import GreedyInitializer, PyramidInitializer
from hmlib.rbm import GaussianRestrictedBoltzmannMachine, RestrictedBoltzmannMachine
from hmlib.wake_sleep import ReweightedWakeSleep, WakeSleep

__all__ = ["load", "save"]

FORMAT = 1  # to be raised when an older hmlib would misread a file, or this one an older file
HEADER = "@header"  # no array of a machine can be called that

CLASSES = {
    cls.__name__: cls
    for cls in (
        BoltzmannMachine,
        ClasswiseGenerator,
        ContinuousHopfieldNetwork,
        DeepBeliefNetwork,
        DeepBoltzmannMachine,
        DenseAssociativeMemory,
        GaussianRestrictedBoltzmannMachine,
        GreedyInitializer,
        HelmholtzMachine,
        HopfieldNetwork,
        PyramidInitializer,
        RestrictedBoltzmannMachine,
        ReweightedWakeSleep,
        SigmoidLayer,
        WakeSleep,
        _DoublingMachine,
    )
}
BIT_GENERATORS = {
    cls.__name__: cls
    for cls in (
        np.random.MT19937,
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.Philox,
        np.random.SFC64,
    )
}
EXPECTED = (
    "a number, text, an array of these, a generator with a seed, a list, tuple or dict of all that, "
    "or what hmlib.storage.CLASSES lists"
)


def save(machine, path):
    """Write a machine to a file, from which :func:`load` restores it bit for bit.

    Parameters, learnt arrays with their types, and the state of the generator: training goes on, and
    dreams come, as if the machine had never been away. Numbers are kept as they are, NaN included.

    Parameters
    ----------
    machine : estimator
        A machine of hmlib, fitted or not; or one of its layers, or a learning rule.
    path : path-like
        The file, best called ``.npz``. It is replaced at once: killed at any moment, the old
        contents or the new ones are there, complete.

    Raises
    ------
    ValueError
        If the machine holds something that is neither number, text, array or generator, nor a list,
        tuple or dict of these, nor of a class of hmlib; a learning rule of your own, say. Nothing is
        written then.

    Notes
    -----
    The same machine gives the same bytes. Objects that are shared within it, such as the generator
    of a deep machine and its layers, are shared again in what is loaded. The chapter *What a machine
    is good for* saves one.
    """
    if not _is_one_of(CLASSES, machine):
        names = ", ".join(name for name in CLASSES if not name.startswith("_"))
        raise ValueError(f"machine must be one of {names}, got the type {_kind(machine)}")
    arrays = {}
    header = {"format": FORMAT, "hmlib": hmlib.__version__}
    header["machine"] = _pack(machine, "", arrays, {})
    _store({HEADER: np.array(json.dumps(header)), **arrays}, Path(path))


def load(path, kind=None):
    """Read a machine from a file that :func:`save` has written.

    Parameters
    ----------
    path : path-like
        The file.
    kind : type, optional
        What it should be, such as ``HelmholtzMachine``. None takes any machine.

    Returns
    -------
    estimator
        The machine. Parameters that hmlib did not have yet when the file was written have their
        defaults.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file was cut off, is damaged or is something else; if it comes from a newer hmlib; if
        an array is missing, or not of the type and shape that it had; or if the machine is no
        ``kind``. The message says which.
    """
    data = Path(path).read_bytes()
    try:
        header, arrays = _read(data)
        machine = _unpack(header["machine"], "", arrays, {})
        if not _is_one_of(CLASSES, machine):
            raise ValueError(f"it holds something of the type {_kind(machine)}, no machine")
    except Exception as error:  # zipfile, zlib, json and NumPy each have their own
        problem = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{path} cannot be loaded: {problem}") from error
    if kind is not None and not isinstance(machine, kind):
        raise ValueError(f"{path} holds a {type(machine).__name__}, expected a {kind.__name__}")
    return machine


def _read(data):
    """Return the header and the arrays of a file of ours, given its bytes."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError(
            f"its {len(data)} bytes are no complete .npz file; it was cut off, or is of another kind"
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        if HEADER not in file:
            raise ValueError(f"it was not written by hmlib.storage.save, it has no {HEADER}")
        header = json.loads(str(file[HEADER]))
        if header["format"] > FORMAT:
            raise ValueError(
                f"it has the format {header['format']} of hmlib {header['hmlib']}, and this hmlib "
                f"{hmlib.__version__} knows formats up to {FORMAT}: update it"
            )
        return header, {name: file[name] for name in file}


# --- a machine as JSON and arrays -----------------------------------------------------------------


def _pack(value, path, arrays, seen):
    """Turn a value into JSON, and put its arrays into ``arrays``, under their paths.

    What is no JSON value becomes a dict with one entry, {what it is: what is in it}. ``seen`` has
    what was met so far, by identity, with the path where it was: met again, it is the same.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        items = [_pack(item, _join(path, i), arrays, seen) for i, item in enumerate(value)]
        return items if type(value) is list else {"tuple": items}
    if type(value) is dict:
        return {"dict": _pack_entries(value, path, arrays, seen)}
    if id(value) in seen:
        return {"same": seen[id(value)][0]}
    seen[id(value)] = path, value  # with the value, so that its id is not given to another
    if _is_plain_array(value):
        arrays[path] = np.asarray(value)
        return {"scalar" if isinstance(value, np.generic) else "array": _describe(value)}
    if _is_plain_generator(value):
        source = value.bit_generator
        state = {"state": source.state, "seed": source.seed_seq.state}  # children need the seed
        return {"generator": _pack_entries(state, path, arrays, seen)}
    if _is_one_of(CLASSES, value):
        return {type(value).__name__: _pack_entries(vars(value), path, arrays, seen)}
    raise ValueError(f"{path} of the machine has the type {_kind(value)}, expected {EXPECTED}")


def _unpack(node, path, arrays, seen):
    """Undo :func:`_pack`; ``seen`` has what was made so far, by path."""
    if isinstance(node, list):
        return [_unpack(item, _join(path, i), arrays, seen) for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "tuple":
        return tuple(_unpack(content, path, arrays, seen))
    if kind == "dict":
        return _unpack_entries(content, path, arrays, seen)
    if kind == "same":
        return seen[content]
    if kind == "array":
        seen[path] = _array(arrays, path, content)
    elif kind == "scalar":
        seen[path] = _array(arrays, path, content)[()]
    elif kind == "generator":
        seen[path] = _generator(**_unpack_entries(content, path, arrays, seen))
    elif kind in CLASSES:
        seen[path] = machine = CLASSES[kind].__new__(CLASSES[kind])
        state = _unpack_entries(content, path, arrays, seen)
        vars(machine).update(_completed(CLASSES[kind], state))
    else:
        raise ValueError(f"{path or 'it'} is a {kind}, unknown to hmlib {hmlib.__version__}")
    return seen[path]


def _pack_entries(entries, path, arrays, seen):
    for name in entries:
        if not (isinstance(name, str) and name.isidentifier()):  # else paths were ambiguous
            raise ValueError(f"{path or 'the machine'} has an entry {name!r}, expected a name")
    return {name: _pack(value, _join(path, name), arrays, seen) for name, value in entries.items()}


def _unpack_entries(entries, path, arrays, seen):
    return {name: _unpack(node, _join(path, name), arrays, seen) for name, node in entries.items()}


def _join(path, name):
    return f"{path}.{name}" if path else str(name)


def _kind(value):
    return f"{type(value).__name__}{' of objects' if isinstance(value, np.ndarray) else ''}"


def _is_one_of(classes, value):
    """Say whether the class of ``value`` is one of these; a subclass is not."""
    return classes.get(type(value).__name__) is type(value)


def _is_plain_array(value):
    is_array = type(value) in (np.ndarray, np.memmap) or isinstance(value, np.generic)
    return is_array and not value.dtype.hasobject


def _is_plain_generator(value):
    if type(value) is not np.random.Generator:
        return False
    source = value.bit_generator
    return _is_one_of(BIT_GENERATORS, source) and type(source.seed_seq) is np.random.SeedSequence


def _describe(array):
    return [array.dtype.str, *array.shape]


def _array(arrays, path, description):
    """Return an array of the file, which must be what the header says."""
    if path not in arrays:
        raise ValueError(f"the array {path} is missing")
    if _describe(arrays[path]) != description:
        (here, *shape), (there, *expected) = _describe(arrays[path]), description
        raise ValueError(
            f"the array {path} has the type {here} and the shape {tuple(shape)}, "
            f"expected {there} and {tuple(expected)}"
        )
    return arrays[path]


def _generator(state, seed):
    """Make a generator that goes on where another was, children included."""
    source = BIT_GENERATORS[state["bit_generator"]](np.random.SeedSequence(**seed))
    source.state = state
    return np.random.Generator(source)


def _completed(cls, state):
    """Add the defaults of parameters that a file does not have yet; complain of unknown ones."""
    parameters = inspect.signature(cls).parameters
    for name in state:
        is_attribute = name.startswith("_") or name.endswith("_") or hasattr(cls, name)
        if name not in parameters and not is_attribute:
            raise ValueError(f"{cls.__name__}.{name} is unknown to hmlib {hmlib.__version__}")
    missing = {name: p.default for name, p in parameters.items() if name not in state}
    for name, default in missing.items():
        if default is inspect.Parameter.empty:
            raise ValueError(f"{cls.__name__}.{name} is missing")
    return {**state, **missing}
