"""A folder of MedIMeta datasets: their tasks and domains, and one domain left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from medimeta_adapter.format.dataset import MedIMetaDataset
from medimeta_adapter.format.frozen import FrozenMapping
from medimeta_adapter.format.reading_options import ReadingOptions
from medimeta_adapter.format.root import open_datasets
from medimeta_adapter.format.source import MedIMetaSource
from medimeta_adapter.format.splits import Split
from medimeta_adapter.leave_out.domains import (
    By,
    Role,
    source_ids,
    target_ids,
    verdicts,
    warn_of_one_sided_overlaps,
)
from medimeta_adapter.leave_out.folds import Fold, domain_folds
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError


@dataclass(frozen=True)
class TaskRef:
    """A task of a dataset, by name; as text, the name of a target in experiments.

    >>> from medimeta_adapter import TaskRef
    >>> str(TaskRef("oct", "urgent referral", domain="OCT"))
    'oct/urgent referral'
    """

    dataset: str
    task: str
    domain: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.task}"


@dataclass(frozen=True)
class LeaveOut:
    """Unpacks to (sources, target); `why` says what every dataset is here and for what reason."""

    sources: tuple[MedIMetaSource, ...]
    targets: tuple[MedIMetaSource, ...]
    why: Mapping[str, str]
    by: By = "dataset"

    @property
    def target(self) -> Any:
        """The target's source; by domain, a tuple of them."""
        return self.targets[0] if self.by == "dataset" else self.targets

    def __iter__(self) -> Iterator[Any]:
        return iter((self.sources, self.target))


class MedIMeta:
    """The datasets in a folder: `MedIMeta("data/MedIMeta")["oct"].info`.

    Any subset of the 19 published datasets, or your own. Datasets are found by their info.yaml, all
    of which are read and checked now; nothing else is opened. `only` names the ids wanted. Links
    that lead out of the folder are refused unless `follow_links=True`.
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
        name: str | None = None,
        **reading: Unpack[ReadingOptions],
    ) -> MedIMetaSource:
        """Return a task as a task source; without a name, the dataset's primary task.

        The keyword arguments are those of `ReadingOptions`.
        """
        return MedIMetaSource(self[dataset], task, split=split, name=name, **reading)

    def leave_one_domain_out(
        self,
        target: str,
        task: str | None = None,
        *,
        all_tasks: bool = False,
        split: Split = None,
        target_split: Split = None,
        by: By = "dataset",
        **reading: Unpack[ReadingOptions],
    ) -> LeaveOut:
        """Return sources and target as the MedIMeta paper splits them.

        `sources, target = meta.leave_one_domain_out("oct")`. The target's own dataset, its
        domain_overlaps and its subject_overlaps leave the sources; an overlap that either side
        lists binds both. Sources are primary tasks, or with `all_tasks` every task. `split` is the
        sources' split. `by="domain"` takes a domain's name: the target is then a tuple, the primary
        task (or all) of each of its datasets. `.why` explains every dataset.
        """
        left_out = target_ids(self.datasets, target, by)
        if by == "domain" and task is not None:
            raise InputError(
                f"by='domain' got task={task!r}; a domain's targets are primary tasks, or all with"
                " all_tasks=True"
            )
        warn_of_one_sided_overlaps(self.datasets)
        roles = verdicts(self.datasets, left_out, by)
        why = {name: str(verdict) for name, verdict in roles.items()}

        def primary_or_all(role: Role, split: Split) -> tuple[MedIMetaSource, ...]:
            return tuple(
                self.source(name, entry.name, split=split, **reading)
                for name, verdict in roles.items()
                if verdict.role is role
                for entry in self.datasets[name].info.tasks[: None if all_tasks else 1]
            )

        sources = primary_or_all(Role.SOURCE, split)
        if not sources:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in why.items())
            raise InputError(f"no source is left for {target!r}: {reasons}")
        if by == "domain":
            targets = primary_or_all(Role.TARGET, target_split)
        else:
            targets = (self.source(target, task, split=target_split, **reading),)
        return LeaveOut(sources, targets, FrozenMapping(why), by)

    def lodo_targets(self) -> tuple[str, ...]:
        """Return every dataset that can be left out: all that leave a source behind."""
        return tuple(name for name in self.datasets if source_ids(self.datasets, (name,)))

    def domain_folds(self, k: int, seed: int) -> tuple[Fold, ...]:
        """Return k folds over domains; domains that overlap are in one fold.

        Every dataset is a target in one fold.
        """
        warn_of_one_sided_overlaps(self.datasets)
        return domain_folds(self.datasets, k, seed)
