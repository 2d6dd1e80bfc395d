"""Hugging Face `datasets` as task sources."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchcross._arrays import Indices
from torchcross.data.source import TaskSource
from torchcross.data.wrappers import image_tensor, stack_images
from torchcross.errors import ReadError, SourceError
from torchcross.targets import MultiClass
from torchcross.task import Task

__all__ = ["HuggingFaceSource"]


class HuggingFaceSource(TaskSource):
    """One split of a Hugging Face dataset. `image` and `label` name its columns, `group` that of the subjects, if any.

    Without a task, the names of a ClassLabel column become the classes of a MultiClass task. An episode is one batched
    read.
    """

    def __init__(
        self,
        dataset: Any,
        task: Task | None = None,
        *,
        image: str = "image",
        label: str = "label",
        group: str | None = None,
        name: str | None = None,
    ) -> None:
        columns = getattr(dataset, "column_names", None)
        if not isinstance(columns, list):
            raise SourceError(
                f"HuggingFaceSource got {type(dataset).__name__}; give one split of a dataset, such as "
                "load_dataset(...)['train']"
            )
        for column in filter(None, (image, label, group)):
            if column not in columns:
                raise SourceError(f"the dataset has no column {column!r}; it has {columns}")
        if task is None:
            names = getattr(dataset.features[label], "names", None)
            if not names:
                raise SourceError(
                    f"the column {label!r} has no class names; give a task, e.g. Task('name', MultiClass([...]))"
                )
            task = Task(label, MultiClass(list(names)))
        labels = dataset.with_format("numpy", columns=[label])[label][:]
        groups = None if group is None else list(dataset[group])
        super().__init__(task, labels, groups=groups, name=name)
        self.dataset = dataset.with_format(None).select_columns([image])
        self.column = image

    def images(self, indices: Indices) -> Tensor:
        places = indices.tolist()
        found = self.dataset[places][self.column]
        for place, item in zip(places, found, strict=True):
            if item is None:
                raise ReadError(f"source {self.name!r} has no image for sample {place}: its {self.column!r} is empty")
        return stack_images([image_tensor(item) for item in found], places, self.name)
