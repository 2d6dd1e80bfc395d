"""Runs with balanced supports beside runs with natural ones: how far each row fell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from torchcross.experiment.page.headline import chance_of
from torchcross.experiment.page.lacking_supports import lacking_supports, sum_of_lacking
from torchcross.experiment.page.row_names import RowNames
from torchcross.experiment.run.experiment_record import read_experiment_record
from torchcross.experiment.run.folder import PROTOCOL, PROVENANCE, RunFolder
from torchcross.experiment.run.identity import differences
from torchcross.experiment.run.provenance import contradictions
from torchcross.records import ALL_SHOTS, Records
from torchcross.report import PageTable
from torchcross.report.falls import falls_section
from torchcross.report.summary import mean_chance
from torchcross.statistics.falls import Fall, falls

_WHICH_ROWS: Final = ("preset", "preset_version", "algorithms", "shots")
_MAY_DIFFER: Final = ("evaluation.support", "data.targets")


@dataclass(frozen=True)
class NaturalFalls:
    """The section of the falls, where there is one, and why runs have no part in it."""

    tables: list[PageTable]
    warnings: list[str]


def natural_falls(
    runs: Mapping[str, RunFolder], tables: Mapping[str, Records], metric: str | None
) -> NaturalFalls:
    """The falls between runs that differ in `evaluation.support` alone.

    They may have other rows, targets and shots: what both have is compared. `tables` have the rows
    of each run by the names that the rows have in the run.
    """
    kinds: dict[str, list[str]] = {"balanced": [], "natural": []}
    for name, run in runs.items():
        kinds[run.experiment["evaluation"].get("support", "balanced")].append(name)
    if metric is None or not kinds["balanced"]:
        return NaturalFalls([], [])
    pairs, warnings = [], []
    for after in kinds["natural"]:
        changed = {before: _differences(runs[before], runs[after]) for before in kinds["balanced"]}
        pairs += [(before, after) for before, names in changed.items() if not names]
        if all(changed.values()):
            before = min(changed, key=lambda name: len(changed[name]))
            warnings.append(
                f"There is no figure of the fall to natural supports for {after}: a run with"
                f" balanced supports must differ from it in evaluation.support alone, and {before}"
                f" also differs in {', '.join(changed[before])}."
            )
    rows: list[Fall] = []
    lacking: list[str] = []
    chance: list[float] = []
    for before, after in pairs:
        names = RowNames(runs[before], f"{before}, {after}" if len(pairs) > 1 else "")
        few = falls(_with_support(tables[before]), _with_support(tables[after]), metric)
        rows += [replace(fall, algorithm=names[fall.algorithm]) for fall in few]
        counts = lacking_supports(runs[after])
        both = set(tables[before].unique("target")) & set(tables[after].unique("target"))
        lacking += [str(sum_of_lacking(counts, fall.shots, both)) for fall in few]
        protocols = [runs[name].plain(PROTOCOL) for name in (before, after)]
        chance += [mean_chance(metric, chance_of(protocols), fall.over) for fall in few]
        if not few:
            warnings.append(
                f"There is no figure of the fall to natural supports from {before} to {after}: no"
                f" row has the metric {metric} on one target at one number of shots in both."
            )
    return NaturalFalls([falls_section(metric, rows, lacking, chance)] if rows else [], warnings)


def _differences(before: RunFolder, after: RunFolder) -> list[str]:
    """What else than the support decides other numbers in rows that two runs have in common."""
    data = [run.plain(PROVENANCE).get("data", {}) for run in (before, after)]
    settings = differences(_settings_of_rows(before), _settings_of_rows(after))
    return [
        *(name for name in settings if name not in _MAY_DIFFER),
        *(f"data ({name})" for name in contradictions(*data)),
    ]


def _settings_of_rows(run: RunFolder) -> dict[str, Any]:
    """The settings that decide a row; runs of the earliest versions have them all."""
    record = read_experiment_record(run.path)
    plain = record.get("decides", record["experiment"])
    return {name: value for name, value in plain.items() if name not in _WHICH_ROWS}


def _with_support(records: Records) -> Records:
    """The rows that learned from a support set: not zero-shot, and not from all labels."""
    numbers = [shots for shots in records.unique("shots") if shots not in (0, ALL_SHOTS)]
    return records.where(shots=numbers)
