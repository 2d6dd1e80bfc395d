"""A task of a dataset as a task source: labels and subjects in memory, pixels in their file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from torch import Tensor

from medimeta_adapter.format.pixels import row_indices
from medimeta_adapter.format.reading_options import ReadingOptions, with_defaults
from medimeta_adapter.format.splits import Split
from medimeta_adapter.format.tensors import check_reading, read_images
from torchcross._kit.arrays import Indices, read_only
from torchcross.data import TaskSource
from torchcross.errors import ReadError, SourceError
from torchcross.task import Task

if TYPE_CHECKING:
    from medimeta_adapter.format.dataset import MedIMetaDataset


class MedIMetaSource(TaskSource):
    """Made by `MedIMetaDataset.source` and `MedIMeta.source`; picklable, for worker processes.

    `rows` are the dataset's rows of these samples, ascending. The keyword arguments are those of
    `ReadingOptions`.
    """

    def __init__(
        self,
        dataset: MedIMetaDataset,
        task: str | None = None,
        *,
        split: Split = None,
        name: str | None = None,
        **reading: Unpack[ReadingOptions],
    ) -> None:
        options = with_defaults(reading)
        info = dataset.info
        entry = info.primary_task if task is None else info.task(task)
        # Datasets of one domain have tasks of one name; heads are found by name and domain.
        full_name = f"{dataset.id}/{entry.name}"
        name = full_name if name is None else name
        self.channels, self.pixels = options["channels"], options["pixels"]
        check_reading(self.channels, self.pixels, f"source {name!r}")
        self.dataset_id, self.split = dataset.id, split
        self.rows: Indices = dataset.split(split, options["original_splits"])
        if len(self.rows) == 0:
            counts = info.splits_num_samples
            if options["original_splits"]:
                counts = info.original_splits_num_samples
            raise SourceError(
                f"source {name!r}: the split {split!r} of {dataset.id!r} is empty; info.yaml"
                f" counts {counts}"
            )
        self.stored = dataset.pixels
        super().__init__(
            Task(full_name, entry.target(), domain=info.domain),
            dataset.labels(entry.name)[self.rows],
            groups=_groups(dataset, options["groups"], self.rows, name),
            name=name,
        )

    def images(self, indices: Indices, *, out: Tensor | None = None) -> Tensor:
        """Return images (n, C, H, W) in one read.

        `out` is a buffer to fill, which saves the page faults of a fresh tensor.
        """
        rows = self.rows[self._samples(indices)]
        return read_images(self.stored, rows, self.channels, self.pixels, out)

    def read(self, indices: Sequence[int] | Indices) -> Tensor:
        """`images`, with every failure named."""
        return super().read(self._samples(indices))

    def _samples(self, indices: Any) -> Indices:
        samples = row_indices(indices, len(self.rows))
        if samples is None:
            raise ReadError(
                f"source {self.name!r} was asked for indices {indices!r:.80}; it has samples"
                f" 0..{len(self.rows) - 1}"
            )
        return samples

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        read_only(self.rows)


def _groups(dataset: MedIMetaDataset, column: str | None, rows: Indices, name: str) -> Any:
    if column is None:
        return None
    subjects = dataset.subjects("patient_id" if column == "auto" else column)
    if subjects is not None:
        return subjects[rows]
    if column == "auto":
        return None
    raise SourceError(
        f"source {name!r}: {dataset.missing_column(column)}; groups=None is without subjects"
    )
