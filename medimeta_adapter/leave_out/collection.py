"""A MedIMeta folder as experiments see one; the entry point `torchcross.collections` names it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, final

from numpy.typing import NDArray

from medimeta_adapter.format.dataset import MedIMetaDataset
from medimeta_adapter.format.reading_options import Channels
from medimeta_adapter.format.source import MedIMetaSource
from medimeta_adapter.format.splits import SPLITS
from medimeta_adapter.leave_out.domains import By, source_ids, why
from medimeta_adapter.leave_out.meta_dataset import MedIMeta
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError, TorchcrossError

# Images of a dataset: a fraction of a second to read, and damage to one in a hundred is most likely
# seen.
_FINGERPRINTED = 200


@final
class MedIMetaCollection:
    """`MedIMetaCollection("data/MedIMeta", channels=3)`: targets are "oct/disease class" and so on.

    The sources of a target are without its dataset and what overlaps with it; with
    `leave_out="domain"` without all datasets of its domain.
    """

    def __init__(
        self, folder: str | Path, *, channels: Channels, leave_out: By = "dataset"
    ) -> None:
        self.meta = MedIMeta(folder)
        self.channels = channels
        self.leave_out: By = leave_out

    def targets(self) -> tuple[str, ...]:
        """Return the primary task of every dataset that leaves a source behind."""
        return tuple(
            f"{name}/{self.meta[name].info.primary_task.name}"
            for name in self.meta
            if self._sources(name)
        )

    def target_name(self, text: str) -> str:
        """Return the full name: `oct` is its primary task, `oct/urgent referral` that one."""
        dataset, slash, task = text.partition("/")
        info = self.meta[dataset].info
        return f"{dataset}/{info.task(task).name if slash else info.primary_task.name}"

    def sources(
        self, target: str, *, split: Literal["train", "val"], tasks: Literal["primary", "all"]
    ) -> tuple[MedIMetaSource, ...]:
        """Return tasks of the datasets that the target leaves as sources.

        The pixels of the target's own dataset stay closed.
        """
        return tuple(
            self.meta.source(name, task.name, split=split, channels=self.channels)
            for name in self._sources(self._dataset_and_task(target)[0])
            for task in self.meta[name].info.tasks[: None if tasks == "all" else 1]
            if getattr(self.meta[name].info.splits_num_samples, split)
        )

    def target(
        self, target: str, *, split: Literal["all", "train", "val", "test"] = "all"
    ) -> MedIMetaSource:
        """Return all splits together, as published, or one of them."""
        dataset, task = self._dataset_and_task(target)
        return self.meta.source(dataset, task, split=split, channels=self.channels)

    def annotation(
        self, target: str, column: str, *, split: Literal["all", "train", "val", "test"] = "all"
    ) -> NDArray[Any]:
        """Return a column of annotations.csv, as text, for the images of `target`."""
        name, _ = self._dataset_and_task(target)
        dataset = self.meta[name]
        if column not in dataset.columns():
            # Without the columns that there are: a run asks many datasets for few columns.
            raise InputError(f"annotations.csv has no column {column!r}")
        texts: NDArray[Any] = dataset.annotations()[column][dataset.split(split)]
        return texts

    def dataset_name(self, target: str) -> str:
        """What its dataset is called."""
        dataset, _ = self._dataset_and_task(target)
        name: str = self.meta[dataset].info.name
        return name

    def is_synthetic(self, target: str) -> bool:
        """Whether its images are made up."""
        return _is_synthetic(self.meta[self._dataset_and_task(target)[0]])

    def why(self, target: str) -> Mapping[str, str]:
        """Return what each dataset is for this target, and for what reason."""
        return why(self.meta.datasets, (self._dataset_and_task(target)[0],), self.leave_out)

    def cautions(self, target: str) -> tuple[str, ...]:
        """Name the sources of the target's domain; neither side lists the other as an overlap."""
        dataset = self._dataset_and_task(target)[0]
        domain = self.meta[dataset].info.domain
        same = [name for name in self._sources(dataset) if self.meta[name].info.domain == domain]
        if not same:
            return ()
        verb = "is" if len(same) == 1 else "are"
        return (
            f"{', '.join(same)} {verb} of the domain {domain!r} too, and learned from, since no"
            f' overlap with {dataset} is listed; data.leave_out = "domain" leaves the whole domain'
            " out",
        )

    def _sources(self, dataset: str) -> tuple[str, ...]:
        return source_ids(self.meta.datasets, (dataset,), self.leave_out)

    def related_targets(self) -> tuple[frozenset[str], ...]:
        """Return groups of targets that share subjects, as one dataset's or by listed overlaps."""
        datasets = self.meta.datasets
        groups: list[set[str]] = []
        for name, dataset in datasets.items():
            joined = {name, *dataset.info.subject_overlaps} & datasets.keys()
            for group in [group for group in groups if group & joined]:
                groups.remove(group)
                joined |= group
            groups.append(joined)
        targets = [
            frozenset(f"{name}/{task.name}" for name in group for task in datasets[name].info.tasks)
            for group in groups
        ]
        return tuple(group for group in targets if len(group) > 1)

    def describe(self) -> Mapping[str, object]:
        """Return names, sizes, licences, and fingerprints of what decides episodes and of images.

        Where labels, splits, subjects or images cannot be read, the reason is under "unreadable".
        """
        datasets = self.meta.datasets
        synthetic = sum(map(_is_synthetic, datasets.values()))
        return {
            "datasets": {name: _describe(dataset) for name, dataset in datasets.items()},
            "synthetic": f"{synthetic} of {len(datasets)} datasets are made up",
        }

    def _dataset_and_task(self, target: str) -> tuple[str, str]:
        """Return the dataset and the task of a target's full name."""
        dataset, slash, task = target.partition("/")
        if not slash or dataset not in self.meta.datasets:
            raise InputError(f"there is no target {target!r}; {suggest(target, self.targets())}")
        return dataset, self.meta[dataset].info.task(task).name


