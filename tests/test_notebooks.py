"""Every chapter keeps the promises that CONTRIBUTING.md makes for it: form, structure, accessibility.

Nothing is executed here; the chapters themselves are collected as tests beside these.
"""

import re
import warnings
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from normalise import normalise

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(ROOT.glob("chapters/*.ipynb"))
LINES_WANTED, LINES_ALLOWED = 10, 25

every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def read(path: Path):
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[tuple[int, dict]]:
    """The code cells with something in them, and their number in the notebook."""
    cells = enumerate(read(path).cells)
    return [(n, cell) for n, cell in cells if cell.cell_type == "code" and cell.source.strip()]


def outputs(path: Path) -> list[tuple[int, dict]]:
    return [(n, output) for n, cell in code_cells(path) for output in cell.outputs]


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def prose(path: Path) -> str:
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def code(path: Path) -> str:
    return "\n".join(cell.source for _, cell in code_cells(path))


def test_the_table_of_contents_and_the_chapters_agree():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    listed_chapters = {name for name in listed if name.startswith("chapters/")}
    assert len(listed) == len(set(listed))
    assert listed_chapters == {f"chapters/{path.stem}" for path in CHAPTERS}
    for name in {toc["root"], *listed} - listed_chapters:
        assert (ROOT / f"{name}.md").is_file()


# --- form --------------------------------------------------------------------------------------------


@every_chapter
def test_is_in_normal_form(path):
    text = path.read_text(encoding="utf-8")
    assert text == normalise(text), f"run: make chapters CHAPTERS={path.relative_to(ROOT)}"


