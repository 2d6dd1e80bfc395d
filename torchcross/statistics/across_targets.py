"""Across targets: ranks, Friedman, Nemenyi, pairwise Wilcoxon, and when none of it may be said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross.errors import InputError
from torchcross.records.notebook_tables import html_table
from torchcross.records.published_means import Means
from torchcross.statistics.intervals import check_level
from torchcross.statistics.pairs import (
    Difference,
    Wilcoxon,
    holm,
    paired_difference,
    settled,
    wilcoxon,
)
from torchcross.statistics.ranks import (
    Friedman,
    critical_difference,
    friedman,
    groups_within,
    ranks_of,
)
from torchcross.statistics.within_target import lower_is_better as metric_is_lower

__all__ = ["FEWEST_TARGETS", "Across", "TargetPair", "across_targets"]

FEWEST_TARGETS: Final = 6
"""2 / 2^5 = .0625: with five targets the smallest two-sided exact p of Wilcoxon's test is above
.05.
"""


@final
@dataclass(frozen=True, slots=True)
class TargetPair:
    """`first` minus `second` over targets; `p` is Wilcoxon's, corrected by Holm over all pairs."""

    first: str
    second: str
    difference: Difference
    wilcoxon: Wilcoxon
    p: float


@final
@dataclass(frozen=True)
class Across:
    """What a table of means says of its algorithms.

    `ranks` are means over the targets used, 1 being best, in the order of `algorithms`. `groups`
    are sets that Nemenyi's `cd` does not separate. With `diagram` False there is too little for a
    critical-difference diagram. `warnings` say why, what was left out, and what is not independent.
    """

    algorithms: tuple[str, ...]
    targets: tuple[str, ...]
    metric: str
    means: tuple[float, ...]
    ranks: tuple[float, ...]
    friedman: Friedman
    untied: Friedman
    cd: float
    groups: tuple[tuple[str, ...], ...]
    pairs: tuple[TargetPair, ...]
    level: float
    diagram: bool
    warnings: tuple[str, ...]

    def pair(self, first: str, second: str) -> TargetPair:
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
        raise InputError(
            f"there is no pair ({first!r}, {second!r}); see pairs, each in the order of the table"
        )

    def __str__(self) -> str:
        order = sorted(range(len(self.algorithms)), key=self.ranks.__getitem__)
        ranked = ", ".join(f"{self.algorithms[i]} {self.ranks[i]:.3f}" for i in order)
        test = f"Friedman chi2 {self.friedman.chi2:.2f}, p {self.friedman.p:.2g}; CD {self.cd:.3f}"
        return "\n".join([f"{len(self.targets)} targets: {ranked}", test, *self.warnings])

    def _repr_html_(self) -> str:
        order = sorted(range(len(self.algorithms)), key=self.ranks.__getitem__)
        rows = [(self.algorithms[i], f"{self.ranks[i]:.3f}", f"{self.means[i]:.3f}") for i in order]
        tests = [
            f"{pair.first} - {pair.second}: {pair.difference.interval}, Wilcoxon W"
            f" {pair.wilcoxon.W:g}, p {pair.p:.2g}"
            for pair in self.pairs
        ]
        friedman_line = (
            f"Friedman chi2 {self.friedman.chi2:.2f}, p {self.friedman.p:.2g}; CD {self.cd:.3f}"
        )
        caption = f"{len(self.targets)} targets"
        return html_table(
            caption,
            ("algorithm", "mean rank", "mean"),
            rows,
            [friedman_line, *tests, *self.warnings],
        )


