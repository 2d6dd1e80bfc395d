"""The part of a table of means that algorithms are compared on: every one on every target."""

from __future__ import annotations

import numpy as np

from torchcross.records.published_means import Means


def without_sparse(means: Means) -> Means:
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


def complete_targets(means: Means) -> tuple[str, ...]:
    """The targets that every algorithm has a mean of."""
    is_complete = ~np.isnan(means.values).any(axis=1)
    return tuple(means.targets[place] for place in np.flatnonzero(is_complete).tolist())
