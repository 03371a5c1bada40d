"""Bring notebooks into the one form in which they are committed.

    python tools/normalise.py [--check] [chapters/a.ipynb ...]      (default: all of chapters/)

Kept: sources, cell ids, tags and MyST settings, text outputs, execution counts (made 1, 2, 3, ...).
Dropped: pictures, widget state, timings, and whatever an editor noted down about itself.  Pictures are
drawn again whenever the book is built; a figure leaves its `<Figure size ...>` text behind, which is
what the tests compare.  Normalising twice changes nothing.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGETS = "application/vnd.jupyter.widget"
EMBEDDED_PICTURE = re.compile(r"(data:image/[\w.+-]+;base64,)[A-Za-z0-9+/=\s]*")


def is_picture(mime: str) -> bool:
    """True for an image, also one that `glue` has put away under its own prefix."""
    return mime.removeprefix("application/papermill.record/").startswith("image/")


def normal_data(data: dict) -> dict:
    """A MIME bundle without pictures and widget views."""
    kept = {m: v for m, v in data.items() if not is_picture(m) and not m.startswith(WIDGETS)}
    for mime, value in kept.items():
        if mime.endswith(("text/html", "text/markdown")):
            kept[mime] = EMBEDDED_PICTURE.sub(r"\1", value)
    return kept


def normal_output(output: dict, count: int) -> dict | None:
    """One output in normal form, or None where nothing is left of it."""
    kind = output["output_type"]
    if kind == "error":  # tracebacks hold the paths of one machine
        output["traceback"] = [f"{output['ename']}: {output['evalue']}"]
    if kind in ("display_data", "execute_result"):
        output["data"] = normal_data(output["data"])
        # `glue` recognises its outputs by this entry; the rest is about how a picture was shown.
        output["metadata"] = {k: v for k, v in output["metadata"].items() if k == "scrapbook"}
        if not output["data"]:
            return None
    if kind == "execute_result":
        output["execution_count"] = count
    return output


def normal_outputs(outputs: list, count: int) -> list:
    """The outputs of a cell in normal form, with neighbouring pieces of one stream joined."""
    result = []
    for output in outputs:
        if (output := normal_output(output, count)) is None:
            continue
        is_stream = output["output_type"] == "stream"
        if is_stream and result and result[-1].get("name") == output["name"]:
            result[-1]["text"] += output["text"]
        else:
            result.append(output)
    return result


def normal_ids(cells: list) -> None:
    """Give an id to every cell that has none, or one that an earlier cell has already."""
    seen = set()
    for number, cell in enumerate(cells):
        name = cell.get("id")
        while not name or name in seen:
            name = f"cell-{number}" if name != f"cell-{number}" else f"{name}-x"
        cell["id"] = name
        seen.add(name)


def normalise(text: str) -> str:
    """The normal form of a notebook, both as text."""
    notebook = nbformat.from_dict(nbformat.reader.reads(text))
    if notebook.nbformat != 4:
        notebook = nbformat.convert(notebook, 4)
    notebook.nbformat_minor = 5
    mystnb = {k: v for k, v in notebook.metadata.items() if k == "mystnb"}
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA | mystnb)
    normal_ids(notebook.cells)
    count = 0
    for cell in notebook.cells:
        cell.source = cell.source.rstrip("\n")
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in ("tags", "mystnb")}
        if cell.cell_type != "code":
            continue
        executed = bool(cell.source.strip())
        count += executed
        cell.execution_count = count if executed else None
        cell.outputs = normal_outputs(cell.outputs, count) if executed else []
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=4, indent=1).rstrip("\n") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail if it would")
    parser.add_argument("notebooks", nargs="*", type=Path)
    options = parser.parse_args()
    changed = []
    for path in options.notebooks or sorted((ROOT / "chapters").glob("*.ipynb")):
        before = path.read_text(encoding="utf-8")
        after = normalise(before)
        if before != after:
            changed.append(path)
            if not options.check:
                path.write_text(after, encoding="utf-8")
    for path in changed:
        print(f"{path}: {'not in normal form' if options.check else 'normalised'}")
    sys.exit(bool(changed) and options.check)


if __name__ == "__main__":
    main()
