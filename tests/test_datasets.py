"""Tests of hmlib.datasets: exact worlds against published numbers, image files against every fault.

Nothing here uses the network: what is downloaded comes from a server on 127.0.0.1.
"""

import dataclasses
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmlib import datasets
from hmlib.datasets import bars, letters, load, pack, rows, shifter, stripes

REPOSITORY = Path(__file__).parents[1]
IMAGE_SETS = ("mnist", "fashion-mnist", "cifar10-gray")
probability = st.floats(0, 1)
no_hurry = settings(deadline=None)  # a busy machine is not a fault


# Worlds -------------------------------------------------------------------------------------------

HINTON_SEJNOWSKI = {"p_on": 0.3, "shifts": (-1, 0, 1), "repeat": 1, "labels": True}
WORLDS = {
    # name: world, number of patterns, entropy in nats, shape
    "stripes 3x3": (stripes, {}, 12, 2.42827, (3, 3)),
    "bars 4x4": (bars, {}, 30, 2.37639, (4, 4)),
    "mixed bars 4x4": (bars, {"mixed": True}, 226, 3.01309, (4, 4)),
    "mixed bars 5x5": (bars, {"side": 5, "mixed": True}, 962, 3.25078, (5, 5)),
    "mixed bars 5x5, 0.2": (bars, {"side": 5, "p_on": 0.2, "mixed": True}, 962, 5.00198, (5, 5)),
    "mixed bars 6x6, 1/6": (bars, {"side": 6, "p_on": 1 / 6, "mixed": True}, 3970, 5.40659, (6, 6)),
    "shifter, 0.2": (shifter, {}, 508, 4.5792, (4, 8)),
    "shifter, 0.3": (shifter, {"p_on": 0.3}, 508, 5.5374, (4, 8)),
    "shifter, 0.5": (shifter, {"p_on": 0.5}, 508, 6.2275, (4, 8)),
    "shifter 1986": (shifter, HINTON_SEJNOWSKI, 768, 5.98553, (1, 19)),
    "rows 4x4": (rows, {}, 16, np.log(16), (4, 4)),
}


def coin_entropy(p):
    return -sum(q * np.log(q) for q in (p, 1 - p) if q > 0)


def factorised_kl(world):
    """KL from the world to the best model of independent pixels, in nats."""
    means = world.probabilities @ world.patterns
    return sum(map(coin_entropy, means)) - world.entropy


def assert_is_world(world):
    patterns, probabilities = world
    assert patterns.dtype == probabilities.dtype == np.float64
    assert patterns.shape == (len(probabilities), np.prod(world.shape))
    assert np.isin(patterns, (0, 1)).all()
    assert len(np.unique(patterns, axis=0)) == len(patterns)
    assert (probabilities > 0).all()
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert 0 <= world.entropy <= np.log(len(patterns)) + 1e-12


@pytest.mark.parametrize(
    ("world", "arguments", "n_patterns", "entropy", "shape"), WORLDS.values(), ids=WORLDS
)
def test_world_has_the_published_size_and_entropy(world, arguments, n_patterns, entropy, shape):
    world = world(**arguments)
    assert_is_world(world)
    assert len(world.patterns) == n_patterns
    assert world.entropy == pytest.approx(entropy, abs=5.1e-5 if entropy != np.log(16) else 1e-12)
    assert world.shape == shape
    assert f"{n_patterns} patterns" in repr(world)


def test_stripes_are_the_world_of_kirby():
    world = stripes()
    pictures = world.patterns.reshape(-1, 3, 3)
    vertical = (pictures == pictures[:, :1]).all(axis=(1, 2))
    horizontal = (pictures == pictures[:, :, :1]).all(axis=(1, 2))
    assert (vertical ^ horizontal).all()
    np.testing.assert_allclose(world.probabilities[vertical], np.full(6, 2 / 18))
    np.testing.assert_allclose(world.probabilities[horizontal], np.full(6, 1 / 18))
    np.testing.assert_allclose(world.probabilities @ world.patterns, np.full(9, 0.5))
    assert factorised_kl(world) == pytest.approx(3.81005, abs=5e-6)


def test_bars_are_the_world_of_1995():
    world = bars()
    assert world.probabilities[0] == pytest.approx(0.4096)  # blank comes first, full last
    assert world.probabilities[-1] == pytest.approx(0.0016)
    assert world.patterns[0].sum() == 0
    assert world.patterns[-1].sum() == 16
    assert world.entropy / np.log(2) == pytest.approx(3.42840, abs=5e-6)
    assert factorised_kl(world) / np.log(2) == pytest.approx(8.122, abs=5e-4)
    first_column_only = np.tile([1, 0, 0, 0], 4)
    k = np.flatnonzero((world.patterns == first_column_only).all(axis=1))
    np.testing.assert_allclose(world.probabilities[k], 2 / 3 * 0.2 * 0.8**3)


