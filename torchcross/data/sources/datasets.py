"""Sources over any torch Dataset."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from torchcross._kit.arrays import Indices
from torchcross._kit.backgrounds import DEFAULT_BACKGROUND, Background
from torchcross.data.sources.flattening import Flattening, ImageWarnings, checked_background
from torchcross.data.sources.images import image_tensor, stack_images
from torchcross.data.sources.source import TaskSource
from torchcross.errors import LabelError, ReadError, SourceError
from torchcross.task import Task

logger = logging.getLogger("torchcross")


class DatasetSource(TaskSource):
    """Any map-style dataset whose items are pairs (image, label).

    With `labels=`, items may also be (image, ...) or images alone. An image is a tensor (C, H, W),
    a PIL image, an array (H, W) or a uint8 array (H, W, C) with 1, 3 or 4 channels; other arrays
    could be either way round and are refused. PIL images are turned upright, palettes and bits
    expanded, and the transparent colours of a palette laid over the background ("white", "grey" or
    "black"). Give `labels` where you have them: one item is read now, to check it. Otherwise every
    item is read once, now, and the labels are kept.

    >>> from torch.utils.data import TensorDataset
    >>> from torchcross.targets import Binary
    >>> labels = torch.tensor([0, 1, 0, 1])
    >>> dataset = TensorDataset(torch.zeros(4, 1, 8, 8), labels)
    >>> source = tx.DatasetSource(dataset, tx.Task("lesion", Binary()), labels=labels)
    >>> len(source), source.images(np.array([2])).shape
    (4, torch.Size([1, 1, 8, 8]))
    """

    def __init__(
        self,
        dataset: Any,
        task: Task,
        *,
        labels: Any = None,
        groups: Any = None,
        name: str | None = None,
        background: Background = DEFAULT_BACKGROUND,
    ) -> None:
        self.background = checked_background(background, "DatasetSource")
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise SourceError(
                f"DatasetSource got {type(dataset).__name__}, which has no length or cannot be"
                " indexed; give a map-style dataset (an iterable one can be collected into a list"
                " first)"
            )
        labels_are_in_items = labels is None
        if labels_are_in_items:
            labels = _collect_labels(dataset)
        super().__init__(task, labels, groups=groups, name=name)
        if len(dataset) != len(self):
            raise SourceError(
                f"source {self.name!r} has {len(dataset)} items and {len(self)} labels; give one"
                " label per item"
            )
        if not labels_are_in_items:
            image_tensor(_image_of(_item(dataset, 0), 0))
        self.dataset = dataset
        self._warnings = ImageWarnings(f"source {self.name!r}", self.background)

    def images(self, indices: Indices) -> Tensor:
        places = indices.tolist()
        items = _items(self.dataset, places, self.name)
        pairs = zip(items, places, strict=True)
        images = [self._tensor(_image_of(item, place), place) for item, place in pairs]
        return stack_images(images, places, self.name)

    def _tensor(self, image: Any, place: int) -> Tensor:
        return image_tensor(
            image,
            flattening=Flattening(
                self.background,
                on_remark=lambda remark: self._warnings.warn(f"item {place}", remark),
            ),
        )


def _items(dataset: Any, places: list[int], name: str) -> Sequence[Any]:
    """Items in one call where the dataset allows it, else one by one."""
    if hasattr(dataset, "__getitems__"):
        batch: Sequence[Any] = dataset.__getitems__(places)
        return batch
    return [_item(dataset, place, f"source {name!r}") for place in places]


def _item(dataset: Any, place: int, reader: str = "DatasetSource") -> Any:
    try:
        return dataset[place]
    except Exception as error:
        raise ReadError(
            f"{reader} could not read item {place}: {type(error).__name__}: {error}"
        ) from error


def _image_of(item: Any, place: int) -> Any:
    """The first of a pair, or the item itself."""
    if isinstance(item, Mapping):
        raise SourceError(
            f"item {place} of the dataset is a {type(item).__name__} with the keys"
            f" {list(item)[:8]}; expected (image, label) or an image: wrap the dataset so that an"
            " item is one (a Hugging Face dataset: HuggingFaceSource)"
        )
    if isinstance(item, tuple | list):
        if not item:
            raise SourceError(
                f"item {place} of the dataset is empty; expected (image, label) or an image"
            )
        return item[0]
    return item


def _collect_labels(dataset: Any) -> list[Any]:
    logger.warning(
        "reading all %d items once to collect their labels; pass labels= to skip this", len(dataset)
    )
    labels: list[Any] = []
    for place in range(len(dataset)):
        item = _item(dataset, place)
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise SourceError(
                f"item {place} of the dataset is of type {type(item).__name__}; expected a pair"
                " (image, label), or pass labels="
            )
        if place == 0:
            image_tensor(item[0])
        labels.append(item[1].tolist() if hasattr(item[1], "tolist") else item[1])
        if _label_shape(labels[place]) != _label_shape(labels[0]):
            raise LabelError(
                f"item {place} of the dataset has the label {reprlib.repr(labels[place])}, item 0"
                f" has {reprlib.repr(labels[0])}; give every item a label of the same length, or"
                " pass labels="
            )
    return labels


def _label_shape(label: Any) -> tuple[int, ...] | None:
    try:
        return np.asarray(label).shape
    except ValueError:
        return None