def _is_synthetic(dataset: MedIMetaDataset) -> bool:
    return bool(dataset.info.extra.get("synthetic", False))


def _describe(dataset: MedIMetaDataset) -> dict[str, Any]:
    digest = hashlib.sha256()
    try:
        for part in _deciding_bytes(dataset):
            digest.update(len(part).to_bytes(8, "little") + part)
    except (TorchcrossError, OSError) as error:
        return {"unreadable": str(error)}
    return {
        "name": dataset.info.name,
        "domain": dataset.info.domain,
        "images": dataset.info.total_num_samples,
        "licence": dataset.info.license,
        "synthetic": _is_synthetic(dataset),
        "fingerprint of description, labels, splits and subjects": digest.hexdigest(),
        "pixels": _pixel_fingerprint(dataset),
    }


def _pixel_fingerprint(dataset: MedIMetaDataset) -> dict[str, Any]:
    """Describe some images, evenly spaced; pixels that differ in many images are noticed."""
    count = min(len(dataset), _FINGERPRINTED)
    try:
        images = dataset.images([place * len(dataset) // count for place in range(count)])
    except (TorchcrossError, OSError) as error:
        return {"unreadable": str(error)}
    return {"images": count, "fingerprint": hashlib.sha256(images.numpy().tobytes()).hexdigest()}


def _deciding_bytes(dataset: MedIMetaDataset) -> Iterator[bytes]:
    """Yield the description, the labels, the splits and the subjects of a dataset."""
    yield (dataset.folder / "info.yaml").read_bytes()
    for task in dataset.info.tasks:
        yield dataset.labels(task.name).tobytes()
    for split in SPLITS:
        yield dataset.split(split).tobytes()
    subjects = dataset.subjects()
    yield b"" if subjects is None else "\0".join(subjects.tolist()).encode()
