"""Runs with balanced supports beside runs with natural ones: how far each row fell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

from torchcross.experiment.page.row_names import RowNames
from torchcross.experiment.run.folder import RunFolder
from torchcross.records import ALL_SHOTS, Records
from torchcross.report import PageTable
from torchcross.report.falls import falls_section
from torchcross.statistics.falls import Fall, falls


def natural_falls(
    runs: Mapping[str, RunFolder], tables: Mapping[str, Records], metric: str | None
) -> list[PageTable]:
    """The section of the falls, where a run of each kind has a row in common; else none.

    `tables` have the rows of each run by the names that the rows have in the run.
    """
    if metric is None:
        return []
    kinds: dict[str, list[str]] = {"balanced": [], "natural": []}
    for name, run in runs.items():
        kinds[run.experiment["evaluation"].get("support", "balanced")].append(name)
    pairs = list(product(kinds["balanced"], kinds["natural"]))
    rows: list[Fall] = []
    for before, after in pairs:
        names = RowNames(runs[before], f"{before}, {after}" if len(pairs) > 1 else "")
        few = falls(_with_support(tables[before]), _with_support(tables[after]), metric)
        rows += [replace(fall, algorithm=names[fall.algorithm]) for fall in few]
    return [falls_section(metric, rows)] if rows else []


def _with_support(records: Records) -> Records:
    """The rows that learned from a support set: not zero-shot, and not from all labels."""
    numbers = [shots for shots in records.unique("shots") if shots not in (0, ALL_SHOTS)]
    return records.where(shots=numbers)
