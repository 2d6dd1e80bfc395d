"""k-fold over domains: whole domains at a time, and what overlaps stays in one fold."""

from __future__ import annotations

from dataclasses import dataclass

from medimeta_adapter.leave_out.domains import OVERLAP_FIELDS, Datasets
from torchcross._kit.randomness import Stream, permutation
from torchcross.errors import InputError


@dataclass(frozen=True)
class Fold:
    """Datasets to train on and datasets to test on, by id; nothing overlaps across."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    domains: tuple[str, ...]


def domain_folds(datasets: Datasets, k: int, seed: int) -> tuple[Fold, ...]:
    """Return folds in which every dataset is a target once.

    Blocks of domains that overlaps join, the largest first and equals in an order shuffled by
    `seed` (raw Philox words), go to the fold with the fewest domains so far.
    """
    if any(isinstance(value, bool) or not isinstance(value, int) for value in (k, seed)):
        raise InputError(f"domain_folds got k={k!r} and seed={seed!r}; give two integers")
    blocks = _blocks(datasets)
    if not 2 <= k <= len(blocks):
        joined = "; ".join(" + ".join(block) for block in blocks if len(block) > 1)
        raise InputError(
            f"domain_folds got k={k}; there are {len(blocks)} domains or groups of joined ones;"
            f" give 2 to {len(blocks)}" + (f" (joined: {joined})" if joined else "")
        )
    folds: list[list[str]] = [[] for _ in range(k)]
    order = permutation(Stream(seed, "domain folds"), 0, len(blocks)).tolist()
    for block in sorted(order, key=lambda block: -len(blocks[block])):
        min(folds, key=len).extend(blocks[block])
    return tuple(_fold(datasets, domains) for domains in folds)


def _fold(datasets: Datasets, domains: list[str]) -> Fold:
    targets = tuple(name for name, dataset in datasets.items() if dataset.info.domain in domains)
    sources = tuple(name for name in datasets if name not in targets)
    return Fold(sources, targets, tuple(sorted(domains)))


def _blocks(datasets: Datasets) -> list[tuple[str, ...]]:
    """Return domains joined by overlaps, each block sorted, blocks in order of their first name."""
    block_of = {dataset.info.domain: {dataset.info.domain} for dataset in datasets.values()}
    for dataset in datasets.values():
        overlaps = [name for kind in OVERLAP_FIELDS for name in getattr(dataset.info, kind)]
        for other in filter(datasets.__contains__, overlaps):
            one, two = block_of[dataset.info.domain], block_of[datasets[other].info.domain]
            if one is not two:
                one |= two
                block_of |= dict.fromkeys(two, one)
    return sorted({tuple(sorted(block)) for block in block_of.values()})
