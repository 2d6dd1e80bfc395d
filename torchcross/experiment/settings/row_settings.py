"""Settings that single rows of the table have of their own: by hand, or chosen by a search.

They stand in an experiment by dotted names: `{"mm-maml": {"meta.lr": 0.003}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields, replace
from typing import Any, get_type_hints

from torchcross.errors import InputError
from torchcross.experiment.settings.fine_tuning_settings import FineTuningSettings
from torchcross.experiment.settings.listing import settings
from torchcross.experiment.settings.misplaced import unknown_setting
from torchcross.experiment.settings.row_names import algorithm_of, label_of
from torchcross.experiment.settings.schema import EvaluationSettings, Experiment
from torchcross.experiment.settings.training_sections import (
    MetaTrainingSettings,
    PretrainingSettings,
    budget_of,
)
from torchcross.experiment.settings.tuning_record import tuning_record
from torchcross.experiment.settings.typed_values import typed_value
from torchcross.training.options import decides_numbers, may_be_zero

RANGE_KEYS = ("from", "to", "scale", "points")
"""The keys of a table that stands for a range of values, in a space to search."""

_SECTIONS: Mapping[str, type[Any]] = {
    "pretraining": PretrainingSettings,
    "meta": MetaTrainingSettings,
    "evaluation": EvaluationSettings,
    "fine_tuning": FineTuningSettings,
}


def names_by_row() -> tuple[str, ...]:
    """The names of all settings that a row can have of its own."""
    return tuple(
        f"{section}.{each.name}"
        for section, kind in _SECTIONS.items()
        for each in fields(kind)
        if section != "evaluation" or each.name in EvaluationSettings.by_row
    )


def check_name(name: str, place: str) -> None:
    """Refuse a setting that does not exist, or that is the same for every row."""
    known = names_by_row()
    if name in known:
        return
    if name in {setting.name for setting in settings()}:
        raise InputError(
            f"{place}: {name!r} is the same for every row of a table; what a row can have of its"
            " own are the settings of pretraining, meta and fine_tuning, and of evaluation"
            f" {', '.join(EvaluationSettings.by_row)}"
        )
    raise InputError(f"{place}: {unknown_setting(name, '', known, known)}")


def makes_numbers(name: str) -> bool:
    """Whether another value of a setting of rows can make other numbers."""
    return decides_numbers(_field_of(name))


def checked_value(name: str, value: Any, place: str) -> Any:
    """The value of a setting by its dotted name, as its section wants it."""
    section, _, setting = name.partition(".")
    hint = get_type_hints(_SECTIONS[section])[setting]
    return typed_value(hint, value, place, may_be_zero(_field_of(name)))


def _field_of(name: str) -> Field[Any]:
    section, _, setting = name.partition(".")
    (own,) = (each for each in fields(_SECTIONS[section]) if each.name == setting)
    return own


def checked_values(values: object, place: str) -> dict[str, Any]:
    """Settings of one row by their dotted names."""
    if not isinstance(values, Mapping):
        raise InputError(f"{place} is {values!r}; give a table of settings, such as meta.lr = 3e-4")
    for name in values:
        check_name(name, place)
    return {name: checked_value(name, value, f"{place}.{name}") for name, value in values.items()}


def experiment_of_row(experiment: Experiment, row: str, target: str = "") -> Experiment:
    """The experiment as one row has it: with its backbone, of several, and its own settings.

    `target` is a target's full name: a search chose values for each.
    """
    return experiment_with(experiment, row_values(experiment, row, target), row)


def experiments_by_backbone(experiment: Experiment) -> dict[str, Experiment]:
    """The experiment with each of several backbones, by their labels; of one backbone, by ""."""
    model = experiment.model
    return {
        label: replace(experiment, model=model.of_label(label)) for label in model.labels or ("",)
    }


def row_values(experiment: Experiment, row: str, target: str = "") -> dict[str, Any]:
    """The settings that a row has of its own; what a search chose comes last.

    What is said of an algorithm holds for its rows with any backbone, but for what these have.
    """
    chosen = experiment.tuned.get("targets", {}).get(target, {}).get(row, {})
    rows = experiment.rows
    return {**rows.get(algorithm_of(row), {}), **rows.get(row, {}), **chosen}


def experiment_with(experiment: Experiment, values: Mapping[str, Any], row: str = "") -> Experiment:
    """The experiment with other settings, by their dotted names.

    row  with the backbone of this row, where the experiment has several
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, _, setting = name.partition(".")
        sections.setdefault(section, {})[setting] = value
    for section in sections.keys() & {"pretraining", "meta"}:
        sections[section] = budget_of(sections[section]) | sections[section]
    changed: dict[str, Any] = {
        section: replace(getattr(experiment, section), **own) for section, own in sections.items()
    }
    if label := label_of(row):
        changed["model"] = experiment.model.of_label(label)
    return replace(experiment, **changed) if changed else experiment


# -- reading ---------------------------------------------------------------------------------------


def with_dotted_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's plain values whose settings of rows, and spaces, have dotted names.

    TOML reads `meta.lr = 3e-4` as a table in a table.
    """
    values = dict(values)
    if "rows" in values:
        values["rows"] = _flatten_each(values["rows"])
    if isinstance(tune := values.get("tune"), Mapping):
        tune = dict(tune)
        if "space" in tune:
            tune["space"] = _flatten(tune["space"])
        if "rows" in tune:
            tune["rows"] = _flatten_each(tune["rows"])
        values["tune"] = tune
    return values


def _flatten_each(tables: Any) -> Any:
    if not isinstance(tables, Mapping):
        return tables
    return {name: _flatten(table) for name, table in tables.items()}


def _flatten(table: Any, place: str = "") -> Any:
    if not isinstance(table, Mapping):
        return table
    values: dict[str, Any] = {}
    for name, value in table.items():
        is_section = isinstance(value, Mapping) and not set(value) & {*RANGE_KEYS}
        if is_section and value:
            values |= _flatten(value, f"{place}{name}.")
        else:
            values[f"{place}{name}"] = value
    return values


def with_checked_rows(experiment: Experiment) -> Experiment:
    """The experiment with the values of rows as their sections want them, by hand and chosen."""
    rows = {row: checked_values(values, f"rows.{row}") for row, values in experiment.rows.items()}
    tuned = dict(experiment.tuned)
    if tuning_record(tuned) is not None:
        tuned["targets"] = {
            target: {
                row: checked_values(values, f"tuned, {row} for {target}")
                for row, values in _table(by_row, f"tuned, {target}").items()
            }
            for target, by_row in _table(tuned.get("targets"), "tuned.targets").items()
        }
    experiment = replace(experiment, rows=rows, tuned=tuned)
    for row in rows:
        _check_together(experiment, row, "", f"rows.{row}")
    for target, by_row in tuned.get("targets", {}).items():
        for row in by_row:
            _check_together(experiment, row, target, f"tuned, {row} for {target}")
    return experiment


def _table(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{place} is {value!r}; give a table")
    return value


def _check_together(experiment: Experiment, row: str, target: str, place: str) -> None:
    """Refuse values that contradict each other, or the experiment."""
    try:
        experiment_of_row(experiment, row, target)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
