"""Shots in the manner of Meta-Dataset, in exact integer arithmetic (see `MetaDatasetShots` for the
rule).
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

from torchcross._kit.randomness import Words
from torchcross.data.sampling.request import MetaDatasetShots

_STEPS = 1 << 10
_UNIT = 1 << 20


@cache
def _weights() -> tuple[int, ...]:
    """2^20 * exp(alpha) for alpha at equal steps over [log 1/2, log 2); decimal arithmetic is the
    same everywhere.
    """
    with localcontext() as context:
        context.prec = 40
        step = (Decimal(4).ln() / _STEPS).exp()
        weight, found = Decimal(_UNIT) / 2, []
        for _ in range(_STEPS):
            found.append(int(weight))
            weight *= step
    return tuple(found)


def sizes(
    words: Words, counts: list[int], spec: MetaDatasetShots, queries: int
) -> tuple[list[int], int]:
    """Shots of every class and queries per class, for chosen classes of these sizes."""
    query = min(queries, min(counts) // 2)
    beta = words.below(1 << 32) + 1
    wanted = sum(_ceil(beta * min(spec.max_per_class, count - query), 1 << 32) for count in counts)
    total = max(min(spec.max_support, wanted), len(counts))
    weights = [_weights()[words.below(_STEPS)] * count for count in counts]
    spare, whole = total - len(counts), sum(weights)
    shots = [
        min(weight * spare // whole + 1, count - query)
        for weight, count in zip(weights, counts, strict=True)
    ]
    return shots, query


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
