"""Images that are one colour, equal or alike: within a split, across splits, with other labels,
across datasets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.audited_dataset import SPLITS, Opened
from medimeta_adapter.audit.findings import SHOWN, Findings
from medimeta_adapter.audit.perceptual_hash import DISTANCE, Looks, alike_groups, groups_of
from medimeta_adapter.audit.relations import overlapping
from medimeta_adapter.audit.scan import Progress, Scan
from torchcross._kit.arrays import Indices

__all__ = ["Scanned", "audit_constant", "audit_duplicates", "audit_near_duplicates"]

_FILE = "images.hdf5"


@dataclass(frozen=True, eq=False)
class Scanned:
    """A dataset with what a scan of its pixels found."""

    opened: Opened
    scan: Scan


@dataclass(frozen=True, eq=False)
class _Crowd:
    """The images of all datasets in one row: whose each is, which row there, in which split."""

    datasets: Sequence[Opened]
    owner: Indices
    row: Indices
    split: NDArray[np.int8]

    @classmethod
    def of(cls, scanned: Sequence[Scanned]) -> _Crowd:
        counts = [entry.opened.count for entry in scanned]
        empty = [np.zeros(0, dtype=np.int64)]
        return cls(
            [entry.opened for entry in scanned],
            np.repeat(np.arange(len(counts)), counts),
            np.concatenate([np.arange(count) for count in counts] or empty),
            np.concatenate([entry.opened.split_codes() for entry in scanned] or empty).astype(
                np.int8
            ),
        )

    def named(self, places: Indices, *, with_dataset: bool = False) -> str:
        """`12 (train) = 77 (test)`, at most five of them."""
        shown = []
        for place in places[:SHOWN].tolist():
            split = SPLITS[self.split[place]] if self.split[place] >= 0 else "no split"
            start = f"{self.datasets[self.owner[place]].name}: " if with_dataset else ""
            shown.append(f"{start}{self.row[place]} ({split})")
        return " = ".join(shown) + (f" = ... ({len(places)})" if len(places) > SHOWN else "")


def audit_constant(scanned: Scanned, findings: Findings) -> None:
    rows = np.flatnonzero(scanned.scan.constant)
    if len(rows):
        name = scanned.opened.name
        findings.warning(
            "image-constant",
            name,
            "images of a single colour",
            file=_FILE,
            count=len(rows),
            examples=rows,
        )


def audit_duplicates(scanned: Sequence[Scanned], findings: Findings) -> None:
    """Equal bytes in an equal shape. Images of one colour are told elsewhere."""
    crowd = _Crowd.of(scanned)
    usable = np.flatnonzero(_usable(scanned))
    _tell(crowd, [usable[part] for part in _equal(scanned, usable)], "duplicate", findings)


def audit_near_duplicates(
    scanned: Sequence[Scanned], findings: Findings, progress: Progress | None = None
) -> None:
    """Images that look alike and are not equal: of equal ones the first stands for all."""
    crowd = _Crowd.of(scanned)
    usable = np.flatnonzero(_usable(scanned))
    again = np.zeros(len(usable), dtype=bool)
    for part in _equal(scanned, usable):
        again[part[1:]] = True
    usable = usable[~again]
    found = Looks.joined([entry.scan.looks for entry in scanned]).at(usable)
    tell = None if progress is None else partial(progress, "look-alikes")
    _tell(crowd, [usable[part] for part in alike_groups(found, tell)], "near-duplicate", findings)


def _usable(scanned: Sequence[Scanned]) -> NDArray[np.bool_]:
    parts = [entry.scan.read & ~entry.scan.constant for entry in scanned]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _equal(scanned: Sequence[Scanned], usable: Indices) -> list[Indices]:
    """Groups of places in `usable` with one digest."""
    parts = [entry.scan.digests for entry in scanned]
    digests = np.concatenate(parts)[usable] if parts else np.zeros((0, 2), dtype=np.uint64)
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (digests[order][1:] != digests[order][:-1]).any(axis=1)
    labels = np.empty(len(order), dtype=np.int64)
    labels[order] = np.cumsum(new)
    return groups_of(labels)


def _tell(crowd: _Crowd, groups: Sequence[Indices], kind: str, findings: Findings) -> None:
    """Each group counts once for every dataset, and for every pair of datasets, that it touches."""
    inside: dict[tuple[int, str], list[Indices]] = {}
    between: dict[tuple[int, int], list[Indices]] = {}
    for group in groups:
        owners = crowd.owner[group]
        present = np.unique(owners).tolist()
        for owner in present:
            mine = group[owners == owner]
            if len(mine) > 1:
                splits = np.unique(crowd.split[mine])
                inside.setdefault(
                    (owner, "splits" if (splits >= 0).sum() > 1 else "within"), []
                ).append(mine)
                if kind == "duplicate" and (
                    tasks := _tasks_that_differ(crowd.datasets[owner], crowd.row[mine])
                ):
                    inside.setdefault((owner, f"labels {tasks[0]}"), []).append(mine)
        for place, one in enumerate(present):
            for other in present[place + 1 :]:
                between.setdefault((one, other), []).append(
                    group[(owners == one) | (owners == other)]
                )
    for (owner, where), found in inside.items():
        _tell_inside(crowd, owner, where, found, kind, findings)
    for (one, other), found in between.items():
        _tell_between(crowd, one, other, found, kind, findings)


def _tasks_that_differ(opened: Opened, rows: Indices) -> list[str]:
    return [
        name for name, labels in opened.labels.items() if (labels[rows] != labels[rows[:1]]).any()
    ]


def _words(kind: str) -> str:
    if kind == "duplicate":
        return "identical images"
    return f"images that look alike ({DISTANCE} of 64 bits differ at most)"


def _tell_inside(
    crowd: _Crowd, owner: int, where: str, found: Sequence[Indices], kind: str, findings: Findings
) -> None:
    name = crowd.datasets[owner].name
    more = {
        "file": _FILE,
        "count": len(found),
        "examples": [crowd.named(group) for group in found[:SHOWN]],
    }
    if where == "splits":
        message = f"sets of {_words(kind)} that stand in more than one split"
        findings.warning(f"{kind}-across-splits", name, message, **more)
    elif where == "within":
        tell = findings.warning if kind == "duplicate" else findings.note
        tell(f"{kind}-within-split", name, f"sets of {_words(kind)} within a split", **more)
    else:
        task = where.removeprefix("labels ")
        message = f"sets of {_words(kind)} with different labels"
        findings.warning(f"{kind}-other-label", name, message, field=task, **more)


def _tell_between(
    crowd: _Crowd, one: int, other: int, found: Sequence[Indices], kind: str, findings: Findings
) -> None:
    first, second = crowd.datasets[one], crowd.datasets[other]
    examples = [crowd.named(group, with_dataset=True) for group in found[:SHOWN]]
    more = {"file": _FILE, "field": second.name, "count": len(found), "examples": examples}
    shared = f"sets of {_words(kind)} in both {first.name!r} and {second.name!r}"
    if overlapping(first, second):
        message = (
            f"{shared}, which list each other as overlapping, so neither is a source for the other"
        )
        findings.note(f"{kind}-across-datasets", first.name, message, **more)
    else:
        message = (
            f"{shared}: with one of them left out, the sources still show its images; list them as"
            " overlapping"
        )
        findings.warning(f"{kind}-across-datasets", first.name, message, **more)
