"""Rules that need no score of the target: every table of scores is compared with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from torchcross.errors import InputError
from torchcross.transfer.source_target import SourceTargetTable, position


def static_scores(values: SourceTargetTable) -> SourceTargetTable:
    """The static ranking: the mean standardised value of a source on the other targets.

    A value is standardised over the sources of its target, and self-pairs do not count. A
    target whose sources all reached the same, or that has fewer than two of them, tells nothing.
    """
    other = values.without_self_pairs().values
    standard = np.full(other.shape, np.nan)
    for column, numbers in enumerate(other.T):
        known = numbers[~np.isnan(numbers)]
        if len(known) > 1 and np.ptp(known) > 0:
            standard[:, column] = (numbers - known.mean()) / known.std(ddof=1)
    scores = np.full(other.shape, np.nan)
    for column in range(other.shape[1]):
        rest = np.delete(standard, column, axis=1)
        known_counts = (~np.isnan(rest)).sum(axis=1)
        sums = np.nansum(rest, axis=1)
        np.divide(sums, known_counts, out=scores[:, column], where=known_counts > 0)
    return SourceTargetTable(values.sources, values.targets, scores)


def always(source: str, values: SourceTargetTable) -> SourceTargetTable:
    """One source for every target: it scores 1 and the others 0."""
    row = position("source", source, values.sources)
    scores = np.zeros(values.values.shape)
    scores[row] = 1
    return SourceTargetTable(values.sources, values.targets, scores)


def by_size(sizes: Mapping[str, float], values: SourceTargetTable) -> SourceTargetTable:
    """The number of images that a source was learned from, for every target."""
    if missing := [source for source in values.sources if source not in sizes]:
        raise InputError(
            f"sizes have no number of images of {missing}; give one for every source, 0 for a"
            " random start"
        )
    return SourceTargetTable.of_function(
        values.sources, values.targets, lambda source, target: sizes[source]
    )


def at_random(values: SourceTargetTable) -> SourceTargetTable:
    """Equal scores: measures take the mean over the orders of ties."""
    return SourceTargetTable(values.sources, values.targets, np.zeros(values.values.shape))
