"""Across targets: ranks, the tests of Friedman, Nemenyi and Wilcoxon, and warnings about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross.errors import InputError
from torchcross.metrics.reference_values import lower_is_better as metric_is_lower
from torchcross.records.published_means import Means
from torchcross.statistics.across_result import Across, TargetPair
from torchcross.statistics.across_warnings import (
    FEWEST_TARGETS,
    few_targets_warning,
    interval_warning,
    left_out,
    power_warning,
    related_warnings,
)
from torchcross.statistics.bounds import Bounds, bounds_of
from torchcross.statistics.complete_tables import complete_targets, without_sparse
from torchcross.statistics.equivalence import check_margin, equivalence
from torchcross.statistics.grade_scales import scale_problem
from torchcross.statistics.intervals import check_level
from torchcross.statistics.over_targets import difference_over_targets
from torchcross.statistics.pairs import holm, without_rounding
from torchcross.statistics.ranks import (
    critical_difference,
    friedman,
    groups_within,
    ranks_of,
)
from torchcross.statistics.signed_ranks import wilcoxon


def across_targets(
    table: Means | ArrayLike,
    names: Sequence[str] | None = None,
    *,
    targets: Sequence[str] | None = None,
    lower_is_better: bool | None = None,
    related: Iterable[Collection[str]] = (),
    level: float = 0.95,
    margin: float | None = None,
    scales: Mapping[str, str] | None = None,
) -> Across:
    """Compare algorithms over targets.

    The table is `Means`, or targets x algorithms with the algorithms' `names`. An algorithm without
    a mean of more than half of the targets is left out. Then every target with a mean missing is
    left out. Each has a warning. `related` are sets of targets that share subjects.
    `lower_is_better` is known from the table's metric unless given.

    With a `margin`, in the unit of the table, every pair has its `equivalence`. A metric in grades
    ("mae") is averaged, and its differences are tested, where all targets have the same grades:
    `scales` has the grades of each target as any text.
    """
    check_level(level)
    if margin is not None:
        check_margin(margin)
    all_means = _as_means(table, names, targets)
    means = without_sparse(all_means)
    k = len(means.algorithms)
    if k < 2:
        raise InputError(
            f"a comparison needs two algorithms; the table has {list(means.algorithms)}"
        )
    is_complete = ~np.isnan(means.values).any(axis=1)
    values = means.values[is_complete]
    used = complete_targets(means)
    if lower_is_better is None:
        lower_is_better = metric_is_lower(means.metric)
    ranks = ranks_of(values, lower_is_better=lower_is_better)
    mean_ranks = _column_means(ranks)
    cd = critical_difference(k, len(used), level)
    has_diagram = len(used) >= FEWEST_TARGETS
    not_averaged = scale_problem(means.metric, used, scales or {})
    comparable = np.full_like(values, np.nan) if not_averaged else values
    pairs = _pairs(comparable, means.algorithms, level, margin, bounds_of(means.metric))
    warnings = [
        *left_out(all_means, means),
        *_limits(len(used), len(pairs), level, not_averaged),
        *related_warnings(used, [set(group) for group in related]),
        *means.notes,
    ]
    groups = groups_within(mean_ranks, cd) if has_diagram else ()
    return Across(
        algorithms=means.algorithms,
        targets=used,
        metric=means.metric,
        means=tuple(_column_means(comparable).tolist()),
        ranks=tuple(mean_ranks.tolist()),
        friedman=friedman(ranks),
        untied=friedman(ranks, tied=False),
        cd=cd,
        groups=tuple(tuple(means.algorithms[place] for place in group) for group in groups),
        pairs=pairs,
        level=level,
        diagram=has_diagram,
        warnings=tuple(warnings),
        not_averaged=not_averaged,
        margin=margin,
        lower_is_better=lower_is_better,
    )


def _limits(targets: int, pairs: int, level: float, not_averaged: str) -> Iterator[str]:
    """What the tests cannot show, and what is not tested."""
    yield from few_targets_warning(targets)
    if not_averaged:
        yield not_averaged
    else:
        yield from power_warning(targets, pairs, level)
        yield from interval_warning(targets)


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


def _pairs(
    values: NDArray[np.float64],
    names: Sequence[str],
    level: float,
    margin: float | None,
    bounds: Bounds | None,
) -> tuple[TargetPair, ...]:
    columns = dict(zip(names, values.T, strict=True))
    pairs = list(combinations(names, 2))
    differences = [
        without_rounding(columns[first] - columns[second], columns[first], columns[second])
        for first, second in pairs
    ]
    tests = list(map(wilcoxon, differences))
    adjusted = holm([test.p for test in tests]).tolist()
    return tuple(
        TargetPair(
            first,
            second,
            difference_over_targets(columns[first], columns[second], level, bounds),
            test,
            p,
            None if margin is None else equivalence(difference, margin),
        )
        for (first, second), difference, test, p in zip(
            pairs, differences, tests, adjusted, strict=True
        )
    )
