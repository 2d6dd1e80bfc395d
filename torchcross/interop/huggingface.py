"""Hugging Face `datasets` as task sources."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from torchcross._kit.arrays import Indices
from torchcross._kit.backgrounds import DEFAULT_BACKGROUND, Background
from torchcross.data.sources.flattening import (
    Flattening,
    ImageWarnings,
    checked_background,
    checked_bits,
)
from torchcross.data.sources.images import (
    Mode,
    checked_mode,
    checked_size,
    image_tensor,
    stack_images,
)
from torchcross.data.sources.source import TaskSource
from torchcross.errors import LabelError, ReadError, SourceError
from torchcross.targets import MultiClass, MultiLabel, Target
from torchcross.task import Task


class HuggingFaceSource(TaskSource):
    """One split of a Hugging Face dataset; an episode is one batched read.

    `image` and `label` name its columns, `group` that of the subjects, if there are any. Without a
    task, the names of a ClassLabel column become the classes of a MultiClass task, and those of a
    list of ClassLabel the labels of a MultiLabel task; its domain is the dataset's name. `mode`
    ("RGB" or "L"), `size`, `background` and `bits` are those of ImageFolderSource. Without a mode,
    images stay as they are, with palettes expanded.
    """

    def __init__(
        self,
        dataset: Any,
        task: Task | None = None,
        *,
        image: str = "image",
        label: str = "label",
        group: str | None = None,
        mode: Mode | None = None,
        size: int | tuple[int, int] | None = None,
        name: str | None = None,
        background: Background = DEFAULT_BACKGROUND,
        bits: int | None = None,
    ) -> None:
        columns = getattr(dataset, "column_names", None)
        if not isinstance(columns, list):
            raise SourceError(
                f"HuggingFaceSource got {type(dataset).__name__}; give one split of a dataset, such"
                " as load_dataset(...)['train']"
            )
        for column in filter(None, (image, label, group)):
            if column not in columns:
                raise SourceError(f"the dataset has no column {column!r}; it has {columns}")
        self.mode = None if mode is None else checked_mode(mode, "HuggingFaceSource")
        self.size = checked_size(size, "HuggingFaceSource")
        self.background = checked_background(background, "HuggingFaceSource")
        self.bits = checked_bits(bits, "HuggingFaceSource")
        if bits is not None and mode is None:
            raise SourceError(
                f"HuggingFaceSource got bits={bits} and no mode; without one, images keep their"
                ' values: give mode="L" or "RGB" too'
            )
        is_picture = _is_picture(dataset.features[image], image)
        if not is_picture and (mode is not None or size is not None):
            raise SourceError(
                f"HuggingFaceSource got mode={mode!r}, size={size!r}, and the column {image!r}"
                f" holds {dataset.features[image]}; both need images:"
                f" dataset.cast_column({image!r}, datasets.Image())"
            )
        plain = dataset.with_format(None)
        task = task or Task(
            label, _default_target(dataset.features[label], label), domain=_dataset_name(dataset)
        )
        groups = None if group is None else plain[group][:]
        super().__init__(task, _labels(dataset, label, task.target), groups=groups, name=name)
        self.dataset = (plain if is_picture else _as_arrays(dataset, image)).select_columns([image])
        self.column = image
        self._warnings = ImageWarnings(f"source {self.name!r}", self.background)
        if not is_picture and len(self) and (first := self.dataset[0][image]) is not None:
            image_tensor(first)

    def images(self, indices: Indices) -> Tensor:
        samples = indices.tolist()
        images = self.dataset[samples][self.column]
        for sample, image in zip(samples, images, strict=True):
            if image is None:
                raise ReadError(
                    f"source {self.name!r} has no image for sample {sample}: its {self.column!r} is"
                    " empty"
                )
        pairs = zip(images, samples, strict=True)
        tensors = [self._tensor(image, sample) for image, sample in pairs]
        return stack_images(tensors, samples, self.name)

    def _tensor(self, image: Any, sample: int) -> Tensor:
        return image_tensor(
            image,
            self.mode,
            self.size,
            Flattening(
                background=self.background,
                bits=self.bits,
                on_remark=lambda remark: self._warnings.warn(f"sample {sample}", remark),
            ),
        )


def _is_picture(feature: Any, column: str) -> bool:
    is_picture = type(feature).__name__ == "Image"
    if is_picture and not feature.decode:
        raise SourceError(
            f"the column {column!r} is Image(decode=False), files that nobody opens; give"
            f" dataset.cast_column({column!r}, datasets.Image())"
        )
    return is_picture


def _as_arrays(dataset: Any, column: str) -> Any:
    """Return arrays of the type that the column declares, which the numpy format would widen."""
    feature = dataset.features[column]
    options = {"dtype": np.dtype(feature.dtype)} if hasattr(feature, "shape") else {}
    return dataset.with_format("numpy", **options)


def _dataset_name(dataset: Any) -> str:
    """Return the dataset's name, with that of its configuration unless it says nothing new."""
    info = dataset.info
    name = info.dataset_name or info.builder_name or ""
    config = info.config_name or "default"
    if not name or config == name or config.startswith("default"):
        return name
    return f"{name}-{config}"


def _listed_names(feature: Any) -> list[str] | None:
    """Return the class names of a column that lists the labels of every sample."""
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    return getattr(inner, "names", None)


def _default_target(feature: Any, column: str) -> Target:
    if names := getattr(feature, "names", None):
        return MultiClass(list(names))
    if names := _listed_names(feature):
        return MultiLabel(list(names))
    raise SourceError(
        f"the column {column!r} has no class names; give a task, e.g. Task('name',"
        " MultiClass([...]))"
    )


def _labels(dataset: Any, column: str, target: Target) -> Any:
    feature = dataset.features[column]
    names = _listed_names(feature)
    if not names or not target.label_shape:
        return dataset.with_format("numpy", columns=[column])[column][:]
    rows = dataset.with_format(None)[column][:]
    if set(names) == set(target.classes):
        return _zeros_and_ones(rows, [target.classes.index(name) for name in names], column)
    if len(names) == 2 and getattr(feature, "length", -1) == target.num_classes:
        return rows
    raise SourceError(
        f"the column {column!r} lists classes named {names}, the task has {list(target.classes)};"
        " give the task the same names, in any order"
    )


def _zeros_and_ones(
    rows: list[list[int] | None], places: list[int], column: str
) -> NDArray[np.int8]:
    """Return lists of class numbers as rows of zeros and ones."""
    marks = np.zeros((len(rows), len(places)), dtype=np.int8)
    for sample, row in enumerate(rows):
        numbers = range(len(places))
        if row is None or not all(number in numbers for number in row):
            raise LabelError(
                f"the column {column!r} holds {row} for sample {sample}; expected a list of class"
                f" numbers in 0..{len(places) - 1}, empty where the sample has none of them"
            )
        marks[sample, [places[number] for number in row]] = 1
    return marks
