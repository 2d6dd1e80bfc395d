"""Rules that need no score of the target: every table of scores is compared with them."""

from __future__ import annotations

import numpy as np

from torchcross.transfer.source_target import SourceTargetTable, position


def static_scores(values: SourceTargetTable) -> SourceTargetTable:
    """The static ranking: the mean standardised value of a source on the other targets.

    A value is standardised over the sources of its target, and pairs of one name do not count.
    """
    other = values.without_self_pairs().values
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = other - np.nanmean(other, axis=0)
        standard = centred / np.nanstd(other, axis=0, ddof=1)
    standard[~np.isfinite(standard)] = np.nan
    scores = np.full(other.shape, np.nan)
    for column in range(other.shape[1]):
        rest = np.delete(standard, column, axis=1)
        known = (~np.isnan(rest)).sum(axis=1)
        sums = np.nansum(rest, axis=1)
        scores[:, column] = np.divide(sums, known, out=np.full(len(sums), np.nan), where=known > 0)
    return SourceTargetTable(values.sources, values.targets, scores)


def always(source: str, values: SourceTargetTable) -> SourceTargetTable:
    """One source for every target, such as the largest: it scores 1 and the others 0."""
    row = position("source", source, values.sources)
    scores = np.zeros(values.values.shape)
    scores[row] = 1
    return SourceTargetTable(values.sources, values.targets, scores)


def at_random(values: SourceTargetTable) -> SourceTargetTable:
    """Equal scores: measures take the mean over the orders of ties."""
    return SourceTargetTable(values.sources, values.targets, np.zeros(values.values.shape))
