"""Run benchmarks: all modules of this folder that have a ``main()``, or those named.

python benchmarks/run.py [recall ising ...]
"""

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def benchmarks():
    """List the benchmarks in this folder by name."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if "\ndef main(" in path.read_text())


def main(names):
    """Run the benchmarks of these names, all if there are none; return an exit status."""
    known = [name for name in benchmarks() if name != "run"]
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names or known:
        print(f"== {name}", flush=True)
        importlib.import_module(name).main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