@no_hurry
@given(st.integers(2, 4), probability)
def test_mixed_bars_agree_with_painting_every_set_of_bars(side, p_on):
    expected = {}
    for code in range(4**side):
        on = [code >> i & 1 for i in range(2 * side)]
        pixels = [on[i] | on[side + j] for i in range(side) for j in range(side)]
        p = p_on ** sum(on) * (1 - p_on) ** (2 * side - sum(on))
        expected[tuple(pixels)] = expected.get(tuple(pixels), 0) + p
    world = bars(side, p_on, mixed=True)
    listed = {tuple(map(int, d)): p for d, p in zip(*world, strict=True)}
    for pixels, p in expected.items():
        assert listed.get(pixels, 0) == pytest.approx(p, abs=1e-14)


def test_mixed_bars_have_one_bar_on_average_by_default():
    assert bars(5, mixed=True).entropy == bars(5, p_on=0.1, mixed=True).entropy


def test_shifter_moves_to_the_right_for_positive_shifts():
    world = shifter(width=4, p_on=0.5, shifts=(1,), repeat=1)
    for row, moved in world.patterns.reshape(-1, 2, 4):
        np.testing.assert_array_equal(moved, np.roll(row, 1))
    assert len(world.patterns) == 16


def test_shifter_of_1995_shows_each_row_twice():
    pictures = shifter().patterns.reshape(-1, 4, 8)
    np.testing.assert_array_equal(pictures[:, 0], pictures[:, 1])
    np.testing.assert_array_equal(pictures[:, 2], pictures[:, 3])


def test_shifter_of_1986_labels_the_shift():
    world = shifter(**HINTON_SEJNOWSKI)
    row, moved, label = np.split(world.patterns, [8, 16], axis=1)
    for k, shift in enumerate((-1, 0, 1)):
        chosen = label[:, k] == 1
        np.testing.assert_array_equal(moved[chosen], np.roll(row[chosen], shift, axis=1))
        assert world.probabilities[chosen].sum() == pytest.approx(1 / 3)
    assert (label.sum(axis=1) == 1).all()


def test_patterns_come_in_counting_order():
    for world in (stripes(), bars(), shifter(width=4), rows()):
        codes = world.patterns @ 2.0 ** np.arange(world.patterns.shape[1])[::-1]
        assert (np.diff(codes) > 0).all()


@no_hurry
@given(st.integers(2, 8), probability)
def test_stripes_of_any_size(side, p_vertical):
    world = stripes(side, p_vertical)
    assert_is_world(world)
    np.testing.assert_allclose(world.probabilities @ world.patterns, 0.5)
    entropy = np.log(2**side - 2) + coin_entropy(p_vertical)
    assert world.entropy == pytest.approx(entropy, abs=1e-9)


@no_hurry
@given(st.integers(2, 6), probability, probability)
def test_bars_of_any_size(side, p_on, p_vertical):
    world = bars(side, p_on, p_vertical)
    assert_is_world(world)
    np.testing.assert_allclose(world.probabilities @ world.patterns, p_on, atol=1e-12)


@no_hurry
@given(st.integers(2, 4), probability)
def test_mixed_bars_of_any_size(side, p_on):
    world = bars(side, p_on, mixed=True)
    assert_is_world(world)
    means = world.probabilities @ world.patterns
    np.testing.assert_allclose(means, 1 - (1 - p_on) ** 2, atol=1e-12)


@no_hurry
@given(
    st.integers(2, 6),
    probability,
    st.lists(st.integers(-9, 9), min_size=1, max_size=3, unique=True),
    st.integers(1, 2),
    st.booleans(),
)
def test_shifter_of_any_size(width, p_on, shifts, repeat, labels):
    world = shifter(width, p_on, shifts, repeat, labels)
    assert_is_world(world)
    expected = [p_on] * (2 * repeat * width) + [1 / len(shifts)] * (len(shifts) * labels)
    np.testing.assert_allclose(world.probabilities @ world.patterns, expected, atol=1e-12)


@no_hurry
@given(st.integers(1, 8), probability)
def test_rows_of_any_size(side, p_on):
    world = rows(side, p_on)
    assert_is_world(world)
    np.testing.assert_allclose(world.probabilities @ world.patterns, p_on, atol=1e-12)
    assert world.entropy == pytest.approx(side * coin_entropy(p_on), abs=1e-9)


