"""What may be wrong with a description: pairs of a field path and a sentence.

Files and arguments are checked alike.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from medimeta_adapter.format.splits import SPLITS
from torchcross.errors import InputError, TargetError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal

Problem = tuple[tuple[Any, ...], str]
_CHANNELS = (1, 3)
_LONGEST_NAME = 200
_LONGEST_SIDE = 1 << 16
_MOST_SAMPLES = 1 << 40
_MOST_BYTES = 1 << 62


class TaskTarget(StrEnum):
    """The four kinds of task that the format knows, as `task_target` in info.yaml names them.

    >>> from medimeta_adapter import TaskTarget
    >>> from medimeta_adapter.synthetic import catalog
    >>> tasks = [task for dataset in catalog.datasets.values() for task in dataset.tasks]
    >>> sum(task.task_target is TaskTarget.ORDINAL_REGRESSION for task in tasks)
    5
    """

    BINARY_CLASSIFICATION = "BINARY_CLASSIFICATION"
    MULTICLASS_CLASSIFICATION = "MULTICLASS_CLASSIFICATION"
    MULTILABEL_CLASSIFICATION = "MULTILABEL_CLASSIFICATION"
    ORDINAL_REGRESSION = "ORDINAL_REGRESSION"


TARGETS: dict[TaskTarget, type[Binary] | type[MultiClass] | type[MultiLabel] | type[Ordinal]] = {
    TaskTarget.BINARY_CLASSIFICATION: Binary,
    TaskTarget.MULTICLASS_CLASSIFICATION: MultiClass,
    TaskTarget.MULTILABEL_CLASSIFICATION: MultiLabel,
    TaskTarget.ORDINAL_REGRESSION: Ordinal,
}


def refuse_first(kind: str, problems: Iterator[Problem]) -> None:
    for path, sentence in problems:
        raise InputError(f"{kind}: {path_text(path)}: {sentence}")


def path_text(path: tuple[Any, ...]) -> str:
    """Return a field path as tasks[2].labels[3]."""
    parts = [
        f".{part}" if isinstance(part, str) and part.isprintable() else f"[{part!r}]"
        for part in path
    ]
    return "".join(parts).removeprefix(".")[:200] or "the file"


def name_problem(name: Any) -> str:
    """Return why this cannot be the name of a file or folder, or an empty text."""
    if not isinstance(name, str) or not name.strip():
        return f"{name!r} is no name; give a non-empty text"
    if name in (".", "..") or "/" in name or "\\" in name:
        return f"{name[:80]!r} would leave its folder; give a name without slashes"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return f"{name[:80]!r} holds a control character; give printable text"
    if len(name.encode()) > _LONGEST_NAME:
        return f"{name[:40]!r}... is longer than the {_LONGEST_NAME} bytes that a name may have"
    return ""


def _is_count(value: Any, most: int = _MOST_SAMPLES) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _is_size(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 3:
        return False
    return all(_is_count(side, _LONGEST_SIDE) and side for side in value)


def task_problems(name: Any, target: Any, labels: Any, missing: Any = None) -> Iterator[Problem]:
    if problem := name_problem(name):
        yield ("task_name",), problem
    known = [entry.value for entry in TaskTarget]
    if not isinstance(target, str) or target not in known:
        yield ("task_target",), f"{target!r:.80} is no kind of task; give one of {', '.join(known)}"
        return
    problems = list(_label_problems(labels))
    yield from problems
    if not problems:
        try:
            TARGETS[TaskTarget(target)](labels)
        except TargetError as error:
            yield ("labels",), str(error)
            return
    if missing is not None and not problems:
        yield from _missing_problems(missing, target, labels)


def _missing_problems(missing: Any, target: str, labels: Mapping[int, str]) -> Iterator[Problem]:
    is_label_value = isinstance(missing, int) and not isinstance(missing, bool)
    if not is_label_value or abs(missing) >= 1 << 31:
        yield (
            ("missing_label",),
            f"{missing!r:.60} is no label value; give the integer that means unknown, such as -1",
        )
        return
    try:
        TARGETS[TaskTarget(target)](labels, missing=missing)
    except TargetError as error:
        yield ("missing_label",), str(error)


def _label_problems(labels: Any) -> Iterator[Problem]:
    if not isinstance(labels, Mapping) or not labels:
        example = "{0: benign, 1: malignant}"
        yield ("labels",), f"a task needs labels, a mapping from value to name such as {example}"
        return
    for key, label in labels.items():
        if not isinstance(key, int) or isinstance(key, bool) or abs(key) >= 1 << 31:
            yield ("labels", key), f"{key!r:.60} is no label value; give an integer"
        elif not isinstance(label, str) or not label.strip():
            yield ("labels", key), f"{label!r:.60} is no label name; give a non-empty text"


def count_problems(counts: Any, at: tuple[Any, ...]) -> Iterator[Problem]:
    if not isinstance(counts, Mapping):
        yield (
            at,
            f"{counts!r:.60} is no mapping; give train, val and test with a number of samples each",
        )
        return
    for name, count in counts.items():
        if name not in SPLITS:
            yield (*at, name), f"{name!r:.60} is no split; there are train, val and test"
        elif not _is_count(count):
            yield (*at, name), f"{count!r:.60} is no number of samples; give an integer from 0"


def dataset_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with a dataset, but for the insides of its tasks."""
    if problem := name_problem(data["id"]):
        yield ("id",), problem
    for name in ("name", "domain"):
        if not isinstance(data[name], str) or not data[name].strip():
            yield (name,), f"{data[name]!r:.60} is no {name}; give a non-empty text"
    for name in ("summary", "license", "doi"):
        if not isinstance(data[name], str):
            yield (name,), f"{data[name]!r:.60} is no text"
    yield from _list_problems(data)
    size = data["input_size"]
    if not _is_size(size):
        yield ("input_size",), f"{size!r:.60} is no size; give [channels, height, width]"
    elif size[0] not in _CHANNELS:
        yield ("input_size", 0), f"{size[0]} channels; the format has images of 1 channel or of 3"
    yield from _total_problems(data)


