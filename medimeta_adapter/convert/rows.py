"""The rows of a source: labels, names and subjects of all, and how to read the pixels of each."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from medimeta_adapter.convert.left_out import LeftOut
from medimeta_adapter.format.info import TaskInfo
from medimeta_adapter.preprocess.bits import refuse_lost_bits
from torchcross._kit.arrays import Indices
from torchcross._kit.user_files import check_regular, read_user_file
from torchcross.errors import InputError

Pixels: TypeAlias = Image.Image | NDArray[Any]
Texts: TypeAlias = NDArray[np.str_]
# Phones save a photograph followed by smaller versions of it.
_FIRST_FRAME = frozenset({"MPO"})
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})


class Row(Protocol):
    """One row's image, not yet decoded."""

    def pixels(self) -> Pixels:
        """The image, decoded."""
        ...

    def digest(self) -> bytes:
        """A hash of its content."""
        ...


@dataclass(frozen=True)
class Encoded:
    """An image file: its path or its content."""

    content: Path | bytes

    def pixels(self) -> Image.Image:
        with _open_image(self.content) as image:
            frames: int = getattr(image, "n_frames", 1)
            if frames > 1 and image.format not in _FIRST_FRAME:
                raise InputError(
                    f"it holds {frames} pictures; save each one that you need as its own file"
                )
            refuse_lost_bits(image)
            image.load()
            return image

    def digest(self) -> bytes:
        content = self.content
        if not isinstance(content, bytes):
            content = read_user_file(content)
        return hashlib.sha256(content).digest()


def _open_image(content: Path | bytes) -> Image.Image:
    if not isinstance(content, bytes):
        check_regular(content)
    try:
        return Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
    except UnidentifiedImageError:
        raise InputError("it is not an image, or its format is unknown") from None


@dataclass(frozen=True)
class Decoded:
    """An image or array in memory."""

    image: Pixels

    def pixels(self) -> Pixels:
        return self.image

    def digest(self) -> bytes:
        array = np.asarray(self.image)
        return hashlib.sha256(
            f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()
        ).digest()


@dataclass(frozen=True)
class Failed:
    """An image that could not be read; the error is raised when its pixels are needed."""

    error: Exception

    def pixels(self) -> Pixels:
        raise self.error

    def digest(self) -> bytes:
        raise self.error


@dataclass(frozen=True, kw_only=True)
class Rows:
    """All rows of a source.

    kind              what the source is; the dataset records it
    labels            per task (N,) or (N, L), as the tasks' label values
    read              yields the rows at ascending places
    channels          1 if all images are known or expected to be grey, else 3
    names             the origin of each row, for errors and for `original_filepath`
    stamps            values that change if the content of rows changes, without reading it
    content           one such value for the whole source
    subjects          per row, "" where it is unknown
    splits            per row, if the user gave them
    original_splits   per row, "" if the source does not say
    are_files         whether each row is an image file, which may be unreadable
    left_out          what of the source is no row, and why
    notes             sentences about the source that its user should read
    path              where the source is, for messages; no dataset records it
    """

    kind: str
    tasks: tuple[TaskInfo, ...]
    labels: Mapping[str, NDArray[np.int64]]
    read: Callable[[Indices], Iterator[Row]]
    channels: Literal[1, 3]
    names: Sequence[str]
    subjects: Texts | None = None
    splits: Texts | None = None
    original_splits: Texts | None = None
    stamps: Callable[[Indices], list[str]] | None = None
    content: str = ""
    are_files: bool = False
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    path: Path | None = None

    def __post_init__(self) -> None:
        if not len(self):
            raise InputError(f"{self.kind} has no rows; give at least one image")
        per_row: dict[str, NDArray[Any] | None] = {
            "labels of " + name: values for name, values in self.labels.items()
        }
        per_row |= {
            "subjects": self.subjects,
            "splits": self.splits,
            "original splits": self.original_splits,
        }
        for name, values in per_row.items():
            if values is not None and len(values) != len(self):
                raise InputError(
                    f"{self.kind} has {len(self)} images and {len(values)} {name}; give one per"
                    " image"
                )
        subjects = [] if self.subjects is None else self.subjects.tolist()
        for name in (self.kind, *self.names, *subjects):
            if not _is_unicode(name):
                raise InputError(
                    f"{name!a} is not Unicode text, and a dataset's tables are; {_name_advice()}"
                )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def origin(self) -> str:
        """What the source is and where, for messages."""
        return self.kind if self.path is None else f"{self.kind} ({self.path})"

    def take(self, places: Indices, left_out: Iterable[LeftOut] = ()) -> Rows:
        """The rows at ascending places; `left_out` names the others, where a user should know."""

        def at_places(column: Texts | None) -> Texts | None:
            return None if column is None else column[places]

        stamps = self.stamps
        return replace(
            self,
            labels={name: values[places] for name, values in self.labels.items()},
            read=lambda wanted: self.read(places[wanted]),
            names=[self.names[place] for place in places.tolist()],
            subjects=at_places(self.subjects),
            splits=at_places(self.splits),
            original_splits=at_places(self.original_splits),
            stamps=None if stamps is None else lambda wanted: stamps(places[wanted]),
            left_out=(*self.left_out, *left_out),
        )


def is_grey(image: Pixels) -> bool:
    """Whether an image has one channel, not counting alpha."""
    if isinstance(image, Image.Image):
        return image.mode in _GREY_MODES or image.mode.startswith("I;16")
    return image.ndim == 2 or image.shape[-1] == 1


def _name_advice() -> str:
    """With another encoding than UTF-8, Python cannot read names that are good UTF-8."""
    if sys.getfilesystemencoding() == "utf-8":
        return "rename it"
    return "set the environment variable PYTHONUTF8=1, or rename it"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def lazy_file_reader(root: Path, names: Sequence[str]) -> Callable[[Indices], Iterator[Row]]:
    """`Rows.read` for image files below a folder."""
    return lambda places: (Encoded(root / names[place]) for place in places.tolist())