@every_chapter
def test_every_code_cell_was_executed(path):
    # Where the count is missing, nbval executes the cell but compares nothing.
    counts = [cell.execution_count for _, cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@every_chapter
def test_holds_no_pictures(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'"(application/papermill\.record/)?image/', text)
    assert not re.search(r";base64,[A-Za-z0-9+/]", text)
    assert '"attachments"' not in text


@every_chapter
def test_needs_no_widget_manager(path):
    # Its scripts would come from another server; hmlib.widgets works without.
    assert "ipywidgets" not in code(path)
    assert "application/vnd.jupyter.widget" not in path.read_text(encoding="utf-8")


@every_chapter
def test_stores_no_error_warning_or_address(path):
    expected = {n for n, cell in code_cells(path) if "raises-exception" in tags(cell)}
    for n, output in outputs(path):
        assert output.output_type != "error" or n in expected, f"cell {n}: {output.get('ename')}"
        assert output.get("name") != "stderr", f"cell {n}: {output.text}"
        text = str(output.get("text") or output.get("data"))
        assert not re.search(r"\bat 0x[0-9a-f]{6,}", text), f"cell {n}: end its last line with ;"


@every_chapter
def test_names_no_path_of_one_machine(path):
    found = re.findall(
        r"(?<![\w.:/])(?:/(?:home|root|tmp|Users|work|mnt)/|[A-Z]:\\\\)[^\s\"\\]*|site-packages",
        path.read_text(encoding="utf-8"),
    )
    assert not found


@every_chapter
def test_cells_are_short(path):
    lines = {
        n: len([ln for ln in c.source.splitlines() if ln.strip()]) for n, c in code_cells(path)
    }
    long = {n: count for n, count in lines.items() if count > LINES_WANTED}
    assert all(count <= LINES_ALLOWED for count in long.values()), f"lines by cell: {long}"
    if long:
        warnings.warn(f"{path.name}: cells over {LINES_WANTED} lines: {long}", stacklevel=1)


# --- structure ---------------------------------------------------------------------------------------


@every_chapter
def test_opens_with_a_title_and_what_the_reader_will_do(path):
    beginning = prose(path)[:3000]
    assert re.match(r"(\(\S+\)=\n)?# \S", beginning), "no title in the first cell"
    assert "**You will**" in beginning


@every_chapter
def test_has_the_sections_of_a_chapter(path):
    headings = re.findall(r"^##+ +(.+)$", prose(path), re.MULTILINE)
    for pattern in ("went wrong|mistakes", "^Summary", "^Exercises"):
        assert any(re.search(pattern, heading, re.I) for heading in headings), (
            f"no section {pattern}"
        )


@every_chapter
def test_every_exercise_has_a_solution(path):
    text = prose(path)
    exercises = re.findall(
        r"\{exercise(?:-start)?\}[^\n]*\n(?::(?!label)[^\n]*\n)*:label: (\S+)", text
    )
    solutions = re.findall(r"\{solution(?:-start)?\} +(\S+)", text)
    assert len(re.findall(r"\{exercise(?:-start)?\}", text)) == len(exercises), "one has no label"
    assert sorted(exercises) == sorted(solutions)
    assert 4 <= len(exercises) <= 6
    gates = re.findall(r"\{((?:exercise|solution)-(?:start|end))\}", text)
    kinds = [gate.rsplit("-", 1)[0] for gate in gates]
    ends = [gate.rsplit("-", 1)[1] for gate in gates]
    assert ends == ["start", "end"] * (len(gates) // 2), "a start without an end, or the reverse"
    assert kinds[::2] == kinds[1::2], "an exercise ends as a solution, or the reverse"
    folded = re.findall(r"\{solution(?:-start)?\} +\S+\n(?::[^\n]*\n)*?:class: dropdown", text)
    assert len(folded) == len(solutions), "a solution is not in a dropdown (:class: dropdown)"


@every_chapter
def test_checks_what_it_claims(path):
    assert re.search(r"^\s*(assert |np\.testing\.assert_)", code(path), re.MULTILINE)


@every_chapter
def test_draws_from_a_seeded_generator_only(path):
    source = code(path)
    assert re.search(r"default_rng\(\s*\w", source), "no seeded np.random.default_rng(...)"
    assert "default_rng()" not in source, "a generator without a seed"
    old = re.findall(r"np\.random\.(?!default_rng|Generator|SeedSequence|PCG64)\w+", source)
    assert not old, f"global random state: {old}"


# --- pictures ----------------------------------------------------------------------------------------


def figures(cell) -> int:
    """How many matplotlib figures a cell shows (not those put away by `glue`)."""
    return sum(
        "<Figure size" in output.get("data", {}).get("text/plain", "") for output in cell.outputs
    )


@every_chapter
def test_every_figure_has_a_caption_a_name_and_a_description(path):
    for n, cell in code_cells(path):
        if not figures(cell) or {"remove-output", "remove-cell"} & set(tags(cell)):
            continue
        settings = cell.metadata.get("mystnb", {})
        assert figures(cell) == 1, f"cell {n}: more than one figure, so one name for all"
        assert settings.get("figure", {}).get("caption"), f"cell {n}: mystnb.figure.caption"
        assert settings.get("figure", {}).get("name"), f"cell {n}: mystnb.figure.name"
        assert settings.get("image", {}).get("alt"), f"cell {n}: mystnb.image.alt"


@every_chapter
def test_every_glued_figure_has_a_name_and_a_description(path):
    directives = re.findall(r"\{glue:figure\} +(\S+)\n((?::[^\n]*\n)*)", prose(path))
    described = {key for key, given in directives if ":alt:" in given and ":name:" in given}
    for n, output in outputs(path):
        glued = output.get("metadata", {}).get("scrapbook", {})
        if "<Figure size" in str(output.get("data")) and glued:
            assert glued["name"] in described, f"cell {n}: {{glue:figure}} with :name: and :alt:"


@every_chapter
def test_there_is_something_to_play_with(path):
    html = [
        output.data["text/html"]
        for _, output in outputs(path)
        if "text/html" in output.get("data", {})
    ]
    sliders = [s for text in html for s in BeautifulSoup(text, "html.parser").select(".hm-frames")]
    assert sliders, "no slider (hmlib.widgets.frames)"
    for slider in sliders:
        pictures = slider.select("img")
        assert all(picture.get("alt", "").strip() for picture in pictures)
        assert [picture.has_attr("hidden") for picture in pictures] == [False] + [True] * (
            len(pictures) - 1
        )
        assert slider.select_one("input[type=range]")
        assert slider.select_one("figcaption")
