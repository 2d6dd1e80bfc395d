"""A task of a dataset on disk as a task source: labels and subjects in memory, pixels where they
are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from medimeta_adapter.format.pixels import checked_rows
from medimeta_adapter.format.tensors import Channels, PixelType, check_reading, read_images
from torchcross._kit.arrays import Indices, read_only
from torchcross.data import TaskSource
from torchcross.errors import ReadError, SourceError
from torchcross.task import Task

if TYPE_CHECKING:
    from medimeta_adapter.format.dataset import MedIMetaDataset, Split

__all__ = ["MedIMetaSource"]


class MedIMetaSource(TaskSource):
    """Made by `MedIMetaDataset.source` and `MedIMeta.source`; travels to any number of worker
    processes.

    `rows` are the dataset's rows of these samples, ascending. `groups="auto"` takes the column
    patient_id as subjects where there is one, a column's name insists on it, None is without
    subjects.
    """

    def __init__(
        self,
        dataset: MedIMetaDataset,
        task: str | None = None,
        *,
        split: Split = None,
        original_splits: bool = False,
        groups: str | None = "auto",
        channels: Channels | None = None,
        pixels: PixelType = "uint8",
        name: str | None = None,
    ) -> None:
        entry = dataset.info.primary_task if task is None else dataset.info.task(task)
        called = f"{dataset.id}/{entry.name}" if name is None else name
        check_reading(channels, pixels, f"source {called!r}")
        self.rows: Indices = dataset.split(split, original_splits)
        if len(self.rows) == 0:
            kind = "original_splits" if original_splits else "splits"
            raise SourceError(
                f"source {called!r}: the split {split!r} of {dataset.id!r} is empty; info.yaml"
                f" counts {getattr(dataset.info, kind + '_num_samples')}"
            )
        self.dataset_id, self.split = dataset.id, split
        self.channels, self.pixels = channels, pixels
        self.stored = dataset.pixels
        super().__init__(
            # Datasets of one domain have tasks of one name; heads are found by name and domain.
            Task(f"{dataset.id}/{entry.name}", entry.target(), domain=dataset.info.domain),
            dataset.labels(entry.name)[self.rows],
            groups=_groups(dataset, groups, self.rows, called),
            name=called,
        )

    def images(self, indices: Indices, *, out: Tensor | None = None) -> Tensor:
        """Images (n, C, H, W) in one read; `out` is a buffer to fill, which saves the page faults
        of a fresh one.
        """
        return read_images(
            self.stored, self.rows[self._checked(indices)], self.channels, self.pixels, out
        )

    def read(self, indices: Sequence[int] | Indices) -> Tensor:
        """`images`, with every failure named."""
        return super().read(self._checked(indices))

    def _checked(self, indices: Any) -> Indices:
        wanted = checked_rows(indices, len(self.rows))
        if wanted is None:
            raise ReadError(
                f"source {self.name!r} was asked for indices {indices!r:.80}; it has samples"
                f" 0..{len(self.rows) - 1}"
            )
        return wanted

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        read_only(self.rows)


def _groups(dataset: MedIMetaDataset, column: str | None, rows: Indices, name: str) -> Any:
    if column is None:
        return None
    subjects = dataset.subjects("patient_id" if column == "auto" else column)
    if subjects is None:
        if column == "auto":
            return None
        raise SourceError(
            f"source {name!r}: {dataset.missing_column(column)}; groups=None is without subjects"
        )
    return subjects[rows]
