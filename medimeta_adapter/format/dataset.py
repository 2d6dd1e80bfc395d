"""One dataset's folder: info.yaml at once, everything else when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medimeta_adapter.format.annotations import read_annotations, subjects_of
from medimeta_adapter.format.files import inside
from medimeta_adapter.format.info import DatasetInfo, read_info
from medimeta_adapter.format.labels import read_labels
from medimeta_adapter.format.pixels import Pixels, checked_rows, open_pixels
from medimeta_adapter.format.size_bounds import unbelievable
from medimeta_adapter.format.splits import SPLITS, read_split
from medimeta_adapter.format.tensors import Channels, PixelType, check_reading, read_images
from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.suggestions import suggest
from torchcross.errors import DatasetFileError, InputError

if TYPE_CHECKING:
    from medimeta_adapter.format.source import MedIMetaSource

__all__ = ["MedIMetaDataset", "Split"]

Split = str | Sequence[str] | None


class MedIMetaDataset:
    """A folder in the MedIMeta format: `MedIMetaDataset("data/MedIMeta/oct")`.

    Links that lead out of the folder are refused; with `follow_links=True` they are followed.
    """

    def __init__(
        self, folder: str | Path, *, follow_links: bool = False, boundary: Path | None = None
    ) -> None:
        self.folder = Path(folder).absolute()
        real = Path(os.path.realpath(self.folder))
        self._boundary = None if follow_links else (boundary or real)
        self._labels: dict[str, NDArray[np.int64]] = {}
        self._splits: dict[tuple[str, str], Indices] = {}
        if not self.folder.is_dir():
            raise InputError(
                f"{self.folder} is no folder; give the folder of a dataset, with its info.yaml"
            )
        self.info: DatasetInfo = read_info(self._path("info.yaml"))

    @property
    def id(self) -> str:
        return self.info.id

    def __len__(self) -> int:
        return self.info.total_num_samples

    def _path(self, *parts: str) -> Path:
        return inside(self._boundary, self.folder.joinpath(*parts))

    def _check_count(self) -> None:
        """Before anything is made of total_num_samples, which a short info.yaml can claim to be any
        number.
        """
        if self._unbelievable:
            raise DatasetFileError(
                f"{self.folder / 'info.yaml'}, total_num_samples: {self._unbelievable}; correct it,"
                " or the labels"
            )

    @cached_property
    def _unbelievable(self) -> str:
        return unbelievable(self.folder, self.info)

    # -- labels, splits, annotations ---------------------------------------------------------------

    def labels(self, task: str | None = None) -> NDArray[np.int64]:
        """Raw labels of all samples: (N,) label values, or (N, L) zeros and ones. Without a name:
        the primary task.
        """
        found = self.info.primary_task if task is None else self.info.task(task)
        if found.name not in self._labels:
            path = self._path("task_labels", f"{found.name}.npy")
            self._labels[found.name] = read_only(read_labels(path, found, len(self)))
        return self._labels[found.name]

    def split(self, name: Split = None, original: bool = False) -> Indices:
        """Rows of a split, of several joined (`("train", "val")`), or of all (None, "all"),
        ascending.
        """
        self._check_count()
        names = ("all",) if name is None else (name,) if isinstance(name, str) else tuple(name)
        if "all" in names:
            return read_only(np.arange(len(self)))
        if not names or len(set(names)) < len(names) or any(split not in SPLITS for split in names):
            raise InputError(
                f"dataset {self.id!r} got split={name!r}; give 'train', 'val', 'test', several of"
                " them, or 'all'"
            )
        joined = np.sort(np.concatenate([self._split(split, original) for split in names]))
        if (twice := joined[1:][joined[1:] == joined[:-1]]).size:
            folder = self.folder / ("original_splits" if original else "splits")
            raise DatasetFileError(
                f"{folder}: image {twice[0]:06d} and {len(twice) - 1} more are in two of the splits"
                f" {names}"
            )
        return read_only(joined)

    def _split(self, name: str, original: bool) -> Indices:
        kind = "original_splits" if original else "splits"
        if (kind, name) not in self._splits:
            self._splits[kind, name] = self._read_split(kind, name)
        return self._splits[kind, name]

    def _read_split(self, kind: str, name: str) -> Indices:
        field = f"{kind}_num_samples"
        expected: int = getattr(getattr(self.info, field), name)
        path = self.folder / kind / f"{name}.txt"
        if not os.path.lexists(path):
            if expected:
                raise DatasetFileError(
                    f"{path} is missing; info.yaml says {field}.{name}: {expected}"
                )
            return np.empty(0, dtype=np.int64)
        found = read_split(inside(self._boundary, path), len(self))
        if len(found) != expected:
            raise DatasetFileError(
                f"{path} names {len(found)} images; info.yaml says {field}.{name}: {expected}"
            )
        return found

    @cached_property
    def _annotations(self) -> Mapping[str, NDArray[Any]]:
        self._check_count()
        return read_annotations(self._path("annotations.csv"), len(self))

    def annotations(self) -> Mapping[str, NDArray[Any]]:
        """The columns of annotations.csv by name, as text, row i for image i. Read when first asked
        for.
        """
        return self._annotations

    def subjects(self, column: str = "patient_id") -> NDArray[Any] | None:
        """Who each image comes from, by a column of annotations.csv; None where there is no such
        column or no file.

        Where the column is empty, "nan" or "none", the image is a subject of its own.
        """
        if not self._is_annotated:
            return None
        found = self._annotations.get(column)
        return None if found is None else subjects_of(found)

    @cached_property
    def _is_annotated(self) -> bool:
        """Looked at once: a folder that goes while it is used must not become one without
        subjects.
        """
        return os.path.lexists(self.folder / "annotations.csv")

    # -- pixels ------------------------------------------------------------------------------------

    @cached_property
    def pixels(self) -> Pixels:
        """Where the images lie; the file's header is checked now."""
        return open_pixels(self.folder, self.info, self._boundary)

    def images(
        self,
        indices: Iterable[int] | Indices,
        *,
        channels: Channels | None = None,
        pixels: PixelType = "uint8",
        out: Tensor | None = None,
    ) -> Tensor:
        """Images (n, C, H, W) in one read: bytes, or floats (x/255 - 0.5) / 0.5. `out` is filled
        and returned.

        `channels=3` repeats grey; `channels=1` is luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601),
        rounded.
        """
        check_reading(channels, pixels, f"dataset {self.id!r}")
        wanted = checked_rows(indices, len(self))
        if wanted is None:
            raise InputError(
                f"dataset {self.id!r} was asked for images {indices!r:.80}; it has"
                f" 0..{len(self) - 1}"
            )
        return read_images(self.pixels, wanted, channels, pixels, out)

    def source(
        self,
        task: str | None = None,
        *,
        split: Split = None,
        original_splits: bool = False,
        groups: str | None = "auto",
        channels: Channels | None = None,
        pixels: PixelType = "uint8",
        name: str | None = None,
    ) -> MedIMetaSource:
        """A task of this dataset (default: the first) as a task source. See `MedIMetaSource`."""
        from medimeta_adapter.format.source import MedIMetaSource

        return MedIMetaSource(
            self,
            task,
            split=split,
            original_splits=original_splits,
            groups=groups,
            channels=channels,
            pixels=pixels,
            name=name,
        )

    def columns(self) -> list[str]:
        """Names of the columns of annotations.csv; none where there is no file."""
        return list(self._annotations) if os.path.lexists(self.folder / "annotations.csv") else []

    def missing_column(self, column: str) -> str:
        """The end of an error about a column that is not there."""
        return f"annotations.csv has no column {column!r}; {suggest(column, self.columns())}"

    def __repr__(self) -> str:
        tasks = ", ".join(repr(task.name) for task in self.info.tasks[:4]) + (
            ", ..." if len(self.info.tasks) > 4 else ""
        )
        return (
            f"MedIMetaDataset({self.id!r}, {len(self)} images {list(self.info.input_size)}, tasks:"
            f" {tasks})"
        )
