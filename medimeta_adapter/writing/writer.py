"""Writes a dataset in the MedIMeta format: checked row by row, resumable, and all or nothing under
its final name.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medimeta_adapter.format.info import DatasetInfo, info_text
from medimeta_adapter.writing.disk_errors import AGAIN, check_space, told
from medimeta_adapter.writing.draft import SPLITS, DatasetDraft
from medimeta_adapter.writing.journal import Journal
from medimeta_adapter.writing.partial import PartialFolder
from medimeta_adapter.writing.pixel_file import PixelFile
from medimeta_adapter.writing.resumed_build import begin, check_begun, check_name, clear, sync_all
from medimeta_adapter.writing.rows import Columns, Rows, encoded, spread
from medimeta_adapter.writing.table import Table, filepath
from medimeta_adapter.writing.tiffs import write_tiffs
from torchcross.errors import InputError, WriteError

__all__ = ["DatasetDraft", "DatasetWriter"]

_JOURNAL, _DRAFT, _IMAGES = ".journal.jsonl", ".draft.json", "images.hdf5"
_COMMIT_ROWS = 1000
_COMMIT_BYTES = 1 << 26


@final
class DatasetWriter:
    """Writes one dataset, row by row.

    >>> with DatasetWriter("data/oct", draft) as writer:  # doctest: +SKIP
    ...     writer.add(image, {"disease class": 2}, split="train")

    `folder` is the dataset's own folder, named as its id. `total` is the number of rows that are
    expected, if known. `resume` goes on with an interrupted build: the rows below `count` are
    there. `tiffs` writes images/*.tiff too. Adding may be done by many threads at once; rows are
    numbered in the order in which they are taken.
    """

    _journal: Journal
    _pixels: PixelFile
    _next: int
    _broken: bool
    # Rows whose pixels are written: behind a gap; and in order, waiting to be journalled together.
    _done: dict[int, tuple[int, bytes]]
    _waiting: list[bytes]
    _waiting_rows: int

    def __init__(
        self,
        folder: str | os.PathLike[str],
        info_or_draft: DatasetInfo | DatasetDraft,
        *,
        total: int | None = None,
        tiffs: bool = True,
        resume: bool = False,
        overwrite: bool = False,
        license_text: str | None = None,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.draft = (
            DatasetDraft.of(info_or_draft)
            if isinstance(info_or_draft, DatasetInfo)
            else info_or_draft
        )
        check_name(self.folder, self.draft)
        if total is not None and total < 1:
            raise InputError(
                f"total={total}; a dataset has one row or more, None where their number is unknown"
            )
        self._total, self._tiffs, self._resume, self._overwrite = total, tiffs, resume, overwrite
        self._license_text = license_text
        self._rows = Rows(self.draft)
        self._turn = threading.Lock()
        self._partial: PartialFolder | None = None
        self._assigned: NDArray[np.int8] | None = None

    # -- adding ------------------------------------------------------------------------------------

    @property
    def _following(self) -> int:
        with self._turn:
            self._check_open()
            return self._next

    @property
    def count(self) -> int:
        """Rows that are there, without a gap; after a resume the next row to add."""
        with self._turn:
            self._check_open()
            return self._journal.rows + self._waiting_rows

    def stamps(self) -> list[str | None]:
        """Of the rows that were there when the writer was opened, and of later ones that reached
        the disk.
        """
        with self._turn:
            self._check_open()
            entries = list(self._journal.entries())
        return [
            stamp for entry in entries for stamp in entry.get("stamps") or [None] * entry["rows"]
        ]

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """A row that is there, as it was written."""
        if not 0 <= row < self.count:
            raise InputError(f"there is no row {row} yet; {self.count} rows are there")
        return np.frombuffer(self._pixels.read(row), np.uint8).reshape(self.draft.image_shape)

    def add(
        self,
        image: Any,
        labels: Mapping[str, Any],
        *,
        split: str | None = None,
        original_split: str | None = None,
        original_filepath: str = "",
        patient_id: str | int | None = None,
        annotations: Mapping[str, Any] | None = None,
    ) -> int:
        """Add one image (PIL or uint8 array) with a label per task; returns its row. A refused one
        changes nothing.
        """
        row = self._following
        pixels = self._rows.image(image, row, original_filepath)
        more = {name: [value] for name, value in (annotations or {}).items()}
        one = {name: [label] for name, label in labels.items()}
        columns = Columns(one, [split], [original_split], [original_filepath], [patient_id], more)
        return self._append(pixels, self._rows.entry(columns, row, 1))

    def add_batch(
        self,
        images: ArrayLike,
        labels: Mapping[str, ArrayLike],
        *,
        splits: str | Sequence[str | None] | None,
        original_splits: str | Sequence[str | None] | None = None,
        original_filepaths: Sequence[str] | None = None,
        patient_ids: Sequence[str | int | None] | None = None,
        annotations: Mapping[str, Sequence[Any]] | None = None,
        stamps: Sequence[str] | None = None,
    ) -> range:
        """Add uint8 images (n, H, W) or (n, H, W, 3) with their labels, (n,) or (n, L) per task;
        all or none of them.

        One split stands for all. `stamps` say what each row was made from, and are told again after
        a resume. Returns the rows.
        """
        row = self._following
        pixels = self._rows.images(images, row, original_filepaths or [])
        count = len(pixels)
        if not count:
            return range(row, row)
        columns = Columns(
            labels,
            spread(splits, count),
            spread(original_splits, count),
            [""] * count if original_filepaths is None else original_filepaths,
            [None] * count if patient_ids is None else patient_ids,
            annotations or {},
            stamps,
        )
        first = self._append(pixels, self._rows.entry(columns, row, count))
        return range(first, first + count)

    def assign_splits(self, splits: Sequence[str] | NDArray[Any]) -> None:
        """Say the split of every row, before the end; rows that were added with one must keep
        it.
        """
        names = np.asarray(splits).tolist()
        for row, name in enumerate(names):
            if name not in SPLITS:
                raise InputError(
                    f"row {row}: {name!r:.60} is no split; give 'train', 'val' or 'test'"
                )
        codes = np.array([SPLITS.index(name) for name in names], np.int8)
        if len(codes) != self.count:
            raise InputError(
                f"{len(codes)} splits are given for {self.count} rows; give one per row"
            )
        self._assigned = codes

    def _check_open(self) -> None:
        if self._partial is None:
            raise WriteError(
                f"the writer of {self.folder} is not open; use it inside `with DatasetWriter(...)"
                " as writer`"
            )

    def _append(self, pixels: NDArray[np.uint8], entry: dict[str, Any]) -> int:
        """Take rows, write their pixels outside the lock, then put their line behind all lines
        before it.
        """
        count = len(pixels)
        with self._turn:
            self._check_usable(count)
            first, self._next = self._next, self._next + count
        try:
            with told(self.folder):
                self._pixels.write(first, pixels)
                with self._turn:
                    self._done[first] = (count, encoded(entry, first, count))
                    self._drain()
        except BaseException:
            # A row without pixels must not be followed by others.
            self._broken = True
            raise
        return first

    def _check_usable(self, count: int) -> None:
        self._check_open()
        if self._broken:
            raise WriteError(
                f"an earlier row of {self.folder} could not be written, so none can follow; write"
                " again"
            )
        if self._total is not None and self._next + count > self._total:
            raise WriteError(
                f"row {self._next + count - 1} is one too many: total={self._total} was announced"
            )

    def _drain(self) -> None:
        while (row := self._journal.rows + self._waiting_rows) in self._done:
            count, line = self._done.pop(row)
            self._waiting.append(line)
            self._waiting_rows += count
        if (
            self._waiting_rows >= _COMMIT_ROWS
            or self._waiting_rows * self._pixels.row_bytes >= _COMMIT_BYTES
        ):
            self._commit()

    def _commit(self) -> None:
        if self._waiting:
            if self._resume:
                self._pixels.sync()
            self._journal.append(self._waiting, self._waiting_rows)
            self._waiting, self._waiting_rows = [], 0

    # -- beginning and end -------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._partial is not None:
            raise WriteError(f"the writer of {self.folder} is open already; make another one")
        partial = PartialFolder(self.folder, resume=self._resume, overwrite=self._overwrite)
        with ExitStack() as undo:
            undo.callback(partial.leave if self._resume else partial.discard)
            with told(self.folder):
                self._open(partial.path, undo)
            undo.pop_all()
        self._partial = partial
        return self

    def _open(self, folder: Path, undo: ExitStack) -> None:
        self._journal = Journal(folder / _JOURNAL, durable=self._resume)
        undo.callback(self._journal.close)
        if self._journal.rows:
            check_begun(folder, self.draft)
        else:
            begin(folder, self.draft, durable=self._resume, pixels=_IMAGES)
        self._pixels = PixelFile(folder / _IMAGES, self.draft.image_shape)
        undo.callback(self._pixels.close)
        if self._pixels.rows() < self._journal.rows:
            raise WriteError(f"{folder} has lost pixels of rows that it lists; {AGAIN}")
        if self._total is not None:
            left = (self._total - self._journal.rows) * self._pixels.row_bytes
            check_space(folder, left + (self._total * self._pixels.row_bytes if self._tiffs else 0))
        self._next, self._broken = self._journal.rows, False
        self._done, self._waiting, self._waiting_rows = {}, [], 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        partial, done = self._partial, False
        if partial is None:
            return
        try:
            with told(self.folder), self._turn:
                if kind is None:
                    self._finish(partial)
                    done = True
                elif self._resume and not self._broken:
                    self._commit()
        finally:
            self._partial = None
            self._pixels.close()
            self._journal.close()
            if not done and not self._resume:
                partial.discard()
            partial.leave()

    def _finish(self, partial: PartialFolder) -> None:
        if self._broken:
            raise WriteError(
                f"a row of {self.folder} could not be written; nothing stands under the final name"
            )
        self._commit()
        rows = self._journal.rows
        if not rows or (self._total is not None and rows != self._total):
            expected = "at least one" if self._total is None else f"total={self._total}"
            raise WriteError(
                f"{self.folder} has {rows} rows, {expected} was announced; nothing was written"
            )
        table = Table.of(self._journal, self.draft)
        if self._assigned is not None:
            table.assign(self._assigned)
        table.check()
        clear(partial.path, _IMAGES)
        self._pixels.finish(rows)
        self._write_files(partial.path, table)
        partial.finish()
        for name in (_JOURNAL, _DRAFT):
            (self.folder / name).unlink()

    def _write_files(self, folder: Path, table: Table) -> None:
        table.write_labels(folder / "task_labels")
        table.write_splits(folder / "splits", table.splits)
        table.write_splits(folder / "original_splits", table.original_splits)
        table.write_annotations(folder / "annotations.csv", self._journal)
        table.write_licence(folder / "LICENSE", self._license_text)
        counts = table.counts(table.splits), table.counts(table.original_splits)
        info = self.draft.info(len(table.splits), *counts)
        (folder / "info.yaml").write_text(info_text(info), encoding="utf-8")
        if self._tiffs:
            (folder / "images").mkdir()
            write_tiffs(folder, self._pixels, len(table.splits), filepath)
        if self._tiffs and hasattr(os, "sync"):  # Windows has none
            # One call for all of them: syncing 100,000 small files one by one takes many minutes.
            os.sync()
        else:
            sync_all(folder)
