"""The scripts in tools/: what they keep, what they throw away, and that they fail when they should."""

import json
import shutil
from pathlib import Path

import build_book
import make_handouts
import nbformat
import pytest
import run_chapters
import vendor_mathjax
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from normalise import main, normalise

ROOT = Path(__file__).resolve().parent.parent


def notebook(*cells, **metadata) -> str:
    return nbformat.writes(new_notebook(cells=list(cells), metadata=metadata))


def code(source, *outputs, **more):
    return new_code_cell(source, outputs=list(outputs), **more)


def after(*cells, **metadata):
    """The notebook of these cells in normal form."""
    return nbformat.reads(normalise(notebook(*cells, **metadata)), as_version=4)


# --- normalise ---------------------------------------------------------------------------------------


def test_normal_form_is_reached_at_once():
    figure = new_output("display_data", {"text/plain": "<Figure>", "image/png": "AAAA"})
    once = normalise(notebook(new_markdown_cell("# Title\n"), code("plt.show()\n", figure)))
    assert normalise(once) == once
    assert once.endswith("}\n")
    assert "\n " in once


def test_a_figure_leaves_its_text():
    figure = new_output("display_data", {"text/plain": "<Figure>", "image/png": "AAAA"})
    alone = new_output("display_data", {"image/svg+xml": "<svg/>"})
    (cell,) = after(code("draw()", figure, alone)).cells
    assert [output.data for output in cell.outputs] == [{"text/plain": "<Figure>"}]


def test_embedded_pictures_lose_their_bytes_and_keep_their_description():
    html = '<img alt="a wave" src="data:image/png;base64,iVBO+/=="><p>text</p>'
    (cell,) = after(code("frames()", new_output("display_data", {"text/html": html}))).cells
    assert cell.outputs[0].data["text/html"] == html.replace("iVBO+/==", "")


def test_glued_values_stay_glued():
    prefix = "application/papermill.record/"
    glued = {"scrapbook": {"mime_prefix": prefix, "name": "F"}}
    number = new_output("display_data", {prefix + "text/plain": "3.14"}, metadata=glued)
    figure = new_output(
        "display_data",
        {prefix + "text/plain": "<Figure>", prefix + "image/png": "AA"},
        metadata=glued,
    )
    (cell,) = after(code("glue()", number, figure)).cells
    assert [list(output.data) for output in cell.outputs] == [[prefix + "text/plain"]] * 2
    assert all(output.metadata == glued for output in cell.outputs)


def test_counts_run_from_one_and_skip_empty_cells():
    result = new_output("execute_result", {"text/plain": "1"}, execution_count=17)
    cells = after(
        code("1", result, execution_count=17), code(""), code("2", execution_count=3)
    ).cells
    assert [cell.execution_count for cell in cells] == [1, None, 2]
    assert cells[0].outputs[0].execution_count == 1


def test_pieces_of_a_stream_are_joined():
    pieces = [new_output("stream", name=n, text=t) for n, t in (("stdout", "a"), ("stdout", "b"))]
    other = new_output("stream", name="stderr", text="c")
    (cell,) = after(code("print()", *pieces, other, *pieces)).cells
    assert [(o.name, o.text) for o in cell.outputs] == [
        ("stdout", "ab"),
        ("stderr", "c"),
        ("stdout", "ab"),
    ]


def test_tracebacks_are_shortened():
    error = new_output("error", ename="ValueError", evalue="no", traceback=["/home/me/x.py", "..."])
    (cell,) = after(code("raise", error)).cells
    assert cell.outputs[0].traceback == ["ValueError: no"]


def test_metadata_of_editors_and_widgets_goes_and_settings_stay():
    cell = code(
        "1",
        metadata={
            "tags": ["a"],
            "mystnb": {"x": 1},
            "execution": {"shell.execute_reply": "t"},
            "scrolled": True,
        },
    )
    view = new_output(
        "display_data", {"text/plain": "w", "application/vnd.jupyter.widget-view+json": {}}
    )
    result = after(cell, code("w", view), widgets={"state": 1}, jupytext={"a": 1}, mystnb={"y": 2})
    assert result.cells[0].metadata == {"tags": ["a"], "mystnb": {"x": 1}}
    assert list(result.cells[1].outputs[0].data) == ["text/plain"]
    assert set(result.metadata) == {"kernelspec", "language_info", "mystnb"}
    assert result.metadata.kernelspec.name == "python3"


