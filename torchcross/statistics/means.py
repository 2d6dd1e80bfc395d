"""A table of means from records: the mean of each algorithm on each target."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from torchcross.errors import InputError
from torchcross.records.published_means import Means
from torchcross.records.records import Records
from torchcross.records.shots import shots_text
from torchcross.statistics.common_episodes import common_episodes, scores_of
from torchcross.statistics.failures import count_failures, reasons_of
from torchcross.statistics.within_target import check_rows


def means_of(
    records: Records, metric: str, shots: int, *, chance: Mapping[str, float] | None = None
) -> Means:
    """The means of one metric at one number of shots.

    They are over training seeds and the same episodes of a target, with failures counted as in
    `within_target`; `chance` is that of each target. Failures and undefined values are counted in
    `notes`. A mean of nothing is NaN, and so is that of an algorithm which has too few episodes in
    common with the others.

    >>> from torchcross.records import EpisodeRecord, Records
    >>> from torchcross.statistics import means_of
    >>> row = EpisodeRecord("r", "ink/shape", "ink", "ncm", 5, 0, 0, "auroc", 0.75)
    >>> means_of(Records.of([row]), "auroc", 5).values
    array([[0.75]])
    """
    records = records.where(metric=metric, shots=shots)
    if not len(records):
        raise InputError(
            f"there are no records of {metric!r} at {shots_text(shots)}; see"
            " records.unique('shots')"
        )
    targets, algorithms = records.unique("target"), records.unique("algorithm")
    levels = chance or {}
    table, notes = np.full((len(targets), len(algorithms)), math.nan), []
    for row, target in zip(table, targets, strict=True):
        of_target = records.where(target=target)
        check_rows(of_target, f"metric {metric!r} at {shots_text(shots)} of {target!r}")
        scores = scores_of(of_target)
        failures = count_failures(scores, reasons_of(of_target), metric, levels.get(target))
        common = common_episodes(failures.scores)
        for algorithm, rows in scores.items():
            values = [value for values in rows.values() for value in values.values()]
            failed = failures.counts[algorithm]
            undefined = sum(map(math.isnan, values)) - failed
            if algorithm in common.aside:
                notes.append(
                    f"{algorithm} on {target}: not compared, it scored {common.count(algorithm)} of"
                    f" {common.scored} values"
                )
                continue
            if not common.is_empty:
                defined = [v for seed in common.scores[algorithm].values() for v in seed.values()]
                row[algorithms.index(algorithm)] = math.fsum(defined) / len(defined)
            if failed:
                notes.append(
                    f"{algorithm} on {target}: {failed} of {len(values)} values failed, each counts"
                    f" as {failures.name}"
                )
            if undefined:
                notes.append(
                    f"{algorithm} on {target}: {undefined} of {len(values)} values undefined,"
                    " left out"
                )
        if common.is_empty and common.scored:
            notes.append(
                f"{target}: the algorithms have no episode in common, so there are no means to"
                " compare"
            )
    columns = records.columns
    domains = dict(zip(columns["target"].tolist(), columns["domain"].tolist(), strict=True))
    return Means(
        table,
        algorithms,
        targets,
        domains=[domains[name] for name in targets],
        metric=metric,
        notes=notes,
    )
