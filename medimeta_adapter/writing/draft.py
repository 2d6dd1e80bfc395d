"""What is known of a dataset before it is written: everything of info.yaml but the counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from medimeta_adapter.format.frozen import FrozenMapping, freeze_fields, thaw
from medimeta_adapter.format.info import DatasetInfo, SplitCounts, TaskInfo, check_text
from torchcross.errors import InputError

RESERVED_COLUMNS = frozenset(
    {"filepath", "split", "original_filepath", "original_split", "patient_id"}
)
"""The columns of annotations.csv that the writer fills, beside those of the tasks."""

_NOT_IN_FILE_NAMES = '<>:"|?*'


@dataclass(frozen=True)
class DatasetDraft:
    """info.yaml without its counts, which the writer adds.

    `input_size` is (channels, height, width).
    """

    id: str
    name: str
    domain: str
    tasks: Sequence[TaskInfo]
    input_size: tuple[int, int, int]
    summary: str = ""
    domain_overlaps: Sequence[str] = ()
    subject_overlaps: Sequence[str] = ()
    license: str = ""
    doi: str = ""
    original_data: Sequence[Mapping[str, Any]] = ()
    extra: Mapping[str, Any] = field(default_factory=FrozenMapping)

    def __post_init__(self) -> None:
        freeze_fields(self)
        # The checks of DatasetInfo are those of a draft.
        check_text(self.info(1, SplitCounts(), SplitCounts()))
        _check_names([task.name for task in self.tasks])

    @classmethod
    def from_info(cls, info: DatasetInfo) -> DatasetDraft:
        """Return the draft of a dataset that was written."""
        return cls(**{entry.name: getattr(info, entry.name) for entry in fields(cls)})

    def info(self, total: int, splits: SplitCounts, original_splits: SplitCounts) -> DatasetInfo:
        """Return the info of a dataset with these counts."""
        return DatasetInfo(
            **self._values(),
            total_num_samples=total,
            splits_num_samples=splits,
            original_splits_num_samples=original_splits,
        )

    def _values(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image on disk: (H, W), or (H, W, 3)."""
        channels, height, width = self.input_size
        return (height, width) if channels == 1 else (height, width, channels)

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Return one sentence for each field that differs in an earlier `as_dict`."""
        return describe_differences(_tasks_by_name(other), _tasks_by_name(self.as_dict()))

    def as_dict(self) -> dict[str, Any]:
        """Return the draft as JSON gives it back."""
        tasks = [
            {
                "name": task.name,
                "target": str(task.task_target),
                "labels": list(task.labels.items()),
                "extra": thaw(task.extra),
            }
            # Drafts from before there were unknown labels do not differ by the name alone.
            | ({} if task.missing_label is None else {"missing_label": task.missing_label})
            for task in self.tasks
        ]
        values = {name: thaw(value) for name, value in self._values().items() if name != "tasks"}
        return dict(json.loads(json.dumps(values | {"tasks": tasks}, default=str)))

    def with_extra(self, **extra: Any) -> DatasetDraft:
        """Return the draft with further keys in info.yaml, such as how the images were made."""
        if clash := [key for key in extra if key in self.extra]:
            raise InputError(
                f"dataset {self.id!r} has the extra keys {clash}, which are filled when it is"
                " written; rename them"
            )
        return replace(self, extra={**self.extra, **extra})


def _check_names(tasks: Sequence[str]) -> None:
    """Refuse names of tasks that are no names of columns, or of files on every system."""
    earlier: dict[str, str] = {}
    for name in tasks:
        if name in RESERVED_COLUMNS:
            raise InputError(
                f"the task {name!r} has the name of a column of annotations.csv that the writer"
                " fills itself; give the task another name"
            )
        if marks := [mark for mark in _NOT_IN_FILE_NAMES if mark in name]:
            raise InputError(
                f"the task {name!r} names a file, and Windows has no files with"
                f" {' or '.join(marks)} in their names; give the task another name"
            )
        # Names that differ in their case alone are one file on macOS and Windows.
        if (twin := earlier.setdefault(name.casefold(), name)) != name:
            raise InputError(
                f"the tasks {twin!r} and {name!r} would share one file on macOS and Windows; give"
                " names that differ not only in upper and lower case"
            )


def _tasks_by_name(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an `as_dict` in which tasks and labels have names, so that differences have them."""
    try:
        tasks = {
            task["name"]: task | {"labels": {str(value): name for value, name in task["labels"]}}
            for task in values["tasks"]
        }
        order = [task["name"] for task in values["tasks"]]
    except (KeyError, TypeError, ValueError):
        return dict(values)
    return {**values, "tasks": tasks, "order of the tasks": order}


def describe_differences(earlier: Any, now: Any, name: str = "") -> list[str]:
    """Return one sentence for each place in which two JSON values differ."""
    if earlier == now:
        return []
    sentences: list[str] = []
    if isinstance(earlier, Mapping) and isinstance(now, Mapping):
        for key in sorted({*earlier, *now}):
            inner = f"{name}.{key}" if name else key
            sentences += describe_differences(earlier.get(key), now.get(key), inner)
        return sentences
    if isinstance(earlier, list) and isinstance(now, list) and len(earlier) == len(now):
        for place, (before, after) in enumerate(zip(earlier, now, strict=True)):
            sentences += describe_differences(before, after, f"{name}[{place}]")
        return sentences
    return [f"{name} was {earlier!r:.120} and is {now!r:.120}"]
