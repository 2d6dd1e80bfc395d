"""Correlation of two numbers over pairs of source and target, pooled and within targets.

Pooled over pairs, a correlation mixes how hard the targets are with the order of the sources.
Within targets it is that of the numbers less the mean of their target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.argument_checks import as_int, check_choice
from torchcross._kit.counts import count_text
from torchcross._kit.randomness import Stream
from torchcross.statistics.special_functions import t_two_sided
from torchcross.transfer.source_target import SourceTargetTable

Floats = NDArray[np.float64]
KINDS: Final = ("pearson", "spearman", "kendall")
PERMUTATIONS: Final = 20_000
_FUNCTIONS = {"pearson": "pearsonr", "spearman": "spearmanr", "kendall": "kendalltau"}


@final
@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation over `n` pairs, its two-sided p, and how it was made.

    kind              "pearson", "spearman" or "kendall" (tau-b)
    over              "pooled" or "within targets"
    self_pairs        whether self-pairs are among them
    permutation_p     p of shuffling one number within each target; NaN where it was not asked for
    reason            why there is no value
    """

    kind: str
    over: str
    value: float
    p: float
    n: int
    targets: int
    self_pairs: bool
    permutation_p: float = math.nan
    reason: str = ""

    def __str__(self) -> str:
        with_them = "with" if self.self_pairs else "without"
        pairs = f"{count_text(self.n, 'pairs')} {with_them} self-pairs"
        if self.reason:
            return f"no {self.kind} correlation, {self.over}, over {pairs}: {self.reason}"
        return f"{self.kind} {self.value:.3f} (p {self.p:.3g}), {self.over}, {pairs}"


def correlations(
    x: SourceTargetTable,
    y: SourceTargetTable,
    *,
    self_pairs: bool = False,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> tuple[Correlation, ...]:
    """All three kinds pooled over pairs, and Pearson's within targets.

    Only pairs with both numbers count. Fewer than six targets carry no inference over targets.
    """
    as_int("permutations", permutations, least=0)
    pairs = _Pairs.of(x, y, self_pairs)
    pooled = tuple(_pooled_correlation(kind, pairs) for kind in KINDS)
    return (*pooled, _within(pairs, permutations, seed))


@dataclass(frozen=True, eq=False)
class _Pairs:
    x: Floats
    y: Floats
    target: NDArray[np.int64]
    self_pairs: bool

    @classmethod
    def of(cls, x: SourceTargetTable, y: SourceTargetTable, self_pairs: bool) -> _Pairs:
        y = x.align(y)
        if not self_pairs:
            x, y = x.without_self_pairs(), y.without_self_pairs()
        # Target by target, so that shuffles stay within them.
        both = ~(np.isnan(x.values) | np.isnan(y.values)).T
        return cls(x.values.T[both], y.values.T[both], np.nonzero(both)[0], self_pairs)

    @property
    def targets(self) -> int:
        return len(np.unique(self.target))

    def correlation(
        self, kind: str, over: str, value: float, p: float, permutation_p: float = math.nan
    ) -> Correlation:
        facts = (len(self.x), self.targets, self.self_pairs)
        return Correlation(kind, over, value, p, *facts, permutation_p)

    def no_correlation(self, kind: str, over: str, reason: str) -> Correlation:
        facts = (len(self.x), self.targets, self.self_pairs)
        return Correlation(kind, over, math.nan, math.nan, *facts, reason=reason)


def _pooled_correlation(kind: str, pairs: _Pairs) -> Correlation:
    from scipy import stats

    check_choice("kind", kind, KINDS)
    if len(pairs.x) < 3:
        return pairs.no_correlation(kind, "pooled", "fewer than three pairs have both numbers")
    if np.ptp(pairs.x) == 0 or np.ptp(pairs.y) == 0:
        return pairs.no_correlation(kind, "pooled", "one of the two numbers is constant")
    result = getattr(stats, _FUNCTIONS[kind])(pairs.x, pairs.y)
    return pairs.correlation(kind, "pooled", float(result.statistic), float(result.pvalue))


def _within(pairs: _Pairs, permutations: int, seed: int) -> Correlation:
    over = "within targets"
    degrees = len(pairs.x) - pairs.targets - 1
    if degrees < 1:
        return pairs.no_correlation("pearson", over, "there are too few pairs of each target")
    x, y = (_centre(numbers, pairs.target) for numbers in (pairs.x, pairs.y))
    if not (x @ x and y @ y):
        return pairs.no_correlation("pearson", over, "one number is constant within every target")
    value = float(x @ y / math.sqrt((x @ x) * (y @ y)))
    t = value * math.sqrt(degrees / max(1 - value**2, np.finfo(float).tiny))
    p = t_two_sided(degrees, t)
    shuffled = _permutation_p(x, y, pairs.target, permutations, seed) if permutations else math.nan
    return pairs.correlation("pearson", over, value, p, shuffled)


def _centre(numbers: Floats, target: NDArray[np.int64]) -> Floats:
    counts = np.bincount(target)
    means = np.bincount(target, numbers) / np.maximum(counts, 1)
    centred: Floats = numbers - means[target]
    centred[np.abs(centred) <= 1e-12 * np.abs(numbers).max(initial=0)] = 0
    return centred


def _permutation_p(
    x: Floats, y: Floats, target: NDArray[np.int64], permutations: int, seed: int
) -> float:
    """The share of shuffles within targets whose product is as far from 0; the data count as one.

    The pairs of a target stand next to each other. Sorting random words within targets shuffles.
    """
    stream = Stream(seed, "within-target permutations")
    words = stream.sequence(0, permutations * len(x)).reshape(permutations, len(x))
    # The target's number in the highest bits keeps every shuffle within its target.
    keys = (target.astype(np.uint64) << np.uint64(48)) | (words >> np.uint64(16))
    products = np.abs(y[np.argsort(keys, axis=1)] @ x)
    hits = int((products >= abs(x @ y) * (1 - 1e-12)).sum())
    return (hits + 1) / (permutations + 1)