@pytest.mark.parametrize("world", [stripes(), bars(), bars(mixed=True), shifter(), rows()])
def test_samples_have_the_exact_frequencies(world):
    n = 100_000
    samples = world.sample(n, random_state=1)
    assert samples.shape == (n, world.patterns.shape[1])
    powers = 2.0 ** np.arange(world.patterns.shape[1])[::-1]
    codes = world.patterns @ powers  # ascending
    which = np.searchsorted(codes, samples @ powers)
    np.testing.assert_array_equal(world.patterns[which], samples)
    p = world.probabilities
    frequencies = np.bincount(which, minlength=len(p)) / n
    common = p * n > 10  # for rarer ones the normal approximation is off
    assert common.sum() >= 10
    error = np.sqrt(p * (1 - p) / n)
    assert (np.abs(frequencies - p) < 5 * error)[common].all()


def test_samples_follow_the_random_state():
    world = stripes()
    same = world.sample(50, random_state=7)
    np.testing.assert_array_equal(same, world.sample(50, random_state=7))
    rng = np.random.default_rng(7)
    np.testing.assert_array_equal(same, world.sample(50, random_state=rng))
    assert (world.sample(50, random_state=rng) != same).any()
    assert world.sample().shape == (1, 9)


def test_world_that_is_certain_has_entropy_zero():
    assert repr(rows(2, p_on=1)) == "<World: 1 patterns of 4 units (2 x 2), entropy 0.00000 nats>"


def test_world_can_be_pickled():
    world = pickle.loads(pickle.dumps(stripes()))
    np.testing.assert_array_equal(world.patterns, stripes().patterns)
    assert world.shape == (3, 3)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: stripes(1), "side"),
        (lambda: stripes(3.0), "side"),
        (lambda: stripes(13), "side must be an int from 2 to 12"),
        (lambda: stripes(3, 1.5), "p_vertical"),
        (lambda: bars(1), "side"),
        (lambda: bars(True), "side"),
        (lambda: bars(9, mixed=True), "side must be an int from 2 to 8"),
        (lambda: bars(4, -0.1), "p_on"),
        (lambda: bars(4, np.nan), "p_on"),
        (lambda: bars(4, 0.2, "often"), "p_vertical"),
        (lambda: shifter(1), "width"),
        (lambda: shifter(p_on=2), "p_on"),
        (lambda: shifter(shifts=()), "shifts"),
        (lambda: shifter(shifts=(1, 1)), "shifts"),
        (lambda: shifter(shifts=(0.5,)), "shifts"),
        (lambda: shifter(shifts=1), "shifts"),
        (lambda: shifter(repeat=0), "repeat"),
        (lambda: rows(0), "side"),
        (lambda: rows(4, 1.1), "p_on"),
        (lambda: rows().sample(0), "n_samples"),
        (lambda: rows().sample(2.5), "n_samples"),
        (lambda: rows().sample(1, "seed"), "random_state"),
    ],
)
def test_bad_arguments_of_worlds_are_named(make, argument):
    with pytest.raises(ValueError, match=argument):
        make()


# Letters ------------------------------------------------------------------------------------------

LETTER_A = """
....##....
....##....
...####...
...#..#...
..##..##..
..##..##..
..######..
.########.
.##....##.
.##....##.
"""


def ink_of(letter):
    patterns, shape = letters()
    return patterns[ord(letter) - ord("A")].reshape(shape) > 0


def test_letters_are_26_different_patterns_of_spins():
    patterns, shape = letters()
    assert patterns.shape == (26, 100)
    assert patterns.dtype == np.float64
    assert shape == (10, 10)
    assert np.isin(patterns, (-1, 1)).all()
    differences = (patterns[:, None] != patterns).sum(axis=2) + 100 * np.eye(26)
    assert differences.min() >= 6
    assert np.linalg.matrix_rank(patterns) == 26  # the pseudo-inverse can store them all


def test_letters_stand_upright_and_in_order():
    drawn = ["".join(row) for row in np.where(ink_of("A"), "#", ".")]
    assert drawn == LETTER_A.split()
    for letter in "AHIMOTUVWXY":
        np.testing.assert_array_equal(ink_of(letter), ink_of(letter)[:, ::-1])
    for letter in "BCDEHIOX":
        rows_ = ink_of(letter).sum(axis=1)
        assert abs(rows_[:5].sum() - rows_[5:].sum()) <= 4
    assert ink_of("L")[:, 1:3].all()
    assert ink_of("T")[:2, 1:9].all()
    assert ink_of("J")[:5, :4].sum() == 0
    assert ink_of("Q").sum() > ink_of("O").sum()


