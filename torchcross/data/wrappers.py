"""Sources over what people already have: any torch Dataset, a folder of images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross._arrays import Indices
from torchcross.data.source import TaskSource
from torchcross.errors import ReadError, SourceError
from torchcross.targets import MultiClass
from torchcross.task import Task

__all__ = ["DatasetSource", "ImageFolderSource", "image_tensor", "stack_images"]

logger = logging.getLogger("torchcross")

IMAGE_ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class DatasetSource(TaskSource):
    """Any map-style dataset whose items are pairs (image, label): tensors, numpy arrays or PIL images.

    Give `labels` where you have them. Otherwise every item is read once, now, and the labels are kept.
    """

    def __init__(
        self, dataset: Any, task: Task, *, labels: Any = None, groups: Any = None, name: str | None = None
    ) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise SourceError(
                f"DatasetSource got {type(dataset).__name__}, which has no length or cannot be indexed; give a "
                "map-style dataset (an iterable one can be collected into a list first)"
            )
        if labels is None:
            labels = _collect_labels(dataset)
        super().__init__(task, labels, groups=groups, name=name)
        if len(dataset) != len(self):
            raise SourceError(
                f"source {self.name!r} has {len(dataset)} items and {len(self)} labels; give one label per item"
            )
        self.dataset = dataset

    def images(self, indices: Indices) -> Tensor:
        places = indices.tolist()
        items = (
            self.dataset.__getitems__(places)
            if hasattr(self.dataset, "__getitems__")
            else _items(self.dataset, places, self.name)
        )
        return stack_images([image_tensor(item[0]) for item in items], places, self.name)


def _items(dataset: Any, places: list[int], name: str) -> Sequence[Any]:
    """Items in one call where the dataset offers it, else one by one, so that an error names its item."""
    if hasattr(dataset, "__getitems__"):
        batch: Sequence[Any] = dataset.__getitems__(places)
        return batch
    found = []
    for place in places:
        try:
            found.append(dataset[place])
        except Exception as error:
            raise ReadError(f"source {name!r} could not read item {place}: {type(error).__name__}: {error}") from error
    return found


def _collect_labels(dataset: Any) -> NDArray[Any]:
    logger.warning("reading all %d items once to collect their labels; pass labels= to skip this", len(dataset))
    labels = []
    for place in range(len(dataset)):
        item = dataset[place]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise SourceError(
                f"item {place} of the dataset is of type {type(item).__name__}; expected a pair (image, label), or "
                "pass labels="
            )
        labels.append(item[1].tolist() if hasattr(item[1], "tolist") else item[1])
    return np.asarray(labels)


class ImageFolderSource(TaskSource):
    """One folder per class: `root/disc/a.png`, `root/star/b.jpg`, ... Sub-folders of a class are searched too.

    Without a task, the folder names in alphabetical order are the classes of a MultiClass task named after the root;
    with one, folders are matched to its class names. `size` (height, width) resizes every image (bilinear); without it
    all images must have one size. Images are uint8 tensors (C, H, W), in colour ("RGB") or grey ("L").
    """

    def __init__(
        self,
        root: str | Path,
        task: Task | None = None,
        *,
        size: tuple[int, int] | None = None,
        mode: Literal["RGB", "L"] = "RGB",
        groups: Any = None,
        name: str | None = None,
    ) -> None:
        self.root = Path(root)
        if mode not in ("RGB", "L"):
            raise SourceError(f"ImageFolderSource got mode={mode!r}; it is 'RGB' or 'L'")
        folders = _class_folders(self.root)
        if task is None:
            task = Task(self.root.resolve().name, MultiClass([folder.name for folder in folders]))
        if strangers := [folder.name for folder in folders if folder.name not in task.target.classes]:
            raise SourceError(
                f"{self.root} has folders {strangers[:5]} that are no classes of the task {task.name!r}; "
                f"its classes are {list(task.target.classes)}"
            )
        found = [(path, folder.name) for folder in folders for path in _images_below(folder)]
        if not found:
            raise SourceError(
                f"{self.root} has class folders but no images in them ({', '.join(sorted(IMAGE_ENDINGS))})"
            )
        self.paths = tuple(path for path, _ in found)
        super().__init__(task, np.array([label for _, label in found]), groups=groups, name=name)
        self.size = size
        self.mode = mode

    def images(self, indices: Indices) -> Tensor:
        places = indices.tolist()
        return stack_images([self._open(self.paths[place], place) for place in places], places, self.name)

    def _open(self, path: Path, place: int) -> Tensor:
        from PIL import Image

        try:
            with Image.open(path) as image:
                converted = image.convert(self.mode)
                if self.size is not None:
                    converted = converted.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR)
                return image_tensor(converted)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ReadError(f"source {self.name!r} could not read sample {place}, file {path}: {error}") from error


def _class_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise SourceError(f"{root} is not a folder; expected a folder with one sub-folder of images per class")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise SourceError(f"{root} has no sub-folders; expected one sub-folder of images per class")
    return folders


def _images_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS and path.is_file())


def image_tensor(image: Any) -> Tensor:
    """A tensor as it is; an array or a PIL image of shape (H, W) or (H, W, C) with channels first."""
    if isinstance(image, Tensor):
        return image
    array = np.array(image)
    if array.dtype == object or array.ndim not in (2, 3):
        raise SourceError(
            f"an image of type {type(image).__name__} is not a tensor, an array of shape (H, W[, C]) or a PIL image"
        )
    array = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return torch.from_numpy(np.ascontiguousarray(array))


def stack_images(images: Sequence[Tensor], places: Sequence[int], name: str) -> Tensor:
    """Images as one batch, or an error that names two that differ."""
    if not images:
        return torch.empty(0)
    first = images[0]
    for place, image in zip(places, images, strict=True):
        if image.shape != first.shape or image.dtype != first.dtype:
            raise ReadError(
                f"source {name!r} has images that do not stack: sample {places[0]} is {_shape(first)}, sample {place} "
                f"is {_shape(image)}; bring them to one size and mode (size=(H, W), or a transform of the dataset)"
            )
    return torch.stack(list(images))


def _shape(image: Tensor) -> str:
    return f"{str(image.dtype).removeprefix('torch.')} {tuple(image.shape)}"
