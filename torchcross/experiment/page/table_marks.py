"""What tables need to know of a run: rows without training, ceilings, classes left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchcross.experiment.page.caveats import caveats_of, has_episodes
from torchcross.experiment.page.headline import chance_of
from torchcross.experiment.page.row_names import RowNames
from torchcross.experiment.page.run_parts import trainings_of
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.norm_choices import transductive_rows
from torchcross.experiment.rows.row_shots import blank_cells
from torchcross.experiment.run.folder import PROVENANCE, RunFolder
from torchcross.experiment.run.split_scores import split_errors_of
from torchcross.experiment.settings.model_settings import (
    BackboneEntry,
    BackboneSettings,
    ModelSettings,
)
from torchcross.experiment.settings.reading import experiment_from_values
from torchcross.experiment.settings.row_names import label_of


def marks_of(run: RunFolder, protocol: Mapping[str, Any], names: RowNames) -> dict[str, Any]:
    """The options of tables that are about this run, with the names of its rows in the table."""
    return {
        "untrained": [names[row] for row in untrained_rows(run)],
        "ceilings": [names[row] for row in ceiling_rows(run)],
        "blanks": {(names[row], shots): reason for (row, shots), reason in blanks_of(run).items()},
        "backbones": backbones_of(run, names),
        "classes_left_out": classes_left_out(protocol),
        "transductive": [names[row] for row in _transductive_rows(run)],
        "caveats": caveats_of(run, run.plain(PROVENANCE), trainings_of(run)),
        "chance": chance_of([protocol]),
        "split_errors": {
            (names[row], *rest): errors for (row, *rest), errors in split_errors_of(run).items()
        },
    }


def marks_of_runs(
    runs: Mapping[str, RunFolder], protocols: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Those of several runs in one table, where each row is named with its run."""
    marks: dict[str, Any] = {"untrained": [], "ceilings": [], "classes_left_out": {}}
    marks |= {
        "chance": chance_of(protocols.values()),
        "split_errors": {},
        "blanks": {},
        "backbones": {},
        "transductive": [],
    }
    caveats: dict[str, list[str]] = {}
    for name, run in runs.items():
        own = marks_of(run, protocols[name], RowNames(run, name))
        marks["untrained"] += own["untrained"]
        marks["ceilings"] += own["ceilings"]
        marks["classes_left_out"] |= own["classes_left_out"]
        marks["split_errors"] |= own["split_errors"]
        marks["blanks"] |= own["blanks"]
        marks["backbones"] |= own["backbones"]
        marks["transductive"] += own["transductive"]
        for text in own["caveats"]:
            caveats.setdefault(text, []).append(name)
    marks["caveats"] = [
        text if len(of_runs) == len(runs) else f"{', '.join(of_runs)}: {text}"
        for text, of_runs in caveats.items()
    ]
    return marks


def untrained_rows(run: RunFolder) -> list[str]:
    """The rows of a run that no training seed changes: their one seed is all there is."""
    model = _model_of(run.experiment["model"])
    return [
        row
        for row in run.algorithms
        if not METHODS[row].has_seeds(model.of_label(label_of(row)).has_weights)
    ]


def _transductive_rows(run: RunFolder) -> list[str]:
    if not has_episodes(run):
        return []
    rows = transductive_rows(experiment_from_values(run.experiment))
    return [row for row in run.algorithms if row in rows]


def _model_of(plain: Mapping[str, Any]) -> ModelSettings:
    """The settings of a model from its plain values, as far as they say what rows start from."""
    entries = enumerate(plain.get("backbones", ()))
    return ModelSettings(
        backbone=BackboneSettings.of_table(plain["backbone"]),
        weights=plain["weights"],
        backbones=tuple(
            BackboneEntry.of_table(table, f"model.backbones[{at}]") for at, table in entries
        ),
    )


def ceiling_rows(run: RunFolder) -> list[str]:
    """The rows that learn from all labels of a target."""
    return [name for name in run.algorithms if METHODS[name].supervised]


def blanks_of(run: RunFolder) -> dict[tuple[str, int], str]:
    """(row, shots) -> why it has no cells there."""
    return blank_cells(run.algorithms, run.experiment["shots"])


def backbones_of(run: RunFolder, names: RowNames) -> dict[str, tuple[str, str]]:
    """Row -> its head and its backbone, as they are named in the table, of several backbones."""
    return {
        names[row]: (names.head(row), label) for row in run.algorithms if (label := label_of(row))
    }


def classes_left_out(protocol: Mapping[str, Any]) -> dict[str, list[str]]:
    """Target -> its classes that have too few images for any episode, where there are such."""
    targets = protocol.get("episodes of targets", {})
    return {
        target.get("name", key): list(target["classes left out"])
        for key, target in targets.items()
        if target["classes left out"]
    }
