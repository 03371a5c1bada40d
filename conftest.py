"""What all tests share, those in tests/ and the chapters: one thread, no screen, and nbval's settings."""

import os
import re
from collections import Counter, defaultdict

# Before NumPy is imported: sums must not depend on how many cores there are.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# Chapters' kernels inherit the environment, and must draw with Jupyter's own backend.
os.environ.pop("MPLBACKEND", None)

import matplotlib  # noqa: E402
import psutil  # noqa: E402
import pytest  # noqa: E402

matplotlib.use("agg")

# A chapter is written to run in 30 s; a slow machine may take twice as long.  Seconds of the processor,
# not of the clock: the other tests run at the same time.
CHAPTER_SECONDS = 60

_too_slow = set()
_passed = Counter()  # cells of each chapter


def group(nodeid: str) -> str:
    """What one process runs from beginning to end: a file, or what concerns one page of the site."""
    page = re.search(r"test_site\.py::.*\[(.+?)\.html", nodeid)
    return f"page {page[1]}" if page else nodeid.partition("::")[0]


def pytest_collection_modifyitems(items):
    """Start with the chapters, which the site is built from, and end with its pages."""

    def place(item):
        name = group(item.nodeid)
        if name.endswith(".ipynb"):
            return 0
        return 3 if name.startswith("page ") else 2 if name.endswith("test_site.py") else 1

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config, log):
    """Give each process one group after another."""
    from xdist.scheduler import LoadFileScheduling

    class GroupScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid)

    return GroupScheduling(config, log)


def pytest_collectstart(collector):
    """Let nbval ignore pictures also where `glue` has put them away, and in vector form."""
    if collector.nodeid.endswith(".ipynb"):
        pictures = ("image/png", "image/jpeg", "image/svg+xml")
        glued = tuple(f"application/papermill.record/{mime}" for mime in pictures)
        collector.skip_compare += (*pictures, *glued)


def cpu_seconds(kernel) -> float:
    """What a running kernel has used so far; 0 if it is gone."""
    try:
        times = psutil.Process(kernel.km.provisioner.pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Note what the chapter has used, and fail the cell in which that became too much."""
    report = yield
    if item.path.suffix == ".ipynb" and report.when == "call":
        used = cpu_seconds(item.parent.kernel)
        report.user_properties.append(("cpu_seconds", used))
        if used > CHAPTER_SECONDS and report.passed and item.path not in _too_slow:
            _too_slow.add(item.path)
            report.outcome = "failed"
            report.longrepr = f"{item.path.name} has used more than {CHAPTER_SECONDS} s"
        if report.passed:
            keep_for_the_site(item)
    return report


def keep_for_the_site(item):
    """Note the outputs of a cell; with the last one, give the chapter to the book, with its pictures."""
    import build_book  # of tools/, which pytest puts on the path

    chapter = item.parent
    item.cell.outputs = item.test_outputs
    _passed[item.path] += 1
    if _passed[item.path] == sum(cell.cell_type == "code" for cell in chapter.nb.cells):
        build_book.keep(build_book.ROOT, item.path, chapter.nb)


def pytest_terminal_summary(terminalreporter):
    """Say how long each chapter took, by the processor and by the clock on the wall."""
    cpu, wall = defaultdict(float), defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            chapter = getattr(report, "nodeid", "").partition("::")[0]
            if chapter.endswith(".ipynb"):
                wall[chapter] += getattr(report, "duration", 0)
                used = dict(getattr(report, "user_properties", ())).get("cpu_seconds", 0)
                cpu[chapter] = max(cpu[chapter], used)
    if cpu:
        terminalreporter.section("seconds per chapter")
        terminalreporter.write_line("processor   wall")
        for chapter in sorted(cpu, key=cpu.get, reverse=True):
            terminalreporter.write_line(f"{cpu[chapter]:9.1f} {wall[chapter]:6.1f}  {chapter}")
