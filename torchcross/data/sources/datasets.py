"""Sources over any torch Dataset and over a folder of images."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from torchcross._kit.arrays import Indices
from torchcross._kit.backgrounds import DEFAULT_BACKGROUND, Background
from torchcross.data.sources.image_files import IMAGE_ENDINGS, list_image_files, list_some
from torchcross.data.sources.images import (
    BlankImages,
    checked_background,
    checked_mode,
    checked_size,
    image_tensor,
    stack_images,
)
from torchcross.data.sources.source import TaskSource
from torchcross.errors import LabelError, ReadError, SourceError
from torchcross.targets import MultiClass
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
        self._blank_images = BlankImages(self.name, self.background)

    def images(self, indices: Indices) -> Tensor:
        places = indices.tolist()
        items = _items(self.dataset, places, self.name)
        pairs = zip(items, places, strict=True)
        images = [self._tensor(_image_of(item, place), place) for item, place in pairs]
        return stack_images(images, places, self.name)

    def _tensor(self, image: Any, place: int) -> Tensor:
        return image_tensor(
            image,
            background=self.background,
            on_blank=lambda: self._blank_images.warn(f"item {place}"),
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


class ImageFolderSource(TaskSource):
    """One folder per class: `root/disc/a.png`, `root/star/b.jpg`, ...

    Sub-folders of a class are searched too. Without a task, the folder names in alphabetical order
    are the classes of a MultiClass task named after the root; with one, folders are matched to its
    class names.

    Hidden files and folders (`._a.png`, `.git`, `__MACOSX`, `Thumbs.db`) and files with other
    endings are passed over and listed in `passed_over`; a log line names those that are not hidden
    files. Links that stay below the root are followed. One that leaves it is an error that names
    it, unless `follow_links` is true; one that leads nowhere or into a circle always is.

    `size`, (height, width) or one number for both, resizes every image (bilinear); without it all
    images must have one size. Images are uint8 tensors (C, H, W), in colour ("RGB") or grey ("L"),
    turned upright as their EXIF data says. What is transparent is laid over the background,
    "white", "grey" or "black"; a warning names the first image that becomes one colour thereby.
    16-bit values v become v / 257, rounded; 32-bit ones are refused.
    """

    def __init__(
        self,
        root: str | Path,
        task: Task | None = None,
        *,
        size: int | tuple[int, int] | None = None,
        mode: Literal["RGB", "L"] = "RGB",
        groups: Any = None,
        name: str | None = None,
        background: Background = DEFAULT_BACKGROUND,
        follow_links: bool = False,
    ) -> None:
        self.root = Path(root)
        self.mode = checked_mode(mode, "ImageFolderSource")
        self.size = checked_size(size, "ImageFolderSource")
        self.background = checked_background(background, "ImageFolderSource")
        if not self.root.is_dir():
            raise SourceError(
                f"{self.root} is not a folder; expected a folder with one sub-folder of images per"
                " class"
            )
        listing = list_image_files(self.root, follow_links=follow_links)
        folders = sorted(folder for folder in listing.folders if "/" not in folder)
        if not folders:
            raise SourceError(
                f"{self.root} has no sub-folders; expected one sub-folder of images per class"
            )
        if loose := [name for name in listing.images if "/" not in name]:
            raise SourceError(
                f"{self.root} has images in no class folder: {list_some(loose)}; move each into the"
                " folder of its class, or away"
            )
        if task is None:
            task = Task(self.root.resolve().name, MultiClass(folders))
        classes = task.target.classes
        if strangers := [folder for folder in folders if folder not in classes]:
            raise SourceError(
                f"{self.root} has folders {strangers[:5]} that are no classes of the task"
                f" {task.name!r}; its classes are {list(task.target.classes)}"
            )
        if not listing.images:
            raise SourceError(
                f"{self.root} has class folders but no images in them"
                f" ({', '.join(sorted(IMAGE_ENDINGS))})"
            )
        files = sorted((self.root / name, name.partition("/")[0]) for name in listing.images)
        self.passed_over = (*listing.others, *listing.hidden)
        if passed_over := listing.describe_passed_over():
            logger.warning("%s: passed over %s", self.root, passed_over)
        self.paths = tuple(path for path, _ in files)
        super().__init__(task, np.array([label for _, label in files]), groups=groups, name=name)
        self._blank_images = BlankImages(self.name, self.background)

    def images(self, indices: Indices) -> Tensor:
        places = indices.tolist()
        images = [self._open(self.paths[place], place) for place in places]
        return stack_images(images, places, self.name)

    def _open(self, path: Path, place: int) -> Tensor:
        from PIL import Image

        try:
            with Image.open(path) as image:
                return image_tensor(
                    image,
                    self.mode,
                    self.size,
                    self.background,
                    lambda: self._blank_images.warn(f"sample {place}, file {path},"),
                )
        except Exception as error:
            raise ReadError(
                f"source {self.name!r} could not read sample {place}, file {path}: {error}"
            ) from error
