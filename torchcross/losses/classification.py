"""Losses of binary, multi-class and multi-label targets.

Labels are int64; ``MISSING`` (-1) entries contribute nothing. A loss is the (weighted) mean over
the known entries, and 0 with zero gradient where none is known. Label values are validated where
they are encoded, not here: a loss must run under ``torch.func``. Half-precision logits are computed
in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Real
from torch import Tensor

from torchcross.losses.checks import (
    check_multi_label,
    check_option,
    check_single_label,
    weight_tensor,
)
from torchcross.losses.masking import (
    at_least_float32,
    is_known,
    masked_mean,
    softplus,
    zero_outside,
)


def cross_entropy(
    logits: Float[Tensor, "N C"],
    labels: Int64[Tensor, " N"],
    *,
    class_weights: Sequence[float] | Real[Tensor, " C"] | None = None,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """``sum_i [(1 - e) w_y (-log p_y) + e/C sum_c w_c (-log p_c)] / sum_i w_y``, e the smoothing.

    The same value as ``torch.nn.functional.cross_entropy`` with ``weight`` and
    ``label_smoothing``.

    >>> from torchcross.losses import cross_entropy
    >>> cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]))
    tensor(1.3863)
    """
    name = "cross_entropy"
    check_single_label(name, logits, labels, "C", 1)
    check_option(name, "smoothing", smoothing)
    mask = is_known(labels)
    index = torch.where(mask, labels, 0).unsqueeze(1)
    costs = -F.log_softmax(zero_outside(at_least_float32(logits), mask.unsqueeze(1)), dim=1)
    weights = None
    if class_weights is not None:
        expected = "one finite weight >= 0 per class"
        row = weight_tensor(name, class_weights, (logits.shape[1],), expected, costs)
        costs = costs * row
        weights = row.expand_as(costs).gather(1, index).squeeze(1)
    terms = costs.gather(1, index).squeeze(1)
    if smoothing > 0.0:
        terms = (1.0 - smoothing) * terms + smoothing * costs.mean(dim=1)
    return masked_mean(terms, mask, weights)


def binary_cross_entropy(
    logits: Float[Tensor, "N 1"],
    labels: Int64[Tensor, " N"],
    *,
    class_weights: Sequence[float] | Real[Tensor, " 2"] | None = None,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Cross-entropy of one logit per sample, with weights (negative, positive).

    Equals ``cross_entropy`` of the two columns ``[0, z]`` with the same weights and smoothing.

    >>> from torchcross.losses import binary_cross_entropy
    >>> binary_cross_entropy(torch.tensor([[2.0], [-2.0]]), torch.tensor([1, 0]))
    tensor(0.1269)
    """
    name = "binary_cross_entropy"
    check_single_label(name, logits, labels, "1", 1, exactly=True)
    check_option(name, "smoothing", smoothing)
    pair = None
    if class_weights is not None:
        expected = "the pair (negative, positive) of finite weights >= 0"
        pair = weight_tensor(name, class_weights, (2,), expected, at_least_float32(logits))
    return _binary_mean(at_least_float32(logits).squeeze(1), labels, pair, smoothing)


def multilabel_binary_cross_entropy(
    logits: Float[Tensor, "N L"],
    labels: Int64[Tensor, "N L"],
    *,
    class_weights: Sequence[Sequence[float]] | Real[Tensor, "L 2"] | None = None,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Binary cross-entropy of every known entry.

    Weights are one pair (negative, positive) per label; the mean is over all known entries of
    all labels, each counted by its weight.

    >>> from torchcross.losses import MISSING, multilabel_binary_cross_entropy
    >>> labels = torch.tensor([[1, 0], [0, MISSING]])
    >>> multilabel_binary_cross_entropy(torch.zeros(2, 2), labels)
    tensor(0.6931)
    """
    name = "multilabel_binary_cross_entropy"
    check_multi_label(name, logits, labels)
    check_option(name, "smoothing", smoothing)
    pairs = None
    if class_weights is not None:
        expected = "one pair (negative, positive) of finite weights >= 0 per label"
        shape = (logits.shape[1], 2)
        pairs = weight_tensor(name, class_weights, shape, expected, at_least_float32(logits))
    return _binary_mean(at_least_float32(logits), labels, pairs, smoothing)


def binary_focal(
    logits: Float[Tensor, "N 1"],
    labels: Int64[Tensor, " N"],
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Float[Tensor, ""]:
    """``mean_i a_t (1 - p_t)^gamma (-log p_t)`` (Lin et al. 2017).

    ``p_t`` is the probability of the true class; ``a_t`` is alpha for positives and 1 - alpha for
    negatives, 1 without alpha.

    >>> from torchcross.losses import binary_focal
    >>> binary_focal(torch.tensor([[2.0], [-2.0]]), torch.tensor([1, 0]))
    tensor(0.0018)
    """
    name = "binary_focal"
    check_single_label(name, logits, labels, "1", 1, exactly=True)
    check_option(name, "gamma", gamma)
    check_option(name, "alpha", alpha)
    return _focal_mean(at_least_float32(logits).squeeze(1), labels, gamma, alpha)


def multilabel_focal(
    logits: Float[Tensor, "N L"],
    labels: Int64[Tensor, "N L"],
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Float[Tensor, ""]:
    """``binary_focal`` over every known entry, with one alpha for all.

    >>> from torchcross.losses import multilabel_focal
    >>> multilabel_focal(torch.zeros(2, 2), torch.tensor([[1, 0], [0, 1]]))
    tensor(0.1733)
    """
    name = "multilabel_focal"
    check_multi_label(name, logits, labels)
    check_option(name, "gamma", gamma)
    check_option(name, "alpha", alpha)
    return _focal_mean(at_least_float32(logits), labels, gamma, alpha)


def _binary_mean(
    z: Float[Tensor, " N *L"],
    labels: Int64[Tensor, " N *L"],
    pairs: Float[Tensor, "*L 2"] | None,
    smoothing: float,
) -> Float[Tensor, ""]:
    """Weighted mean of binary cross-entropies; ``pairs`` weigh negatives and positives."""
    mask = is_known(labels)
    z = zero_outside(z, mask)
    positive = labels == 1
    own, other = softplus(torch.where(positive, -z, z)), None
    if smoothing > 0.0:
        other = softplus(torch.where(positive, z, -z))
    weights = None
    if pairs is not None:
        negative_weight, positive_weight = pairs.unbind(-1)
        weights = torch.where(positive, positive_weight, negative_weight)
        own = own * weights
        if other is not None:
            other = other * torch.where(positive, negative_weight, positive_weight)
    terms = own if other is None else (1.0 - smoothing / 2) * own + smoothing / 2 * other
    return masked_mean(terms, mask, weights)


def _focal_mean(
    z: Float[Tensor, " N *L"], labels: Int64[Tensor, " N *L"], gamma: float, alpha: float | None
) -> Float[Tensor, ""]:
    mask = is_known(labels)
    positive = labels == 1
    margin = torch.where(positive, zero_outside(z, mask), -zero_outside(z, mask))
    # (1 - p_t)^gamma as an exponential: a power has no second derivative where p_t rounds to 1.
    terms = torch.exp(-gamma * softplus(margin)) * softplus(-margin)
    if alpha is not None:
        terms = torch.where(positive, alpha * terms, (1.0 - alpha) * terms)
    return masked_mean(terms, mask)