def test_ids_are_kept_and_made_unique():
    raw = json.loads(notebook(code("1"), code("2"), code("3")))
    for cell, name in zip(raw["cells"], ("same", "same", "cell-1")):
        cell["id"] = name
    ids = [cell["id"] for cell in json.loads(normalise(json.dumps(raw)))["cells"]]
    assert ids[0] == "same"
    assert len(set(ids)) == 3


def test_notebooks_of_older_formats_are_brought_up_to_date():
    old = json.loads(notebook(code("1")))
    old["nbformat_minor"] = 4
    del old["cells"][0]["id"]
    once = normalise(json.dumps(old))
    assert json.loads(once)["nbformat_minor"] == 5
    assert normalise(once) == once


def test_check_changes_nothing_and_fails(tmp_path, monkeypatch):
    def status(*arguments) -> int:
        monkeypatch.setattr("sys.argv", ["normalise.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    path = tmp_path / "a.ipynb"
    path.write_text(notebook(code("1", execution_count=5)))
    before = path.read_text()
    assert status("--check", path) == 1
    assert path.read_text() == before
    assert status(path) == 0
    assert status("--check", path) == 0


# --- run_chapters ------------------------------------------------------------------------------------


def test_a_chapter_is_executed_where_it_lies_and_normalised(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text(notebook(code("import pathlib\nprint(pathlib.Path.cwd().name)")))
    assert run_chapters.execute(path) > 0
    text = path.read_text()
    assert normalise(text) == text
    assert nbformat.reads(text, as_version=4).cells[0].outputs[0].text == f"{tmp_path.name}\n"


def test_a_chapter_that_fails_stays_as_it_was(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text(notebook(code("print(1)"), code("1 / 0")))
    before = path.read_text()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        run_chapters.execute(path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


# --- make_handouts -----------------------------------------------------------------------------------

EXERCISE = "```{exercise-start} A\n:label: ex-a\n```\nWhy?\n```{exercise-end}\n```"


def handout(*cells):
    """Types and sources of the cells that are left of these."""
    copy = make_handouts.without_solutions(nbformat.from_dict(new_notebook(cells=list(cells))))
    nbformat.validate(copy)
    return [(cell.cell_type, cell.source) for cell in copy.cells]


def test_solutions_give_way_to_an_empty_cell():
    answer = ("code", make_handouts.ANSWER)
    begin = "\n\n```{solution-start} ex-a\n:class: dropdown\n```\n"
    end = "```{solution-end}\n```\n\n"
    in_one = new_markdown_cell(EXERCISE + begin + "So.\n" + end + "## Further reading")
    assert handout(in_one) == [
        ("markdown", EXERCISE),
        answer,
        ("markdown", "## Further reading"),
    ]
    in_many = [
        new_markdown_cell(EXERCISE + begin + "A listing:\n```python\nx\n```"),
        code("x = 1", new_output("stream", text="1\n")),
        new_markdown_cell("So.\n" + end + EXERCISE + begin),
        code("x = 2"),
        new_markdown_cell(end),
        code("y = 1", new_output("stream", text="1\n"), execution_count=3),
    ]
    assert handout(*in_many) == [
        *[("markdown", EXERCISE), answer] * 2,
        ("code", "y = 1"),
    ]
    nested = "````{solution} ex-a\nSee\n```python\nx\n```\n````\nMore."
    assert handout(new_markdown_cell(nested)) == [answer, ("markdown", "More.")]


def test_a_solution_without_an_end_is_reported():
    with pytest.raises(ValueError, match="not ended"):
        handout(new_markdown_cell("```{solution-start} ex-a\n```\nSo."))


@pytest.mark.parametrize("path", sorted((ROOT / "chapters").glob("*.ipynb")), ids=lambda p: p.stem)
def test_each_exercise_of_a_chapter_keeps_its_question_and_loses_its_answer(path):
    before = nbformat.read(path, as_version=4)
    after = make_handouts.without_solutions(before)
    nbformat.validate(after)
    assert before == nbformat.read(path, as_version=4)

    def count(notebook, *words):
        return sum(cell.source.count(word) for cell in notebook.cells for word in words)

    exercises = "{exercise-start}", "{exercise}"
    assert count(after, make_handouts.ANSWER) == count(before, *exercises) > 3
    assert count(after, *exercises) == count(before, *exercises)
    assert count(after, "{solution") == 0
    kept = [cell.source for cell in after.cells]
    assert [s for s in kept if s.startswith("## ")] and not any(
        c.get("outputs") for c in after.cells
    )


# --- build_book --------------------------------------------------------------------------------------


@pytest.fixture
def built(tmp_path):
    """A folder that looks like a book after a successful build, and its fingerprints."""
    for name in (
        "hmlib/a.py",
        "hmlib/deep/b.py",
        "data/results/x.json",
        "requirements.txt",
        "_toc.yml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    finish(tmp_path)
    return tmp_path


def fingerprints(root):
    return {
        "execution": build_book.fingerprint(root, build_book.EXECUTION),
        "site": build_book.fingerprint(root, build_book.SITE),
    }


def finish(root, succeeded=True):
    for name in (".jupyter_cache", ".doctrees", "html"):
        (root / "_build" / name).mkdir(parents=True, exist_ok=True)
    record = fingerprints(root) | {"succeeded": succeeded}
    (root / "_build" / ".book.json").write_text(json.dumps(record))


def left(root):
    """What of the last build the next one would reuse."""
    build_book.forget_what_is_stale(root, fingerprints(root))
    return {p.name for p in (root / "_build").iterdir() if p.is_dir()}


def test_all_is_reused_when_nothing_changed(built):
    assert left(built) == {".jupyter_cache", ".doctrees", "html"}


def test_the_time_of_a_file_does_not_matter(built):
    (built / "hmlib" / "a.py").touch()
    assert left(built) == {".jupyter_cache", ".doctrees", "html"}


@pytest.mark.parametrize(
    "name", ["hmlib/a.py", "hmlib/deep/b.py", "data/results/x.json", "requirements.txt"]
)
@pytest.mark.parametrize("change", ["edit", "remove"])
def test_chapters_are_executed_again_when_what_they_use_changed(built, name, change):
    if change == "edit":
        (built / name).write_text("changed")
    else:
        (built / name).unlink()
    assert left(built) == set()


def test_a_new_module_counts_as_a_change(built):
    (built / "hmlib" / "new.py").touch()
    assert left(built) == set()


def test_pages_are_read_again_when_the_contents_changed(built):
    (built / "_toc.yml").write_text("changed")
    assert left(built) == {".jupyter_cache"}


def test_pages_are_read_again_after_a_build_that_failed(built):
    finish(built, succeeded=False)
    assert left(built) == {".jupyter_cache"}


def test_a_build_counts_as_failed_until_it_has_succeeded(built):
    build_book.forget_what_is_stale(built, fingerprints(built))
    assert left(built) == {".jupyter_cache"}


@pytest.fixture
def book(tmp_path):
    """The folder of a book of one page, which is yet to be written."""
    for name in ("assets", "vendor"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / "references.bib").touch()
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: a\n")
    return tmp_path


def test_what_the_tests_have_executed_is_not_executed_again(book, monkeypatch):
    monkeypatch.setattr(build_book, "data_sets", lambda: "as always")
    page = notebook(new_markdown_cell("# A"), code("print(6 * 7)"))
    (book / "a.ipynb").write_text(page)
    executed = nbformat.reads(page, as_version=4)
    executed.cells[1].outputs = [new_output("stream", text="forty-two")]
    build_book.keep(book, book / "a.ipynb", executed)
    build_book.keep(book, book / "a.ipynb", executed)
    assert build_book.build(book) == 0
    assert "forty-two" in (book / "_build" / "html" / "a.html").read_text()
    (book / "hmlib").mkdir()
    (book / "hmlib" / "new.py").touch()  # what was executed with another library is forgotten
    build_book.keep(book, book / "b.ipynb", nbformat.reads(notebook(code("1")), as_version=4))
    assert (book / "_build" / "html" / "a.html").exists()  # somebody may be reading it
    assert build_book.build(book) == 0
    assert "forty-two" not in (book / "_build" / "html" / "a.html").read_text()


def test_a_failing_chapter_fails_the_build_until_it_is_mended(book):
    (book / "a.ipynb").write_text(notebook(new_markdown_cell("# A"), code("1 / 0")))
    assert build_book.build(book) != 0
    assert build_book.build(book) != 0, "the failure of the last build was forgotten"
    (book / "a.ipynb").write_text(notebook(new_markdown_cell("# A"), code("print(6 * 7)")))
    assert build_book.build(book) == 0
    assert "42" in (book / "_build" / "html" / "a.html").read_text()


# --- vendor ------------------------------------------------------------------------------------------


def test_vendored_files_are_as_recorded():
    assert vendor_mathjax.checksums() == (ROOT / "vendor" / "SHA256SUMS").read_text()
