"""What a dataset allows: the most shots per class beside a given number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from numpy.typing import NDArray

from medimeta_adapter.audit.audited_dataset import Opened
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.audit.labels import class_counts
from medimeta_adapter.format.info import TaskInfo
from torchcross._kit.arrays import Indices
from torchcross.data import LabelSource
from torchcross.data.sampling.class_index import ClassIndex, cover_supply, partition_supply
from torchcross.data.sampling.feasibility import Stratum, Supply
from torchcross.data.sampling.subject_division import can_divide
from torchcross.targets.strata import Cover, Partition, Strata
from torchcross.task import Task

__all__ = ["ClassShots", "TaskShots", "audit_shots", "largest_shots"]


@dataclass(frozen=True)
class ClassShots:
    """One class: its samples (of a label: those that have it, and `rarer`, the fewer of its two
    answers), and the most shots; -1 where even the queries cannot be had.
    """

    name: str
    samples: int
    rarer: int
    shots: int


@dataclass(frozen=True)
class TaskShots:
    """One task: by counting, what an episode with `queries` per class can have. `by_subject`:
    subjects kept apart.
    """

    dataset: str
    task: str
    kind: str
    queries: int
    by_subject: bool
    classes: tuple[ClassShots, ...]

    @property
    def shots(self) -> int:
        """The most shots that every class can give."""
        return min(entry.shots for entry in self.classes)

    @property
    def scarcest(self) -> ClassShots:
        return min(self.classes, key=lambda entry: (entry.shots, entry.rarer))

    def usable(self, shots: int) -> int:
        """How many classes can give so many shots."""
        return sum(entry.shots >= shots for entry in self.classes)

    def plain(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "kind": self.kind,
            "queries": self.queries,
            "by_subject": self.by_subject,
            "shots": self.shots,
            "classes": [
                {
                    "name": entry.name,
                    "samples": entry.samples,
                    "rarer": entry.rarer,
                    "shots": entry.shots,
                }
                for entry in self.classes
            ],
        }


def audit_shots(opened: Opened, *, shots: int, queries: int, findings: Findings) -> list[TaskShots]:
    """The table of every sound task; classes that cannot give `shots` are named."""
    found = []
    for task in opened.info.tasks:
        if task.name in opened.labels:
            table = largest_shots(opened, task, opened.labels[task.name], queries)
            found.append(table)
            scarce = [
                f"{entry.name}: {entry.shots}"
                for entry in table.classes
                if 0 <= entry.shots < shots
            ]
            scarce += [f"{entry.name}: none" for entry in table.classes if entry.shots < 0]
            if scarce:
                message = (
                    f"classes that cannot give {shots} shots beside {queries} queries, and what"
                    " they can give"
                )
                findings.note(
                    "class-scarce",
                    opened.name,
                    message,
                    field=task.name,
                    count=len(scarce),
                    examples=scarce,
                )
    return found


def largest_shots(opened: Opened, task: TaskInfo, labels: NDArray[Any], queries: int) -> TaskShots:
    target = task.target()
    source = LabelSource(
        labels, Task(task.name, target, opened.info.domain), groups=opened.subjects
    )
    supply = _supply(target.strata(source.labels), source.groups)
    counts = class_counts(task, labels).tolist()
    classes = tuple(
        ClassShots(name, count, min(stratum.samples for stratum in strata), _most(strata, queries))
        for name, count, strata in zip(target.classes, counts, supply.classes, strict=True)
    )
    return TaskShots(
        opened.name, task.name, target.kind, queries, source.groups is not None, classes
    )


@singledispatch
def _supply(strata: Strata, groups: Indices | None) -> Supply:
    raise TypeError(f"nothing is known of strata of type {type(strata).__name__}")


@_supply.register
def _(strata: Partition, groups: Indices | None) -> Supply:
    return partition_supply(ClassIndex.of_partition(strata), groups)


@_supply.register
def _(strata: Cover, groups: Indices | None) -> Supply:
    return cover_supply(ClassIndex.of_cover(strata), groups, strata.answers)


def _most(strata: Sequence[Stratum], queries: int) -> int:
    """The most shots that all strata serve; more shots are never easier, so the range is halved."""
    low, high = -1, min(stratum.samples for stratum in strata) - queries
    while low < high:
        middle = (low + high + 1) // 2
        if all(_serves(stratum, middle, queries) for stratum in strata):
            low = middle
        else:
            high = middle - 1
    return low


def _serves(stratum: Stratum, shots: int, queries: int) -> bool:
    """`Stratum.serves`, with the queries as the side that is kept small: shots may be in the tens
    of thousands here.
    """
    enough = stratum.samples >= shots + queries
    return enough and (stratum.subjects is None or can_divide(stratum.subjects, queries, shots))
