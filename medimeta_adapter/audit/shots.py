"""What a dataset allows: the most shots per class beside a number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import singledispatch
from typing import Any

from numpy.typing import NDArray

from medimeta_adapter.audit.audited_dataset import AuditedDataset
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.audit.labels import class_counts
from medimeta_adapter.format.info import TaskInfo
from torchcross._kit.arrays import Indices
from torchcross.data import LabelSource
from torchcross.data.sampling.class_index import ClassIndex, cover_supply, partition_supply
from torchcross.data.sampling.subject_division import can_divide
from torchcross.data.sampling.supply import Stratum, Supply
from torchcross.targets.strata import Cover, Partition, Strata
from torchcross.task import Task


@dataclass(frozen=True)
class ClassShots:
    """One class, its samples, and the most shots: -1 if it has too few samples for the queries.

    For a label of a multilabel task, `samples` counts those with the label, and `rarer` the rarer
    of its two answers.
    """

    name: str
    samples: int
    rarer: int
    shots: int


@dataclass(frozen=True)
class TaskShots:
    """One task, and by counting, how many shots an episode with `queries` per class can have.

    by_subject: whether the subjects of support and query are kept apart.

    >>> from medimeta_adapter.audit import ClassShots, TaskShots
    >>> healthy = ClassShots("healthy", samples=120, rarer=120, shots=110)
    >>> cyst = ClassShots("cyst", samples=14, rarer=14, shots=4)
    >>> table = TaskShots("scans", "disease", "multiclass", 10, False, (healthy, cyst))
    >>> table.shots, table.scarcest.name, table.usable(shots=5)
    (4, 'cyst', 1)
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
        """Return how many classes can give this many shots."""
        return sum(entry.shots >= shots for entry in self.classes)

    def plain(self) -> dict[str, Any]:
        """Return the task as values of JSON."""
        return {
            "task": self.task,
            "kind": self.kind,
            "queries": self.queries,
            "by_subject": self.by_subject,
            "shots": self.shots,
            "classes": [asdict(entry) for entry in self.classes],
        }


def audit_shots(
    dataset: AuditedDataset, *, shots: int, queries: int, findings: Findings
) -> list[TaskShots]:
    """Return the shots of every valid task, and report classes that cannot give `shots`."""
    tasks = [task for task in dataset.info.tasks if task.name in dataset.labels]
    tables = [largest_shots(dataset, task, dataset.labels[task.name], queries) for task in tasks]
    for table in tables:
        scarce = [entry for entry in table.classes if entry.shots < shots]
        # Classes without any shots come last.
        scarce.sort(key=lambda entry: entry.shots < 0)
        findings.note(
            "class-scarce",
            dataset.name,
            f"classes that cannot give {shots} shots beside {queries} queries, and what they can"
            " give",
            field=table.task,
            examples=[f"{entry.name}: {_shots_text(entry.shots)}" for entry in scarce],
        )
    return tables


def _shots_text(shots: int) -> str:
    return "none" if shots < 0 else str(shots)


def largest_shots(
    dataset: AuditedDataset, task: TaskInfo, labels: NDArray[Any], queries: int
) -> TaskShots:
    """Return the most shots of each class of a task."""
    target = task.target()
    source = LabelSource(
        labels, Task(task.name, target, dataset.info.domain), groups=dataset.subjects
    )
    supply = _supply(target.strata(source.labels), source.groups)
    counts = class_counts(task, labels).tolist()
    classes = tuple(
        ClassShots(name, count, _rarer(strata), _most_shots(strata, queries))
        for name, count, strata in zip(target.classes, counts, supply.classes, strict=True)
    )
    by_subject = source.groups is not None
    return TaskShots(dataset.name, task.name, target.kind, queries, by_subject, classes)


@singledispatch
def _supply(strata: Strata, groups: Indices | None) -> Supply:
    raise TypeError(f"nothing is known of strata of type {type(strata).__name__}")


@_supply.register
def _(strata: Partition, groups: Indices | None) -> Supply:
    return partition_supply(ClassIndex.of_partition(strata), groups)


@_supply.register
def _(strata: Cover, groups: Indices | None) -> Supply:
    return cover_supply(ClassIndex.of_cover(strata), groups, strata.answers)


def _rarer(strata: Sequence[Stratum]) -> int:
    return min(stratum.samples for stratum in strata)


def _most_shots(strata: Sequence[Stratum], queries: int) -> int:
    """Return the most shots that all strata can give; -1 for none."""
    # More shots are never easier to give than fewer, so halve the range until one number is left.
    low, high = -1, _rarer(strata) - queries
    while low < high:
        middle = (low + high + 1) // 2
        if all(_can_give(stratum, middle, queries) for stratum in strata):
            low = middle
        else:
            high = middle - 1
    return low


def _can_give(stratum: Stratum, shots: int, queries: int) -> bool:
    """Whether a stratum can give these shots and queries, without a subject in both."""
    if stratum.samples < shots + queries:
        return False
    # `Stratum.serves` does the same, but its cost grows with the shots. Here these may be tens of
    # thousands, so let the search count up to the queries.
    return stratum.subjects is None or can_divide(stratum.subjects, queries, shots)
