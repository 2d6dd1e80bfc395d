"""The section "Tuning" of a page: what was chosen for each target and row, out of what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torchcross.experiment.rows.methods import rows_of_values
from torchcross.experiment.rows.tuning_words import budget_in_words
from torchcross.experiment.settings.tuning_record import TuningRecord, tuning_record
from torchcross.report import PageTable
from torchcross.report.html import TableCell, TableColumn

_NUMBERS = ("chosen score", "median", "lowest", "no score", "trainings", "steps")
_COLUMNS = (
    TableColumn("target"),
    TableColumn("row"),
    TableColumn("chosen settings"),
    TableColumn("trial", is_number=True),
    *(TableColumn(name, is_number=True) for name in _NUMBERS),
)
_LEGEND = (
    "Scores are AUROC in the search. The chosen one is the best of all trials, and too high as an"
    " estimate; the median and the lowest say how much there was to choose. No score: trials that"
    " diverged or could not be trained. Trainings and steps: what all trials of the row took;"
    " trials that differ in adaptation alone share a training."
)


def tuning_tables(experiment: Mapping[str, Any], targets: Sequence[str]) -> list[PageTable]:
    """The table of a run with chosen settings, from its plain experiment; else none."""
    record = tuning_record(experiment.get("tuned", {}))
    if record is None:
        return []
    chosen = experiment["tuned"]["targets"]
    rows = [
        _line(record, chosen, target, row)
        for target in targets
        for row in rows_of_values(experiment)
        if row in record.results.get(target, {})
    ]
    budget = budget_in_words(record)
    texts = [f"{budget[:1].upper()}{budget[1:]}", *_spaces_in_words(record, experiment), _LEGEND]
    small = {
        target: names
        for target in targets
        if (names := record.scored_on.get(target, {}).get("too small"))
    }
    if small:
        listed = "; ".join(f"{target}: {', '.join(names)}" for target, names in small.items())
        texts.append(f"Validation splits of sources too small for these episodes: {listed}.")
    untuned = record.rows_as_they_were(rows_of_values(experiment))
    if untuned:
        texts.append(f"With the values of the experiment: {', '.join(untuned)}.")
    return [
        PageTable("tuning", "Tuning", "Chosen settings by target and row", texts, _COLUMNS, rows)
    ]


def _line(
    record: TuningRecord, chosen: Mapping[str, Any], target: str, row: str
) -> list[TableCell | str]:
    result = record.results[target][row]
    names = ("score", "median", "lowest")
    counts = ("without score", "trainings", "training steps")
    return [
        target,
        row,
        _values_in_words(chosen.get(target, {}).get(row, {})),
        _number_cell(result.get("trial"), "d"),
        *(_number_cell(result.get(name), ".3f") for name in names),
        *(_number_cell(result.get(name), ",d") for name in counts),
    ]


def _number_cell(value: object, form: str) -> TableCell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return TableCell("—")
    if "d" in form:
        value = int(value)
    return TableCell(format(value, form), value)


def _spaces_in_words(record: TuningRecord, experiment: Mapping[str, Any]) -> list[str]:
    """Rows of one space together."""
    rows: dict[str, list[str]] = {}
    for row in rows_of_values(experiment):
        if row in record.space:
            rows.setdefault(_values_in_words(record.space[row]), []).append(row)
    return [f"Space of {', '.join(names)}: {text}." for text, names in rows.items()]


def _values_in_words(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} = {_value_in_words(values[name])}" for name in sorted(values)) or "—"


def _value_in_words(value: Any) -> str:
    if isinstance(value, Mapping) and {"from", "to"} <= value.keys():
        scale = " (log scale)" if value.get("scale") == "log" else ""
        return f"{value['from']} to {value['to']}{scale}"
    return json.dumps(value)