def test_strokes_are_connected():
    for letter in map(chr, range(ord("A"), ord("Z") + 1)):
        ink = np.pad(ink_of(letter), 1)
        reached = np.zeros_like(ink)
        reached.flat[ink.argmax()] = True
        for _ in range(ink.size):
            spread = reached.copy()
            for axis in (0, 1):
                spread |= np.roll(reached, 1, axis) | np.roll(reached, -1, axis)
            reached = spread & ink
        assert (reached == ink).all(), letter


# Digits -------------------------------------------------------------------------------------------


def test_digits_have_a_fixed_split():
    data = load()
    x_train, y_train, x_test, y_test, shape = data
    assert x_train.shape == (1437, 64)
    assert x_test.shape == (360, 64)
    assert shape == (8, 8)
    assert x_train.dtype == np.float32
    assert y_train.dtype == np.int64
    assert x_train.min() == 0
    assert x_train.max() == 1
    share = np.bincount(y_test) / np.bincount(np.concatenate([y_train, y_test]))
    assert (np.abs(share - 0.2) < 0.006).all()
    assert data.sha256 == data.fingerprint == load("digits").fingerprint
    assert data.sha256.startswith("586585aa")  # the split must not change: results depend on it
    assert "1437 + 360 images of 8 x 8" in repr(data)
    assert data.source == "scikit-learn"


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x_train, y_train, x_test, y_test, _ = load("digits")
    ours = np.column_stack([np.vstack([x_train, x_test]) * 16, np.append(y_train, y_test)])
    theirs = np.column_stack([x, y])
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


@pytest.mark.parametrize("name", ["mnists", "", None, 3, ["digits"]])
def test_unknown_name_lists_the_names(name):
    with pytest.raises(ValueError, match="'digits', 'mnist', 'fashion-mnist', 'cifar10-gray'"):
        load(name)
    with pytest.raises(ValueError, match="name must be one of 'mnist'"):
        pack(name, ".")


# A server, a cache and image sets in miniature ----------------------------------------------------


def idx(array):
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def tiny_arrays(side=28, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (30, side, side), dtype=np.uint8)
    labels = rng.integers(0, 10, 30, dtype=np.uint8)
    return {
        "x_train": pixels[:20],
        "y_train": labels[:20],
        "x_test": pixels[20:],
        "y_test": labels[20:],
    }


TINY = tiny_arrays()
TINY_FILES = dict(zip(datasets.IDX_FILES, map(idx, TINY.values()), strict=True))


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``; ``pause`` is called with the path, after half of each body is sent."""

    daemon_threads = True

    def __init__(self, files):
        self.files, self.asked, self.pause = dict(files), [], lambda path: None
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        body = self.server.files.get(self.path[1:])
        self.send_response(404 if body is None else 200)
        body = body or b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.server.pause(self.path)
            self.wfile.write(body[len(body) // 2 :])
        except OSError:
            pass  # the client was killed

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch):
    """Refuse connections to other machines, also through a proxy."""
    connect = socket.socket.connect

    def guarded(self, address):
        if not str(address[0]).startswith("127."):
            raise OSError(f"this test may not connect to {address}")
        return connect(self, address)

    lookup = socket.getaddrinfo

    def guarded_lookup(host, *args, **kwargs):
        if host != "127.0.0.1":
            raise socket.gaierror(f"this test may not look up {host}")
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no folder of the user."""
    monkeypatch.delenv("HMLIB_DATA", raising=False)
    monkeypatch.setattr(datasets, "_cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def server():
    with Server(TINY_FILES) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield server
        server.shutdown()


def publish(monkeypatch, server, name="mnist", mirrors=None):
    """Make ``server`` the only place where ``name`` is published."""
    source = dataclasses.replace(
        datasets.SOURCES[name], mirrors=mirrors or (server.url,), files=checksums(server.files)
    )
    monkeypatch.setitem(datasets.SOURCES, name, source)


def checksums(files):
    return {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}


def assert_is_tiny(data, arrays=TINY):
    for part in ("train", "test"):
        x, expected = getattr(data, f"x_{part}"), arrays[f"x_{part}"]
        np.testing.assert_array_equal(x, (expected.reshape(len(x), -1) / np.float32(255)))
        np.testing.assert_array_equal(getattr(data, f"y_{part}"), arrays[f"y_{part}"])
        assert x.dtype == np.float32
        assert getattr(data, f"y_{part}").dtype == np.int64


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


# Parsers ------------------------------------------------------------------------------------------


@no_hurry
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_idx_round_trip(tmp_path_factory, shape, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path_factory.mktemp("idx") / "file.gz"
    path.write_bytes(idx(array))
    np.testing.assert_array_equal(datasets._read_idx(path), array)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not an idx file"),
        (b"\0\0\x0d\x01" + struct.pack(">I", 0), "not an idx file of uint8"),
        (b"\0\0\x08", "not an idx file"),
        (b"\0\0\x08\x03" + struct.pack(">II", 2, 2), "not an idx file"),
        (b"\0\0\x08\x01" + struct.pack(">I", 5), "announces shape"),
        (b"\0\0\x08\x01" + struct.pack(">I", 5) + b"1234", "announces shape"),
        (b"\0\0\x08\x01" + struct.pack(">I", 3) + b"1234", "announces shape"),
    ],
)
def test_idx_that_contradicts_itself_is_refused(tmp_path, content, problem):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=problem):
        datasets._read_idx(path)


