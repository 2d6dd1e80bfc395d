"""Leave one domain out: which datasets may be sources for a target, and why the others may not."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from medimeta_adapter.format.dataset import MedIMetaDataset, Split
from medimeta_adapter.format.frozen import FrozenMapping
from medimeta_adapter.format.source import MedIMetaSource
from medimeta_adapter.format.tensors import Channels, PixelType
from torchcross._kit.randomness import Stream, permutation
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError, OverlapWarning

__all__ = [
    "By",
    "Fold",
    "LeaveOut",
    "Role",
    "SourceOptions",
    "Verdict",
    "domain_folds",
    "leave_one_domain_out",
    "source_ids",
    "verdicts",
    "why",
]

Datasets = Mapping[str, MedIMetaDataset]
By = Literal["dataset", "domain"]
_KINDS = {"domain_overlaps": "its domain", "subject_overlaps": "subjects"}


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


@dataclass(frozen=True)
class LeaveOut:
    """Unpacks to (sources, target). `why` says of every dataset what it is here and for what
    reason.
    """

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


@dataclass(frozen=True)
class Fold:
    """Datasets to train on and datasets to test on, by id; nothing overlaps across."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    domains: tuple[str, ...]


@dataclass(frozen=True)
class SourceOptions:
    """What every source of a study is made with."""

    original_splits: bool = False
    groups: str | None = "auto"
    channels: Channels | None = None
    pixels: PixelType = "uint8"

    def source(self, dataset: MedIMetaDataset, task: str | None, split: Split) -> MedIMetaSource:
        return dataset.source(
            task,
            split=split,
            original_splits=self.original_splits,
            groups=self.groups,
            channels=self.channels,
            pixels=self.pixels,
        )


def leave_one_domain_out(
    datasets: Datasets,
    target: str,
    task: str | None = None,
    *,
    all_tasks: bool = False,
    split: Split = None,
    target_split: Split = None,
    by: By = "dataset",
    options: SourceOptions | None = None,
) -> LeaveOut:
    """See `MedIMeta.leave_one_domain_out`."""
    options = SourceOptions() if options is None else options
    left_out = targets_of(datasets, target, by)
    if by == "domain" and task is not None:
        raise InputError(
            f"by='domain' got task={task!r}; a domain's targets are primary tasks, or all with"
            " all_tasks=True"
        )
    warn_of_one_sided(datasets)
    found = verdicts(datasets, left_out, by)
    reasons = {name: str(verdict) for name, verdict in found.items()}
    kept = [datasets[name] for name, verdict in found.items() if verdict.role is Role.SOURCE]
    if not kept:
        raise InputError(
            f"no source is left for {target!r}: "
            + "; ".join(f"{k}: {v}" for k, v in reasons.items())
        )
    sources = tuple(
        options.source(dataset, entry.name, split)
        for dataset in kept
        for entry in _tasks(dataset, all_tasks)
    )
    if by == "domain":
        aimed = [
            (datasets[name], entry.name)
            for name in left_out
            for entry in _tasks(datasets[name], all_tasks)
        ]
    else:
        aimed = [
            (datasets[target], datasets[target].info.primary_task.name if task is None else task)
        ]
    targets = tuple(options.source(dataset, entry, target_split) for dataset, entry in aimed)
    return LeaveOut(sources, targets, FrozenMapping(reasons), by)


def _tasks(dataset: MedIMetaDataset, all_tasks: bool) -> Iterable[Any]:
    return dataset.info.tasks if all_tasks else dataset.info.tasks[:1]


def targets_of(datasets: Datasets, target: str, by: By) -> tuple[str, ...]:
    """The ids of the datasets that a target's name stands for."""
    if by not in ("dataset", "domain"):
        raise InputError(
            f"by={by!r}; leave out by 'dataset' (an id) or by 'domain' (a domain's name)"
        )
    domains = list(dict.fromkeys(dataset.info.domain for dataset in datasets.values()))
    known = list(datasets) if by == "dataset" else domains
    if target not in known:
        raise InputError(f"there is no {by} {target!r} to leave out; {suggest(target, known)}")
    if by == "dataset":
        return (target,)
    return tuple(name for name, dataset in datasets.items() if dataset.info.domain == target)


def source_ids(datasets: Datasets, targets: Iterable[str], by: By = "dataset") -> tuple[str, ...]:
    """The datasets that may be sources for these targets."""
    found = verdicts(datasets, tuple(targets), by)
    return tuple(name for name, verdict in found.items() if verdict.role is Role.SOURCE)


