"""The order of the algorithms at one number of shots, and what separates each from the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan

import numpy as np

from torchcross.statistics import Across
from torchcross.statistics.across_result import TargetPair
from torchcross.statistics.best_names import names_of_best
from torchcross.statistics.signed_ranks import average_ranks


@dataclass(frozen=True)
class Standing:
    """One algorithm: its mean and mean rank over targets, and its test against the first.

    `is_first`: no mean is better (no mean rank, where there are no means); several may share the
    first place. `low` and `high` bound the first minus this one; `p` is Wilcoxon's after Holm's
    correction. They are NaN of the first, and where there is no test; of several that are first,
    they are those of the one with the largest p. `is_separate`: the test finds it worse than all
    that are first. `is_favoured`: the test finds it better than one of them, which means do not
    show. `is_near`: Nemenyi's test does not separate its rank from the best one.
    """

    name: str
    mean: float
    rank: float
    is_first: bool
    low: float
    high: float
    p: float
    is_separate: bool
    is_favoured: bool
    is_near: bool


def standings(across: Across) -> list[Standing]:
    """Best first: by the mean over targets, or by the mean rank where there is no mean."""
    lower = across.lower_is_better
    means = dict(zip(across.algorithms, across.means, strict=True))
    ranks = dict(zip(across.algorithms, across.ranks, strict=True))
    first = names_of_best(means, lower_is_better=lower)
    first = first or names_of_best(ranks, lower_is_better=True)
    places = dict.fromkeys(across.algorithms, 0.0)
    if all(map(isfinite, across.means)):
        # Means that rounding alone sets apart share a place: their ranks over targets decide.
        signed = np.array(across.means) * (1 if lower else -1)
        places = dict(zip(across.algorithms, average_ranks(signed).tolist(), strict=True))

    def place(name: str) -> tuple[float, float]:
        return places[name], ranks[name]

    best = min((rank for rank in ranks.values() if isfinite(rank)), default=nan)
    return [
        Standing(
            name,
            means[name],
            ranks[name],
            name in first,
            *_against(across, first, name),
            is_near=not across.ranks_differ or ranks[name] - best <= across.cd,
        )
        for name in sorted(across.algorithms, key=place)
    ]


def favours_against_means(across: Across) -> list[tuple[str, str, float]]:
    """(better, first, p): where the test favours an algorithm over one with the best mean."""
    first = {each.name for each in standings(across) if each.is_first}
    favours = []
    for pair in across.pairs:
        better = across.better_by_test(pair)
        worse = pair.second if better == pair.first else pair.first
        if better and worse in first:
            favours.append((better, worse, pair.p))
    return favours


def _against(
    across: Across, first: Sequence[str], name: str
) -> tuple[float, float, float, bool, bool]:
    if name in first:
        return nan, nan, nan, False, False
    pairs = [
        pair
        for pair in across.pairs
        if name in (pair.first, pair.second) and {pair.first, pair.second} & {*first}
    ]
    if not pairs:
        return nan, nan, nan, False, False
    favours = [across.better_by_test(pair) for pair in pairs]
    least = max(pairs, key=lambda pair: pair.p if isfinite(pair.p) else inf)
    low, high = _bounds(least, name)
    is_separate = all(better not in ("", name) for better in favours)
    return low, high, least.p, is_separate, name in favours


def _bounds(pair: TargetPair, name: str) -> tuple[float, float]:
    """Of the other one minus this one."""
    low, high = pair.difference.low, pair.difference.high
    return (low, high) if pair.second == name else (-high, -low)
