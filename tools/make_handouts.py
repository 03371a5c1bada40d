"""Copy chapters without the solutions of their exercises, for a class to work on.

    python tools/make_handouts.py [chapters/a.ipynb ...]      (default: all of chapters/)

The copies go to _build/handouts, with an empty cell in the place of each solution and without outputs.
The chapters themselves stay as they are.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
HANDOUTS = ROOT / "_build" / "handouts"
ANSWER = "# Your answer\n"
FENCE = re.compile(r"^(?P<ticks>`{3,})(?:\{(?P<name>[\w-]+)\}.*)?\s*$")


def without_solutions(notebook):
    """Make a copy of a notebook with an empty cell in the place of each solution.

    A solution is what stands between ``{solution-start}`` and ``{solution-end}``, in as many cells as
    it takes, or one directive ``{solution}``.
    """
    copy, cells, inside = notebook.copy(), [], False
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            if not inside:
                cells.append(_without_outputs(cell))
            continue
        parts, inside = _split(cell.source, inside)
        for k, text in enumerate(parts):
            if k:
                cells.append(nbformat.v4.new_code_cell(ANSWER, id=f"{cell.id}-answer-{k}"))
            if text.strip():
                name = f"{cell.id}-{k}" if k else cell.id
                cells.append(nbformat.v4.new_markdown_cell(text.strip(), id=name))
    if inside:
        raise ValueError("a solution is begun and not ended")
    copy.cells = cells
    return copy


def _split(source, inside):
    """Cut the solutions out of a Markdown cell: the texts around them, and whether the last goes on."""
    parts = [[]]
    end = "solution-end" if inside else None  # what ends it: a directive, or a fence
    for line in source.split("\n"):
        fence = FENCE.match(line)
        ticks, name = fence.group("ticks", "name") if fence else (None, None)
        if end is None and name in ("solution", "solution-start"):
            parts.append([])
            end = "solution-end" if name == "solution-start" else ticks
        elif end is None:
            parts[-1].append(line)
        elif end == name:
            end = ticks  # the fence of the directive is still to come
        elif name is None and end == ticks:
            end = None
    return ["\n".join(part) for part in parts], end == "solution-end"


def _without_outputs(cell):
    cell = cell.copy()
    if cell.cell_type == "code":
        cell.update(outputs=[], execution_count=None)
    return cell


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="chapters (default: all)")
    paths = parser.parse_args(arguments).paths or sorted((ROOT / "chapters").glob("*.ipynb"))
    HANDOUTS.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if not path.is_file():
            print(f"There is no notebook {path}.", file=sys.stderr)
            return 1
        notebook = nbformat.read(path, as_version=4)
        nbformat.write(without_solutions(notebook), HANDOUTS / path.name)
    print(f"{len(paths)} notebooks without solutions in {HANDOUTS.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
