"""Build the book: `jupyter-book build`, strict, with a cache that knows about the library.

Three things that Jupyter Book does not do by itself:

* Its cache of executed chapters looks at a chapter's own cells only.  Here a change in what the
  chapters import, read or are run with (see `fingerprint`) empties it.
* Sphinx re-reads a page only when its file changed, so a warning or an error of the last build
  would not be seen in the next one.  Unless the last build succeeded, every page is read again.
* Pages of chapters that were removed or renamed stay in the site.  A changed table of contents or
  configuration therefore starts the site anew; chapters still come from the cache.

What was true of the last build is kept in `_build/.book.json`.

The tests execute every chapter as well.  What they have executed and found right they put into the cache
(see `keep`), so that the build after them need not do it again.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from hmlib.experiments.files import locked

ROOT = Path(__file__).resolve().parent.parent
EXECUTION = ("requirements.txt", "hmlib/**/*.py", "data/results/**/*")
RECORD = ".book.json"
SITE = ("_config.yml", "_toc.yml", "assets/**/*", "vendor/SHA256SUMS", "references.bib")


def fingerprint(root: Path, patterns: tuple[str, ...], *extra: str) -> str:
    """One hash of the names and contents of all files that match, and of `extra`."""
    total = hashlib.sha256("\0".join(extra).encode())
    files = {p for pattern in patterns for p in root.glob(pattern) if p.is_file()}
    for path in sorted(files):
        total.update(path.relative_to(root).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def data_sets() -> str:
    """Which data sets $HMLIB_DATA offers: chapters show more when they are there."""
    folder = Path(os.environ.get("HMLIB_DATA") or "/nonexistent")
    return " ".join(sorted(f"{p.name}:{p.stat().st_size}" for p in folder.glob("*.npz")))


def last_build(root: Path) -> dict:
    """What was true of the last build; nothing if there was none."""
    try:
        return json.loads((root / "_build" / RECORD).read_text())
    except (OSError, ValueError):
        return {}


def forget_what_is_stale(root: Path, now: dict[str, str]) -> list[str]:
    """Remove those parts of `_build` that the next build must not reuse; say which."""
    build, last, stale = root / "_build", last_build(root), {}
    if last.get("execution") != now["execution"]:
        stale[".jupyter_cache"] = "the library, its results or the pinned packages changed"
    if stale or last.get("site") != now["site"] or not last.get("succeeded"):
        stale |= dict.fromkeys((".doctrees", "html"), "pages must be read again")
    stale = {name: why for name, why in stale.items() if (build / name).exists()}
    for name in stale:
        shutil.rmtree(build / name)
    # From here on the build counts as failed until it has succeeded, even if it is killed.
    build.mkdir(exist_ok=True)
    note(root, now, succeeded=False)
    return [f"{name}: {why}" for name, why in stale.items()]


def note(root: Path, now: dict[str, str], *, succeeded: bool) -> None:
    """Write down for the next build what this one was made from, and whether it has succeeded."""
    (root / "_build" / RECORD).write_text(json.dumps(now | {"succeeded": succeeded}))


def fingerprints(root: Path) -> dict[str, str]:
    """What executed chapters and pages depend on, besides themselves."""
    return {
        "execution": fingerprint(root, EXECUTION, sys.version, data_sets()),
        "site": fingerprint(root, SITE),
    }


def keep(root: Path, path: Path, notebook) -> None:
    """Put a chapter that has been executed into the cache of the book."""
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    now = fingerprints(root)
    with locked(root / "_build"):
        if last_build(root).get("execution") != now["execution"]:
            # The site stays until the next build, which takes it for one that failed and starts anew.
            shutil.rmtree(root / "_build" / ".jupyter_cache", ignore_errors=True)
            note(root, now, succeeded=False)
        # What a build notes when it executes a chapter itself; normal form leaves it out.
        notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
        executed = CacheBundleIn(notebook, str(path))
        cache = get_cache(root / "_build" / ".jupyter_cache")
        cache.cache_notebook_bundle(executed, check_validity=False, overwrite=True)


def build(root: Path) -> int:
    """Bring `_build/html` up to date; the exit status of jupyter-book."""
    now = fingerprints(root)
    for line in forget_what_is_stale(root, now):
        print("discarding", line, flush=True)
    # The front page shows what a chapter has computed, and Sphinx does not know that: read it again.
    (root / "_build" / ".doctrees" / "intro.doctree").unlink(missing_ok=True)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")  # that of this environment
    command = [jupyter_book, "build", ".", "-W", "-n", "--keep-going"]
    status = subprocess.run(command, cwd=root).returncode
    if status == 0:
        note(root, now, succeeded=True)
    return status


def main() -> None:
    start = time.perf_counter()
    status = build(ROOT)
    seconds = time.perf_counter() - start
    if status:
        print(f"\nThe book was NOT built ({seconds:.0f} s): see the errors above.", file=sys.stderr)
        sys.exit(status)
    print(f"\nThe book is in {ROOT / '_build' / 'html' / 'index.html'} ({seconds:.0f} s).")


if __name__ == "__main__":
    main()