def cifar_archive(records, member="cifar-10-batches-bin/{}"):
    """The binary version of CIFAR-10 in miniature: ``records`` (6, n, 3073)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        contents = dict(zip(datasets.CIFAR_BATCHES, (r.tobytes() for r in records), strict=True))
        order = ["test_batch.bin", *reversed(datasets.CIFAR_BATCHES[:5]), "batches.meta.txt"]
        for name in order:  # not the order of the batches: the parser must not rely on it
            body = contents.get(name, b"airplane\n")
            info = tarfile.TarInfo(member.format(name))
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return file.getvalue()


def test_cifar_round_trip(tmp_path):
    rng = np.random.default_rng(3)
    records = rng.integers(0, 256, (6, 4, 3073), dtype=np.uint8)
    records[..., 0] %= 10
    records[0, 0, 1:] = 255
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(cifar_archive(records))
    arrays = datasets._parse_cifar(tmp_path)
    rgb = records[..., 1:].reshape(6, 4, 3, 32, 32)
    exact = 0.299 * rgb[:, :, 0] + 0.587 * rgb[:, :, 1] + 0.114 * rgb[:, :, 2]
    grey = np.concatenate([arrays["x_train"], arrays["x_test"]]).reshape(exact.shape)
    assert grey.dtype == np.uint8
    assert (np.abs(grey - exact) <= 0.5 + 1e-9).all()
    assert (arrays["x_train"][0] == 255).all()
    np.testing.assert_array_equal(arrays["y_train"], records[:5, :, 0].ravel())
    np.testing.assert_array_equal(arrays["y_test"], records[5, :, 0])
    assert datasets._problem(arrays, 32) is None


def test_cifar_batch_of_broken_records_is_refused():
    with pytest.raises(ValueError, match="records of 3073 bytes, got 3072"):
        datasets._read_batch(bytes(3072))


def test_cifar_is_downloaded_packed_and_read(cache, server, monkeypatch):
    records = np.zeros((6, 2, 3073), dtype=np.uint8)
    records[:, :, 1:] = 51
    server.files = {"cifar-10-binary.tar.gz": cifar_archive(records)}
    publish(monkeypatch, server, "cifar10-gray")
    data = load("cifar10-gray", verbose=False)
    assert data.x_train.shape == (10, 1024)
    assert data.shape == (32, 32)
    np.testing.assert_array_equal(data.x_test, np.full((2, 1024), 0.2, dtype=np.float32))


# Where files are looked for -----------------------------------------------------------------------


def test_download_fills_the_cache_once(cache, server, monkeypatch, capfd):
    publish(monkeypatch, server)
    first = load("mnist", verbose=False)
    assert_is_tiny(first)
    assert first.shape == (28, 28)
    assert first.source == "cache"
    assert listing(cache) == ["mnist.npz"]
    assert first.sha256 == hashlib.sha256((cache / "mnist.npz").read_bytes()).hexdigest()
    assert len(server.asked) == 4
    second = load("mnist", download=False)
    assert len(server.asked) == 4
    assert second.fingerprint == first.fingerprint
    assert "%|" not in capfd.readouterr().err


def test_download_shows_a_bar_if_verbose(cache, server, monkeypatch, capfd):
    publish(monkeypatch, server)
    load("mnist")
    assert "100%|" in capfd.readouterr().err


def test_hmlib_data_comes_before_the_cache(cache, server, tmp_path, monkeypatch):
    publish(monkeypatch, server)
    load("mnist", verbose=False)
    mine = tiny_arrays(seed=1)
    (tmp_path / "mine").mkdir()
    np.savez(tmp_path / "mine" / "mnist.npz", **mine)
    monkeypatch.setenv("HMLIB_DATA", str(tmp_path / "mine"))
    data = load("mnist")
    assert_is_tiny(data, mine)
    assert data.source == "HMLIB_DATA"


@pytest.mark.parametrize("value", ["", "empty", "absent"])
def test_hmlib_data_without_the_file(cache, server, tmp_path, monkeypatch, value):
    publish(monkeypatch, server)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("HMLIB_DATA", value and str(tmp_path / value))
    assert_is_tiny(load("mnist", verbose=False))


def test_fingerprint_ignores_compression_and_sees_content(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HMLIB_DATA", str(tmp_path))
    np.savez(tmp_path / "mnist.npz", **TINY)
    plain = load("mnist")
    np.savez_compressed(tmp_path / "mnist.npz", **TINY)
    compressed = load("mnist")
    np.savez(tmp_path / "mnist.npz", **TINY | {"x_test": 255 - TINY["x_test"]})
    assert plain.sha256 != compressed.sha256
    assert plain.fingerprint == compressed.fingerprint
    assert load("mnist").fingerprint != plain.fingerprint


def test_dataset_can_be_pickled(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HMLIB_DATA", str(tmp_path))
    np.savez(tmp_path / "mnist.npz", **TINY)
    data = load("mnist")
    assert pickle.loads(pickle.dumps(data)).sha256 == data.sha256


def test_pack_stores_files_fetched_by_hand(cache, server, tmp_path, monkeypatch):
    publish(monkeypatch, server)
    for name, body in TINY_FILES.items():
        (tmp_path / name).write_bytes(body)
    assert pack("mnist", str(tmp_path)) == cache / "mnist.npz"
    assert_is_tiny(load("mnist", download=False))
    assert server.asked == []


def test_pack_refuses_what_is_not_the_published_file(cache, server, tmp_path, monkeypatch):
    publish(monkeypatch, server)
    with pytest.raises(FileNotFoundError, match="train-images"):
        pack("mnist", tmp_path)
    for name, body in TINY_FILES.items():
        (tmp_path / name).write_bytes(body)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"t10k-labels.* has SHA-256 .*, expected"):
        pack("mnist", tmp_path)
    assert not cache.exists()


# Faults of files ----------------------------------------------------------------------------------


def packed(**changes):
    """The bytes of an .npz file like TINY but for ``changes``; None leaves an array out."""
    file = io.BytesIO()
    arrays = TINY | changes
    np.savez_compressed(file, **{key: a for key, a in arrays.items() if a is not None})
    return file.getvalue()


def flip_a_byte(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


NPY = io.BytesIO()
np.save(NPY, TINY["x_train"])
FAULTS = {
    # id: bytes of the file, what the message says
    "empty": (b"", "its 0 bytes are no complete zip archive"),
    "text": (b"<html>404 Not Found</html>", "no complete zip archive"),
    "pickle": (pickle.dumps(TINY), "no complete zip archive"),
    "one array": (NPY.getvalue(), "no complete zip archive"),
    "truncated": (packed()[:-100], "no complete zip archive"),
    "half": (packed()[: len(packed()) // 2], "no complete zip archive"),
    "bit rot": (flip_a_byte(packed()), "cannot be read"),
    "object array": (packed(y_test=np.array([None] * 10)), "cannot be read .*allow_pickle=False"),
    "missing array": (packed(y_test=None), "it has no array y_test"),
    "no arrays": (packed(**dict.fromkeys(TINY)), "it has no array x_train"),
    "wrong side": (packed(**tiny_arrays(32)), r"x_train has shape \(20, 32, 32\).*\(n, 28, 28\)"),
    "flat images": (
        packed(x_train=TINY["x_train"].reshape(20, 784)),
        r"x_train has shape \(20, 784\), expected \(n, 28, 28\)",
    ),
    "no images": (packed(x_test=TINY["x_test"][:0]), r"x_test has shape \(0, 28, 28\)"),
    "lengths": (packed(y_train=TINY["y_train"][:7]), r"y_train has shape \(7,\), expected \(20,\)"),
    "label columns": (packed(y_test=TINY["y_test"][:, None]), r"y_test has shape \(10, 1\)"),
    "float images": (
        packed(x_test=TINY["x_test"] / 255),
        "x_test has dtype float64, expected uint8",
    ),
    "int labels": (packed(y_train=TINY["y_train"].astype(np.int64)), "y_train has dtype int64"),
    "labels": (packed(y_test=TINY["y_test"] + np.uint8(1) * 10), "y_test holds the label 1"),
}


@pytest.mark.parametrize(("content", "problem"), FAULTS.values(), ids=FAULTS)
def test_invalid_file_in_hmlib_data_is_an_error(
    cache, server, tmp_path, monkeypatch, content, problem
):
    publish(monkeypatch, server)
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    monkeypatch.setenv("HMLIB_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=problem) as caught:
        load("mnist")
    message = str(caught.value)
    assert message.startswith(f"{path} is not a usable mnist file")
    for hint in (server.url, "uint8", "(n, 28, 28)", "HMLIB_DATA", "pack('mnist'", str(cache)):
        assert hint in message
    assert server.asked == []  # neither skipped nor replaced behind the user's back
    assert not cache.exists()


@pytest.mark.parametrize(("content", "problem"), FAULTS.values(), ids=FAULTS)
def test_invalid_file_in_the_cache_is_never_used(cache, server, monkeypatch, content, problem):
    publish(monkeypatch, server)
    cache.mkdir()
    (cache / "mnist.npz").write_bytes(content)
    with pytest.raises(ValueError, match=problem):
        load("mnist", download=False)
    with pytest.warns(UserWarning, match=problem + r"(.|\n)*Downloading it again"):
        assert_is_tiny(load("mnist", verbose=False))
    assert_is_tiny(load("mnist", download=False))


def test_npz_without_compression_and_with_more_arrays_is_fine(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HMLIB_DATA", str(tmp_path))
    np.savez(tmp_path / "mnist.npz", readme=np.array("mine"), **TINY)
    assert_is_tiny(load("mnist"))


def test_code_in_a_file_is_not_run(cache, tmp_path, monkeypatch):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    monkeypatch.setenv("HMLIB_DATA", str(tmp_path))
    np.savez(tmp_path / "mnist.npz", **TINY | {"y_test": np.array([Trap()], dtype=object)})
    with pytest.raises(ValueError, match="cannot be read"):
        load("mnist")
    assert not (tmp_path / "trapped").exists()


# Faults of downloads ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_no_network(cache, tmp_path, monkeypatch, name):
    monkeypatch.setenv("HMLIB_DATA", str(tmp_path))
    with pytest.raises(OSError, match=f"{name} could not be downloaded") as caught:
        load(name, verbose=False)  # the real mirrors: the fixture above refuses every connection
    message = str(caught.value)
    source = datasets.SOURCES[name]
    for hint in (name, *source.mirrors, *source.files, f"{cache / name}.npz", "HMLIB_DATA"):
        assert hint in message
    assert str(tmp_path) in message
    assert listing(cache) == []


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_absent_and_not_to_be_downloaded(cache, name):
    with pytest.raises(FileNotFoundError, match="does not exist") as caught:
        load(name, download=False)
    for hint in (*datasets.SOURCES[name].mirrors, f"{cache / name}.npz", "HMLIB_DATA", "not set"):
        assert hint in str(caught.value)
    assert not cache.exists()


def test_second_mirror_helps_out(cache, server, monkeypatch):
    publish(monkeypatch, server, mirrors=(server.url + "gone/", server.url))
    assert_is_tiny(load("mnist", verbose=False))


def test_wrong_checksum_is_refused(cache, server, monkeypatch):
    publish(monkeypatch, server)
    server.files["t10k-labels-idx1-ubyte.gz"] = idx(TINY["y_test"][::-1])
    with pytest.raises(OSError, match=r"t10k-labels.*hash|hash.*t10k-labels"):
        load("mnist", verbose=False)
    assert listing(cache) == []


def test_connection_that_breaks_half_way_is_an_error(cache, server, monkeypatch):
    publish(monkeypatch, server)

    def break_off(path):
        raise OSError("broken")

    server.pause = break_off
    with pytest.raises(OSError, match="train-images"):
        load("mnist", verbose=False)
    assert listing(cache) == []
    server.pause = lambda path: None
    assert_is_tiny(load("mnist", verbose=False))


def test_cache_that_cannot_be_written_says_so(server, tmp_path, monkeypatch):
    monkeypatch.delenv("HMLIB_DATA", raising=False)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(datasets, "_cache_folder", lambda: tmp_path / "file")
    publish(monkeypatch, server)
    with pytest.raises(OSError, match=r"mnist could not be downloaded(.|\n)*HMLIB_DATA"):
        load("mnist", verbose=False)


def test_full_disk_leaves_nothing(cache, server, monkeypatch):
    publish(monkeypatch, server)

    half = packed()[:500]

    def full(file, **arrays):
        file.write(half)
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", full)
        with pytest.raises(OSError, match="No space left"):
            load("mnist", verbose=False)
    assert listing(cache) == []
    assert_is_tiny(load("mnist", verbose=False))


def test_left_overs_are_swept_up_when_they_are_old(cache, server, monkeypatch):
    publish(monkeypatch, server)
    for name, age in (("young", 0), ("old", 2 * 24 * 3600)):
        (cache / f".partial-{name}").mkdir(parents=True)
        (cache / f".partial-{name}" / "mnist.npz").write_bytes(b"half")
        os.utime(cache / f".partial-{name}", (time.time() - age,) * 2)
    assert_is_tiny(load("mnist", verbose=False))
    assert listing(cache) == [".partial-young", "mnist.npz"]


CLIENT = """
import dataclasses, json, os, signal, sys
from pathlib import Path
from hmlib import datasets

