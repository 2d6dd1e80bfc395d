"""Finds images of one colour, equal images and near duplicates.

Equal and similar images are reported within a split, across splits, with different labels and
across datasets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.audited_dataset import AuditedDataset
from medimeta_adapter.audit.findings import SHOWN, Findings, Severity
from medimeta_adapter.audit.near_duplicates import DISTANCE, groups_of, near_duplicate_groups
from medimeta_adapter.audit.perceptual_hash import Fingerprints
from medimeta_adapter.audit.relations import left_out_together
from medimeta_adapter.audit.scan import Progress, Scan
from medimeta_adapter.format.splits import SPLITS
from torchcross._kit.arrays import Indices

_FILE = "images.hdf5"
_EQUAL, _SIMILAR = "duplicate", "near-duplicate"
_SETS = {
    _EQUAL: "sets of identical images",
    _SIMILAR: f"sets of images that look alike (at most {DISTANCE} of 64 bits differ)",
}


@dataclass(frozen=True, eq=False)
class ScannedDataset:
    """A dataset, and what a scan of its pixels found."""

    dataset: AuditedDataset
    scan: Scan


class _AllImages:
    """The images of all datasets, one after the other. A place is an index of this sequence."""

    def __init__(self, scanned: Sequence[ScannedDataset]) -> None:
        scans = [entry.scan for entry in scanned]
        self.datasets = [entry.dataset for entry in scanned]
        counts = [dataset.count for dataset in self.datasets]
        self.owner = np.repeat(np.arange(len(counts)), counts)
        """The dataset of each image, as an index of `datasets`."""
        self.row = np.concatenate([np.arange(count) for count in counts])
        self.split = np.concatenate([dataset.split_codes() for dataset in self.datasets])
        self._digests = np.concatenate([scan.digests for scan in scans])
        # Images of one colour have a finding of their own.
        self._usable = np.flatnonzero(
            np.concatenate([scan.read & ~scan.constant for scan in scans])
        )

    def equal_groups(self) -> list[Indices]:
        """Return groups of places whose images have one digest."""
        digests = self._digests[self._usable]
        # Sort the digests, number the runs of equal ones, and bring the numbers back in place.
        order = np.lexsort((digests[:, 1], digests[:, 0]))
        starts = np.ones(len(order), dtype=bool)
        starts[1:] = (digests[order][1:] != digests[order][:-1]).any(axis=1)
        labels = np.empty(len(order), dtype=np.int64)
        labels[order] = np.cumsum(starts)
        return [self._usable[part] for part in groups_of(labels)]

    def distinct(self) -> Indices:
        """Return the places of all images; of equal ones, the first alone."""
        copies = [group[1:] for group in self.equal_groups()]
        return np.setdiff1d(self._usable, np.concatenate([self._usable[:0], *copies]))

    def describe(self, places: Indices) -> str:
        """Return `12 (train) = 77 (test)`, with the datasets if these are several; five at most."""
        several = len(np.unique(self.owner[places])) > 1
        images = []
        for place in places[:SHOWN].tolist():
            split = [*SPLITS, "no split"][self.split[place]]
            image = f"{self.row[place]} ({split})"
            if several:
                image = f"{self.datasets[self.owner[place]].name}: {image}"
            images.append(image)
        if len(places) > SHOWN:
            images.append(f"... ({len(places)})")
        return " = ".join(images)


class _Case(NamedTuple):
    """What is reported of a group of images. All groups with one case share a finding."""

    severity: Severity
    code: str
    dataset: str
    message: str
    field: str = ""


def audit_constant(scanned: ScannedDataset, findings: Findings) -> None:
    findings.warning(
        "image-constant",
        scanned.dataset.name,
        "images of one colour",
        file=_FILE,
        examples=np.flatnonzero(scanned.scan.constant),
    )


def audit_duplicates(scanned: Sequence[ScannedDataset], findings: Findings) -> None:
    """Report images of equal shape and equal bytes."""
    if scanned:
        images = _AllImages(scanned)
        _report(images, images.equal_groups(), _EQUAL, findings)


def audit_near_duplicates(
    scanned: Sequence[ScannedDataset], findings: Findings, progress: Progress | None = None
) -> None:
    """Report images that look alike but are not equal."""
    if not scanned:
        return
    images = _AllImages(scanned)
    places = images.distinct()
    step = None if progress is None else partial(progress, "near duplicates")
    fingerprints = Fingerprints.concatenate([entry.scan.fingerprints for entry in scanned])
    groups = near_duplicate_groups(fingerprints[places], step)
    _report(images, [places[group] for group in groups], _SIMILAR, findings)


def _report(images: _AllImages, groups: Sequence[Indices], kind: str, findings: Findings) -> None:
    """Count each group once for every dataset, and every pair of datasets, that it touches."""
    cases: defaultdict[_Case, list[Indices]] = defaultdict(list)
    for group in groups:
        owners = images.owner[group]
        parts = {owner: group[owners == owner] for owner in np.unique(owners).tolist()}
        for owner, part in parts.items():
            if len(part) > 1:
                rows, splits = images.row[part], images.split[part]
                for case in _cases_inside(images.datasets[owner], rows, splits, kind):
                    cases[case].append(part)
        for one, other in combinations(parts, 2):
            case = _case_between(images.datasets[one], images.datasets[other], kind)
            cases[case].append(np.concatenate([parts[one], parts[other]]))
    for (severity, code, dataset, message, field), members in cases.items():
        examples = [images.describe(group) for group in members[:SHOWN]]
        findings.add(
            severity,
            code,
            dataset,
            message,
            file=_FILE,
            field=field,
            count=len(members),
            examples=examples,
        )


def _cases_inside(
    dataset: AuditedDataset, rows: Indices, splits: NDArray[np.int8], kind: str
) -> Iterator[_Case]:
    """Yield what is wrong with equal or similar images of one dataset."""
    name, sets = dataset.name, _SETS[kind]
    if len(np.unique(splits[splits >= 0])) > 1:
        message = f"{sets} in more than one split"
        yield _Case(Severity.WARNING, f"{kind}-across-splits", name, message)
    else:
        severity = Severity.WARNING if kind == _EQUAL else Severity.NOTE
        yield _Case(severity, f"{kind}-within-split", name, f"{sets} within a split")
    if kind != _EQUAL:
        return
    for task, labels in dataset.labels.items():
        if _contradict(labels[rows], dataset.info.task(task).missing_label):
            message = f"{sets} with different labels"
            yield _Case(Severity.WARNING, f"{kind}-other-label", name, message, task)
            # One task is enough to show that the labels of these images contradict each other.
            return


def _contradict(labels: NDArray[Any], missing_label: int | None) -> bool:
    """Whether images have several labels; an unknown one contradicts none."""
    columns = labels.reshape(len(labels), -1).T
    return any(len(np.unique(column[column != missing_label])) > 1 for column in columns)


def _case_between(one: AuditedDataset, other: AuditedDataset, kind: str) -> _Case:
    """Return what is wrong with equal or similar images of two datasets."""
    shared = f"{_SETS[kind]} in both {one.name!r} and {other.name!r}"
    if left_out_together(one, other):
        severity = Severity.NOTE
        message = (
            f"{shared}, which list each other as overlapping: neither is a source for the other"
        )
    else:
        severity = Severity.WARNING
        message = (
            f"{shared}: if one is the target, the other still shows its images. List them as"
            " overlapping"
        )
    return _Case(severity, f"{kind}-across-datasets", one.name, message, other.name)
