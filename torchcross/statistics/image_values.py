"""The share of a class in one set of images, such as a test split, as values of single images.

The values have the share as their mean, and the spread that it has over images to first order: for
an AUROC they are DeLong's components (DeLong, DeLong and Clarke-Pearson 1988), and over subjects
their sums (Obuchowski 1997).
"""

from __future__ import annotations

import numpy as np

from torchcross._kit.arrays import Indices
from torchcross._kit.missing_labels import MISSING
from torchcross.statistics.image_shares import AUROC, Floats, Mask, QueryImages


def image_values(table: QueryImages, measure: str, column: int, chosen: Mask) -> Floats:
    """One value for each subject, or image where subjects are not known, of a table of one episode.

    The first is that of the smallest number.
    """
    truth = table.truth[:, column]
    rows = np.flatnonzero(chosen & (truth != MISSING))
    if measure == AUROC:
        parts, share = _components(table.scores[rows, column], truth[rows] == 1)
    else:
        hits, trials = table.row_shares(measure, column)
        share = float((hits * trials)[rows].sum() / trials[rows].sum())
        parts = (hits[rows] - share) * trials[rows] / trials[rows].sum()
    _, clusters = np.unique(_clusters(table)[rows], return_inverse=True)
    sums = np.bincount(clusters, weights=parts)
    return np.asarray(share + len(sums) * sums, dtype=np.float64)


def _clusters(table: QueryImages) -> Indices:
    return table.images if table.subjects is None else table.subjects


def _components(scores: Floats, positive: Mask) -> tuple[Floats, float]:
    """(what each image adds to AUROC - its expectation, the AUROC)."""
    with_class, without = np.sort(scores[positive]), np.sort(scores[~positive])
    parts = np.empty(len(scores))
    parts[positive] = _share_below(without, scores[positive])
    parts[~positive] = 1 - _share_below(with_class, scores[~positive])
    share = float(parts[positive].mean())
    parts -= share
    parts[positive] /= len(with_class)
    parts[~positive] /= len(without)
    return parts, share


def _share_below(others: Floats, scores: Floats) -> Floats:
    """The share of the sorted others below each score; ties count half."""
    below = np.searchsorted(others, scores, side="left")
    not_above = np.searchsorted(others, scores, side="right")
    shares: Floats = (below + not_above) / (2 * len(others))
    return shares
