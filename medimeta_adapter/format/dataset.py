"""One dataset's folder: info.yaml at once, everything else when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medimeta_adapter.format.annotations import read_annotations, subjects_of
from medimeta_adapter.format.files import path_inside
from medimeta_adapter.format.info import DatasetInfo, read_info
from medimeta_adapter.format.labels import read_labels
from medimeta_adapter.format.pixels import StoredPixels, open_pixels, row_indices
from medimeta_adapter.format.reading_options import Channels, PixelType, ReadingOptions
from medimeta_adapter.format.size_bounds import sample_count_problem
from medimeta_adapter.format.source import MedIMetaSource
from medimeta_adapter.format.splits import SPLITS, Split, read_split
from medimeta_adapter.format.tensors import check_reading, read_images
from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.suggestions import suggest
from torchcross.errors import DatasetFileError, InputError


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
        return path_inside(self._boundary, self.folder.joinpath(*parts))

    def _check_count(self) -> None:
        """Check total_num_samples before memory is allocated for so many samples."""
        if self._count_problem:
            raise DatasetFileError(
                f"{self.folder / 'info.yaml'}, total_num_samples: {self._count_problem}; correct"
                " it, or the labels"
            )

    @cached_property
    def _count_problem(self) -> str:
        return sample_count_problem(self.folder, self.info)

    # -- labels, splits, annotations ---------------------------------------------------------------

    def labels(self, task: str | None = None) -> NDArray[np.int64]:
        """Return the raw labels of all samples: (N,) label values, or (N, L) zeros and ones.

        Without a name they are those of the primary task.
        """
        entry = self.info.primary_task if task is None else self.info.task(task)
        if entry.name not in self._labels:
            path = self._path("task_labels", f"{entry.name}.npy")
            self._labels[entry.name] = read_only(read_labels(path, entry, len(self)))
        return self._labels[entry.name]

    def split(self, name: Split = None, original: bool = False) -> Indices:
        """Return the rows of a split, of several (`("train", "val")`), or of all (None, "all").

        Rows are ascending.
        """
        self._check_count()
        names = (name,) if isinstance(name, str) else tuple(name or ())
        if name is None or "all" in names:
            return read_only(np.arange(len(self)))
        if not names or len(set(names)) < len(names) or any(split not in SPLITS for split in names):
            raise InputError(
                f"dataset {self.id!r} got split={name!r}; give 'train', 'val', 'test', several of"
                " them, or 'all'"
            )
        rows = np.sort(np.concatenate([self._split(split, original) for split in names]))
        twice = rows[1:][rows[1:] == rows[:-1]]
        if twice.size:
            folder = self.folder / ("original_splits" if original else "splits")
            raise DatasetFileError(
                f"{folder}: image {twice[0]:06d} and {len(twice) - 1} more are in two of the splits"
                f" {names}"
            )
        return read_only(rows)

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
        rows = read_split(path_inside(self._boundary, path), len(self))
        if len(rows) != expected:
            raise DatasetFileError(
                f"{path} names {len(rows)} images; info.yaml says {field}.{name}: {expected}"
            )
        return rows

    @cached_property
    def _annotations(self) -> Mapping[str, NDArray[Any]]:
        self._check_count()
        return read_annotations(self._path("annotations.csv"), len(self))

    def annotations(self) -> Mapping[str, NDArray[Any]]:
        """Return the columns of annotations.csv by name, as text, entry i for image i."""
        return self._annotations

    def subjects(self, column: str = "patient_id") -> NDArray[Any] | None:
        """Return who each image comes from, by a column of annotations.csv.

        Where the column is empty, "nan" or "none", the image is a subject of its own. None stands
        for a dataset without this column, or without the file.
        """
        if not self._is_annotated or column not in self._annotations:
            return None
        return subjects_of(self._annotations[column])

    @cached_property
    def _is_annotated(self) -> bool:
        # Looked at once: a folder that goes while it is used must not become one without subjects.
        return os.path.lexists(self.folder / "annotations.csv")

    def columns(self) -> list[str]:
        """Return the names of the columns of annotations.csv; none where there is no file."""
        return list(self._annotations) if self._is_annotated else []

    def missing_column(self, column: str) -> str:
        """Return the end of an error about a column that is not there."""
        return f"annotations.csv has no column {column!r}; {suggest(column, self.columns())}"

    # -- pixels ------------------------------------------------------------------------------------

    @cached_property
    def pixels(self) -> StoredPixels:
        """Where the images are; the file's header is checked now."""
        return open_pixels(self.folder, self.info, self._boundary)

    def images(
        self,
        indices: Iterable[int] | Indices,
        *,
        channels: Channels | None = None,
        pixels: PixelType = "uint8",
        out: Tensor | None = None,
    ) -> Tensor:
        """Return images (n, C, H, W) in one read: bytes, or floats (x/255 - 0.5) / 0.5.

        `channels=3` repeats grey; `channels=1` is luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601),
        rounded. `out` is filled and returned.
        """
        check_reading(channels, pixels, f"dataset {self.id!r}")
        rows = row_indices(indices, len(self))
        if rows is None:
            raise InputError(
                f"dataset {self.id!r} was asked for images {indices!r:.80}; it has"
                f" 0..{len(self) - 1}"
            )
        return read_images(self.pixels, rows, channels, pixels, out)

    def source(
        self,
        task: str | None = None,
        *,
        split: Split = None,
        name: str | None = None,
        **reading: Unpack[ReadingOptions],
    ) -> MedIMetaSource:
        """Return a task of this dataset (default: the first) as a task source.

        The keyword arguments are those of `ReadingOptions`.
        """
        return MedIMetaSource(self, task, split=split, name=name, **reading)

    def __repr__(self) -> str:
        tasks = [repr(task.name) for task in self.info.tasks[:4]]
        if len(self.info.tasks) > 4:
            tasks.append("...")
        return (
            f"MedIMetaDataset({self.id!r}, {len(self)} images {list(self.info.input_size)}, tasks:"
            f" {', '.join(tasks)})"
        )
