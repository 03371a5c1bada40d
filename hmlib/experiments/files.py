"""Files that are never half-written: atomic replacement, and a lock between processes."""

import os
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows: there, one process at a time
    fcntl = None

__all__ = ["locked", "project_folder", "write_atomically"]


@contextmanager
def locked(folder):
    """Hold the lock of a folder, so that two processes can change the same file in turn.

    The system drops it when the process ends, however that happens, and no lock file stays behind.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_atomically(path, write):
    """Let ``write(file)`` fill a binary file that then takes the place of ``path`` at once.

    Killed at any moment, the old contents or the new ones are there, complete. Call it under the
    lock of the folder: all writers share the name of the draft, so that kills leave one at most.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        with open(draft, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # the contents must reach the disk before the name does
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def project_folder():
    """Find the project: where the library was installed from, or around the working folder.

    Returns
    -------
    pathlib.Path or None
        The folder with ``hmlib/`` and ``data/README.md``; None if there is no clone in sight.
    """
    for folder in (Path(__file__).resolve().parents[2], Path.cwd(), *Path.cwd().parents):
        if (folder / "hmlib").is_dir() and (folder / "data" / "README.md").is_file():
            return folder
    return None
