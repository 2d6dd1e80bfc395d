"""environment.json: how long the parts of a run took, and where; it decides no other file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchcross.errors import TorchcrossError
from torchcross.experiment.run.cells import RunContext
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.json_files import read_json, write_json
from torchcross.experiment.run.provenance import surroundings
from torchcross.experiment.run.run_units import RunUnits

ENVIRONMENT = "environment.json"
_ADVICE = "remove it: nothing else needs it"


def keep_times(run: RunContext, units: RunUnits, seconds: Mapping[str, float]) -> None:
    """Add the seconds of units, by key, to what is known; only for one process at a time."""
    if not seconds:
        return
    known = read_environment(run.folder)
    path = run.folder.path
    trainings, cells = dict(known.get("trainings", {})), dict(known.get("cells", {}))
    for key, count in seconds.items():
        name = units.name_of(key)
        if units.is_part(key):
            name = name.rsplit("-", 2)[0]
            count += cells.get(name, 0.0)
        (cells if units.is_scoring(key) else trainings)[name] = round(count, 3)
    machine = surroundings()["machine"]
    machines = [*known.get("machines", [])]
    if machine not in machines:
        machines.append(machine)
    record = {"machines": machines, "trainings": trainings, "cells": cells}
    write_json(path / ENVIRONMENT, record)


def read_environment(folder: RunFolder) -> dict[str, Any]:
    """What is known of the times of a run; empty where nothing is, or the file is damaged."""
    path = folder.path / ENVIRONMENT
    if not path.is_file():
        return {}
    try:
        return read_json(path, hashed=True, advice=_ADVICE)
    except TorchcrossError:
        return {}
