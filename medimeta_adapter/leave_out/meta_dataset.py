"""A folder of MedIMeta datasets: their tasks and domains, and one domain left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medimeta_adapter.format.dataset import MedIMetaDataset, Split
from medimeta_adapter.format.frozen import FrozenMapping
from medimeta_adapter.format.root import open_datasets
from medimeta_adapter.format.source import MedIMetaSource
from medimeta_adapter.format.tensors import Channels, PixelType
from medimeta_adapter.leave_out.domains import (
    By,
    Fold,
    LeaveOut,
    SourceOptions,
    domain_folds,
    leave_one_domain_out,
    source_ids,
)
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError

__all__ = ["MedIMeta", "TaskRef"]


@dataclass(frozen=True)
class TaskRef:
    """A task of a dataset, by name."""

    dataset: str
    task: str
    domain: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.task}"


class MedIMeta:
    """The datasets in a folder: `MedIMeta("data/MedIMeta")["oct"].info`. Any subset of the 19, or
    your own.

    Datasets are found by their info.yaml, all of which are read and checked now; nothing else is
    opened. `only` names the ids wanted. Links that lead out of the folder are refused unless
    `follow_links=True`.
    """

    def __init__(
        self, root: str | Path, *, only: Iterable[str] | None = None, follow_links: bool = False
    ) -> None:
        self.root = Path(root).absolute()
        self.datasets: Mapping[str, MedIMetaDataset] = FrozenMapping(
            {dataset.id: dataset for dataset in open_datasets(self.root, only, follow_links)}
        )

    @property
    def tasks(self) -> tuple[TaskRef, ...]:
        """Every task of every dataset, in order."""
        return tuple(
            TaskRef(dataset.id, task.name, dataset.info.domain)
            for dataset in self.datasets.values()
            for task in dataset.info.tasks
        )

    @property
    def domains(self) -> tuple[str, ...]:
        """The names of the domains, in order of appearance."""
        return tuple(dict.fromkeys(dataset.info.domain for dataset in self.datasets.values()))

    def __getitem__(self, dataset: str) -> MedIMetaDataset:
        if dataset not in self.datasets:
            raise InputError(
                f"{self.root} has no dataset {dataset!r}; {suggest(dataset, self.datasets)}"
            )
        return self.datasets[dataset]

    def __contains__(self, dataset: object) -> bool:
        return dataset in self.datasets

    def __iter__(self) -> Iterator[str]:
        return iter(self.datasets)

    def __len__(self) -> int:
        return len(self.datasets)

    def __repr__(self) -> str:
        return (
            f"MedIMeta({str(self.root)!r}: {len(self)} datasets, {len(self.tasks)} tasks,"
            f" {len(self.domains)} domains)"
        )

    # -- sources -----------------------------------------------------------------------------------

    def source(
        self,
        dataset: str,
        task: str | None = None,
        *,
        split: Split = None,
        original_splits: bool = False,
        groups: str | None = "auto",
        channels: Channels | None = None,
        pixels: PixelType = "uint8",
        name: str | None = None,
    ) -> MedIMetaSource:
        """A task as a task source; without a name, the dataset's primary task. See
        `MedIMetaSource`.
        """
        return self[dataset].source(
            task,
            split=split,
            original_splits=original_splits,
            groups=groups,
            channels=channels,
            pixels=pixels,
            name=name,
        )

    def leave_one_domain_out(
        self,
        target: str,
        task: str | None = None,
        *,
        all_tasks: bool = False,
        split: Split = None,
        target_split: Split = None,
        by: By = "dataset",
        original_splits: bool = False,
        groups: str | None = "auto",
        channels: Channels | None = None,
        pixels: PixelType = "uint8",
    ) -> LeaveOut:
        """Sources and target, `sources, target = meta.leave_one_domain_out("oct")`, as the MedIMeta
        paper splits them.

        The target's own dataset, its domain_overlaps and its subject_overlaps leave the sources; an
        overlap that either side lists binds both. Sources are primary tasks, or with `all_tasks`
        every task. `split` is the sources' split. `by="domain"` takes a domain's name: the target
        is then a tuple, the primary task (or all) of each of its datasets. `.why` explains every
        dataset.
        """
        options = SourceOptions(original_splits, groups, channels, pixels)
        return leave_one_domain_out(
            self.datasets,
            target,
            task,
            all_tasks=all_tasks,
            split=split,
            target_split=target_split,
            by=by,
            options=options,
        )

    def lodo_targets(self) -> tuple[str, ...]:
        """Every dataset that can be left out: all that leave a source behind."""
        return tuple(name for name in self.datasets if source_ids(self.datasets, (name,)))

    def domain_folds(self, k: int, seed: int) -> tuple[Fold, ...]:
        """k-fold over domains: every dataset is a target in one fold; domains that overlap are
        never torn apart.
        """
        return domain_folds(self.datasets, k, seed)
