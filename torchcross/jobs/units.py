"""What a job consists of: units of work, what they need, and the files that they write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from torchcross.errors import InputError

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_=+-]{0,179}")
_RESERVED: Final = "jobs"
"""The folder of claims and attempts; no unit writes there."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a unit takes of a machine while it runs.

    cores    threads that it computes with
    memory   bytes
    gpus     whole devices, or a share of one

    >>> from torchcross.jobs import Resources
    >>> Resources(cores=2, gpus=0.5).gpus
    0.5
    """

    cores: int = 1
    memory: int = 0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.cores < 1 or self.memory < 0 or self.gpus < 0:
            raise InputError(
                f"{self} cannot be had; give 1 core or more, and no negative memory or GPUs"
            )
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise InputError(
                f"gpus = {self.gpus:g} cannot be had; give a share of one device (0.5), or whole"
                " devices (2)"
            )


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work that depends on nothing but its key, its job and the units it needs.

    `results` are the files and folders that it writes, relative to the job's folder, in the order
    in which they appear there. The unit is done where the last one exists. `shared` are files that
    it may write before them, and that other units may write too, all with the same content.

    >>> from torchcross.jobs import Unit
    >>> Unit("table", results=("rows.csv", "table.md"), needs=("train0", "train1")).results[-1]
    'table.md'
    """

    key: str
    results: tuple[str, ...]
    needs: tuple[str, ...] = ()
    resources: Resources = Resources()
    shared: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise InputError(
                f"{self.key!r} is no key of a unit; give up to 180 letters, digits, '_', '-', '='"
                " and '+', a letter or digit first: it becomes a file name"
            )
        if not self.results:
            raise InputError(
                f"unit {self.key!r} has no results; name at least one file, which says that the"
                " unit is done"
            )
        for result in (*self.shared, *self.results):
            parts = PurePosixPath(result).parts
            if not parts or ".." in parts or result.startswith("/") or parts[0] == _RESERVED:
                raise InputError(
                    f"unit {self.key!r} cannot write {result!r}; give a path inside the job's"
                    f" folder, outside of {_RESERVED!r}"
                )


class Job(Protocol):
    """Units, and how each is made. Engines send it to other processes.

    It is a small value that can be pickled and hashed, such as a frozen dataclass of settings:
    each process makes from it what it needs.
    """

    def __hash__(self) -> int: ...

    def units(self) -> Sequence[Unit]:
        """All units, the same ones at every call: those to start first stand first."""
        ...

    def fingerprint(self) -> Mapping[str, str | None]:
        """What decides results besides the keys: versions, data, weights, settings, by name.

        A worker computes it where it runs, and is refused where it differs from the folder's. None
        is a value that a coordinator leaves to its workers: the first one decides.
        """
        ...

    def run(self, key: str, folder: Path) -> None:
        """Write the results of a unit into a folder of its own, each file whole.

        The folder may hold what an earlier attempt left, such as checkpoints to go on from.
        """
        ...


@dataclass(frozen=True)
class UnitGraph:
    """The units of a job, checked: each key stands once, every need is a unit, none is in a circle.

    >>> from torchcross.jobs import Unit, UnitGraph
    >>> weights = Unit("weights", ("weights.safetensors",))
    >>> scores = Unit("scores", ("scores.csv",), needs=("weights",))
    >>> UnitGraph.of([weights, scores]).needed_by
    {'weights': ('scores',), 'scores': ()}
    """

    units: Mapping[str, Unit]
    needed_by: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, units: Iterable[Unit]) -> UnitGraph:
        by_key: dict[str, Unit] = {}
        owner_of: dict[str, str] = {}
        for unit in units:
            if unit.key in by_key:
                raise InputError(f"two units have the key {unit.key!r}; give each its own")
            by_key[unit.key] = unit
            for result in unit.results:
                other = owner_of.setdefault(result, unit.key)
                if other != unit.key:
                    raise InputError(
                        f"units {other!r} and {unit.key!r} both write {result!r}; give each"
                        " result to one unit"
                    )
        needed_by: dict[str, list[str]] = {key: [] for key in by_key}
        for unit in by_key.values():
            for need in unit.needs:
                if need not in by_key:
                    raise InputError(
                        f"unit {unit.key!r} needs {need!r}, which is no unit of this job"
                    )
                needed_by[need].append(unit.key)
        graph = cls(by_key, {key: tuple(keys) for key, keys in needed_by.items()})
        graph._refuse_circles()
        return graph

    def _refuse_circles(self) -> None:
        missing = {key: len(set(unit.needs)) for key, unit in self.units.items()}
        free = [key for key, count in missing.items() if not count]
        reached = 0
        while free:
            key = free.pop()
            reached += 1
            for later in dict.fromkeys(self.needed_by[key]):
                missing[later] -= 1
                if not missing[later]:
                    free.append(later)
        if reached < len(self.units):
            circle = [key for key, count in missing.items() if count]
            raise InputError(
                f"units need each other in a circle, so that none can begin; {circle[:3]} are on it"
                " or behind it"
            )
