"""Across targets: ranks, the tests of Friedman, Nemenyi and Wilcoxon, and warnings about them."""

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
    wilcoxon,
    without_rounding,
)
from torchcross.statistics.ranks import (
    Friedman,
    critical_difference,
    friedman,
    groups_within,
    ranks_of,
)
from torchcross.statistics.within_target import lower_is_better as metric_is_lower

FEWEST_TARGETS: Final = 6
"""With five targets the smallest two-sided exact p of Wilcoxon's test is 2 / 2^5 = .0625."""


@final
@dataclass(frozen=True, slots=True)
class TargetPair:
    """`first` minus `second` over targets. `p` is Wilcoxon's, corrected by Holm over all pairs."""

    first: str
    second: str
    difference: Difference
    wilcoxon: Wilcoxon
    p: float


@final
@dataclass(frozen=True)
class Across:
    """The algorithms of a table of means, compared.

    `ranks` are means over the targets used, 1 being the best, in the order of `algorithms`.
    `untied` is Friedman's test without the correction for ties. `groups` are sets that Nemenyi's
    `cd` does not separate. `diagram` is False where there are too few targets for a
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
        ranks = ", ".join(f"{name} {rank:.3f}" for rank, name, _ in self._ranking())
        title = f"{len(self.targets)} targets: {ranks}"
        return "\n".join([title, self._friedman_line(), *self.warnings])

    def _repr_html_(self) -> str:
        rows = [(name, f"{rank:.3f}", f"{mean:.3f}") for rank, name, mean in self._ranking()]
        tests = [
            f"{pair.first} - {pair.second}: {pair.difference.interval}, Wilcoxon W"
            f" {pair.wilcoxon.W:g}, p {pair.p:.2g}"
            for pair in self.pairs
        ]
        return html_table(
            f"{len(self.targets)} targets",
            ("algorithm", "mean rank", "mean"),
            rows,
            [self._friedman_line(), *tests, *self.warnings],
        )

    def _ranking(self) -> list[tuple[float, str, float]]:
        """(mean rank, algorithm, mean), the best first."""
        rows = zip(self.ranks, self.algorithms, self.means, strict=True)
        return sorted(rows, key=lambda row: row[0])

    def _friedman_line(self) -> str:
        test = self.friedman
        return f"Friedman chi2 {test.chi2:.2f}, p {test.p:.2g}; CD {self.cd:.3f}"


def across_targets(
    table: Means | ArrayLike,
    names: Sequence[str] | None = None,
    *,
    targets: Sequence[str] | None = None,
    lower_is_better: bool | None = None,
    related: Iterable[Collection[str]] = (),
    level: float = 0.95,
) -> Across:
    """Compare algorithms over targets.

    The table is `Means`, or targets x algorithms with the algorithms' `names`. An algorithm without
    a mean of more than half of the targets is left out. Then every target with a mean missing is
    left out. Each has a warning. `related` are sets of targets that share subjects.
    `lower_is_better` is known from the table's metric unless given.
    """
    check_level(level)
    all_means = _as_means(table, names, targets)
    means = _without_sparse(all_means)
    k = len(means.algorithms)
    if k < 2:
        raise InputError(
            f"a comparison needs two algorithms; the table has {list(means.algorithms)}"
        )
    is_complete = ~np.isnan(means.values).any(axis=1)
    values = means.values[is_complete]
    used = tuple(means.targets[place] for place in np.flatnonzero(is_complete).tolist())
    if lower_is_better is None:
        lower_is_better = metric_is_lower(means.metric)
    ranks = ranks_of(values, lower_is_better=lower_is_better)
    mean_ranks = _column_means(ranks)
    cd = critical_difference(k, len(used), level)
    has_diagram = len(used) >= FEWEST_TARGETS
    groups = groups_within(mean_ranks, cd) if has_diagram else ()
    return Across(
        algorithms=means.algorithms,
        targets=used,
        metric=means.metric,
        means=tuple(_column_means(values).tolist()),
        ranks=tuple(mean_ranks.tolist()),
        friedman=friedman(ranks),
        untied=friedman(ranks, tied=False),
        cd=cd,
        groups=tuple(tuple(means.algorithms[place] for place in group) for group in groups),
        pairs=_pairs(values, means.algorithms, level),
        level=level,
        diagram=has_diagram,
        warnings=tuple(_warnings(all_means, means, used, [set(group) for group in related])),
    )


def _column_means(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN of no rows, without numpy's warning."""
    return table.mean(axis=0) if len(table) else np.full(table.shape[1], np.nan)


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
    """Without the algorithms that would take more than half of the targets from the others.

    They stay where fewer than two others would be left.
    """
    missing = np.isnan(means.values).sum(axis=0)
    dense = np.flatnonzero(2 * missing <= len(means.targets))
    if not 2 <= len(dense) < len(means.algorithms):
        return means
    return Means(
        means.values[:, dense],
        [means.algorithms[place] for place in dense.tolist()],
        means.targets,
        domains=means.domains,
        metric=means.metric,
        notes=means.notes,
    )


def _pairs(
    values: NDArray[np.float64], names: Sequence[str], level: float
) -> tuple[TargetPair, ...]:
    columns = dict(zip(names, values.T, strict=True))
    pairs = list(combinations(names, 2))
    tests = []
    for first, second in pairs:
        x, y = columns[first], columns[second]
        tests.append(wilcoxon(without_rounding(x - y, x, y)))
    adjusted = holm([test.p for test in tests]).tolist()
    return tuple(
        TargetPair(
            first,
            second,
            paired_difference(columns[first], columns[second], level=level),
            test,
            p,
        )
        for (first, second), test, p in zip(pairs, tests, adjusted, strict=True)
    )


def _warnings(
    all_means: Means, means: Means, used: tuple[str, ...], related: list[set[str]]
) -> Iterator[str]:
    for name, column in zip(all_means.algorithms, all_means.values.T, strict=True):
        if name not in means.algorithms:
            known = np.count_nonzero(~np.isnan(column))
            yield f"{name} is left out: it has a mean of {known} of {len(column)} targets"
    for target, row in zip(means.targets, means.values, strict=True):
        missing = [means.algorithms[place] for place in np.flatnonzero(np.isnan(row)).tolist()]
        if missing:
            yield f"{target} is left out: it has no mean of {', '.join(missing)}"
    if len(used) < FEWEST_TARGETS:
        smallest = f"{2.0 ** (1 - len(used)):.4g}" if used else "none"
        yield (
            f"fewer than six targets ({len(used)}): no two-sided exact Wilcoxon test can reach .05"
            f" (its smallest p is {smallest}), and no critical-difference diagram is drawn"
        )
    for group in related:
        if len(shared := [name for name in used if name in group]) > 1:
            yield (
                f"{', '.join(shared)} share subjects: they are not independent, and p values are"
                " too small"
            )
    yield from means.notes
