"""The null of a ranking: weighted taus of scores shuffled within each target.

SciPy computes one tau at a time. Here all shuffles of a target are computed at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.randomness import Stream

Floats = NDArray[np.float64]
_BLOCK = 500


def weighted_taus(scores: Floats, values: Floats) -> Floats:
    """Of every row of scores (P, n) with the values (n,): `quality.weighted_tau`."""
    blocks = range(0, len(scores), _BLOCK)
    parts = [_weighted_taus(scores[start : start + _BLOCK], values) for start in blocks]
    return np.concatenate(parts)


def _weighted_taus(scores: Floats, values: Floats) -> Floats:
    values = np.broadcast_to(values, scores.shape)
    orders = (_signs(scores), _signs(values))
    both = [_tau(rank_by, *orders) for rank_by in (_ranks(scores, values), _ranks(values, scores))]
    mean: Floats = np.mean(both, axis=0)
    return mean


def _tau(ranks: NDArray[np.int64], one: Floats, other: Floats) -> Floats:
    weights = 1 / (ranks + 1)
    pairs = weights[:, :, None] + weights[:, None, :]
    # Every pair stands twice, in the numerator as in the denominator.
    product = (pairs * one * other).sum(axis=(1, 2))
    lengths = (pairs * one**2).sum(axis=(1, 2)) * (pairs * other**2).sum(axis=(1, 2))
    tau: Floats = product / np.sqrt(lengths)
    return tau


def _signs(numbers: Floats) -> Floats:
    signs: Floats = np.sign(numbers[:, :, None] - numbers[:, None, :])
    return signs


def _ranks(numbers: Floats, tie_breaks: Floats) -> NDArray[np.int64]:
    """0 for the largest; equal numbers by the other ones."""
    order = np.lexsort((tie_breaks, numbers), axis=-1)[:, ::-1]
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), 1)
    return ranks


def permutation_p(
    scores: list[Floats], values: list[Floats], permutations: int, seed: int
) -> float:
    """One-sided p of the mean weighted tau over targets, among scores shuffled within targets."""
    totals = np.zeros(permutations)
    observed = 0.0
    for target, (one, other) in enumerate(zip(scores, values, strict=True)):
        words = Stream(seed, "ranking permutations").sequence(target, permutations * len(one))
        shuffled = one[np.argsort(words.reshape(permutations, len(one)), axis=1)]
        totals += weighted_taus(shuffled, other)
        observed += float(weighted_taus(one[None], other)[0])
    hits = int((totals >= observed - 1e-12).sum())
    return (hits + 1) / (permutations + 1)
