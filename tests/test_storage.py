"""Keeping machines: what comes back is the same bit for bit, and goes on in the same way."""

import ast
import importlib
import io
import json
import pickle
import pkgutil
import subprocess
import sys
import zipfile
from collections import UserDict

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone

import hmlib
from hmlib import datasets, storage
from hmlib.boltzmann import BoltzmannMachine
from hmlib.deep import DeepBeliefNetwork, DeepBoltzmannMachine
from hmlib.helmholtz import ClasswiseGenerator, HelmholtzMachine
from hmlib.hopfield import ContinuousHopfieldNetwork, DenseAssociativeMemory, HopfieldNetwork
from hmlib.layers import SigmoidLayer
from hmlib.pyramid import GreedyInitializer, PyramidInitializer
from hmlib.rbm import GaussianRestrictedBoltzmannMachine, RestrictedBoltzmannMachine
from hmlib.storage import CLASSES, HEADER, load, save
from hmlib.wake_sleep import ReweightedWakeSleep, WakeSleep

GREY = np.random.default_rng(0).random((30, 6))
SPINS = np.sign(np.random.default_rng(1).standard_normal((4, 6)))
SMALL = {"batch_size": 10, "random_state": 3}
RBM = RestrictedBoltzmannMachine(method="pcd", momentum=0.5, centered=True, n_epochs=2)

LEARNERS = {
    "Helmholtz": HelmholtzMachine((4, 2), n_epochs=3, decay=0.5, **SMALL),
    "Helmholtz with a rule": HelmholtzMachine(
        [4, 2], rule=ReweightedWakeSleep(3, [0.2, 0.1]), init_bias="data", n_epochs=3, **SMALL
    ),
    "Boltzmann": BoltzmannMachine(2, n_epochs=3, learning_rate=(0.1, 0.01), **SMALL),
    "Boltzmann by Gibbs": BoltzmannMachine(
        2, method="gibbs", n_chains=7, temperatures=np.array([2.0, 1.0]), n_epochs=3, **SMALL
    ),
    "RBM": RestrictedBoltzmannMachine(3, n_epochs=3, **SMALL),
    "RBM by PCD": clone(RBM).set_params(n_hidden=3, n_epochs=3, **SMALL),
    "Gaussian RBM": GaussianRestrictedBoltzmannMachine(3, n_epochs=3, **SMALL),
    "Gaussian RBM by PCD": GaussianRestrictedBoltzmannMachine(
        3, method="pcd", sigma=np.full(6, 0.5), momentum=0.5, n_epochs=3, **SMALL
    ),
    "belief network": DeepBeliefNetwork((4, 2), rbm=RBM, n_fine_tuning_epochs=3, **SMALL),
    "deep Boltzmann": DeepBoltzmannMachine(
        (4, 2), n_epochs=3, n_pretraining_epochs=2, momentum=0.5, **SMALL
    ),
}
MEMORIES = {
    "Hopfield": HopfieldNetwork(threshold=np.linspace(0, 0.1, 6), random_state=3),
    "Hopfield, projector": HopfieldNetwork("pseudo-inverse", random_state=3),
    "Hopfield, continuous": ContinuousHopfieldNetwork(),
    "dense memory": DenseAssociativeMemory("exponential", random_state=3),
}


def cases(machines):
    return pytest.mark.parametrize("machine", machines.values(), ids=machines)


def contents(value, path="", seen=None):
    """List (path, what is there) of all that a machine consists of, with what is shared."""
    seen = {} if seen is None else seen
    if isinstance(value, np.ndarray | np.random.Generator) or hasattr(value, "__dict__"):
        if id(value) in seen:
            return [(path, f"is {seen[id(value)]}")]
        seen[id(value)] = path
    if isinstance(value, np.ndarray):
        layout = value.flags.c_contiguous, value.flags.f_contiguous, value.flags.writeable
        return [(path, (value.dtype.str, value.shape, layout, value.tobytes()))]
    if isinstance(value, np.random.Generator):
        source = value.bit_generator
        return contents([source.state, source.seed_seq.state], path, seen)
    inside = value if isinstance(value, dict) else getattr(value, "__dict__", None)
    if isinstance(value, list | tuple):
        inside = dict(enumerate(value))
    here = (path, type(value) if inside is not None else (type(value), repr(value)))
    parts = [contents(part, f"{path}.{name}", seen) for name, part in (inside or {}).items()]
    return [here, *(entry for part in parts for entry in part)]


