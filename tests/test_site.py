"""The site that a reader gets, as built by `make book`: links, offline, in a browser, accessible.

Without a browser the tests that need one are skipped; on a build server (CI=true) they fail.
"""

import functools
import http.server
import os
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
import yaml
from bs4 import BeautifulSoup

from hmlib.experiments.files import locked

ROOT = Path(__file__).resolve().parent.parent
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
CHAPTERS = [f"{c['file']}.html" for part in TOC["parts"] for c in part["chapters"]]
PAGES = [f"{TOC['root']}.html", *CHAPTERS, "search.html"]
WORDS_ONLY = {"teaching.html", "bibliography.html"}  # no formulas
MODES = {  # colour scheme and width of the window, in pixels
    "light": ("light", 1280),
    "dark": ("dark", 1280),
    "phone": ("light", 390),
}
HELP = "no browser: install Chromium (Debian: apt-get install chromium) or set CHROMIUM=/path/to/it"


# --- the site ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def site(tmp_path_factory, testrun_uid) -> Path:
    """The folder of the built site, brought up to date by the command that readers use, once a run."""
    built = tmp_path_factory.getbasetemp().parent / f"built-{testrun_uid}"
    with locked(ROOT / "_build"):
        if not built.exists():
            make_book()
            built.touch()
    return ROOT / "_build" / "html"


def make_book() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    made = subprocess.run(["make", "book"], cwd=ROOT, env=env, capture_output=True, text=True)
    said = (made.stdout + made.stderr).splitlines()
    reasons = [line for line in said if re.search(r"WARNING:|ERROR|Error\b", line)]
    assert made.returncode == 0, "make book failed:\n" + "\n".join(reasons[-20:] or said[-20:])


@functools.cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="session")
def pages(site) -> dict[str, BeautifulSoup]:
    """Every page by its address; `index.html` only sends the reader to the first one."""
    return {name: parsed(site / name) for name in PAGES}


def test_the_site_has_the_pages_of_its_contents_and_no_others(site):
    paths = [p for p in site.rglob("*.html") if "_static" not in p.parts]
    assert sorted(p.relative_to(site).as_posix() for p in paths) == sorted([*PAGES, "index.html"])


def test_every_link_inside_the_site_leads_somewhere(site, pages):
    anchors = {
        name: {e[key] for key in ("id", "name") for e in page.find_all(attrs={key: True})}
        for name, page in pages.items()
    }
    broken = []
    for name, page in pages.items():
        for element in page.find_all(["a", "link", "script", "img"]):
            target = element.get("href") or element.get("src") or ""
            url = urlparse(target)
            if url.scheme or url.netloc or not target:
                continue
            path = (site / name).parent / unquote(url.path) if url.path else site / name
            linked = os.path.relpath(path.resolve(), site)
            if not path.is_file():
                broken.append(f"{name}: {target}: no such file")
            elif url.fragment and unquote(url.fragment) not in anchors.get(linked, {url.fragment}):
                broken.append(f"{name}: {target}: no such anchor")
    assert not broken, "\n".join(broken)


def test_index_sends_the_reader_to_the_first_page(site, pages):
    content = BeautifulSoup((site / "index.html").read_text(), "html.parser").meta["content"]
    assert content.partition("url=")[2] in pages


def test_no_page_names_a_foreign_script_style_or_picture(pages):
    foreign = [
        f"{name}: {element.get('src') or element.get('href')}"
        for name, page in pages.items()
        for element in page.select("script[src], img[src], iframe[src], link[rel=stylesheet][href]")
        if urlparse(element.get("src") or element.get("href")).scheme in ("http", "https")
    ]
    assert not foreign, "\n".join(foreign)


def test_every_picture_in_the_text_is_described(pages):
    silent = [
        f"{name}: {str(picture)[:120]}"
        for name, page in pages.items()
        for picture in page.select("article img")
        if not picture.get("alt", "").strip()
    ]
    assert not silent, "\n".join(silent)


