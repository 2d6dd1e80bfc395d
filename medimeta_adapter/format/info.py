"""info.yaml as frozen, typed, validated objects, and back to text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from medimeta_adapter.format.frozen import FrozenMapping, freeze, thaw
from medimeta_adapter.format.problems import (
    TARGETS,
    Problem,
    TaskTarget,
    count_problems,
    dataset_problems,
    refuse_first,
    shown,
    task_problems,
)
from medimeta_adapter.format.yaml import Node, load
from torchcross._kit.suggestions import suggest
from torchcross.errors import DatasetFileError, InputError
from torchcross.targets import Target

__all__ = [
    "FROZEN_FIELDS",
    "DatasetInfo",
    "SplitCounts",
    "TaskInfo",
    "TaskTarget",
    "info_text",
    "read_info",
]

_SHOWN = 8
# The fields of a description that hold lists and mappings.
FROZEN_FIELDS = (
    *("tasks", "input_size", "domain_overlaps", "subject_overlaps"),
    *("original_data", "extra"),
)


@dataclass(frozen=True)
class TaskInfo:
    """One entry of `tasks`:
    `TaskInfo("disease class", "MULTICLASS_CLASSIFICATION", {0: "CNV", 1: "DME"})`.

    `labels` maps label value to name (multi-label: column to name); ordinal values are grades and
    may have gaps.
    """

    name: str
    task_target: TaskTarget
    labels: Mapping[int, str]
    extra: Mapping[str, Any] = field(default_factory=FrozenMapping)

    def __post_init__(self) -> None:
        refuse_first("task", task_problems(self.name, self.task_target, self.labels))
        object.__setattr__(self, "task_target", TaskTarget(self.task_target))
        object.__setattr__(self, "labels", freeze(self.labels))
        object.__setattr__(self, "extra", freeze(self.extra))

    def target(self) -> Target:
        """What the library calls this kind of task, with these classes; grades of an ordinal task
        are the keys.
        """
        return TARGETS[self.task_target](self.labels)

    @property
    def num_labels(self) -> int:
        return len(self.labels)

    @property
    def multilabel(self) -> bool:
        """Whether a sample has one yes or no per label instead of one label."""
        return self.task_target is TaskTarget.MULTILABEL_CLASSIFICATION


@dataclass(frozen=True)
class SplitCounts:
    """Samples per split."""

    train: int = 0
    val: int = 0
    test: int = 0

    def __post_init__(self) -> None:
        counts = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        refuse_first("split counts", count_problems(counts, ()))

    @property
    def total(self) -> int:
        return self.train + self.val + self.test


@dataclass(frozen=True)
class DatasetInfo:
    """What info.yaml says; keys that the format does not know are kept in `extra`."""

    id: str
    name: str
    domain: str
    tasks: tuple[TaskInfo, ...]
    input_size: tuple[int, int, int]
    total_num_samples: int
    splits_num_samples: SplitCounts = field(default_factory=SplitCounts)
    original_splits_num_samples: SplitCounts = field(default_factory=SplitCounts)
    summary: str = ""
    domain_overlaps: tuple[str, ...] = ()
    subject_overlaps: tuple[str, ...] = ()
    license: str = ""
    doi: str = ""
    original_data: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=FrozenMapping)

    def __post_init__(self) -> None:
        refuse_first(
            "dataset",
            dataset_problems({entry.name: getattr(self, entry.name) for entry in fields(self)}),
        )
        for name in FROZEN_FIELDS:
            object.__setattr__(self, name, freeze(getattr(self, name)))

    @property
    def primary_task(self) -> TaskInfo:
        """The first task."""
        return self.tasks[0]

    def task(self, name: str) -> TaskInfo:
        """The task of this name."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise InputError(
            f"dataset {self.id!r} has no task"
            f" {name!r}; {suggest(name, [task.name for task in self.tasks])}"
        )


# -- reading ---------------------------------------------------------------------------------------

_REQUIRED = (
    "id",
    "name",
    "domain",
    "tasks",
    "input_size",
    "total_num_samples",
    "splits_num_samples",
)
_TEXTS = ("id", "name", "domain", "summary", "license", "DOI")
_KNOWN = frozenset(
    {
        *_REQUIRED,
        *_TEXTS,
        "original_splits_num_samples",
        "domain_overlaps",
        "subject_overlaps",
        "original_data",
    }
)


