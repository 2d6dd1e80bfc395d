"""environment.json: when units of a run were made, how long they took, and where.

It decides no other file.

Several units may make one cell: its seconds stand by their keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime  # noqa: TID251 (when units were made decides nothing)
from typing import Any, Final

from torchcross._kit.surroundings import processor_name
from torchcross.errors import TorchcrossError
from torchcross.experiment.run.cells import RunContext
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.json_files import read_json, write_json
from torchcross.experiment.run.provenance import surroundings
from torchcross.experiment.run.run_units import RunUnits
from torchcross.experiment.run.time_left import UnitTime

ENVIRONMENT = "environment.json"
DATE: Final = "%Y-%m-%dT%H:%M:%SZ"
"""How dates stand there, in UTC."""

_PARTS: Final = ("trainings", "cells")
_WHOLE: Final = ""
_ADVICE = "remove it: nothing else needs it"


@dataclass(frozen=True)
class RunTimes:
    """Seconds by the name of a training or a cell, and by the keys of the units that made them.

    Runs of earlier versions know no keys. `began` is when the first unit began, and `ended` when
    the last one ended: ISO 8601 in UTC, empty where it is not known.
    """

    machines: tuple[Mapping[str, Any], ...]
    trainings: Mapping[str, Mapping[str, float]]
    cells: Mapping[str, Mapping[str, float]]
    began: str = ""
    ended: str = ""

    def seconds_of_units(self) -> dict[str, float]:
        """By the keys of the units; of runs of earlier versions, whose keys are not known, none."""
        parts = (*self.trainings.values(), *self.cells.values())
        return {key: count for by_key in parts for key, count in by_key.items() if key}

    def training_seconds(self) -> dict[str, float]:
        return {name: sum(seconds.values()) for name, seconds in self.trainings.items()}

    def cell_seconds(self) -> dict[str, float]:
        """Of all units that made a cell."""
        return {name: sum(seconds.values()) for name, seconds in self.cells.items()}


def keep_times(run: RunContext, units: RunUnits, times: Mapping[str, UnitTime]) -> None:
    """Add the times of units, by key, to what is known; only for one process at a time."""
    if not times:
        return
    known = read_times(run.folder)
    trainings = {name: dict(by_key) for name, by_key in known.trainings.items()}
    cells = {name: dict(by_key) for name, by_key in known.cells.items()}
    for key, unit in times.items():
        if units.is_scoring(key):
            by_key = cells.setdefault(units.cell_name_of(key), {})
        else:
            by_key = trainings.setdefault(units.name_of(key), {})
        # The whole, of a version that did not know its units.
        by_key.pop(_WHOLE, None)
        by_key[key] = round(unit.seconds, 3)
    machine = {**surroundings()["machine"], "processor": processor_name()}
    machines = [*known.machines]
    if machine not in machines:
        machines.append(machine)
    began, ended = _period(known, list(times.values()))
    record = {
        "began": began,
        "ended": ended,
        "machines": machines,
        "trainings": trainings,
        "cells": cells,
    }
    write_json(run.folder.path / ENVIRONMENT, record)


def _period(known: RunTimes, units: Sequence[UnitTime]) -> tuple[str, str]:
    """When the first unit began and the last one ended, of those before and these."""
    began = _date(min(unit.ended - unit.seconds for unit in units))
    ended = _date(max(unit.ended for unit in units))
    if known.trainings or known.cells:
        # Nobody knows when an earlier version began.
        began = min(known.began, began)
    return began, max(known.ended, ended)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(DATE)


def read_times(folder: RunFolder) -> RunTimes:
    """What is known of the times of a run; nothing where the file is missing or damaged."""
    path = folder.path / ENVIRONMENT
    record: dict[str, Any] = {}
    if path.is_file():
        with suppress(TorchcrossError):
            record = read_json(path, hashed=True, advice=_ADVICE)
    trainings, cells = (
        {name: _by_key(each) for name, each in record.get(part, {}).items()} for part in _PARTS
    )
    return RunTimes(
        tuple(record.get("machines", ())),
        trainings,
        cells,
        began=str(record.get("began", "")),
        ended=str(record.get("ended", "")),
    )


def _by_key(seconds: Any) -> dict[str, float]:
    return dict(seconds) if isinstance(seconds, dict) else {_WHOLE: float(seconds)}
