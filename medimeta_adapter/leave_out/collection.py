"""A MedIMeta folder as the experiments of the library see one (entry point
`torchcross.collections`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, final

from medimeta_adapter.format.dataset import MedIMetaDataset
from medimeta_adapter.format.source import MedIMetaSource
from medimeta_adapter.format.splits import SPLITS
from medimeta_adapter.format.tensors import Channels
from medimeta_adapter.leave_out.domains import By, source_ids, why
from medimeta_adapter.leave_out.meta_dataset import MedIMeta
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError, TorchcrossError

__all__ = ["MedIMetaCollection"]

_FINGERPRINTED = 200
"""Images of a dataset: a fraction of a second to read, and damage to one in a hundred is most
likely seen.
"""


@final
class MedIMetaCollection:
    """`MedIMetaCollection("data/MedIMeta", channels=3)`: targets are "oct/disease class" and so on.

    With a target leave its dataset, what overlaps with it, and with `leave_out="domain"` all that
    is of its domain.
    """

    def __init__(
        self, folder: str | Path, *, channels: Channels, leave_out: By = "dataset"
    ) -> None:
        self.meta = MedIMeta(folder)
        self.channels = channels
        self.leave_out: By = leave_out

    def targets(self) -> tuple[str, ...]:
        """The primary task of every dataset that leaves a source behind."""
        return tuple(
            f"{name}/{self.meta[name].info.primary_task.name}"
            for name in self.meta
            if self._sources(name)
        )

    def named(self, given: str) -> str:
        """`oct` is its primary task, `oct/urgent referral` that one."""
        dataset, slash, task = given.partition("/")
        info = self.meta[dataset].info
        return f"{dataset}/{info.task(task).name if slash else info.primary_task.name}"

    def sources(
        self, target: str, *, split: Literal["train", "val"], tasks: Literal["primary", "all"]
    ) -> tuple[MedIMetaSource, ...]:
        """Of the datasets that do not overlap with the target's; the target's own pixels stay
        closed.
        """
        return tuple(
            self.meta.source(name, task.name, split=split, channels=self.channels)
            for name in self._sources(self._parts(target)[0])
            for task in self.meta[name].info.tasks[: None if tasks == "all" else 1]
            if getattr(self.meta[name].info.splits_num_samples, split)
        )

    def target(
        self, target: str, *, split: Literal["all", "train", "val", "test"] = "all"
    ) -> MedIMetaSource:
        """All splits together, as published, or one of them."""
        dataset, task = self._parts(target)
        return self.meta.source(dataset, task, split=split, channels=self.channels)

    def why(self, target: str) -> Mapping[str, str]:
        """What each dataset is for this target, and for what reason."""
        return why(self.meta.datasets, (self._parts(target)[0],), self.leave_out)

    def cautions(self, target: str) -> tuple[str, ...]:
        """The sources that are of the target's domain, since neither lists the other as an
        overlap.
        """
        dataset = self._parts(target)[0]
        domain = self.meta[dataset].info.domain
        same = [name for name in self._sources(dataset) if self.meta[name].info.domain == domain]
        if not same:
            return ()
        return (
            f"{', '.join(same)} {'is' if len(same) == 1 else 'are'} of the domain {domain!r} too,"
            " and learned from, "
            f'since no overlap with {dataset} is listed; data.leave_out = "domain" leaves the whole'
            " domain out",
        )

    def _sources(self, dataset: str) -> tuple[str, ...]:
        return source_ids(self.meta.datasets, (dataset,), self.leave_out)

    def related(self) -> tuple[frozenset[str], ...]:
        """Targets of one dataset, and of datasets that list each other's subjects."""
        datasets = self.meta.datasets
        groups: list[set[str]] = []
        for name, dataset in datasets.items():
            joined = {
                name,
                *(other for other in dataset.info.subject_overlaps if other in datasets),
            }
            for group in [group for group in groups if group & joined]:
                groups.remove(group)
                joined |= group
            groups.append(joined)
        full = [
            frozenset(f"{name}/{task.name}" for name in group for task in datasets[name].info.tasks)
            for group in groups
        ]
        return tuple(group for group in full if len(group) > 1)

    def describe(self) -> Mapping[str, object]:
        """Names, sizes, licences, and fingerprints of all that decides which images an episode has,
        and of images.

        Where labels, splits, subjects or images cannot be read the reason stands under
        "unreadable".
        """
        described = {name: _described(dataset) for name, dataset in self.meta.datasets.items()}
        synthetic = sum(_synthetic(dataset) for dataset in self.meta.datasets.values())
        return {
            "datasets": described,
            "synthetic": f"{synthetic} of {len(described)} datasets are made up",
        }

    def _parts(self, target: str) -> tuple[str, str]:
        """The dataset and the task of a target's full name."""
        dataset, slash, task = target.partition("/")
        if not slash or dataset not in self.meta.datasets:
            raise InputError(f"there is no target {target!r}; {suggest(target, self.targets())}")
        return dataset, self.meta[dataset].info.task(task).name


def _synthetic(dataset: MedIMetaDataset) -> bool:
    return bool(dataset.info.extra.get("synthetic", False))


def _described(dataset: MedIMetaDataset) -> dict[str, Any]:
    digest = hashlib.sha256()
    try:
        for part in _decisive(dataset):
            digest.update(len(part).to_bytes(8, "little") + part)
    except (TorchcrossError, OSError) as error:
        return {"unreadable": str(error)}
    return {
        "name": dataset.info.name,
        "domain": dataset.info.domain,
        "images": dataset.info.total_num_samples,
        "licence": dataset.info.license,
        "synthetic": _synthetic(dataset),
        "fingerprint of description, labels, splits and subjects": digest.hexdigest(),
        "pixels": _pixels(dataset),
    }


def _pixels(dataset: MedIMetaDataset) -> dict[str, Any]:
    """Of some images, evenly spaced: pixels that differ in many images are found, whatever file
    holds them.
    """
    count = min(len(dataset), _FINGERPRINTED)
    try:
        images = dataset.images([place * len(dataset) // count for place in range(count)])
    except (TorchcrossError, OSError) as error:
        return {"unreadable": str(error)}
    return {"images": count, "fingerprint": hashlib.sha256(images.numpy().tobytes()).hexdigest()}


def _decisive(dataset: MedIMetaDataset) -> Iterator[bytes]:
    """The description, the labels, the splits and the subjects of a dataset."""
    yield (dataset.folder / "info.yaml").read_bytes()
    for task in dataset.info.tasks:
        yield dataset.labels(task.name).tobytes()
    for split in SPLITS:
        yield dataset.split(split).tobytes()
    subjects = dataset.subjects()
    yield b"" if subjects is None else "\0".join(subjects.tolist()).encode()
