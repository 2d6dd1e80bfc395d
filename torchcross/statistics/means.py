"""A table of means from records: the mean of each algorithm on each target."""

from __future__ import annotations

import math

import numpy as np

from torchcross.errors import InputError
from torchcross.records.published_means import Means
from torchcross.records.records import Records
from torchcross.statistics.common_episodes import common_episodes, scores_of
from torchcross.statistics.within_target import refuse_twins

__all__ = ["means_of"]


def means_of(records: Records, metric: str, shots: int) -> Means:
    """The means of one metric at one number of shots, over training seeds and the episodes that
    every algorithm scored on a target, as `within_target` has them.

    Undefined values are left out and counted in `notes`. A mean of nothing is NaN, and so is
    that of an algorithm which has too few episodes in common with the others.
    """
    chosen = records.where(metric=metric, shots=shots)
    targets, algorithms = chosen.unique("target"), chosen.unique("algorithm")
    table, notes = np.full((len(targets), len(algorithms)), math.nan), []
    if not len(chosen):
        raise InputError(
            f"there are no records of {metric!r} at {shots} shots; see records.unique('shots')"
        )
    for i, target in enumerate(targets):
        here = chosen.where(target=target)
        refuse_twins(here, f"metric {metric!r} at {shots} shots of {target!r}")
        scores = scores_of(here)
        common = common_episodes(scores)
        for algorithm, rows in scores.items():
            values = [value for row in rows.values() for value in row.values()]
            defined = [value for row in common.kept[algorithm].values() for value in row.values()]
            missing = sum(map(math.isnan, values))
            if algorithm in common.aside:
                notes.append(
                    f"{algorithm} on {target}: not compared, it scored {len(defined)} of"
                    f" {common.scored} values"
                )
            elif not common.nothing:
                table[i, algorithms.index(algorithm)] = math.fsum(defined) / len(defined)
            if missing and algorithm not in common.aside:
                notes.append(
                    f"{algorithm} on {target}: {missing} of {len(values)} values undefined,"
                    " left out"
                )
        if common.nothing and common.scored:
            notes.append(
                f"{target}: the algorithms have no episode in common, and no means to compare"
            )
    named = dict(
        zip(chosen.columns["target"].tolist(), chosen.columns["domain"].tolist(), strict=True)
    )
    return Means(
        table,
        algorithms,
        targets,
        domains=[named[name] for name in targets],
        metric=metric,
        notes=notes,
    )