# --- in a browser ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def server(site) -> str:
    """The address at which the site is served, on this machine only."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HELP)
    from playwright.sync_api import sync_playwright

    # --no-sandbox: a build server often runs as root; the only pages opened are our own.
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


@dataclass
class Visit:
    """What happened while one page was looked at in one mode."""

    page: str
    mode: str
    foreign: list[str] = field(default_factory=list)  # requests to other servers
    failed: list[str] = field(default_factory=list)  # requests that brought nothing
    errors: list[str] = field(default_factory=list)  # of scripts, and on the console
    maths: dict[str, int] = field(default_factory=dict)
    too_wide: list[str] = field(default_factory=list)  # sticks out of the window
    cut: list[str] = field(default_factory=list)  # has to be scrolled sideways
    axe: list[str] = field(default_factory=list)
    sliders: list[str] = field(default_factory=list)  # that do not do what they should


def watch(context, visit: Visit):
    """A new page that notes in `visit` what it asks for and what goes wrong."""
    page = context.new_page()

    def on_request(request):
        url = urlparse(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.hostname != "127.0.0.1":
            visit.foreign.append(request.url)

    def on_response(response):
        if response.status >= 400:
            visit.failed.append(f"{response.status} {response.url}")

    def on_console(message):
        if message.type == "error":
            visit.errors.append(message.text)

    page.on("request", on_request)
    page.on("response", on_response)
    page.on("requestfailed", lambda request: visit.failed.append(request.url))
    page.on("console", on_console)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    return page


def open_page(page, url: str) -> None:
    """Open a page and wait until its formulas are set."""
    page.goto(url, wait_until="load")
    page.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1")


# An undefined macro is not an error for MathJax: it is shown in red.
MATHS = """() => {
  const count = s => document.querySelectorAll(s).length;
  const unset = [...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container'));
  return {formulas: count('.math'), unset: unset.length,
          wrong: count('mjx-merror, [data-mjx-error], mjx-assistive-mml mtext[mathcolor=red]')};
}"""
# Elements that stick out of the window, unless something around them scrolls.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = e => e && e !== document.body &&
    (getComputedStyle(e).overflowX !== 'visible' || scrolls(e.parentElement));
  const out = [...document.querySelectorAll('article *')].filter(
    e => e.getBoundingClientRect().width && e.getBoundingClientRect().right > width + 1 && !scrolls(e));
  const names = out.slice(0, 5).map(e => e.outerHTML.slice(0, 100));
  const whole = document.documentElement.scrollWidth;
  if (whole > width) names.push('the page: ' + whole);
  return names;
}"""


CUT = """() => {
  const wider = s => [...document.querySelectorAll(s)].filter(e => e.scrollWidth > e.clientWidth + 1);
  const formulas = window.MathJax?.startup?.document?.math || [];
  const tex = new Map([...formulas].map(m => [m.typesetRoot, m.math.trim().split('\\n')[0]]));
  const longest = e => e.textContent.split('\\n').reduce((a, b) => a.length < b.length ? b : a);
  return [...wider('article mjx-container[display]').map(e => 'formula: ' + tex.get(e)),
          ...wider('article .cell_input pre').map(e => 'code: ' + longest(e).trim())];
}"""
# Without preload: axe would fetch style sheets again, from wrong addresses.
AXE = {"resultTypes": ["violations"], "preload": False}
COLOURS = {"runOnly": ["color-contrast"]}  # takes long, and depends on the colour scheme
STRUCTURE = {"rules": {"color-contrast": {"enabled": False}}}  # depends on the width
CHECKS = {"light": (COLOURS, STRUCTURE), "dark": (COLOURS,), "phone": (STRUCTURE,)}
# Thousands of elements in a few colours: those of code are tested on one page for all, and formulas
# have the colour of their text.
SAME_COLOURS = {"exclude": [[".highlight"], ["mjx-container"]]}


def violations(page, options, context=None) -> list[str]:
    """What axe has to say of a page."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=context, options=AXE | options).response["violations"]
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]


@pytest.fixture(scope="session", params=PAGES)
def name(request) -> str:
    """The address of a page.  Its tests share a process, see conftest.py."""
    return request.param


@pytest.fixture(scope="session")
def visits(browser, server, pages, name) -> list[Visit]:
    """One page, looked at in every mode."""
    result = []
    for mode, (scheme, width) in MODES.items():
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        visit = Visit(name, mode)
        page = watch(context, visit)
        open_page(page, f"{server}/{name}")
        visit.maths = page.evaluate(MATHS)
        visit.too_wide = page.evaluate(TOO_WIDE)
        visit.cut = page.evaluate(CUT) if width > 1000 else []
        for check in CHECKS[mode]:
            visit.axe += violations(page, check, SAME_COLOURS if check is COLOURS else None)
        try:
            n_moved = move_every_slider(page)
            assert n_moved == len(pages[name].select(".hm-frames")), f"{n_moved} sliders moved"
        except AssertionError as error:
            visit.sliders.append(str(error))
        context.close()
        result.append(visit)
    return result


def expect_none(visits: list[Visit], what: str) -> None:
    """Fail with all entries of one kind, one a line, with the page and the mode."""
    found = [f"{v.page} ({v.mode}): {line}" for v in visits for line in getattr(v, what)]
    assert not found, "\n" + "\n".join(found)


def test_nothing_is_asked_of_another_server(visits):
    expect_none(visits, "foreign")


def test_every_request_is_answered(visits):
    expect_none(visits, "failed")


def test_no_script_fails(visits):
    expect_none(visits, "errors")


def test_all_formulas_are_set(visits):
    wrong = [
        f"{v.page} ({v.mode}): {v.maths}" for v in visits if v.maths["unset"] or v.maths["wrong"]
    ]
    assert not wrong, "\n".join(wrong)
    if visits[0].page in set(CHAPTERS) - WORDS_ONLY:
        assert all(v.maths["formulas"] > 0 for v in visits)


def test_nothing_is_wider_than_the_window(visits):
    expect_none(visits, "too_wide")


def test_formulas_and_code_fit_the_column_of_a_wide_window(visits):
    expect_none([v for v in visits if v.mode == "light"], "cut")


def test_axe_finds_nothing(visits):
    expect_none(visits, "axe")


KINDS_OF_CODE = """kinds => {  // one word of each kind, in the first code on the page
  const code = document.querySelector('article .highlight pre');
  code.replaceChildren(...kinds.map(kind => {
    const word = document.createElement('span');
    word.className = kind;
    word.textContent = 'word ';
    return word;
  }));
}"""


@pytest.mark.parametrize("scheme, too_faint", [("light", "#bbb"), ("dark", "#444")])
def test_code_is_readable_in_all_its_colours(browser, server, pages, scheme, too_faint):
    coded = {
        name: page.select("article .highlight pre span[class]") for name, page in pages.items()
    }
    kinds = sorted({" ".join(span["class"]) for spans in coded.values() for span in spans})
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    open_page(page, f"{server}/{next(name for name, spans in coded.items() if spans)}")
    page.evaluate(KINDS_OF_CODE, kinds)
    block = {"include": [["article .highlight pre"]]}
    assert not violations(page, COLOURS, block)
    # The check can fail: it sees each kind.
    faint = f"article .highlight pre span {{color: {too_faint} !important}}"
    page.add_style_tag(content=faint)
    assert len(violations(page, COLOURS, block)) >= len(kinds) > 5
    context.close()


def shown(frames) -> tuple[str, str]:
    """Source and description of the one visible picture of a slider."""
    seen = [i for i in frames.locator("img").all() if i.is_visible()]
    assert len(seen) == 1, f"{len(seen)} pictures are visible"
    assert seen[0].evaluate("e => e.complete && e.naturalWidth > 0"), "the picture is broken"
    return seen[0].get_attribute("src"), seen[0].get_attribute("alt")


UNFOLD = """e => {  // a slider may lie in a folded cell or solution
  for (; e; e = e.parentElement) { e.open = true; e.classList.remove('toggle-hidden') }
}"""


def move_every_slider(page) -> int:
    """Move each slider of a page by key and by mouse; the picture must follow.  Their number."""
    sliders = page.locator(".hm-frames").all()
    for frames in sliders:
        frames.evaluate(UNFOLD)
        knob = frames.locator("input[type=range]")
        first = shown(frames)
        knob.focus()
        page.keyboard.press("ArrowRight")
        second = shown(frames)
        box = knob.bounding_box()
        page.mouse.click(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
        last = shown(frames)
        assert first[1] != second[1], "the description does not change"
        assert first[0] != second[0], "the picture does not follow the arrow key"
        assert last[0] != first[0], "the picture does not follow the mouse"
        assert frames.locator("output").inner_text().strip(), "no value is shown"
        assert box["height"] >= 24, "too small to touch"
    return len(sliders)


def test_sliders_change_the_picture(visits):
    expect_none(visits, "sliders")


def test_without_scripts_the_first_picture_of_each_slider_is_seen(browser, server, name):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server}/{name}")
    for frames in page.locator(".hm-frames").all():
        frames.scroll_into_view_if_needed()
        assert shown(frames)[0] == frames.locator("img").first.get_attribute("src")
    context.close()


def test_pages_work_from_the_file_system(browser, site, name):
    visit = Visit(name, "file")
    context = browser.new_context()
    page = watch(context, visit)
    open_page(page, (site / name).as_uri())
    maths = page.evaluate(MATHS)
    assert maths["unset"] == maths["wrong"] == 0
    move_every_slider(page)
    assert not visit.foreign + visit.failed + visit.errors
    context.close()


@pytest.mark.parametrize("by", ["server", "file"])
def test_the_search_finds_the_chapters(browser, site, server, pages, by):
    visit = Visit("search.html", "light")
    context = browser.new_context()
    page = watch(context, visit)
    root = server if by == "server" else site.as_uri()
    page.goto(f"{root}/search.html?q=Helmholtz")
    page.wait_for_selector("#search-results li a", timeout=15000)
    assert not visit.foreign
    if by == "server":  # from a file a browser lists the pages and does not read excerpts from them
        assert not visit.failed + visit.errors
    context.close()


def test_the_menu_of_a_formula_asks_for_nothing_that_is_not_there(browser, server, pages):
    name = next(name for name, page in pages.items() if page.select(".math"))
    visit = Visit(name, "light")
    context = browser.new_context()
    page = watch(context, visit)
    open_page(page, f"{server}/{name}")
    page.locator("mjx-container").first.click(button="right")
    page.wait_for_selector(".CtxtMenu_Menu")
    assert "Accessibility" not in page.locator(".CtxtMenu_Menu").first.inner_text()
    assert not visit.foreign + visit.failed + visit.errors
    context.close()


def test_on_paper_everything_is_unfolded_and_the_navigation_gone(browser, server, name):
    page = browser.new_page()
    open_page(page, f"{server}/{name}")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert not page.locator(".bd-sidebar-primary").is_visible()
    hidden = page.evaluate(
        "[...document.querySelectorAll('article details, article .dropdown')].flatMap("
        "e => [...e.querySelectorAll('p:not(.admonition-title), pre')])"
        ".filter(e => !e.checkVisibility({visibilityProperty: true})).length"
    )
    assert hidden == 0, f"{hidden} folded on paper"
    page.close()
