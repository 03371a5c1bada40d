"""Execute chapters where they lie and store them in normal form: `make chapters`.

A chapter that fails stays as it was, and the exit status says so.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from normalise import ROOT, normalise

CELL_TIMEOUT = 300  # seconds, as in the tests


def execute(path: Path) -> float:
    """Run one chapter in a fresh kernel, replace the file, and return the seconds it took."""
    start = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    seconds = time.perf_counter() - start
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(normalise(nbformat.writes(notebook)), encoding="utf-8")
    os.replace(draft, path)  # a kill leaves the old file or the new one, never half of it
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("chapters", nargs="*", type=Path)
    options = parser.parse_args()
    chapters = options.chapters or sorted(ROOT.glob("chapters/*.ipynb"))
    failed = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(execute, path.resolve()): path for path in chapters}
        for done in as_completed(running):
            path = running[done]
            try:
                print(f"{done.result():7.1f} s  {path.name}", flush=True)
            except Exception as error:  # any reason: the others still run, and all are reported
                failed.append(path)
                print(f" FAILED    {path.name}\n{error}\n", file=sys.stderr, flush=True)
    if failed:
        sys.exit(f"{len(failed)} of {len(chapters)} chapters failed and were left as they were.")


if __name__ == "__main__":
    main()