def _list_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    tasks = data["tasks"]
    if not isinstance(tasks, list | tuple) or not tasks:
        yield ("tasks",), "a dataset needs at least one task"
    else:
        names = [getattr(task, "name", None) for task in tasks]
        earlier = set()
        for place, name in enumerate(names):
            if name is not None and name in earlier:
                yield (
                    ("tasks", place, "task_name"),
                    f"a second task named {name!r}; give every task a name of its own",
                )
            earlier.add(name)
    for key in ("domain_overlaps", "subject_overlaps"):
        if not isinstance(data[key], list | tuple):
            yield (key,), f"{data[key]!r:.60} is no list; give a list of dataset ids"
            continue
        for place, entry in enumerate(data[key]):
            if problem := name_problem(entry):
                yield (key, place), problem
    original = data["original_data"]
    if not isinstance(original, list | tuple) or not all(
        isinstance(entry, Mapping) for entry in original
    ):
        yield ("original_data",), "give a list of mappings (name, url, license, citations, ...)"


def _total_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    total, size = data["total_num_samples"], data["input_size"]
    if not _is_count(total) or not total:
        yield (
            ("total_num_samples",),
            f"{total!r:.60} is no number of samples; give an integer from 1",
        )
        return
    if _is_size(size) and total * math.prod(size) >= _MOST_BYTES:
        yield ("total_num_samples",), f"{total} images of {size} are more bytes than any file holds"
    for name in ("splits_num_samples", "original_splits_num_samples"):
        counted = getattr(data[name], "total", 0)
        if counted > total:
            yield (
                (name,),
                f"the splits have {counted} samples, the dataset {total} (total_num_samples)",
            )
