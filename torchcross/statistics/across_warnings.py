"""What a comparison across targets left out, what it cannot show, and what is not independent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from torchcross._kit.counts import count_text
from torchcross.records.published_means import Means
from torchcross.statistics.over_targets import FEWEST_OF_INTERVAL
from torchcross.statistics.power import smallest_wilcoxon_p, targets_needed

FEWEST_TARGETS: Final = 6
"""With five targets the smallest two-sided exact p of Wilcoxon's test is 2 / 2^5 = .0625."""


def left_out(all_means: Means, means: Means) -> Iterator[str]:
    """Algorithms with too few means, and targets on which another one is missing."""
    for name, column in zip(all_means.algorithms, all_means.values.T, strict=True):
        if name not in means.algorithms:
            known = np.count_nonzero(~np.isnan(column))
            yield f"{name} is left out: it has a mean of {known} of {len(column)} targets"
    for target, row in zip(means.targets, means.values, strict=True):
        missing = [means.algorithms[place] for place in np.flatnonzero(np.isnan(row)).tolist()]
        if missing:
            yield f"{target} is left out: it has no mean of {', '.join(missing)}"


def few_targets_warning(targets: int) -> Iterator[str]:
    if targets < FEWEST_TARGETS:
        smallest = f"{smallest_wilcoxon_p(targets):.4g}" if targets else "none"
        yield (
            f"fewer than six targets ({targets}): no two-sided exact Wilcoxon test can reach .05"
            f" (its smallest p is {smallest}), and no critical-difference diagram is drawn"
        )


def power_warning(targets: int, pairs: int, level: float) -> Iterator[str]:
    """What so few targets cannot show, whatever the algorithms are."""
    smallest_corrected = smallest_wilcoxon_p(targets, pairs)
    if targets and smallest_corrected > 1 - level:
        tests = f"Holm's method over {pairs} pairs" if pairs > 1 else "one pair"
        # A product above 1 is a p of 1.
        product = f" ({pairs} x 2^{1 - targets})" if smallest_corrected < 1 else ""
        yield (
            f"no pair can be separated at {_level_text(level)} by Wilcoxon's test, however large"
            f" the difference: with {count_text(targets, 'targets')} and {tests} the smallest p is"
            f" {smallest_corrected:.4g}{product}; {targets_needed(pairs, level)} targets would be"
            " needed"
        )


def interval_warning(targets: int) -> Iterator[str]:
    """Why a difference over targets has no interval, where it has none."""
    if 0 < targets < FEWEST_OF_INTERVAL:
        yield (
            f"no interval of a difference is given over {count_text(targets, 'targets')}: the"
            f" spread over targets needs {FEWEST_OF_INTERVAL} of them"
        )


def _level_text(level: float) -> str:
    return f"{100 * (1 - level):.4g} %"


def related_warnings(used: Sequence[str], related: Sequence[set[str]]) -> Iterator[str]:
    for group in related:
        if len(shared := [name for name in used if name in group]) > 1:
            yield (
                f"{', '.join(shared)} share subjects: they are not independent, and p values are"
                " too small"
            )
