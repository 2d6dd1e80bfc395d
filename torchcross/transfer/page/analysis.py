"""What a page says of a study: intervals, ranks, rankings and correlations, computed once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from torchcross.statistics import Interval, mean_interval
from torchcross.transfer.page.contents import StudyContents
from torchcross.transfer.rankings import Correlation, Judgement, correlations, judge_scores
from torchcross.transfer.results import SELF
from torchcross.transfer.source_target import SourceTargetTable

Floats = NDArray[np.float64]
Pair = tuple[str, str]
_FEWEST_SOURCES = 3
_PERMUTATIONS = 20_000
_FEWEST_VALUES = 3


@final
@dataclass(frozen=True, eq=False)
class StudyAnalysis:
    """The numbers of a page."""

    contents: StudyContents

    @cached_property
    def matrix(self) -> SourceTargetTable:
        return self.contents.results.matrix()

    @cached_property
    def values(self) -> dict[Pair, Interval]:
        """The mean value of each pair that is whole, with its interval over folds."""
        return self._intervals(self.contents.results.values)

    @cached_property
    def gains(self) -> dict[Pair, Interval]:
        """The gain over the baseline, as a share of it; empty where there is no baseline."""
        baseline = self.contents.baseline
        if not baseline:
            return {}
        return self._intervals(self.contents.results.gains(baseline))

    @cached_property
    def differences(self) -> dict[Pair, Interval]:
        """The gain over the baseline in the unit of the metric."""
        baseline = self.contents.baseline
        if not baseline:
            return {}
        return self._intervals(self.contents.results.gains(baseline, measure="difference"))

    @cached_property
    def heights(self) -> dict[Pair, Interval]:
        """What plots show on the vertical axis: the gain in percent, or the value."""
        if not self.contents.baseline:
            return self.values
        return {pair: _scale(interval, 100) for pair, interval in self.gains.items()}

    @cached_property
    def outcome(self) -> SourceTargetTable:
        """What scores and distances are correlated with: gains, or values without a baseline."""
        results, baseline = self.contents.results, self.contents.baseline
        if not baseline:
            return self.matrix
        gains = results.transferability(baseline)
        if baseline == SELF:
            return gains
        return gains.restrict([source for source in results.sources if source != baseline])

    @cached_property
    def rank_shares(self) -> dict[Pair, float]:
        """0 for the best source of a target, 1 for the last; self-pairs have none."""
        shares: dict[Pair, float] = {}
        table = self.matrix.without_self_pairs()
        for column, target in enumerate(table.targets):
            numbers = table.values[:, column]
            known = np.flatnonzero(~np.isnan(numbers))
            for row in known:
                above = int((numbers[known] > numbers[row]).sum())
                equal = int((numbers[known] == numbers[row]).sum()) - 1
                if len(known) > 1:
                    share = (above + equal / 2) / (len(known) - 1)
                    shares[table.sources[row], target] = share
        return shares

    @cached_property
    def score_tables(self) -> Mapping[str, SourceTargetTable]:
        """Scores, and distances with the other sign: the larger, the better."""
        closeness = {name: item.mean.negative() for name, item in self.contents.distances.items()}
        return {**self.contents.scores, **closeness}

    @cached_property
    def judgement(self) -> Judgement | None:
        """None where there is nothing to judge: no score, or fewer than three sources."""
        if not self.score_tables or len(self.matrix.sources) < _FEWEST_SOURCES:
            return None
        contents = self.contents
        return judge_scores(
            self.score_tables, self.matrix, sizes=contents.sizes, largest=contents.largest
        )

    @cached_property
    def correlations(self) -> list[tuple[str, Correlation]]:
        """Of each distance and score with the outcome; with self-pairs too where there are some."""
        tables = {
            **{name: item.mean for name, item in self.contents.distances.items()},
            **self.contents.scores,
        }
        choices = [False, True] if self.has_self_pairs else [False]
        return [
            (name, correlation)
            for name, table in tables.items()
            for self_pairs in choices
            for correlation in correlations(
                self.outcome, table, self_pairs=self_pairs, permutations=_PERMUTATIONS
            )
        ]

    @property
    def has_self_pairs(self) -> bool:
        return self.matrix.without_self_pairs().missing != self.matrix.missing

    def _intervals(self, values: Floats) -> dict[Pair, Interval]:
        """Over folds, of the mean over training seeds; pairs with a missing cell have none."""
        results = self.contents.results
        intervals = {}
        for row, source in enumerate(results.sources):
            for column, target in enumerate(results.targets):
                folds = values[row, column].mean(axis=1)
                if not np.isnan(folds).any():
                    intervals[source, target] = mean_interval(folds)
        return intervals


def _scale(interval: Interval, factor: float) -> Interval:
    return Interval(
        factor * interval.mean,
        factor * interval.low,
        factor * interval.high,
        interval.n,
        interval.method,
        interval.level,
    )


def number_text(value: float, digits: int = 3, missing: str = "—") -> str:
    """A number with a real minus sign; `missing` for NaN."""
    if math.isnan(value):
        return missing
    return f"{without_sign_of_zero(value, digits):.{digits}f}".replace("-", "\N{MINUS SIGN}")


def interval_text(
    interval: Interval, digits: int = 3, sign: str = "", fewest: int = _FEWEST_VALUES
) -> str:
    """The mean and half of its interval, where it says something."""
    if math.isnan(interval.mean):
        return "—"
    text = f"{without_sign_of_zero(interval.mean, digits):{sign}.{digits}f}"
    if not any(map(math.isnan, interval_ends(interval, fewest))):
        text += f" ± {interval.half:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def interval_ends(interval: Interval, fewest: int = _FEWEST_VALUES) -> tuple[float, float]:
    """NaN for the interval of two values, which is a dozen times as wide as they are apart."""
    if interval.n < fewest:
        return math.nan, math.nan
    return interval.low, interval.high


def without_sign_of_zero(value: float, digits: int) -> float:
    """The rounded value; what rounds to zero has no sign."""
    return round(value, digits) + 0.0


def p_text(value: float) -> str:
    if math.isnan(value):
        return "—"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
