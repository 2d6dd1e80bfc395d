"""Records made up for the tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torchcross.records import EpisodeRecord, Records


def record(**fields):
    """Return a record with these fields, the others being something."""
    given = {
        "run": "run",
        "target": "ink/shape",
        "domain": "ink",
        "algorithm": "maml",
        "shots": 5,
        "seed": 0,
        "episode": 0,
        "metric": "auroc",
        "value": 0.5,
        **fields,
    }
    if math.isnan(given["value"]) and "reason" not in fields:
        given["reason"] = "one class only"
    return EpisodeRecord(**given)


def table(
    scores: Mapping[str, Sequence[float] | Mapping[int, Sequence[float]]], **fields
) -> Records:
    """Return records of {algorithm: values by episode} or {algorithm: {seed: values by
    episode}}.
    """
    rows = []
    for algorithm, values in scores.items():
        by_seed = values if isinstance(values, Mapping) else {0: values}
        for seed, row in by_seed.items():
            rows += [
                record(algorithm=algorithm, seed=seed, episode=episode, value=value, **fields)
                for episode, value in enumerate(row)
            ]
    return Records.of(rows)
