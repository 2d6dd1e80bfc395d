"""A source over a folder of images."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from torchcross._kit.arrays import Indices
from torchcross._kit.backgrounds import DEFAULT_BACKGROUND, Background
from torchcross.data.sources.decoded_file import FileImages
from torchcross.data.sources.decoded_images import DecodedImages, MemoryImages
from torchcross.data.sources.flattening import (
    Flattening,
    ImageWarnings,
    OnRemark,
    Remark,
    checked_background,
    checked_bits,
)
from torchcross.data.sources.image_files import IMAGE_ENDINGS, list_image_files, list_some
from torchcross.data.sources.image_reading import read_image_file
from torchcross.data.sources.images import checked_mode, checked_size, stack_images
from torchcross.data.sources.source import TaskSource
from torchcross.errors import SourceError
from torchcross.targets import MultiClass
from torchcross.task import Task

logger = logging.getLogger("torchcross")


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
    `bits`, 8 to 16, is how many the values of 16-bit files have: v becomes 255 v / (2^bits - 1),
    rounded, and more is an error. Without it, 16, and a warning names the first image whose values
    need 12 or fewer. 32-bit images are refused.

    `cache` keeps the decoded images, of one `size`: "memory" in this process, a path in a file that
    all processes map into memory. Images are the same bytes as without; of a file that changed, the
    new ones. `cache_bytes` is how much it takes, at most in memory, on the disk for a file.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("disc", "star"):
    ...         (Path(folder) / name).mkdir()
    ...         Image.new("L", (32, 32)).save(Path(folder) / name / "a.png")
    ...     source = tx.ImageFolderSource(folder, size=(16, 16))
    ...     print(source.task.classes, source.images(np.array([0])).shape)
    ...
    ('disc', 'star') torch.Size([1, 3, 16, 16])
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
        cache: Literal["memory"] | str | Path | None = None,
        bits: int | None = None,
    ) -> None:
        self.root = Path(root)
        self.mode = checked_mode(mode, "ImageFolderSource")
        self.size = checked_size(size, "ImageFolderSource")
        self.background = checked_background(background, "ImageFolderSource")
        self.bits = checked_bits(bits, "ImageFolderSource")
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
            if len(folders) < 2:
                raise SourceError(
                    f"{self.root} has one class folder, {folders[0]!r}, and classes are two or"
                    " more; give the folder above the folders of all classes, or the task that"
                    " this class is of"
                )
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
        # Paths of Windows are in another order: they compare without case.
        names = sorted(listing.images, key=lambda name: name.split("/"))
        self.passed_over = (*listing.others, *listing.hidden)
        if passed_over := listing.describe_passed_over():
            logger.warning("%s: passed over %s", self.root, passed_over)
        self.paths = tuple(self.root / name for name in names)
        labels = np.array([name.partition("/")[0] for name in names])
        super().__init__(task, labels, groups=groups, name=name)
        self._warnings = ImageWarnings(f"source {self.name!r}", self.background)
        self._cache = self._cache_of(cache)

    @property
    def cache_bytes(self) -> int:
        """The bytes of all decoded images: the most that a cache in memory takes."""
        return 0 if self._cache is None else self._cache.nbytes

    def images(self, indices: Indices) -> Tensor:
        places = indices.tolist()
        if self._cache is not None:
            return self._cache.read(places, self._decode, self._warn)
        images = [self._decode(place, partial(self._warn, place)) for place in places]
        return stack_images(images, places, self.name)

    def _decode(self, place: int, on_remark: OnRemark) -> Tensor:
        return read_image_file(
            self.paths[place],
            self.mode,
            self.size,
            Flattening(self.background, self.bits, on_remark),
            place=f"source {self.name!r} could not read sample {place},",
        )

    def _warn(self, place: int, remark: Remark) -> None:
        self._warnings.warn(f"sample {place}, file {self.paths[place]},", remark)

    def _cache_of(self, cache: str | Path | None) -> DecodedImages | None:
        if cache is None:
            return None
        if not isinstance(cache, str | Path) or not str(cache).strip():
            raise SourceError(
                f'ImageFolderSource got cache={cache!r}; give "memory", or the path of a file'
            )
        if self.size is None:
            raise SourceError(
                f"cache={str(cache)!r} keeps images of one size, and ImageFolderSource got none;"
                " give size=(height, width)"
            )
        if cache == "memory":
            return MemoryImages(self.paths, self.mode, self.size)
        reading = (self.background, self.bits)
        return FileImages(Path(cache), self.root, self.paths, self.mode, self.size, reading)
