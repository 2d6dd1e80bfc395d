"""Rows of which each is a column of means over targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from torchcross.records import EpisodeRecord, Means, Records

FEW = {"A": [0.7, 0.71, 0.72, 0.7], "B": [0.6, 0.6, 0.61, 0.6], "C": [0.5, 0.5, 0.51, 0.52]}


def means(columns: Mapping[str, Sequence[float]], order: Sequence[str] = ()) -> Means:
    names = list(order) or list(columns)
    table = np.column_stack([columns[name] for name in names])
    return Means(table, names, [f"t{place}" for place in range(len(table))], metric="auroc")


def scored(
    columns: Mapping[str, Sequence[float]],
    metric: str = "auroc",
    shots: Sequence[int] = (5,),
    spread: float = 0.02,
) -> Records:
    """Four episodes of each cell, as far above its mean as below."""
    return Records.of(
        EpisodeRecord("run", f"d/t{place}", "d", name, k, 0, episode, metric, mean + sign * spread)
        for k in shots
        for name, row in columns.items()
        for place, mean in enumerate(row)
        for episode, sign in enumerate((-1, 1, -1, 1))
    )
