"""All pairs of algorithms on one target: their tests, and what is said beside the ties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

from torchcross.statistics.common_episodes import CommonEpisodes
from torchcross.statistics.comparison import Pair
from torchcross.statistics.pairs import Difference, holm
from torchcross.statistics.resolution import detectable_difference, equivalence_p
from torchcross.statistics.views import MeanOptions, Views


def tested_pairs(views: Sequence[Views], options: MeanOptions) -> tuple[Pair, ...]:
    """Every pair of algorithms that have episodes in common, corrected by Holm's method.

    Where any algorithm failed, each pair is tested with failures counted and over the common
    episodes, and all these tests are one family.
    """
    pairs = []
    for view in views:
        for first, second in combinations(view.counted.compared_algorithms, 2):
            names, scores = (first, second), view.counted.scores
            difference = options.difference(names, scores[first], scores[second])
            common = _common_difference(view.common, first, second, options)
            pairs.append(Pair(first, second, difference, difference.p, common))
    counted = [pair.p for pair in pairs]
    if all(view.common is None for view in views):
        adjusted = holm(counted).tolist()
        return tuple(replace(pair, p=p) for pair, p in zip(pairs, adjusted, strict=True))
    common_ps = [math.nan if pair.common is None else pair.common.p for pair in pairs]
    adjusted = holm([*counted, *common_ps]).reshape(2, -1).T.tolist()
    return tuple(
        replace(pair, p=p, common_p=common_p)
        for pair, (p, common_p) in zip(pairs, adjusted, strict=True)
    )


def _common_difference(
    common: CommonEpisodes | None, first: str, second: str, options: MeanOptions
) -> Difference | None:
    if common is None or not {first, second} <= {*common.compared_algorithms}:
        return None
    return options.difference((first, second), common.scores[first], common.scores[second])


def with_resolution(
    pairs: Sequence[Pair],
    view: Views,
    leaders: Sequence[str],
    ties: Sequence[str],
    options: MeanOptions,
    margin: float | None,
) -> tuple[Pair, ...]:
    """The pairs, those of a leader and a tie with what their tests can say.

    Intervals here are those of the test, Student's, also where others are shown.
    """
    options = replace(options, method="t")
    tests = len(pairs) * (1 if view.common is None else 2)
    is_tie = [
        bool({*leaders} & {*pair.names}) and {*pair.names} <= {*leaders, *ties} for pair in pairs
    ]
    resolved, ps = [], []
    for pair, tied in zip(pairs, is_tie, strict=True):
        p = math.nan
        if tied:
            scores = (view.counted.scores[name] for name in pair.names)
            pair_scores = options.pairs_of(pair.names, *scores)
            reach = detectable_difference(pair_scores.difference, options.level, tests)
            if options.bounds is not None and reach > options.bounds[1] - options.bounds[0]:
                reach = math.inf  # No two scores are so far apart.
            pair = replace(pair, detectable=reach)
            if margin is not None:
                difference_from = partial(pair_scores.difference, options.level)
                p = equivalence_p(pair.difference.mean, margin, difference_from)
        resolved.append(pair)
        ps.append(p)
    if margin is None:
        return tuple(resolved)
    adjusted = holm(ps).tolist()
    return tuple(replace(pair, equivalence_p=p) for pair, p in zip(resolved, adjusted, strict=True))
