"""Experiments: what the book reports beyond what a chapter can compute while it is read.

``hmlib reproduce <id> --profile smoke|book|paper`` executes one, ``hmlib report <id>`` prints what
came out, and a chapter reads the stored records with :func:`load_records`. ``hmlib report claims``
holds the records against the claims of the thesis (:mod:`hmlib.experiments.claims`).

An experiment is a module of this package that is named in ``runner.EXPERIMENTS``. It has

``NAME``      its id, such as ``"hopfield-capacity"``
``PROFILES``  a frozen dataclass of settings for each of ``"smoke"``, ``"book"`` and ``"paper"``; a
              field ``data`` names the data sets that it needs
``runs(settings)``
              the keys of its runs: dicts of numbers and strings, each with a ``"seed"``
``run(settings, run, *, data, checkpoint=None)``
              the metrics of one run, a dict of numbers, short lists and pictures as text
              (:func:`encode_pictures`); ``data["mnist"]`` is a :class:`hmlib.datasets.Dataset`,
              randomness comes from :func:`generator`, and a long run keeps its state in the
              :class:`Checkpoint`
``summary(records)``
              the rows of the table that ``hmlib report`` prints, dicts with the same names
"""

from hmlib.experiments.pictures import decode_pictures, encode_pictures, filters
from hmlib.experiments.provenance import generator, machine_description
from hmlib.experiments.runner import EXPERIMENTS, find, reproduce, settings_of
from hmlib.experiments.store import (
    Checkpoint,
    ExperimentError,
    load_records,
    load_results,
    results_path,
)

__all__ = [
    "EXPERIMENTS",
    "Checkpoint",
    "ExperimentError",
    "decode_pictures",
    "encode_pictures",
    "filters",
    "find",
    "generator",
    "load_records",
    "load_results",
    "machine_description",
    "reproduce",
    "results_path",
    "settings_of",
]
