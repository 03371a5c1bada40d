"""The reference pages, notation.md and glossary.md: what they point to exists, and is what they say."""

import importlib
import inspect
import pkgutil
import re
from graphlib import TopologicalSorter
from pathlib import Path

import nbformat
import numpy as np
import pytest

import hmlib
from hmlib.hopfield import critical_load

ROOT = Path(__file__).resolve().parent.parent
NOTATION, GLOSSARY = ((ROOT / name).read_text() for name in ("notation.md", "glossary.md"))
MODULES = {m.name for m in pkgutil.iter_modules(hmlib.__path__) if not m.name.startswith("_")}
LINK = r"\{%s\}`(?:[^`<]*<)?([^`<>]+?)>?`"  # {role}`target` or {role}`text <target>`


def prose(path: Path) -> str:
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("page", [NOTATION, GLOSSARY], ids=["notation", "glossary"])
def test_every_reference_leads_to_a_label(page):
    text = "\n".join(map(prose, [*ROOT.glob("chapters/*.ipynb"), *ROOT.glob("*.md")]))
    labels = set(re.findall(r"^\(([\w-]+)\)=$|^:label: ([\w-]+)$", text, re.MULTILINE))
    known = {label for pair in labels for label in pair}
    assert set(re.findall(LINK % "(?:prf:)?ref", page)) - known == set()


# --- notation ----------------------------------------------------------------------------------------


def example(path: str):
    """An object of a class, fitted if there is something to fit."""
    module, name = path.rsplit(".", 1)
    cls = getattr(importlib.import_module(module), name)
    if name == "SigmoidLayer":
        return cls(np.zeros((2, 1)), np.zeros(1))
    wanted = {"n_epochs": 1, "centered": True, "random_state": 0}
    accepted = inspect.signature(cls).parameters
    machine = cls(**{key: value for key, value in wanted.items() if key in accepted})
    spins = np.array([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
    data = spins if name == "HopfieldNetwork" else (spins + 1) / 2
    return machine.fit(data) if hasattr(machine, "fit") else machine


@pytest.fixture(scope="module")
def objects() -> dict:
    """What the tables call by a short name, from the list above them."""
    rows = re.findall(r"^\| `(\w+)` \| `(hmlib\.[\w.]+)` \|$", NOTATION, re.MULTILINE)
    return {name: example(path) for name, path in rows}


def table_names() -> list[str]:
    """What stands in the column `In code`."""
    tables = NOTATION.partition("(sec-notation-two)=")[0]
    rows = [line.strip("|").split("|") for line in tables.splitlines() if line.startswith("| $")]
    assert all(len(row) == 5 for row in rows), "a row has not five columns"
    return sorted({name for row in rows for name in re.findall(r"`([^`]+)`", row[3])})


@pytest.mark.parametrize("name", table_names())
def test_every_name_in_code_exists(objects, name):
    first, *rest = name.split(".")
    assert first in objects or first in MODULES, f"neither an object nor a module: {first}"
    owner = objects.get(first) or importlib.import_module(f"hmlib.{first}")
    assert rest
    for attribute in rest:
        assert hasattr(owner, attribute), f"no {attribute}"
        owner = getattr(owner, attribute)


# --- glossary ----------------------------------------------------------------------------------------


def entries() -> list[tuple[list[str], str]]:
    """The terms of each entry, and its definition."""
    body = re.search(r"^```\{glossary\}\n(.+?)\n```$", GLOSSARY, re.MULTILINE | re.DOTALL)[1]
    blocks = [block.splitlines() for block in body.split("\n\n")]
    return [
        ([line for line in lines if not line.startswith(" ")], lines[-1].strip())
        for lines in blocks
    ]


def test_terms_are_unique_and_sorted():
    terms = [term.casefold() for names, _ in entries() for term in names]
    assert len(terms) == len(set(terms))
    first = [names[0].casefold() for names, _ in entries()]
    assert first == sorted(first)


def test_an_entry_is_one_definition_of_a_sentence_or_two_and_names_its_chapter():
    for names, text in entries():
        assert re.search(r" \(\{ref\}`ch-[\w-]+`(, \{ref\}`ch-[\w-]+`)?\)$", text), names
        words = re.sub(r"\$[^$]*\$|`[^`]*`", "x", text.rpartition(" ({ref}")[0])
        assert 1 <= len(re.findall(r"[.?](?= |$)", words)) <= 2, f"{names}: {words}"


def test_no_definition_goes_in_a_circle():
    entry = {term: names[0] for names, _ in entries() for term in names}
    uses = {names[0]: re.findall(LINK % "term", text) for names, text in entries()}
    unknown = {term for terms in uses.values() for term in terms} - set(entry)
    assert not unknown
    # Raises CycleError, with the circle.
    TopologicalSorter({n: {entry[t] for t in terms} for n, terms in uses.items()}).prepare()


def test_the_numbers_of_the_glossary_are_those_of_the_library():
    text = {names[0]: definition for names, definition in entries()}
    assert f"it is {critical_load()[0]:.3f}." in text["critical load"]
    assert rf"\approx {1 / np.log(2):.2f}$ bits" in text["nat"]
