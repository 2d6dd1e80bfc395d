"""Distances between embeddings of tasks (Achille et al. 2019, and their code)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.counts import count_text
from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.transfer.similarity.embedding import TaskEmbedding

Floats = NDArray[np.float64]
_GUARD = 1e-8
_DIVIDE: Final = ("normalised cosine", "correlation", "kl", "asymmetric kl", "jsd")
"""The kinds that divide by the information of each filter."""
ALPHA = 0.15


def distance(a: TaskEmbedding, b: TaskEmbedding, kind: str = "cosine") -> float:
    """The distance of two tasks, by embeddings of one probe.

    cosine               of both embeddings, each divided by their sum: the paper's symmetric one
    plain cosine         of the embeddings as they are; it follows their lengths' directions only
    normalised cosine    of the variances, in units of the trivial task
    correlation          1 - the correlation of the variances
    kl, asymmetric kl, jsd, entropy
                         of the variances as Gaussians; of the shares of the information
    asymmetric           cosine less 0.15 times the distance of `a` to the trivial task: small for
                         a complex source; it can be negative

    Filters without information under both tasks are left out. One without information under one of
    them is an error of the kinds that divide by it: all but both cosines, entropy and asymmetric.
    """
    if a.probe != b.probe or a.values.shape != b.values.shape:
        raise InputError(
            f"the embeddings of {a.name!r} and {b.name!r} are of different probes; embed both with"
            " the same network"
        )
    if kind not in DISTANCES:
        raise InputError(unknown_name("distance", kind, DISTANCES))
    if kind in (*_DIVIDE, "entropy"):
        a, b = _without_silent_filters(a, b, kind)
    return DISTANCES[kind](a, b)


def _without_silent_filters(
    a: TaskEmbedding, b: TaskEmbedding, kind: str
) -> tuple[TaskEmbedding, TaskEmbedding]:
    """Both without the filters that have no information under either."""
    known = (a.values > 0) | (b.values > 0)
    alone = int((known & ((a.values == 0) | (b.values == 0))).sum())
    if kind in _DIVIDE and alone:
        raise InputError(
            f"{kind!r} divides by the information of each filter, which is 0 under one of"
            f" {a.name!r} and {b.name!r} for {count_text(alone, 'filters')} of {len(known)}; take"
            " 'cosine', or a probe without such filters"
        )
    if not known.any():
        raise InputError(
            f"no filter has information under {a.name!r} or {b.name!r}, so they have no distance;"
            " give another probe"
        )
    one, other = (
        replace(each, values=each.values[known], scale=each.scale[known]) for each in (a, b)
    )
    return one, other


def _cosine_of(one: Floats, other: Floats) -> float:
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return max(float(1 - one @ other / lengths), 0.0)


def _cosine(a: TaskEmbedding, b: TaskEmbedding) -> float:
    both = a.values + b.values + _GUARD
    return _cosine_of(a.values / both, b.values / both)


def _normalised_cosine(a: TaskEmbedding, b: TaskEmbedding) -> float:
    return _cosine_of(a.scale / a.values, b.scale / b.values)


def _correlation(a: TaskEmbedding, b: TaskEmbedding) -> float:
    return float(1 - np.corrcoef(1 / a.values, 1 / b.values)[0, 1])


def _divergences(one: Floats, other: Floats) -> Floats:
    """Of Gaussians with these variances, filter by filter."""
    ratio = one / other
    divergences: Floats = (ratio - 1 - np.log(ratio)) / 2
    return divergences


def _kl(a: TaskEmbedding, b: TaskEmbedding) -> float:
    one, other = 1 / a.values, 1 / b.values
    return float(np.maximum(_divergences(one, other), _divergences(other, one)).sum())


def _asymmetric_kl(a: TaskEmbedding, b: TaskEmbedding) -> float:
    return float(_divergences(1 / a.values, 1 / b.values).sum())


def _jsd(a: TaskEmbedding, b: TaskEmbedding) -> float:
    one, other = 1 / a.values, 1 / b.values
    middle = (one + other) / 2
    return float((_divergences(one, middle) + _divergences(other, middle)).mean() / 2)


def _entropy(a: TaskEmbedding, b: TaskEmbedding) -> float:
    from scipy.special import xlogy

    share = a.values / (a.values + b.values + _GUARD)
    return float(np.log(2) + (xlogy(share, share) + xlogy(1 - share, 1 - share)).mean())


def _asymmetric(a: TaskEmbedding, b: TaskEmbedding) -> float:
    return _cosine(a, b) - ALPHA * _cosine(a, a.trivial())


DISTANCES: dict[str, Callable[[TaskEmbedding, TaskEmbedding], float]] = {
    "cosine": _cosine,
    "plain cosine": lambda a, b: _cosine_of(a.values, b.values),
    "normalised cosine": _normalised_cosine,
    "correlation": _correlation,
    "kl": _kl,
    "asymmetric kl": _asymmetric_kl,
    "jsd": _jsd,
    "entropy": _entropy,
    "asymmetric": _asymmetric,
}
