"""info.yaml as frozen, typed, validated objects, and back to text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from medimeta_adapter.format.frozen import FrozenMapping, freeze_fields, thaw
from medimeta_adapter.format.problems import (
    TARGETS,
    Problem,
    TaskTarget,
    count_problems,
    dataset_problems,
    path_text,
    refuse_first,
    task_problems,
)
from medimeta_adapter.format.yaml import LARGEST, Node, load, parse
from torchcross._kit.suggestions import suggest
from torchcross.errors import DatasetFileError, InputError
from torchcross.targets import Target

_SHOWN = 8


@dataclass(frozen=True)
class TaskInfo:
    """A task: `TaskInfo("disease class", "MULTICLASS_CLASSIFICATION", {0: "CNV", 1: "DME"})`.

    `labels` maps label value to name (multi-label: column to name); ordinal values are grades and
    may have gaps. `missing_label` stands in the label file for an unknown label (multi-label: an
    unknown answer); without it every label is known.
    """

    name: str
    task_target: TaskTarget
    labels: Mapping[int, str]
    extra: Mapping[str, Any] = field(default_factory=FrozenMapping)
    missing_label: int | None = None

    def __post_init__(self) -> None:
        freeze_fields(self)
        refuse_first(
            "task", task_problems(self.name, self.task_target, self.labels, self.missing_label)
        )
        object.__setattr__(self, "task_target", TaskTarget(self.task_target))

    def target(self) -> Target:
        """Return the target, with these classes; the grades of an ordinal task are the keys."""
        missing = () if self.missing_label is None else self.missing_label
        return TARGETS[self.task_target](self.labels, missing=missing)

    @property
    def num_labels(self) -> int:
        return len(self.labels)

    @property
    def multilabel(self) -> bool:
        """Whether a sample has one yes or no per label instead of one label."""
        return self.task_target is TaskTarget.MULTILABEL_CLASSIFICATION


@dataclass(frozen=True)
class SplitCounts:
    """Samples per split.

    >>> from medimeta_adapter import SplitCounts
    >>> SplitCounts(train=700, val=100, test=200).total
    1000
    """

    train: int = 0
    val: int = 0
    test: int = 0

    def __post_init__(self) -> None:
        freeze_fields(self)
        counts = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        refuse_first("split counts", count_problems(counts, ()))

    @property
    def total(self) -> int:
        return self.train + self.val + self.test


@dataclass(frozen=True)
class DatasetInfo:
    """The content of info.yaml; keys that the format does not know are kept in `extra`."""

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
        freeze_fields(self)
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        refuse_first("dataset", dataset_problems(values))

    @property
    def primary_task(self) -> TaskInfo:
        """The first task."""
        return self.tasks[0]

    def task(self, name: str) -> TaskInfo:
        """Return the task of this name."""
        for task in self.tasks:
            if task.name == name:
                return task
        names = [task.name for task in self.tasks]
        raise InputError(f"dataset {self.id!r} has no task {name!r}; {suggest(name, names)}")


# -- reading ---------------------------------------------------------------------------------------

_REQUIRED = (
    *("id", "name", "domain", "tasks", "input_size"),
    *("total_num_samples", "splits_num_samples"),
)
_TEXTS = ("id", "name", "domain", "summary", "license", "DOI")
_COUNTS = ("splits_num_samples", "original_splits_num_samples")
_OVERLAPS = ("domain_overlaps", "subject_overlaps")
_KNOWN = frozenset({*_REQUIRED, *_TEXTS, *_COUNTS, *_OVERLAPS, "original_data"})
_TASK_KEYS = ("task_name", "task_target", "labels", "missing_label")


def read_info(path: str | Path) -> DatasetInfo:
    """Read and check info.yaml; an error names every wrong field with its path and line.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from medimeta_adapter import info_text, read_info
    >>> from medimeta_adapter.synthetic import generate
    >>> with TemporaryDirectory() as folder:
    ...     info = read_info(Path(generate(folder, only=["oct"])) / "oct" / "info.yaml")
    ...     print(info.domain, info_text(info).splitlines()[0])
    ...
    OCT id: oct
    """
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
    for name in _COUNTS:
        problems += count_problems(data[name], (name,))
        data[name] = SplitCounts() if problems else SplitCounts(**data[name])
    data["tasks"] = list(_tasks(root, problems))
    if not problems:
        problems += dataset_problems(data)
    if problems:
        raise DatasetFileError(_report(path, root, list(dict.fromkeys(problems))))
    return DatasetInfo(**data)


def _report(path: Path, root: Node, problems: list[Problem]) -> str:
    lines = [
        f"line {root.at(place).line}, {path_text(place)}: {sentence}"
        for place, sentence in problems
    ]
    if len(lines) == 1:
        return f"{path}, {lines[0]}"
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"and {len(lines) - _SHOWN} more"]
    return f"{path}:\n  " + "\n  ".join(lines)


def _fields(root: Node) -> dict[str, Any]:
    """Return the document as arguments of DatasetInfo, not yet checked."""
    data: dict[str, Any] = dict.fromkeys(_TEXTS, "") | {"total_num_samples": None, "extra": {}}
    data |= {name: [] for name in ("tasks", "input_size", *_OVERLAPS, "original_data")}
    data |= {name: {} for name in _COUNTS}
    for key, node in root.value.items():
        if key not in _KNOWN:
            data["extra"][key] = node.plain()
        elif key in _OVERLAPS and isinstance(node.value, list):
            data[key] = [_as_text(entry) for entry in node.value]
        elif node.value is not None:
            data[key] = _as_text(node) if key in _TEXTS else node.plain()
    data["doi"] = data.pop("DOI")
    return data


def _as_text(node: Node) -> Any:
    """Return what was written, even where YAML reads a number or a truth value: `no`, `007`."""
    return node.plain() if node.text is None or node.value is None else node.text


def _tasks(root: Node, problems: list[Problem]) -> Iterator[TaskInfo]:
    """Yield the tasks; what is wrong in them is added to `problems`."""
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
        if isinstance(labels, dict):
            labels = {key: _as_text(item) for key, item in labels.items()}
        missing: Any = entry["missing_label"].plain() if "missing_label" in entry else None
        sentences = list(task_problems(name, target, labels, missing))
        problems += [(("tasks", place, *path), sentence) for path, sentence in sentences]
        if not sentences:
            extra = {key: item.plain() for key, item in entry.items() if key not in _TASK_KEYS}
            yield TaskInfo(name, target, labels, extra, missing)


# -- writing ---------------------------------------------------------------------------------------


def info_text(info: DatasetInfo) -> str:
    """Return the YAML of an info.yaml.

    `read_info`, and the published package, read the same values back.

    >>> from medimeta_adapter import DatasetInfo, TaskInfo, info_text
    >>> task = TaskInfo("finding", "BINARY_CLASSIFICATION", {0: "benign", 1: "malignant"})
    >>> info = DatasetInfo("scans", "Our scans", "Ultrasound", (task,), (1, 64, 64), 200)
    >>> info_text(info).splitlines()[:3]
    ['id: scans', 'name: Our scans', "summary: ''"]
    """
    document: dict[Any, Any] = {
        "id": info.id,
        "name": info.name,
        "summary": info.summary,
        "domain": info.domain,
        "tasks": [_task_entry(task) for task in info.tasks],
        "input_size": list(info.input_size),
        "total_num_samples": info.total_num_samples,
        **{name: asdict(getattr(info, name)) for name in _COUNTS},
        "domain_overlaps": list(info.domain_overlaps),
        "subject_overlaps": list(info.subject_overlaps),
        "license": info.license,
        "DOI": info.doi,
        "original_data": thaw(info.original_data),
    }
    document = _with_extra(document, info.extra, f"dataset {info.id!r}")
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return text


def check_text(info: DatasetInfo) -> None:
    """Refuse a description that info.yaml cannot hold, or that could not be read from there."""
    try:
        text = info_text(info)
    except yaml.YAMLError as error:
        raise InputError(
            f"dataset {info.id!r}: info.yaml cannot hold {error.args[-1]!r:.80}; give texts,"
            " numbers, truth values, lists and mappings"
        ) from None
    if (size := len(text.encode())) > LARGEST:
        raise InputError(
            f"dataset {info.id!r}: info.yaml would have {size:,} bytes, and at most {LARGEST:,} are"
            " read; shorten its texts"
        )
    try:
        parse(text, Path("info.yaml"))
    except DatasetFileError as error:
        raise InputError(
            f"dataset {info.id!r} could not be read again: {error}; change what stands there"
        ) from None


def _task_entry(task: TaskInfo) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "task_name": task.name,
        "task_target": str(task.task_target),
        "labels": thaw(task.labels),
    }
    if task.missing_label is not None:
        entry["missing_label"] = task.missing_label
    return _with_extra(entry, task.extra, f"task {task.name!r}")


def _with_extra(entry: dict[Any, Any], extra: Mapping[str, Any], who: str) -> dict[Any, Any]:
    if clash := [key for key in extra if key in entry]:
        raise InputError(
            f"{who} has the extra keys {clash}, which are fields of their own; rename them"
        )
    return {**entry, **thaw(extra)}