cache, url, files, die_on_sync = json.loads(sys.argv[1])
datasets._cache_folder = lambda: Path(cache)
datasets.SOURCES["mnist"] = dataclasses.replace(
    datasets.SOURCES["mnist"], mirrors=(url,), files=files
)
if die_on_sync:  # the whole file is written, but does not have its name yet
    datasets.os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
print(datasets.load("mnist", verbose=False).fingerprint)
"""


def start_client(cache, server, die_on_sync=False):
    """Load in a process of its own."""
    setup = json.dumps([str(cache), server.url, checksums(TINY_FILES), die_on_sync])
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("HMLIB_DATA", None)
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, setup],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_download_killed_half_way(cache, server, monkeypatch, file):
    half_sent, go_on = threading.Event(), threading.Event()

    def stop_there(path):
        if path == "/" + file:
            half_sent.set()
            go_on.wait(30)

    server.pause = stop_there
    with start_client(cache, server) as client:
        assert half_sent.wait(30)
        client.kill()
        assert client.wait(30) != 0
    go_on.set()
    left = listing(cache)
    assert left
    assert all(name.startswith(".partial-") for name in left)

    server.pause = lambda path: None
    publish(monkeypatch, server)
    assert_is_tiny(load("mnist", verbose=False))
    assert [name for name in listing(cache) if not name.startswith(".partial-")] == ["mnist.npz"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_while_storing(cache, server, monkeypatch):
    with start_client(cache, server, die_on_sync=True) as client:
        assert client.wait(30) != 0
    assert not (cache / "mnist.npz").exists()
    assert list(cache.glob(".partial-*/**/mnist.npz"))  # it came as far as that
    publish(monkeypatch, server)
    assert_is_tiny(load("mnist", verbose=False))


def test_two_processes_at_once(cache, server, monkeypatch):
    together = threading.Barrier(2)

    def slow(path):
        if path == "/train-images-idx3-ubyte.gz":
            together.wait(30)  # each waits for the other: they do download at the same time
        time.sleep(0.1)

    server.pause = slow
    with start_client(cache, server) as one, start_client(cache, server) as two:
        out, error = one.communicate(timeout=60)
        out_two, error_two = two.communicate(timeout=60)
    assert (one.returncode, two.returncode) == (0, 0), error + error_two
    assert not together.broken
    assert len(server.asked) == 8
    assert listing(cache) == ["mnist.npz"]
    data = load("mnist", download=False)
    assert_is_tiny(data)
    assert out.strip() == out_two.strip() == data.fingerprint


# The published files ------------------------------------------------------------------------------


def test_sources_are_pinned():
    for name in IMAGE_SETS:
        source = datasets.SOURCES[name]
        assert len(source.mirrors) >= 2
        assert all(m.endswith("/") for m in source.mirrors)
        assert not any("yann.lecun.com" in mirror for mirror in source.mirrors)
        assert all(len(sha256) == 64 for sha256 in source.files.values())
        listed = (REPOSITORY / "data" / "README.md").read_text()
        assert all(word in listed for item in source.files.items() for word in item)


@pytest.mark.skipif(not os.environ.get("HMLIB_DATA"), reason="HMLIB_DATA is not set")
@pytest.mark.parametrize("name", IMAGE_SETS)
def test_real_image_sets(name):
    if not (Path(os.environ["HMLIB_DATA"]) / f"{name}.npz").exists():
        pytest.skip(f"there is no {name}.npz in HMLIB_DATA")
    data = load(name, download=False)
    side = {"cifar10-gray": 32}.get(name, 28)
    assert data.shape == (side, side)
    assert data.source == "HMLIB_DATA"
    assert data.x_train.shape == (len(data.y_train), side**2)
    assert data.x_train.min() == 0
    assert data.x_train.max() == 1
    assert (np.bincount(data.y_test, minlength=10) > 0).all()
