"""Shots in the manner of Meta-Dataset, in exact integers; `MetaDatasetShots` has the rule."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

from torchcross._kit.randomness import Words
from torchcross.data.sampling.request import MetaDatasetShots

_STEPS = 1 << 10
_UNIT = 1 << 20


@cache
def _weights() -> tuple[int, ...]:
    """2^20 * exp(alpha) for alpha at equal steps over [log 1/2, log 2)."""
    # Decimal arithmetic gives the same digits on every machine; exp of floats does not.
    with localcontext() as context:
        context.prec = 40
        step = (Decimal(4).ln() / _STEPS).exp()
        weight, weights = Decimal(_UNIT) / 2, []
        for _ in range(_STEPS):
            weights.append(int(weight))
            weight *= step
    return tuple(weights)


def sizes(
    words: Words, counts: list[int], spec: MetaDatasetShots, queries: int
) -> tuple[list[int], int]:
    """Shots of every class and queries per class, for chosen classes of these sizes."""
    query = min(queries, min(counts) // 2)
    beta = words.below(1 << 32) + 1
    wanted = [beta * min(spec.max_per_class, count - query) for count in counts]
    # -(-a >> 32) is a / 2^32, rounded up.
    total = max(min(spec.max_support, sum(-(-part >> 32) for part in wanted)), len(counts))
    weights = [_weights()[words.below(_STEPS)] * count for count in counts]
    spare, weight_sum = total - len(counts), sum(weights)
    shots = [
        min(weight * spare // weight_sum + 1, count - query)
        for weight, count in zip(weights, counts, strict=True)
    ]
    return shots, query
