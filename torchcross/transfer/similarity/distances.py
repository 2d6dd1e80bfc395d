"""Distances between embeddings of tasks (Achille et al. 2019, and their code)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.transfer.similarity.embedding import TaskEmbedding

Floats = NDArray[np.float64]
_GUARD = 1e-8
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
    """
    if a.probe != b.probe or a.values.shape != b.values.shape:
        raise InputError(
            f"the embeddings of {a.name!r} and {b.name!r} are of different probes; embed both with"
            " the same network"
        )
    if kind not in DISTANCES:
        raise InputError(unknown_name("distance", kind, DISTANCES))
    return DISTANCES[kind](a, b)


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
