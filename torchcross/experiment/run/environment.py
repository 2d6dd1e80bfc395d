"""environment.json: how long the units of a run took, and where; it decides no other file.

Several units may make one cell: its seconds stand by their keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from torchcross.errors import TorchcrossError
from torchcross.experiment.run.cells import RunContext
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.json_files import read_json, write_json
from torchcross.experiment.run.provenance import surroundings
from torchcross.experiment.run.run_units import RunUnits

ENVIRONMENT = "environment.json"
_PARTS: Final = ("trainings", "cells")
_WHOLE: Final = ""
_ADVICE = "remove it: nothing else needs it"


@dataclass(frozen=True)
class RunTimes:
    """Seconds by the name of a training or a cell, and by the keys of the units that made them.

    Runs of earlier versions know no keys.
    """

    machines: tuple[Mapping[str, Any], ...]
    trainings: Mapping[str, Mapping[str, float]]
    cells: Mapping[str, Mapping[str, float]]

    def training_seconds(self) -> dict[str, float]:
        return {name: sum(seconds.values()) for name, seconds in self.trainings.items()}

    def cell_seconds(self) -> dict[str, float]:
        """Of all units that made a cell."""
        return {name: sum(seconds.values()) for name, seconds in self.cells.items()}


def keep_times(run: RunContext, units: RunUnits, seconds: Mapping[str, float]) -> None:
    """Add the seconds of units, by key, to what is known; only for one process at a time."""
    if not seconds:
        return
    known = read_times(run.folder)
    trainings = {name: dict(by_key) for name, by_key in known.trainings.items()}
    cells = {name: dict(by_key) for name, by_key in known.cells.items()}
    for key, count in seconds.items():
        if units.is_scoring(key):
            by_key = cells.setdefault(units.cell_name_of(key), {})
        else:
            by_key = trainings.setdefault(units.name_of(key), {})
        # The whole, of a version that did not know its units.
        by_key.pop(_WHOLE, None)
        by_key[key] = round(count, 3)
    machine = surroundings()["machine"]
    machines = [*known.machines]
    if machine not in machines:
        machines.append(machine)
    record = {"machines": machines, "trainings": trainings, "cells": cells}
    write_json(run.folder.path / ENVIRONMENT, record)


def read_times(folder: RunFolder) -> RunTimes:
    """What is known of the times of a run; nothing where the file is missing or damaged."""
    path = folder.path / ENVIRONMENT
    record: dict[str, Any] = {}
    if path.is_file():
        with suppress(TorchcrossError):
            record = read_json(path, hashed=True, advice=_ADVICE)
    return RunTimes(
        tuple(record.get("machines", ())),
        *({name: _by_key(each) for name, each in record.get(part, {}).items()} for part in _PARTS),
    )


def _by_key(seconds: Any) -> dict[str, float]:
    return dict(seconds) if isinstance(seconds, dict) else {_WHOLE: float(seconds)}