def across_targets(
    table: Means | ArrayLike,
    names: Sequence[str] | None = None,
    *,
    targets: Sequence[str] | None = None,
    lower_is_better: bool | None = None,
    related: Iterable[Collection[str]] = (),
    level: float = 0.95,
) -> Across:
    """Compare algorithms over targets from a table of means: `Means`, or targets x algorithms with
    the algorithms' `names`.

    An algorithm that has no mean of more than half of the targets is left out, and then every
    target with a mean missing, each with a warning. `related` are sets of targets that share
    subjects. `lower_is_better` is read from the table's metric unless given.
    """
    check_level(level)
    given = _as_means(table, names, targets)
    means = _without_sparse(given)
    k = len(means.algorithms)
    if k < 2:
        raise InputError(
            f"a comparison needs two algorithms; the table has {list(means.algorithms)}"
        )
    complete = np.array([not np.isnan(row).any() for row in means.values])
    values = means.values[complete]
    used = tuple(name for name, kept in zip(means.targets, complete.tolist(), strict=True) if kept)
    lower = metric_is_lower(means.metric) if lower_is_better is None else lower_is_better
    ranks = ranks_of(values, lower_is_better=lower)
    mean_ranks = ranks.mean(axis=0) if len(used) else np.full(k, np.nan)
    cd = critical_difference(k, len(used), level)
    diagram = len(used) >= FEWEST_TARGETS
    groups = groups_within(mean_ranks, cd) if diagram else ()
    return Across(
        algorithms=means.algorithms,
        targets=used,
        metric=means.metric,
        means=tuple(values.mean(axis=0).tolist()) if len(used) else (float("nan"),) * k,
        ranks=tuple(mean_ranks.tolist()),
        friedman=friedman(ranks),
        untied=friedman(ranks, tied=False),
        cd=cd,
        groups=tuple(tuple(means.algorithms[one] for one in group) for group in groups),
        pairs=_pairs(values, means.algorithms, level),
        level=level,
        diagram=diagram,
        warnings=tuple(_warnings(given, means, used, [set(one) for one in related])),
    )


def _as_means(
    table: Means | ArrayLike, names: Sequence[str] | None, targets: Sequence[str] | None
) -> Means:
    if isinstance(table, Means):
        if names is not None or targets is not None:
            raise InputError(
                "a table of Means has its own names and targets; leave these arguments out"
            )
        return table
    if names is None:
        raise InputError(
            "a plain table has no names; give across_targets(table, ['one algorithm', 'another'])"
        )
    return Means(table, names, targets)


def _without_sparse(means: Means) -> Means:
    """Without the algorithms that would take more than half of the targets from the others, where
    two are left.
    """
    missing = np.isnan(means.values).sum(axis=0)
    dense = np.flatnonzero(2 * missing <= len(means.targets))
    if not 2 <= len(dense) < len(means.algorithms):
        return means
    names = [means.algorithms[place] for place in dense.tolist()]
    return Means(
        means.values[:, dense],
        names,
        means.targets,
        domains=means.domains,
        metric=means.metric,
        notes=means.notes,
    )


def _pairs(
    values: NDArray[np.float64], names: Sequence[str], level: float
) -> tuple[TargetPair, ...]:
    places = list(combinations(range(len(names)), 2))
    columns = [(values[:, i], values[:, j]) for i, j in places]
    differences = [paired_difference(x, y, level=level) for x, y in columns]
    tests = [wilcoxon(settled(x - y, x, y)) for x, y in columns]
    adjusted = holm([test.p for test in tests]).tolist()
    named = [(names[i], names[j]) for i, j in places]
    return tuple(
        TargetPair(first, second, difference, test, p)
        for (first, second), difference, test, p in zip(
            named, differences, tests, adjusted, strict=True
        )
    )


def _warnings(
    given: Means, means: Means, used: tuple[str, ...], related: list[set[str]]
) -> Iterator[str]:
    for name, column in zip(given.algorithms, given.values.T, strict=True):
        if name not in means.algorithms:
            known = np.count_nonzero(~np.isnan(column))
            yield f"{name} is left out: it has a mean of {known} of {len(given.targets)} targets"
    for target, row in zip(means.targets, means.values, strict=True):
        if missing := [
            name
            for name, value in zip(means.algorithms, row.tolist(), strict=True)
            if np.isnan(value)
        ]:
            yield f"{target} is left out: it has no mean of {', '.join(missing)}"
    if len(used) < FEWEST_TARGETS:
        smallest = f"{2.0 ** (1 - len(used)):.4g}" if used else "none"
        yield (
            f"fewer than six targets ({len(used)}): no two-sided exact Wilcoxon test can reach .05"
            f" (its smallest p is {smallest}), and no critical-difference diagram is drawn"
        )
    for together in related:
        if len(shared := [name for name in used if name in together]) > 1:
            yield (
                f"{', '.join(shared)} share subjects: they are not independent, and p values are"
                " too small"
            )
    yield from means.notes
