"""A run's folder: what is done is a file there, whole or not at all; what is not a file is done
again.

experiment.json            the resolved experiment, and the run's name in its rows
protocol.json              what was done, in words
provenance.json            versions, git state, machine, data
train/<row>-<digest>/      checkpoints, log.csv and weights of one training (see
                           torchcross.training)
rows/<row>-<digest>.csv    records of one algorithm, training seed, target and number of shots
episodes/<row>-<digest>.json  which episodes they are of
examples/<row>-<digest>.npz  an example episode
failures.json              what could not be done, and why
report.html                the page
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.whole_files import UNFINISHED, write_whole
from torchcross.errors import InputError, WriteError
from torchcross.experiment.settings.reading import as_plain, decisive, digest, identity
from torchcross.experiment.settings.schema import Experiment
from torchcross.records import Records, read_records
from torchcross.records.records import FIELDS

__all__ = ["RunFolder", "differences", "write_json"]

_EXPERIMENT = "experiment.json"
_FAILURES = "failures.json"
_UNFINISHED = re.compile(rf".+\.\d+{re.escape(UNFINISHED)}")
_PARTS = ("train", "rows", "episodes", "examples")
_EPISODES = {"algorithm": str, "target": str, "shots": int, "digest": str, "shared subjects": int}
_TOLD = {"kind", "target", "algorithm", "seed", "reason"}


class RunFolder:
    """`RunFolder("runs/mine")`, made by `begin`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / _EXPERIMENT).is_file():
            raise InputError(
                f"{self.path} is no run: it has no {_EXPERIMENT}; give a folder that `torchcross"
                " run` made"
            )

    @classmethod
    def begin(cls, path: str | Path, told: Experiment) -> RunFolder:
        """A new run, or one of the same experiment that goes on; what a killed process was writing
        is removed.

        Only for the owner of the folder's lock.
        """
        path = Path(path)
        mine = {
            "experiment": as_plain(told),
            "decides": decisive(told),
            "digest": identity(told),
            "run": path.resolve().name,
        }
        existing = path / _EXPERIMENT
        if existing.is_file():
            found = _read_json(existing)
            if found.get("digest") != mine["digest"]:
                changed = list(
                    differences(found.get("decides", found.get("experiment", {})), mine["decides"])
                )
                raise InputError(
                    f"{path} holds a run of another experiment ({', '.join(changed[:6])} differ);"
                    " give another folder"
                )
        else:
            if path.exists() and not all(map(_is_ours, path.iterdir())):
                raise InputError(f"{path} is not empty and holds no run; give a new folder")
            path.mkdir(parents=True, exist_ok=True)
            write_json(existing, mine)
        try:
            for unfinished in _unfinished(path):
                unfinished.unlink(missing_ok=True)
            for part in _PARTS:
                (path / part).mkdir(exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"{path} cannot be written to ({error.strerror or error}); make room, or give a"
                " folder that can be"
            ) from error
        return cls(path)

    def update(self, told: Experiment) -> None:
        """Of what decides no row, such as the metric that leads the page, the last word counts."""
        before = _read_json(self.path / _EXPERIMENT)
        now = {**before, "experiment": as_plain(told)}
        if now != before:
            write_json(self.path / _EXPERIMENT, now)

    @property
    def experiment(self) -> dict[str, Any]:
        """The resolved experiment as plain values."""
        found: dict[str, Any] = _read_json(self.path / _EXPERIMENT)["experiment"]
        return found

    @property
    def name(self) -> str:
        """What the rows say that they are of: the folder's name when the run began."""
        found = _read_json(self.path / _EXPERIMENT).get("run")
        return found if isinstance(found, str) else self.path.resolve().name

    def rows_file(self, *key: object) -> Path:
        return self.path / "rows" / f"{_slug(key)}.csv"

    def training(self, *key: object) -> Path:
        return self.path / "train" / _slug(key)

    def records(self) -> Records:
        """All rows that there are, algorithms and targets in the experiment's order."""
        files = sorted((self.path / "rows").glob("*.csv"))
        tables = [read_records(file).columns for file in files] or [Records.of([]).columns]
        whole = Records(
            {name: np.concatenate([table[name] for table in tables]) for name in FIELDS}
        ).sorted_rows()
        algorithms, targets = (
            self.experiment["algorithms"],
            self.plain("protocol.json").get("order of targets", []),
        )
        columns = whole.columns
        # By the last key first: in numpy's order of sorting.
        order = np.lexsort(
            (_places(columns["target"], targets), _places(columns["algorithm"], algorithms))
        )
        return whole[order]

    def episodes(self) -> dict[tuple[str, str, int], str]:
        """(algorithm, target, shots) -> a digest of the episodes that were scored, of the rows that
        tell it.
        """
        told = self._scored()
        return {(each["algorithm"], each["target"], each["shots"]): each["digest"] for each in told}

    def shared_subjects(self) -> dict[str, int]:
        """Target -> how many subjects stand in both support and query, over all episodes of the
        most such shots.
        """
        found: dict[str, int] = {}
        for each in self._scored():
            if each["shared subjects"]:
                found[each["target"]] = max(found.get(each["target"], 0), each["shared subjects"])
        return found

    def _scored(self) -> list[dict[str, Any]]:
        found = []
        for file in sorted((self.path / "episodes").glob("*.json")):
            told = _read_json(file)
            if any(not isinstance(told.get(name), kind) for name, kind in _EPISODES.items()):
                raise InputError(
                    f"{file} is not as a run writes it; remove it, and nothing is paired with its"
                    " rows"
                )
            found.append(told)
        return found

    def failures(self) -> list[dict[str, str]]:
        """What could not be done when it was last tried."""
        found = self.plain(_FAILURES).get("failures", [])
        if not isinstance(found, list) or not all(
            isinstance(each, dict) and each.keys() >= _TOLD for each in found
        ):
            raise InputError(
                f"{self.path / _FAILURES} is not as a run writes it; remove it, and run again"
            )
        return found

    def write_failures(self, failures: list[dict[str, str]]) -> None:
        if not (self.path / _FAILURES).is_file() or failures != self.failures():
            write_json(self.path / _FAILURES, {"failures": failures})

    def plain(self, name: str) -> dict[str, Any]:
        """The content of a JSON file of this run; nothing where it is not there yet."""
        path = self.path / name
        return _read_json(path) if path.is_file() else {}


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all."""
    write_whole(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def _is_ours(path: Path) -> bool:
    """What a run leaves that is killed at its very beginning."""
    return path.name == "lock" or (
        path.name.startswith(_EXPERIMENT) and bool(_UNFINISHED.fullmatch(path.name))
    )


def _unfinished(path: Path) -> Iterator[Path]:
    """What a process was writing when it was killed."""
    for pattern in ("*", "*/*", "train/*/*"):
        yield from (
            found
            for found in path.glob(f"{pattern}{UNFINISHED}")
            if _UNFINISHED.fullmatch(found.name)
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); it is not as a run writes it"
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not as a run writes it; expected a mapping")
    return found


def _places(names: NDArray[Any], order: Sequence[str]) -> NDArray[np.int64]:
    """The place of each name in an order; names that it lacks come last, all alike."""
    places = {name: place for place, name in enumerate(order)}
    return np.array([places.get(name, len(places)) for name in names.tolist()], dtype=np.int64)


def _slug(key: tuple[object, ...]) -> str:
    """A name for a person, and a digest for certainty."""
    words = "-".join(
        "".join(c if c.isalnum() else "_" for c in str(part))[:40] for part in key[:-1]
    )
    return f"{words}-{digest([str(part) for part in key])[:12]}"


def differences(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """The dotted names of what differs between two nested mappings."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted(before.keys() | now.keys()):
            yield from differences(
                before.get(name), now.get(name), f"{place}.{name}" if place else name
            )
    elif before != now:
        yield place