def why(datasets: Datasets, targets: tuple[str, ...], by: By = "dataset") -> dict[str, str]:
    """What every dataset is for these targets, and why, in words."""
    return {name: str(verdict) for name, verdict in verdicts(datasets, targets, by).items()}


def verdicts(
    datasets: Datasets, targets: tuple[str, ...], by: By = "dataset"
) -> dict[str, Verdict]:
    """What every dataset is for these targets, and why."""
    domains = {datasets[name].info.domain for name in targets}
    found = {}
    for name, dataset in datasets.items():
        reasons = [reason for target in targets for reason in _overlaps(dataset, datasets[target])]
        if name in targets:
            found[name] = Verdict(Role.TARGET)
        elif reasons:
            found[name] = Verdict(Role.LEFT_OUT, ", and ".join(reasons))
        elif by == "domain" and dataset.info.domain in domains:
            found[name] = Verdict(Role.LEFT_OUT, f"its domain is {dataset.info.domain!r} too")
        else:
            others = " or ".join(map(repr, targets))
            found[name] = Verdict(
                Role.SOURCE, f"domain {dataset.info.domain!r}, no overlap with {others}"
            )
    return found


def _overlaps(one: MedIMetaDataset, other: MedIMetaDataset) -> Iterator[str]:
    """The overlaps that either of two datasets lists."""
    for kind, shared in _KINDS.items():
        by = [a.id for a, b in ((other, one), (one, other)) if b.id in getattr(a.info, kind)]
        if by and one.id != other.id:
            listed = "both" if len(by) == 2 else f"{by[0]!r} alone"
            yield f"shares {shared} with {other.id!r} ({kind} of {listed})"


def warn_of_one_sided(datasets: Datasets) -> None:
    """One warning that names every overlap listed by one side only."""
    found = [
        f"{name!r} lists {other!r} in its {kind}, {other!r} does not list {name!r}"
        for kind in _KINDS
        for name, dataset in datasets.items()
        for other in getattr(dataset.info, kind)
        if other in datasets and other != name and name not in getattr(datasets[other].info, kind)
    ]
    if found:
        warnings.warn(
            f"overlaps are listed by one side only, and count for both: {'; '.join(found)}; correct"
            " info.yaml",
            OverlapWarning,
            stacklevel=4,
        )


def domain_folds(datasets: Datasets, k: int, seed: int) -> tuple[Fold, ...]:
    """Every dataset is a target once, whole domains at a time; domains that an overlap joins stay
    in one fold.

    Blocks of joined domains, the largest first and equals in an order shuffled by `seed` (raw
    Philox words), go to the fold with the fewest domains so far.
    """
    if (
        isinstance(seed, bool)
        or not isinstance(seed, int)
        or isinstance(k, bool)
        or not isinstance(k, int)
    ):
        raise InputError(f"domain_folds got k={k!r} and seed={seed!r}; give two integers")
    warn_of_one_sided(datasets)
    blocks = _blocks(datasets)
    if not 2 <= k <= len(blocks):
        joined = "; ".join(" + ".join(block) for block in blocks if len(block) > 1)
        raise InputError(
            f"domain_folds got k={k}; there are {len(blocks)} domains or groups of joined ones;"
            f" give 2 to {len(blocks)}" + (f" (joined: {joined})" if joined else "")
        )
    folds: list[list[str]] = [[] for _ in range(k)]
    order = sorted(
        permutation(Stream(seed, "domain folds"), 0, len(blocks)).tolist(),
        key=lambda at: -len(blocks[at]),
    )
    for at in order:
        min(folds, key=len).extend(blocks[at])
    return tuple(_fold(datasets, frozenset(domains)) for domains in folds)


def _fold(datasets: Datasets, held_out: frozenset[str]) -> Fold:
    inside = tuple(name for name, dataset in datasets.items() if dataset.info.domain in held_out)
    return Fold(
        tuple(name for name in datasets if name not in inside), inside, tuple(sorted(held_out))
    )


def _blocks(datasets: Datasets) -> list[tuple[str, ...]]:
    """Domains joined by overlaps, each block sorted, blocks in order of their first name."""
    block_of = {dataset.info.domain: {dataset.info.domain} for dataset in datasets.values()}
    for dataset in datasets.values():
        for other in (
            name for kind in _KINDS for name in getattr(dataset.info, kind) if name in datasets
        ):
            one, two = block_of[dataset.info.domain], block_of[datasets[other].info.domain]
            if one is not two:
                one |= two
                block_of |= dict.fromkeys(two, one)
    return sorted({tuple(sorted(block)) for block in block_of.values()})
