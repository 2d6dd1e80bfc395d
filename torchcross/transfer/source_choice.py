"""Which source a score chooses, how sure that is, and what simple rules would choose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from torchcross.metrics.score import Score
from torchcross.transfer.rankings import static_scores
from torchcross.transfer.source_target import SourceTargetTable, is_self_pair

Floats = NDArray[np.float64]
_LEVEL = 0.95


@final
@dataclass(frozen=True, eq=False)
class ScoreHalves:
    """The scores of all sources on random halves of the target's images.

    values  [h, s] of half h and source s; NaN where a score is undefined

    A half has half of each class, in whole subjects, and no image twice: in a bootstrap sample a
    repeated image would be its own nearest neighbour. Halves spread about as bootstrap samples do.
    """

    sources: tuple[str, ...]
    values: Floats

    def shares_best(self) -> dict[str, float]:
        """In which share of the halves a source has the highest score; ties are divided."""
        if not self.values.size:
            return dict.fromkeys(self.sources, math.nan)
        filled = np.where(np.isnan(self.values), -np.inf, self.values)
        best = (filled == filled.max(axis=1, keepdims=True)) & ~np.isnan(self.values)
        counts = best.sum(axis=1, keepdims=True)
        shares = np.divide(best, counts, out=np.zeros(best.shape), where=counts > 0).mean(axis=0)
        return dict(zip(self.sources, shares.tolist(), strict=True))

    def share_above(self, one: str, other: str) -> float:
        """In which share of the halves one source scores higher than another; ties count half."""
        first, second = (self.values[:, self.sources.index(name)] for name in (one, other))
        both = ~(np.isnan(first) | np.isnan(second))
        if not both.any():
            return math.nan
        above = (first > second) + 0.5 * (first == second)
        return float(above[both].mean())

    def interval(self, source: str, value: float) -> tuple[float, float]:
        """Where the score of a source may lie: its value, with the spread of the halves."""
        numbers = self.values[:, self.sources.index(source)]
        known = numbers[~np.isnan(numbers)]
        if len(known) < 2:
            return math.nan, math.nan
        # Scores depend on the number of images, so halves tell a spread and no level.
        ends = np.quantile(known - known.mean(), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        return value + float(ends[0]), value + float(ends[1])


@final
@dataclass(frozen=True, slots=True)
class ScoreChoice:
    """The source of highest score, and how it stands against the sources of simple rules.

    tied        other sources with the same score: it is the first of them, and no better
    share_best  in which share of the halves it is the best
    above       by the name of a rule: in which share of the halves the choice scores higher than
                that of the rule; NaN where both are the same source
    """

    score: str
    source: str
    tied: tuple[str, ...]
    share_best: float
    above: Mapping[str, float]


def choice_of(
    score: str, values: Mapping[str, Score], halves: ScoreHalves, rules: Mapping[str, str]
) -> ScoreChoice | None:
    """None where no source has a value; `rules` name the source that each rule takes."""
    defined = {name: item.value for name, item in values.items() if item.is_defined}
    if not defined:
        return None
    source = max(defined, key=lambda name: defined[name])
    tied = tuple(
        name for name, value in defined.items() if value == defined[source] and name != source
    )
    above = {
        rule: math.nan if other == source else halves.share_above(source, other)
        for rule, other in rules.items()
        if other in defined
    }
    return ScoreChoice(score, source, tied, halves.shares_best()[source], above)


def largest_of(sizes: Mapping[str, float]) -> tuple[str, ...]:
    """The source that was learned from most images; more than one where they tie."""
    most = max(sizes.values(), default=0)
    return tuple(name for name, size in sizes.items() if size == most)


def static_scores_for(target: str, values: SourceTargetTable) -> dict[str, float]:
    """What the static rule says of each source for a target, by the other targets of a table."""
    others = values.restrict(targets=[name for name in values.targets if name != target])
    column = np.full((len(others.sources), 1), np.nan)
    wider = SourceTargetTable(
        others.sources, (*others.targets, target), np.hstack([others.values, column])
    )
    scores = static_scores(wider).values[:, -1]
    return {
        source: float(score)
        for source, score in zip(wider.sources, scores, strict=True)
        if not is_self_pair(source, target) and not math.isnan(score)
    }
