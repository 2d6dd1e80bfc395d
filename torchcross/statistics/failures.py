"""Failures of an algorithm count: an episode that it could not score has the value of chance.

If an algorithm fails where episodes are hard, and its failures are left out, the rest of the
episodes is easier than all of them: its mean rises, and so do the means of its rivals over the
episodes in common. So the means of a comparison are with failures counted, and those over the
common episodes stand beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from torchcross.metrics.reasons import is_failure, is_of_labels
from torchcross.metrics.reference_values import CHANCE, lower_is_better
from torchcross.records.records import Records
from torchcross.statistics.bounds import bounds_of
from torchcross.statistics.common_episodes import Scores

Reasons = Mapping[tuple[str, int, int], str]
"""(algorithm, training seed, episode) -> why the value is undefined."""


@final
@dataclass(frozen=True, slots=True)
class CountedFailures:
    """Scores in which every failure is `value`, and the number of failures of each algorithm.

    `name` says what the value is: "chance level 0.5", or "the worst value 0".
    """

    scores: Mapping[str, Scores]
    counts: Mapping[str, int]
    value: float
    name: str

    def __bool__(self) -> bool:
        """Whether anything failed."""
        return any(self.counts.values())


def reasons_of(records: Records) -> Reasons:
    """The reasons of the undefined values."""
    columns = records.columns
    names = ("algorithm", "seed", "episode", "value", "reason")
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    return {tuple(key): reason for *key, value, reason in rows if math.isnan(value)}


def count_failures(
    scores: Mapping[str, Scores], reasons: Reasons, metric: str, chance: float | None = None
) -> CountedFailures:
    """The scores of algorithms on the same episodes, with the value of a failure in place of NaN.

    A value failed if its reason says so, or if any algorithm scored that episode in any training
    seed: then the metric is defined on it. An episode that nobody could score, since its query
    lacks a class for example, is no failure. A training seed without any score is no matter of
    single episodes, and has nothing to count.
    """
    defined = [
        (episode, value)
        for rows in scores.values()
        for row in rows.values()
        for episode, value in row.items()
        if not math.isnan(value)
    ]
    scorable = {episode for episode, _ in defined}
    value, name = failure_value(metric, (value for _, value in defined), chance)
    counted: dict[str, Scores] = {}
    counts: dict[str, int] = {}
    for algorithm, rows in scores.items():
        failed = {
            seed: _failed_episodes(algorithm, seed, row, reasons, scorable)
            for seed, row in rows.items()
        }
        counts[algorithm] = sum(map(len, failed.values()))
        counted[algorithm] = {
            seed: {**row, **dict.fromkeys(failed[seed], value)} for seed, row in rows.items()
        }
    return CountedFailures(counted, counts, value, name)


def failure_value(
    metric: str, scored: Iterable[float], chance: float | None = None
) -> tuple[float, str]:
    """What a failure counts as, and its name.

    It is the chance level where it is given, or is the same for every target; else the worst value
    of the metric. A metric without bounds, such as an error in grades, has the worst value
    `scored`.
    """
    level = CHANCE.get(metric) if chance is None else chance
    if level is not None:
        return level, f"chance level {level:.4g}"
    if (bounds := bounds_of(metric)) is not None:
        return bounds[0], f"the worst value {bounds[0]:g}"
    worst = max if lower_is_better(metric) else min
    value = worst(scored, default=math.nan)
    return value, f"the worst value scored, {value:.4g}"


def _failed_episodes(
    algorithm: str, seed: int, row: Mapping[int, float], reasons: Reasons, scorable: set[int]
) -> list[int]:
    undefined = [episode for episode, value in row.items() if math.isnan(value)]
    if len(undefined) == len(row):
        return []
    failed = []
    for episode in undefined:
        reason = reasons.get((algorithm, seed, episode), "")
        if is_failure(reason) or (episode in scorable and not is_of_labels(reason)):
            failed.append(episode)
    return failed
