"""Writes a dataset in the MedIMeta format: checked row by row, resumable, whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medimeta_adapter.format.info import DatasetInfo, info_text
from medimeta_adapter.format.splits import SPLITS
from medimeta_adapter.writing.disk_errors import RESTART_ADVICE, check_space, explain_disk_errors
from medimeta_adapter.writing.draft import DatasetDraft
from medimeta_adapter.writing.journal import JOURNAL_FILE, Journal, journal_line
from medimeta_adapter.writing.partial import PartialFolder
from medimeta_adapter.writing.pixel_file import PixelFile, create_pixel_file
from medimeta_adapter.writing.resumed_build import (
    build_header,
    check_earlier_build,
    check_folder_name,
    check_further_files,
    is_same_build,
    remove_leftovers,
    sync_tree,
)
from medimeta_adapter.writing.rows import RowChecker, per_row
from medimeta_adapter.writing.table import JournalTable, image_path, split_counts, write_splits
from medimeta_adapter.writing.tiffs import write_tiffs
from torchcross.errors import InputError, WriteError

_IMAGES_FILE = "images.hdf5"
_COMMIT_ROWS = 1000
_COMMIT_BYTES = 1 << 26


@final
class DatasetWriter:
    """Writes one dataset, row by row.

    >>> with DatasetWriter("data/oct", draft, total=2000) as writer:  # doctest: +SKIP
    ...     writer.add(image, {"disease class": 2}, split="train")

    `folder` is the dataset's own folder, named as its id. `total` is the number of rows that are
    expected; where you leave it out, the images are copied once when the dataset is finished.
    `resume` goes on with an interrupted build: the rows below `count` are there. `tiffs` writes
    images/*.tiff too, and `progress` is called with how many are written and how many there will
    be. Many threads may add at once; rows are numbered in the order in which they arrive.

    `further_files` are texts by the names of their files, `further_info` are keys of info.yaml that
    may change until the end. `made_from` are JSON values that decide
    what becomes of the rows: a build with other ones is not resumed, and `restart_advice` says what
    to do then.
    """

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
        further_files: Mapping[str, str] | None = None,
        further_info: Mapping[str, Any] | None = None,
        made_from: Mapping[str, Any] | None = None,
        restart_advice: str = RESTART_ADVICE,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        self.folder = Path(folder).absolute()
        if isinstance(info_or_draft, DatasetInfo):
            info_or_draft = DatasetDraft.from_info(info_or_draft)
        self.draft = info_or_draft
        self._finished_draft = info_or_draft.with_extra(**(further_info or {}))
        check_folder_name(self.folder, self.draft)
        if total is not None and total < 1:
            raise InputError(
                f"total={total}; a dataset has one row or more, None where their number is unknown"
            )
        self._total, self._tiffs, self._resume, self._overwrite = total, tiffs, resume, overwrite
        self._license_text = license_text
        self._further_files = dict(further_files or {})
        check_further_files(self._further_files)
        self._made_from, self._restart_advice = made_from or {}, restart_advice
        self._progress = progress or (lambda done, total: None)
        self._checker = RowChecker(self.draft)
        self._turn = threading.Lock()
        self._partial: PartialFolder | None = None
        self._assigned: NDArray[np.int8] | None = None

    # -- beginning ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._partial is not None:
            raise WriteError(f"the writer of {self.folder} is open already; make another one")
        partial = PartialFolder(
            self.folder,
            resume=self._resume,
            overwrite=self._overwrite,
            is_same_build=lambda folder: is_same_build(folder, self._finished_draft),
        )
        with ExitStack() as undo:
            undo.callback(partial.leave if self._resume else partial.discard)
            with explain_disk_errors(self.folder):
                self._open(partial.path, undo)
            undo.pop_all()
        self._partial = partial
        return self

    def _open(self, folder: Path, undo: ExitStack) -> None:
        advice = self._restart_advice
        path = folder / JOURNAL_FILE
        self._journal = Journal(path, durable=self._resume, restart_advice=advice)
        undo.callback(self._journal.close)
        row_bytes = prod(self.draft.image_shape)
        if self._total is not None:
            needed = (self._total - self._journal.rows) * row_bytes
            if self._tiffs:
                needed += self._total * row_bytes
            check_space(folder, needed)
        if self._journal.rows:
            header = self._journal.header
            check_earlier_build(folder, header, self.draft, self._made_from, advice)
        else:
            header = build_header(self.draft, self._made_from, durable=self._resume)
            self._journal.begin(header)
            create_pixel_file(folder / _IMAGES_FILE, (self._total or 1, *self.draft.image_shape))
        lost = WriteError(f"{folder} has lost pixels of rows that it lists; {advice}")
        try:
            self._pixels = PixelFile(folder / _IMAGES_FILE)
        except (OSError, KeyError):
            raise lost from None
        undo.callback(self._pixels.close)
        if self._pixels.room < self._journal.rows:
            raise lost
        self._next, self._broken = self._journal.rows, False
        # Batches whose pixels are written, by first row: rows before them are not written yet.
        self._behind_gap: dict[int, tuple[int, bytes]] = {}
        # Lines of the batches before the first gap; they are journalled together.
        self._waiting: list[bytes] = []
        self._waiting_rows = 0

    # -- adding ------------------------------------------------------------------------------------

    @property
    def _next_row(self) -> int:
        with self._turn:
            self._check_open()
            return self._next

    @property
    def count(self) -> int:
        """How many rows are there without a gap; after a resume the next row to add."""
        with self._turn:
            self._check_open()
            return self._journal.rows + self._waiting_rows

    def stamps(self) -> list[str | None]:
        """Return the stamps of the rows that reached the disk, those of an earlier build too."""
        stamps: list[str | None] = []
        for entry in self.entries():
            stamps += entry.get("stamps") or [None] * entry["rows"]
        return stamps

    def entries(self) -> list[dict[str, Any]]:
        """Return the batches that reached the disk: how many rows, files, labels, patients, ..."""
        with self._turn:
            self._check_open()
            return list(self._journal.entries())

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """Return the image of a row that is there, as it was written."""
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
        """Add one image (PIL or uint8 array) with a label per task; return its row.

        An image that is refused changes nothing.
        """
        row = self._next_row
        pixels = self._checker.image(image, row, original_filepath)
        entry = self._checker.journal_entry(
            range(row, row + 1),
            labels={name: [label] for name, label in labels.items()},
            splits=[split],
            original_splits=[original_split],
            original_filepaths=[original_filepath],
            patient_ids=[patient_id],
            annotations={name: [value] for name, value in (annotations or {}).items()},
        )
        return self._append(pixels, entry)

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
        """Add images with their labels, all or none of them; return their rows.

        Images are uint8, (n, H, W) or (n, H, W, 3); labels are (n,) or (n, L) per task. One split
        stands for all rows. `stamps` say what each row was made from; `stamps()` returns them after
        a resume.
        """
        row = self._next_row
        pixels = self._checker.images(images, row, original_filepaths or [])
        count = len(pixels)
        if not count:
            return range(row, row)
        entry = self._checker.journal_entry(
            range(row, row + count),
            labels=labels,
            splits=per_row(splits, count),
            original_splits=per_row(original_splits, count),
            original_filepaths=per_row(original_filepaths, count, default=""),
            patient_ids=per_row(patient_ids, count),
            annotations=annotations or {},
            stamps=stamps,
        )
        first = self._append(pixels, entry)
        return range(first, first + count)

    def assign_splits(self, splits: Sequence[str] | NDArray[Any]) -> None:
        """Set the split of every row, before the end; rows added with a split must keep it."""
        codes = np.zeros(len(splits), np.int8)
        for row, name in enumerate(np.asarray(splits).tolist()):
            if name not in SPLITS:
                raise InputError(
                    f"row {row}: {name!r:.60} is no split; give 'train', 'val' or 'test'"
                )
            codes[row] = SPLITS.index(name)
        if len(codes) != self.count:
            raise InputError(f"got {len(codes)} splits for {self.count} rows; give one per row")
        self._assigned = codes

    def _check_open(self) -> None:
        if self._partial is None:
            raise WriteError(
                f"the writer of {self.folder} is not open; use it inside `with DatasetWriter(...)"
                " as writer`"
            )

    def _append(self, pixels: NDArray[np.uint8], entry: dict[str, Any]) -> int:
        """Take rows, write their pixels outside the lock, then queue their line for the journal."""
        count = len(pixels)
        with self._turn:
            self._check_usable(count)
            first, self._next = self._next, self._next + count
        try:
            with explain_disk_errors(self.folder):
                self._pixels.write(first, pixels)
                with self._turn:
                    self._behind_gap[first] = (count, journal_line(entry, first, count))
                    self._queue_lines()
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
                " the dataset again"
            )
        if self._total is not None and self._next + count > self._total:
            raise WriteError(
                f"row {self._next + count - 1} is one too many: total={self._total} was announced"
            )

    def _queue_lines(self) -> None:
        while (row := self._journal.rows + self._waiting_rows) in self._behind_gap:
            count, line = self._behind_gap.pop(row)
            self._waiting.append(line)
            self._waiting_rows += count
        waiting_bytes = self._waiting_rows * self._pixels.row_bytes
        if self._waiting_rows >= _COMMIT_ROWS or waiting_bytes >= _COMMIT_BYTES:
            self._commit()

    def _commit(self) -> None:
        if self._waiting:
            if self._resume:
                self._pixels.sync()
            self._journal.append(self._waiting, self._waiting_rows)
            self._waiting, self._waiting_rows = [], 0

    # -- end ---------------------------------------------------------------------------------------

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        partial, is_finished = self._partial, False
        if partial is None:
            return
        try:
            with explain_disk_errors(self.folder), self._turn:
                if kind is None:
                    self._finish(partial)
                    is_finished = True
                elif self._resume and not self._broken:
                    self._commit()
        finally:
            self._partial = None
            self._close_files()
            if not is_finished and not self._resume:
                partial.discard()
            partial.leave()

    def _close_files(self) -> None:
        self._pixels.close()
        self._journal.close()

    def _finish(self, partial: PartialFolder) -> None:
        if self._broken:
            raise WriteError(
                f"a row of {self.folder} could not be written; no dataset is under the final name"
            )
        self._commit()
        rows = self._journal.rows
        if not rows or (self._total is not None and rows != self._total):
            expected = "at least one" if self._total is None else f"total={self._total}"
            raise WriteError(
                f"{self.folder} has {rows} rows, {expected} was announced; no dataset was written"
            )
        table = JournalTable.from_journal(self._journal, self.draft)
        if self._assigned is not None:
            table.assign(self._assigned)
        table.check()
        remove_leftovers(partial.path, _IMAGES_FILE)
        self._pixels = self._pixels.with_rows(rows)
        self._pixels.sync()
        self._write_files(partial.path, table)
        # Windows renames no folder with open files in it.
        self._close_files()
        partial.finish()

    def _write_files(self, folder: Path, table: JournalTable) -> None:
        table.write_labels(folder / "task_labels")
        write_splits(folder / "splits", table.splits)
        write_splits(folder / "original_splits", table.original_splits)
        table.write_annotations(folder / "annotations.csv", self._journal)
        table.write_licence(folder / "LICENSE", self._license_text)
        rows = len(table.splits)
        for name, text in self._further_files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
        info = self._finished_draft.info(
            rows, split_counts(table.splits), split_counts(table.original_splits)
        )
        (folder / "info.yaml").write_text(info_text(info), encoding="utf-8", newline="\n")
        if self._tiffs:
            (folder / "images").mkdir()
            write_tiffs(folder, self._pixels, rows, image_path, self._progress)
        if self._tiffs and hasattr(os, "sync"):
            # One call for all of them: syncing 100,000 small files one by one takes many minutes.
            os.sync()
        else:
            sync_tree(folder)
