"""How well scores rank sources: measures within one target. Higher scores and values are better."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross._kit.argument_checks import as_int
from torchcross._kit.counts import count_text
from torchcross.errors import InputError
from torchcross.metrics.score import Score, undefined_score

Floats = NDArray[np.float64]


def weighted_tau(scores: ArrayLike, values: ArrayLike) -> Score:
    """Kendall's tau that weighs pairs by the ranks of their members (Vigna 2015), scipy's default.

    It is the mean over the ranking by scores and that by values.
    """
    return _correlation("weightedtau", scores, values)


def kendall_tau(scores: ArrayLike, values: ArrayLike) -> Score:
    """Kendall's tau-b."""
    return _correlation("kendalltau", scores, values)


def _correlation(name: str, scores: ArrayLike, values: ArrayLike) -> Score:
    from scipy import stats

    one, other, reason = _pairs(scores, values)
    if reason:
        return undefined_score(reason)
    return Score(float(getattr(stats, name)(one, other).statistic))


def regret(scores: ArrayLike, values: ArrayLike, k: int = 1) -> Score:
    """The best value, less the best among the k sources of highest score.

    Over tied scores it is the mean over their orders.
    """
    return _of_chosen(scores, values, k, lambda best, chosen: best - chosen)


def relative_best(scores: ArrayLike, values: ArrayLike, k: int = 1) -> Score:
    """Rel@k: the best value among the k sources of highest score, divided by the best value.

    A best value of 0 or less has no share.
    """
    best = _pairs(scores, values, constant=True)[1].max(initial=-math.inf)
    if -math.inf < best <= 0:
        return undefined_score(f"the best value is {best:.3g}; shares need one above 0")
    return _of_chosen(scores, values, k, lambda best, chosen: chosen / best)


def recall(scores: ArrayLike, values: ArrayLike, k: int = 1) -> Score:
    """Recall@k: whether the best source is among the k of highest score; a share where they tie."""
    return _of_chosen(scores, values, k, lambda best, chosen: float(chosen == best))


def _of_chosen(scores: ArrayLike, values: ArrayLike, k: int, measure: object) -> Score:
    k = as_int("k", k)
    one, other, reason = _pairs(scores, values, constant=True)
    if reason:
        return undefined_score(reason)
    best = float(other.max())
    expected = 0.0
    for chosen, probability in chosen_values(one, other, min(k, len(one))):
        expected += probability * measure(best, chosen)  # type: ignore[operator]
    return Score(expected)


def chosen_values(scores: Floats, values: Floats, k: int) -> list[tuple[float, float]]:
    """(the best value among the k sources of highest score, its probability).

    Tied scores at the last place are drawn at random: the m-th largest of n tied values is the
    best of r drawn ones with probability C(n - m, r - 1) / C(n, r).
    """
    last = np.sort(scores)[-k]
    above = values[scores > last]
    tied = np.sort(values[scores == last])[::-1]
    drawn = k - len(above)
    ways = math.comb(len(tied), drawn)
    floor = float(above.max()) if len(above) else -math.inf
    return [
        (max(float(value), floor), math.comb(len(tied) - place - 1, drawn - 1) / ways)
        for place, value in enumerate(tied)
    ]


def _pairs(
    scores: ArrayLike, values: ArrayLike, *, constant: bool = False
) -> tuple[Floats, Floats, str]:
    """(the scores, the values, of sources that have both; why nothing can be said of them)."""
    one, other = np.asarray(scores, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise InputError(
            f"scores have the shape {one.shape} and values {other.shape}; give one of each for"
            " every source"
        )
    both = ~(np.isnan(one) | np.isnan(other))
    one, other = one[both], other[both]
    if len(one) < 2:
        known = count_text(len(one), "sources")
        return one, other, f"{known} with both a score and a value; two are needed"
    if not constant and np.ptp(one) == 0:
        return one, other, "the score is the same for all sources"
    if not constant and np.ptp(other) == 0:
        return one, other, "the value is the same for all sources"
    return one, other, ""
