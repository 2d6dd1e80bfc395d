"""Leave one domain out: which datasets may be sources for a target, and why the others may not."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from medimeta_adapter.format.dataset import MedIMetaDataset
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError, OverlapWarning

Datasets = Mapping[str, MedIMetaDataset]
By = Literal["dataset", "domain"]
OVERLAP_FIELDS = {"domain_overlaps": "its domain", "subject_overlaps": "subjects"}


class Role(StrEnum):
    """What a dataset is while others are the target."""

    SOURCE = "source"
    TARGET = "target"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Verdict:
    """A role, and the sentence that gives the reason."""

    role: Role
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.role}: {self.reason}" if self.reason else str(self.role)


def target_ids(datasets: Datasets, target: str, by: By) -> tuple[str, ...]:
    """Return the ids of the datasets that a target's name stands for."""
    if by not in ("dataset", "domain"):
        raise InputError(
            f"by={by!r}; leave out by 'dataset' (an id) or by 'domain' (a domain's name)"
        )
    domains = {name: dataset.info.domain for name, dataset in datasets.items()}
    known = list(dict.fromkeys(domains if by == "dataset" else domains.values()))
    if target not in known:
        raise InputError(f"there is no {by} {target!r} to leave out; {suggest(target, known)}")
    if by == "dataset":
        return (target,)
    return tuple(name for name, domain in domains.items() if domain == target)


def source_ids(datasets: Datasets, targets: Iterable[str], by: By = "dataset") -> tuple[str, ...]:
    """Return the datasets that may be sources for these targets."""
    roles = verdicts(datasets, tuple(targets), by)
    return tuple(name for name, verdict in roles.items() if verdict.role is Role.SOURCE)


def why(datasets: Datasets, targets: tuple[str, ...], by: By = "dataset") -> dict[str, str]:
    """Return what every dataset is for these targets, and why, in words."""
    return {name: str(verdict) for name, verdict in verdicts(datasets, targets, by).items()}


def verdicts(
    datasets: Datasets, targets: tuple[str, ...], by: By = "dataset"
) -> dict[str, Verdict]:
    """Return what every dataset is for these targets, and why."""
    domains = {datasets[name].info.domain for name in targets}
    roles = {}
    for name, dataset in datasets.items():
        domain = dataset.info.domain
        reasons = [reason for target in targets for reason in _overlaps(dataset, datasets[target])]
        if name in targets:
            roles[name] = Verdict(Role.TARGET)
        elif reasons:
            roles[name] = Verdict(Role.LEFT_OUT, ", and ".join(reasons))
        elif by == "domain" and domain in domains:
            roles[name] = Verdict(Role.LEFT_OUT, f"its domain is {domain!r} too")
        else:
            others = " or ".join(map(repr, targets))
            roles[name] = Verdict(Role.SOURCE, f"domain {domain!r}, no overlap with {others}")
    return roles


def _overlaps(one: MedIMetaDataset, other: MedIMetaDataset) -> Iterator[str]:
    """Yield the overlaps that either of two datasets lists."""
    for kind, shared in OVERLAP_FIELDS.items():
        by = [a.id for a, b in ((other, one), (one, other)) if b.id in getattr(a.info, kind)]
        if by and one.id != other.id:
            listed = "both" if len(by) == 2 else f"{by[0]!r} alone"
            yield f"shares {shared} with {other.id!r} ({kind} of {listed})"


def warn_of_one_sided_overlaps(datasets: Datasets) -> None:
    """Name every overlap that one side alone lists, in one warning to the caller's caller."""
    sentences = [
        f"{name!r} lists {other!r} in its {kind}, {other!r} does not list {name!r}"
        for kind in OVERLAP_FIELDS
        for name, dataset in datasets.items()
        for other in getattr(dataset.info, kind)
        if other in datasets and other != name and name not in getattr(datasets[other].info, kind)
    ]
    if sentences:
        warnings.warn(
            f"overlaps are listed by one side only, and count for both: {'; '.join(sentences)};"
            " correct info.yaml",
            OverlapWarning,
            stacklevel=3,
        )