def assert_same(a, b):
    assert contents(a) == contents(b)


def kept(machine, folder):
    """Save a machine and load it again."""
    save(machine, folder / "machine.npz")
    return load(folder / "machine.npz")


# --- bit for bit ----------------------------------------------------------------------------------


def test_the_comparison_sees_single_bits():
    machine, other = (RestrictedBoltzmannMachine(2, random_state=0).fit(GREY) for _ in range(2))
    assert_same(machine, other)
    other.hidden_bias_[0] = np.nextafter(other.hidden_bias_[0], 1)
    assert contents(machine) != contents(other)
    other.hidden_bias_[0] = machine.hidden_bias_[0]
    other.rng_.spawn(1)
    assert contents(machine) != contents(other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@cases(LEARNERS)
def test_a_loaded_machine_goes_on_as_if_it_had_never_been_away(machine, dtype, tmp_path):
    X = GREY.astype(dtype)
    whole, pieces = clone(machine).fit(X), clone(machine).partial_fit(X)
    pieces = kept(pieces, tmp_path)
    assert pieces.n_iter_ == 1 and pieces._dtype == dtype
    pieces = kept(pieces.partial_fit(X), tmp_path).partial_fit(X)
    assert_same(whole, pieces)
    np.testing.assert_array_equal(whole.sample(5), pieces.sample(5))
    np.testing.assert_array_equal(whole.transform(X), pieces.transform(X))
    np.testing.assert_array_equal(whole.score_samples(X), pieces.score_samples(X))


@cases(MEMORIES)
def test_a_loaded_memory_recalls_and_learns_the_same(machine, tmp_path):
    machine = clone(machine).fit(SPINS[:2])
    copy = kept(machine, tmp_path)
    assert_same(machine, copy)
    np.testing.assert_array_equal(machine.recall(SPINS), copy.recall(SPINS))
    if hasattr(machine, "partial_fit"):
        assert_same(machine.partial_fit(SPINS[2:]), copy.partial_fit(SPINS[2:]))


@cases({**LEARNERS, **MEMORIES})
def test_an_untrained_machine_can_be_kept(machine, tmp_path):
    copy = kept(machine, tmp_path)
    assert_same(machine, copy)
    X = SPINS if machine in MEMORIES.values() else GREY
    assert_same(clone(machine).fit(X), copy.fit(X))


@cases({**LEARNERS, **MEMORIES})
def test_scikit_learn_can_clone_what_was_loaded(machine, tmp_path):
    X = SPINS if machine in MEMORIES.values() else GREY
    copy = clone(kept(clone(machine).fit(X), tmp_path))
    assert_same(copy, clone(machine))


def test_the_same_machine_gives_the_same_bytes(tmp_path):
    machine = clone(LEARNERS["deep Boltzmann"]).fit(GREY)
    save(machine, tmp_path / "a")
    save(load(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_process_loads_the_same_machine(tmp_path):
    machine = clone(LEARNERS["belief network"]).fit(GREY)
    save(machine, tmp_path / "machine.npz")
    code = (
        "import sys, hmlib.storage as s; m = s.load(sys.argv[1]); s.save(m, sys.argv[2]); "
        "print(m.sample(3).tolist())"
    )
    paths = [str(tmp_path / "machine.npz"), str(tmp_path / "again.npz")]
    command = [sys.executable, "-c", code, *paths]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert json.loads(out) == load(paths[0]).sample(3).tolist()
    assert_same(load(paths[1]), machine)


def test_arrays_can_be_read_without_hmlib(tmp_path):
    machine = clone(LEARNERS["Helmholtz"]).fit(GREY)
    save(machine, tmp_path / "machine.npz")
    with np.load(tmp_path / "machine.npz", allow_pickle=False) as file:
        weights = file["generative_.0.weights"]
        header = json.loads(str(file[HEADER]))
    np.testing.assert_array_equal(weights, machine.generative_[0].weights)
    assert header["hmlib"] == hmlib.__version__
    assert header["machine"]["HelmholtzMachine"]["n_iter_"] == 3


@pytest.mark.parametrize("kind", storage.BIT_GENERATORS.values(), ids=storage.BIT_GENERATORS)
def test_every_generator_goes_on(kind, tmp_path):
    rng = np.random.Generator(kind(np.random.SeedSequence([5, 2**40], spawn_key=(1,))))
    rng.spawn(2), rng.random(3, np.float32)  # half of a 64-bit number is left
    machine = HelmholtzMachine((2,), n_epochs=1, random_state=rng).fit(GREY)
    copy = kept(machine, tmp_path)
    assert copy.rng_ is copy.random_state and copy.rng_ is not rng
    assert_same(machine, copy)
    assert_same(machine.partial_fit(GREY), copy.partial_fit(GREY))
    a, b = machine.rng_.spawn(1)[0], copy.rng_.spawn(1)[0]
    np.testing.assert_array_equal(a.random(5), b.random(5))


def test_deep_machines_share_their_generator_again(tmp_path):
    copy = kept(clone(LEARNERS["belief network"]).fit(GREY), tmp_path)
    rngs = [copy.rng_, copy.top_.rng_, copy.top_.random_state, *(m.rng_ for m in copy.machines_)]
    assert len(rngs) == 5 and len({id(rng) for rng in rngs}) == 1


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(2**200), 0.1, -0.0, 5e-324, np.inf, np.nan, "ü\n'\"\\\0", "", [], (), {},
        [1, (2.0, [None, "x"]), {"a": (1,), "b": []}],
        np.float32(0.1), np.float64(0.1), np.int64(3), np.bool_(True), np.str_("x"),
        np.array(1.5), np.zeros((0, 3)), np.array([np.nan, -np.inf, -0.0]), np.array(["a", "bc"]),
        np.arange(6, dtype=">i2"), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([True, False]), np.array([1 + 2j], np.complex64), np.array(["2020-01-01"], "M8[s]"),
    ],
    ids=lambda value: f"{type(value).__name__} {value!r}"[:40],
)  # fmt: skip
def test_every_value_comes_back_with_its_type(value, tmp_path):
    machine = HelmholtzMachine(hidden=value)
    machine.learnt_ = [value, {"again": value}]
    assert_same(machine, kept(machine, tmp_path))


def test_rules_layers_and_starts_are_kept(tmp_path):
    layer = SigmoidLayer.random(3, 2, random_state=0, dtype=np.float32)
    start = PyramidInitializer(n_epochs=1, rule=WakeSleep(0.3), sides=[(3, 2)])
    greedy = GreedyInitializer([2, 0])
    for thing in (WakeSleep([0.1, 0.2]), ReweightedWakeSleep(7, 0.3, "wake"), layer, start, greedy):
        assert_same(thing, kept(thing, tmp_path))


def test_a_machine_that_began_with_the_pyramid_goes_on(tmp_path):
    X = np.random.default_rng(0).random((20, 16))
    start = PyramidInitializer(n_epochs=1, rule=WakeSleep(0.3))
    machine = HelmholtzMachine((9, 4), init=start, n_epochs=1, random_state=0).fit(X)
    copy = kept(machine, tmp_path)
    assert_same(machine.partial_fit(X), copy.partial_fit(X))


@pytest.mark.parametrize("labels", [(3, 8), ("no", "yes"), (False, True)], ids=str)
def test_the_machines_of_all_classes_are_kept_together(labels, tmp_path):
    y = np.repeat(labels, 15)
    template = HelmholtzMachine((3,), rule=ReweightedWakeSleep(2), n_epochs=1)
    generator = ClasswiseGenerator(template, random_state=1).fit(GREY, y)
    copy = kept(generator, tmp_path)
    assert_same(generator, copy)
    for a, b in zip(generator.sample(3), copy.sample(3)):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(generator.predict_proba(GREY), copy.predict_proba(GREY))
    assert_same(clone(generator).fit(GREY, y), clone(copy).fit(GREY, y))
    assert_same(copy.machines_[1].partial_fit(GREY), generator.machines_[1].partial_fit(GREY))


def test_a_memory_mapped_array_is_kept_as_an_array(tmp_path):
    np.save(tmp_path / "sigma.npy", np.full(6, 0.5))
    sigma = np.load(tmp_path / "sigma.npy", mmap_mode="r")
    copy = kept(GaussianRestrictedBoltzmannMachine(2, sigma=sigma), tmp_path)
    assert type(copy.sigma) is np.ndarray and (copy.sigma == 0.5).all()


def test_every_estimator_of_the_library_is_known():
    modules = [m.name for m in pkgutil.iter_modules(hmlib.__path__) if not m.name.startswith("_")]
    found = set()
    for module in map(importlib.import_module, (f"hmlib.{name}" for name in modules)):
        names = [getattr(module, name) for name in getattr(module, "__all__", ())]
        found |= {c for c in names if isinstance(c, type) and issubclass(c, BaseEstimator)}
    assert len(found) >= 11 and found <= set(CLASSES.values())


# --- Ctrl-C ---------------------------------------------------------------------------------------


def interrupt(monkeypatch, machine, n_steps):
    """Let Ctrl-C come when a machine has taken so many steps and is about to take another."""
    learn, steps = type(machine)._learn, []

    def interrupted(self, v):
        if type(self) is type(machine):
            if len(steps) == n_steps:
                raise KeyboardInterrupt
            steps.append(1)
        return learn(self, v)

    monkeypatch.setattr(type(machine), "_learn", interrupted)


@cases(LEARNERS)
def test_after_ctrl_c_within_an_epoch_a_machine_is_of_use_and_goes_on(
    machine, monkeypatch, tmp_path
):
    machine = clone(machine)
    interrupt(monkeypatch, machine, 4)  # of 3 in an epoch
    with pytest.warns(UserWarning, match="interrupted after 1 of 3 epochs.* partial_fit continues"):
        assert machine.fit(GREY) is machine
    monkeypatch.undo()
    one_epoch = clone(machine).partial_fit(GREY)
    assert machine.n_iter_ == 1 and contents(machine) != contents(one_epoch)
    copy = kept(machine, tmp_path)
    assert_same(machine, copy)
    assert_same(machine.partial_fit(GREY), copy.partial_fit(GREY))
    assert machine.n_iter_ == 2 and np.isfinite(copy.score(GREY))
    assert copy.sample(2).shape == (2, 6) and np.isfinite(copy.transform(GREY)).all()


@cases(LEARNERS)
def test_ctrl_c_ends_partial_fit_and_the_machine_goes_on(machine, monkeypatch, tmp_path):
    machine = clone(machine).partial_fit(GREY)
    before = contents(machine)
    interrupt(monkeypatch, machine, 1)
    with pytest.raises(KeyboardInterrupt):
        machine.partial_fit(GREY)
    monkeypatch.undo()
    assert machine.n_iter_ == 1 and contents(machine) != before
    assert np.isfinite(kept(machine, tmp_path).partial_fit(GREY).score(GREY))


def test_greedy_training_goes_on_after_ctrl_c_and_a_file(monkeypatch, tmp_path):
    machine = clone(LEARNERS["deep Boltzmann"])
    epoch, epochs = RestrictedBoltzmannMachine._epoch, []

    def interrupted(self, X):
        if len(epochs) == 3:
            raise KeyboardInterrupt
        epochs.append(1)
        epoch(self, X)

    monkeypatch.setattr(RestrictedBoltzmannMachine, "_epoch", interrupted)
    with pytest.warns(UserWarning, match="greedy training was interrupted in layer 2"):
        machine.fit(GREY)
    monkeypatch.undo()
    copy = kept(machine, tmp_path)
    assert_same(machine.partial_fit(GREY), copy.partial_fit(GREY))
    assert [m.n_iter_ for m in copy.machines_] == [2, 2] and copy.n_iter_ == 1


# --- what is refused ------------------------------------------------------------------------------


class MyRule(WakeSleep):
    """A rule that hmlib does not know."""


class HelmholtzMachineOfMine(HelmholtzMachine):
    pass


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (HelmholtzMachine(rule=MyRule()), "rule of the machine has the type MyRule, expected"),
        (HelmholtzMachine(hidden=[3, {4}]), r"hidden.1 of the machine has the type set"),
        (HelmholtzMachine(hidden=UserDict()), "hidden of the machine has the type UserDict"),
        (HelmholtzMachine(hidden={3: 4}), "hidden has an entry 3, expected a name"),
        (HelmholtzMachine(hidden={"a.b": 4}), "hidden has an entry 'a.b', expected a name"),
        (HelmholtzMachine(init=PyramidInitializer(callback=print)), "init.callback of the machine"),
        (HelmholtzMachine(hidden=np.array([None])), "has the type ndarray of objects"),
        (HelmholtzMachine(hidden=np.ma.array([1, 2], mask=[0, 1])), "has the type MaskedArray"),
        (HelmholtzMachine(random_state=np.random.RandomState(0)), "has the type RandomState"),
        (HelmholtzMachineOfMine(), "machine must be one of .*HelmholtzMachine.*, got the type"),
        (np.zeros(3), "machine must be one of .*, got the type ndarray"),
        ("machine", "machine must be one of .*, got the type str"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_cannot_be_kept_is_named_and_nothing_is_written(machine, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save(machine, tmp_path / "machine.npz")
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "machine.npz"
    first, second = (clone(LEARNERS["RBM"]).set_params(random_state=i).fit(GREY) for i in (0, 1))
    save(first, path)

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(datasets.np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space left"):
        save(second, path)
    monkeypatch.undo()
    assert_same(load(path), first)
    assert list(tmp_path.iterdir()) == [path]
    save(second, path)
    assert_same(load(path), second)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "machine.npz"
    save(clone(LEARNERS["Helmholtz with a rule"]).fit(GREY), path)
    return path


def rewrite(path, change):
    """Change the header and the arrays of a file."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop(HEADER)))
    change(header, arrays)
    np.savez(path, **{HEADER: np.array(json.dumps(header))}, **arrays)


def test_wherever_a_file_was_cut_off_it_is_refused(file):
    data = file.read_bytes()
    for length in [*range(0, len(data), len(data) // 40), *range(len(data) - 30, len(data))]:
        file.write_bytes(data[:length])
        with pytest.raises(ValueError, match=f"its {length} bytes are no complete .npz file"):
            load(file)


def test_a_damaged_file_is_refused_or_gives_the_same_machine(file):
    data, machine = file.read_bytes(), load(file)
    rng, n_refused = np.random.default_rng(0), 0
    for place in rng.integers(len(data), size=300):
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        try:
            copy = load(file)
        except ValueError as error:
            assert str(error).startswith(f"{file} cannot be loaded: ")
            n_refused += 1
        else:  # a date, or another thing that does not matter
            assert_same(copy, machine)
    assert n_refused > 100


class Touch:
    """Something that leaves a trace if it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def packed(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


FOREIGN = {
    "nothing": (b"", "its 0 bytes are no complete .npz file"),
    "text": (b"weights = 3\n", "its 12 bytes are no complete .npz file"),
    "pickle": (pickle.dumps(LEARNERS["RBM"]), "no complete .npz file"),
    "array": (b"\x93NUMPY\x01\x00", "no complete .npz file"),
    "npz": (
        packed(weights=np.zeros(3)),
        "was not written by hmlib.storage.save, it has no @header",
    ),
    "zip": (zipped(readme="hello"), "was not written by hmlib.storage.save"),
    "zip with our name": (zipped(**{HEADER: "hello"}), "cannot be loaded"),
    "no JSON": (packed(**{HEADER: np.array("hello")}), "cannot be loaded: Expecting value"),
    "other JSON": (packed(**{HEADER: np.array("[1]")}), "cannot be loaded: TypeError"),
    "no machine": (packed(**{HEADER: np.array('{"format": 1}')}), "loaded: KeyError.'machine'"),
    "a number": (
        packed(**{HEADER: np.array('{"format": 1, "machine": 5}')}),
        "something of the type int",
    ),
}


@pytest.mark.parametrize(("data", "message"), FOREIGN.values(), ids=FOREIGN)
def test_foreign_files_are_refused(data, message, tmp_path):
    path = tmp_path / "machine.npz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_a_pickle_inside_is_not_opened(file, tmp_path):
    trace = tmp_path / "trace"

    def smuggle(header, arrays):
        arrays["prior_.bias"] = np.array([Touch(trace)] * 2, dtype=object)

    rewrite(file, smuggle)
    with pytest.raises(ValueError, match="cannot be loaded: Object arrays cannot be loaded"):
        load(file)
    assert not trace.exists()
    with np.load(file, allow_pickle=True) as arrays:
        arrays["prior_.bias"]
    assert trace.exists()  # it would have been


def test_nothing_here_imports_pickle():
    with open(storage.__file__) as source:
        names = [node for node in ast.walk(ast.parse(source.read())) if isinstance(node, ast.alias)]
    assert names and not {"pickle", "dill", "joblib", "importlib"} & {node.name for node in names}


def root(header):
    return header["machine"]["HelmholtzMachine"]


CHANGES = {
    "newer format": (
        lambda h, a: h.update(format=2, hmlib="7.0"),
        f"format 2 of hmlib 7.0, and this hmlib {hmlib.__version__} knows formats up to 1: update it",
    ),
    "missing array": (
        lambda h, a: a.pop("generative_.1.weights"),
        "the array generative_.1.weights is missing",
    ),
    "wrong shape": (
        lambda h, a: a.update({"generative_.1.weights": np.zeros((2, 5))}),
        r"generative_.1.weights has the type <f8 and the shape \(2, 5\), expected <f8 and \(2, 4\)",
    ),
    "wrong type": (
        lambda h, a: a.update({"prior_.bias": np.zeros(2, np.float32)}),
        r"prior_.bias has the type <f4 and the shape \(2,\), expected <f8 and \(2,\)",
    ),
    "unknown class": (
        lambda h, a: root(h).update(rule={"MyRule": {}}),
        "rule is a MyRule, unknown to hmlib",
    ),
    "a class of Python": (
        lambda h, a: h.update(machine={"Popen": {"args": "ls"}}),
        "it is a Popen, unknown to hmlib",
    ),
    "unknown parameter": (
        lambda h, a: root(h).update(speed=3),
        "HelmholtzMachine.speed is unknown to hmlib",
    ),
    "layer without bias": (
        lambda h, a: root(h)["prior_"]["SigmoidLayer"].pop("bias"),
        "SigmoidLayer.bias is missing",
    ),
    "unknown generator": (
        lambda h, a: root(h)["rng_"]["generator"]["state"]["dict"].update(bit_generator="Dice"),
        "cannot be loaded: KeyError.'Dice'",
    ),
    "no state of the generator": (
        lambda h, a: root(h)["rng_"]["generator"].pop("seed"),
        "cannot be loaded: TypeError",
    ),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_file_that_does_not_fit_says_why(file, change, message):
    rewrite(file, change)
    with pytest.raises(ValueError, match=message):
        load(file)


def test_an_older_file_without_a_new_parameter_gets_its_default(file):
    expected = load(file).set_params(n_epochs=50)
    rewrite(file, lambda header, arrays: root(header).pop("n_epochs"))
    older = load(file)
    assert sorted(contents(older)) == sorted(contents(expected))
    assert_same(clone(older), clone(expected))


def test_the_wrong_kind_of_machine_is_named(file):
    assert isinstance(load(file, HelmholtzMachine), HelmholtzMachine)
    message = "machine.npz holds a HelmholtzMachine, expected a RestrictedBoltzmannMachine"
    with pytest.raises(ValueError, match=message):
        load(file, RestrictedBoltzmannMachine)


def test_a_file_or_folder_that_is_not_there_is_an_error_as_usual(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.npz"):
        load(tmp_path / "nothing.npz")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save(HelmholtzMachine(), tmp_path / "nowhere" / "machine.npz")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
