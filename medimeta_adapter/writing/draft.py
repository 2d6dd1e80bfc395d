"""What is known of a dataset before it is written: everything of info.yaml but the counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from medimeta_adapter.format.frozen import FrozenMapping, freeze, thaw
from medimeta_adapter.format.info import DatasetInfo, SplitCounts, TaskInfo

__all__ = ["SPLITS", "DatasetDraft"]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class DatasetDraft:
    """info.yaml without its counts, which the writer counts. `input_size` is (channels, height,
    width).
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
        for name in (
            "tasks",
            "input_size",
            "domain_overlaps",
            "subject_overlaps",
            "original_data",
            "extra",
        ):
            object.__setattr__(self, name, freeze(getattr(self, name)))
        self.info(1, SplitCounts(), SplitCounts())

    @classmethod
    def of(cls, info: DatasetInfo) -> DatasetDraft:
        """The draft that a dataset's info was made of."""
        return cls(**{entry.name: getattr(info, entry.name) for entry in fields(cls)})

    def info(self, total: int, splits: SplitCounts, original_splits: SplitCounts) -> DatasetInfo:
        """The info of a dataset with these counts."""
        known: dict[str, Any] = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return DatasetInfo(
            **known,
            total_num_samples=total,
            splits_num_samples=splits,
            original_splits_num_samples=original_splits,
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image on disk: (H, W), or (H, W, 3)."""
        channels, height, width = self.input_size
        return (height, width) if channels == 1 else (height, width, channels)

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """The fields in which a draft read from `as_dict` is another."""
        mine = self.as_dict()
        return [name for name in sorted({*mine, *other}) if mine.get(name) != other.get(name)]

    def as_dict(self) -> dict[str, Any]:
        """The draft as JSON gives it back."""
        known = {
            entry.name: thaw(getattr(self, entry.name))
            for entry in fields(self)
            if entry.name != "tasks"
        }
        tasks = [
            {
                "name": task.name,
                "target": str(task.task_target),
                "labels": list(task.labels.items()),
            }
            | {"extra": thaw(task.extra)}
            for task in self.tasks
        ]
        return dict(json.loads(json.dumps(known | {"tasks": tasks}, default=str)))

    def with_extra(self, **extra: Any) -> DatasetDraft:
        """The draft with further keys of its own in info.yaml, such as how its images were made."""
        return replace(self, extra={**self.extra, **extra})