def read_info(path: str | Path) -> DatasetInfo:
    """info.yaml, validated; an error names every wrong field with its path and line."""
    path = Path(path)
    root = load(path)
    if not isinstance(root.value, dict):
        raise DatasetFileError(
            f"{path}, line {root.line}: expected a mapping with id, name, domain, tasks, ..."
        )
    problems: list[Problem] = [
        ((name,), "is missing")
        for name in _REQUIRED
        if name not in root.value or root.value[name].value is None
    ]
    data = _fields(root)
    if not problems:
        problems += dataset_problems(data)
    for name in ("splits_num_samples", "original_splits_num_samples"):
        problems += count_problems(data[name], (name,))
        data[name] = SplitCounts(**data[name]) if not problems else SplitCounts()
    data["tasks"] = list(_tasks(root, problems))
    problems = list(dict.fromkeys([*problems, *(() if problems else dataset_problems(data))]))
    if problems:
        raise DatasetFileError(_report(path, root, problems))
    return DatasetInfo(**data)


def _report(path: Path, root: Node, problems: list[Problem]) -> str:
    lines = [
        f"line {root.at(place).line}, {shown(place)}: {sentence}" for place, sentence in problems
    ]
    more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return (
        f"{path}, {lines[0]}"
        if len(lines) == 1
        else f"{path}:\n  " + "\n  ".join(lines[:_SHOWN]) + more
    )


def _fields(root: Node) -> dict[str, Any]:
    """The document as arguments of DatasetInfo, as yet unchecked."""
    known: dict[str, Any] = {
        name: []
        for name in ("tasks", "input_size", "domain_overlaps", "subject_overlaps", "original_data")
    }
    known |= dict.fromkeys(_TEXTS, "") | {"total_num_samples": None}
    known |= {name: {} for name in ("splits_num_samples", "original_splits_num_samples")}
    for key, node in root.value.items():
        if key in _KNOWN and node.value is not None:
            known[key] = _as_text(node) if key in _TEXTS else node.plain()
    for key in ("domain_overlaps", "subject_overlaps"):
        if key in root.value and isinstance(root.value[key].value, list):
            known[key] = [_as_text(entry) for entry in root.value[key].value]
    known["doi"] = known.pop("DOI")
    known["extra"] = {key: node.plain() for key, node in root.value.items() if key not in _KNOWN}
    return known


def _as_text(node: Node) -> Any:
    """What was written, even where YAML reads a number or a truth value in it: `no`, `007`."""
    return node.plain() if node.text is None or node.value is None else node.text


def _tasks(root: Node, problems: list[Problem]) -> Iterator[TaskInfo]:
    """The tasks; what is wrong in them is added to `problems`."""
    listed = root.value["tasks"].value if "tasks" in root.value else None
    for place, node in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(node.value, dict):
            problems.append(
                (("tasks", place), "is no mapping with task_name, task_target and labels")
            )
            continue
        entry: dict[Any, Node] = node.value
        name: Any = _as_text(entry["task_name"]) if "task_name" in entry else None
        target: Any = _as_text(entry["task_target"]) if "task_target" in entry else None
        labels: Any = entry["labels"].value if "labels" in entry else None
        labels = (
            {key: _as_text(item) for key, item in labels.items()}
            if isinstance(labels, dict)
            else labels
        )
        found = [
            (("tasks", place, *path), sentence)
            for path, sentence in task_problems(name, target, labels)
        ]
        problems += found
        if not found:
            extra = {
                key: item.plain()
                for key, item in entry.items()
                if key not in ("task_name", "task_target", "labels")
            }
            yield TaskInfo(name, target, labels, extra)


# -- writing ---------------------------------------------------------------------------------------


def info_text(info: DatasetInfo) -> str:
    """The YAML of an info.yaml: `read_info`, and the published package, read the same values
    back.
    """
    counts = ("splits_num_samples", "original_splits_num_samples")
    document: dict[Any, Any] = {
        "id": info.id,
        "name": info.name,
        "summary": info.summary,
        "domain": info.domain,
        "tasks": [_task_entry(task) for task in info.tasks],
        "input_size": list(info.input_size),
        "total_num_samples": info.total_num_samples,
        **{
            name: {
                split.name: getattr(getattr(info, name), split.name)
                for split in fields(SplitCounts)
            }
            for name in counts
        },
        "domain_overlaps": list(info.domain_overlaps),
        "subject_overlaps": list(info.subject_overlaps),
        "license": info.license,
        "DOI": info.doi,
        "original_data": thaw(info.original_data),
    }
    if clash := [key for key in info.extra if key in document]:
        raise InputError(
            f"dataset {info.id!r} has the extra keys {clash}, which are fields of their own; rename"
            " them"
        )
    text: str = yaml.safe_dump(
        document | thaw(info.extra), sort_keys=False, allow_unicode=True, width=110
    )
    return text


def _task_entry(task: TaskInfo) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "task_name": task.name,
        "task_target": str(task.task_target),
        "labels": thaw(task.labels),
    }
    if clash := [key for key in task.extra if key in entry]:
        raise InputError(
            f"task {task.name!r} has the extra keys {clash}, which are fields of their own; rename"
            " them"
        )
    entry.update(thaw(task.extra))
    return entry
