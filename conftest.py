"""What all tests share, those in tests/ and the chapters: one thread, no screen, and nbval's settings."""

import os
from collections import defaultdict

# Before NumPy is imported: sums must not depend on how many cores there are.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# Chapters' kernels inherit the environment, and must draw with Jupyter's own backend.
os.environ.pop("MPLBACKEND", None)

import matplotlib  # noqa: E402
import pytest  # noqa: E402

matplotlib.use("agg")

CHAPTER_SECONDS = 60  # a chapter is written to run in 30 s; a busy machine may take twice as long

_seconds = defaultdict(float)


def pytest_collection_modifyitems(items):
    """Start with the site: its build takes longest, and the chapters can run beside it."""
    items.sort(key=lambda item: item.path.name != "test_site.py")


def pytest_collectstart(collector):
    """Let nbval ignore pictures also where `glue` has put them away, and in vector form."""
    if collector.nodeid.endswith(".ipynb"):
        pictures = ("image/png", "image/jpeg", "image/svg+xml")
        glued = tuple(f"application/papermill.record/{mime}" for mime in pictures)
        collector.skip_compare += (*pictures, *glued)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fail the cell in which a chapter has taken too long altogether."""
    report = yield
    if item.path.suffix == ".ipynb":
        _seconds[item.path] += call.duration
        if _seconds[item.path] > CHAPTER_SECONDS and report.when == "call" and report.passed:
            report.outcome = "failed"
            report.longrepr = f"{item.path.name} takes more than {CHAPTER_SECONDS} s"
            _seconds[item.path] = float("-inf")  # say so once
    return report


def pytest_terminal_summary(terminalreporter):
    """Say how long each chapter took: the start of its kernel and all its cells."""
    seconds = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            chapter = getattr(report, "nodeid", "").partition("::")[0]
            if chapter.endswith(".ipynb"):
                seconds[chapter] += getattr(report, "duration", 0)
    if seconds:
        terminalreporter.section("seconds per chapter")
        for chapter, total in sorted(seconds.items(), key=lambda pair: -pair[1]):
            terminalreporter.write_line(f"{total:7.1f}  {chapter}")
