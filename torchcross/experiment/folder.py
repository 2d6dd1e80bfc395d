"""A run's folder: what is done is a file there, whole or not at all; what is not a file is done again.

experiment.json            the resolved experiment, and the protocol in words
provenance.json            versions, git state, machine, data
train/<row>-<digest>/      checkpoints, log.csv and weights of one training (see torchcross.training)
rows/<row>-<digest>.csv    records of one algorithm, training seed, target and number of shots
failures.json              what could not be done, and why
report.html                the page
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from torchcross._whole_files import write_whole
from torchcross.errors import InputError
from torchcross.evaluation import Records, read_records
from torchcross.experiment.config import as_plain, digest
from torchcross.experiment.sections import Experiment

__all__ = ["RunFolder", "write_json"]

_EXPERIMENT = "experiment.json"


class RunFolder:
    """`RunFolder("runs/mine")`, made by `begin`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / _EXPERIMENT).is_file():
            raise InputError(
                f"{self.path} is no run: it has no {_EXPERIMENT}; give a folder that `torchcross run` made"
            )

    @classmethod
    def begin(cls, path: str | Path, told: Experiment) -> RunFolder:
        """A new run, or one of the same experiment that goes on."""
        path = Path(path)
        mine = {"experiment": as_plain(told), "digest": digest(told)}
        existing = path / _EXPERIMENT
        if existing.is_file():
            found = _read_json(existing)
            if found.get("digest") != mine["digest"]:
                changed = sorted(_changes(found.get("experiment", {}), mine["experiment"]))
                raise InputError(
                    f"{path} holds a run of another experiment ({', '.join(changed[:6])} differ); give another folder"
                )
        else:
            if path.exists() and any(entry.name != "lock" for entry in path.iterdir()):
                raise InputError(f"{path} is not empty and holds no run; give a new folder")
            path.mkdir(parents=True, exist_ok=True)
            write_json(existing, mine)
        for part in ("train", "rows"):
            (path / part).mkdir(exist_ok=True)
        return cls(path)

    @property
    def experiment(self) -> dict[str, Any]:
        """The resolved experiment as plain values."""
        found: dict[str, Any] = _read_json(self.path / _EXPERIMENT)["experiment"]
        return found

    def rows_file(self, *key: object) -> Path:
        return self.path / "rows" / f"{_slug(key)}.csv"

    def training(self, *key: object) -> Path:
        return self.path / "train" / _slug(key)

    def records(self) -> Records:
        """All rows that there are, algorithms and targets in the experiment's order."""
        whole = Records.of([])
        for file in sorted((self.path / "rows").glob("*.csv")):
            whole = whole + read_records(file)
        algorithms = {name: place for place, name in enumerate(self.experiment["algorithms"])}
        whole = whole.sorted()
        places = [algorithms.get(name, len(algorithms)) for name in whole.columns["algorithm"].tolist()]
        return whole[np.argsort(np.array(places, dtype=np.int64), kind="stable")]

    def failures(self) -> list[dict[str, str]]:
        path = self.path / "failures.json"
        return list(_read_json(path)["failures"]) if path.is_file() else []

    def plain(self, name: str) -> dict[str, Any]:
        """The content of a JSON file of this run; nothing where it is not there yet."""
        path = self.path / name
        return _read_json(path) if path.is_file() else {}


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all."""
    write_whole(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); it is not as a run writes it") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not as a run writes it; expected a mapping")
    return found


def _slug(key: tuple[object, ...]) -> str:
    """A name for a person, and a digest for certainty."""
    words = "-".join("".join(c if c.isalnum() else "_" for c in str(part))[:40] for part in key[:-1])
    return f"{words}-{digest([str(part) for part in key])[:12]}"


def _changes(before: Any, now: Any, place: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in before.keys() | now.keys():
            yield from _changes(before.get(name), now.get(name), f"{place}.{name}" if place else name)
    elif before != now:
        yield place
