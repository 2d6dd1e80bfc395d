"""Losses of ordinal targets: CORAL, CORN, cumulative link, earth mover's distance, soft labels.

There are K ranks. Labels are int64 ranks 0..K-1. ``MISSING`` (-1) rows contribute nothing; without
a known row the loss is 0 with zero gradient. ``s`` is the logistic sigmoid. Half-precision logits
are computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Real
from torch import Tensor

from torchcross.losses.checks import check_option, check_single_label, gap_tensor, grade_tensor
from torchcross.losses.links import cumulative_link_log_probabilities
from torchcross.losses.masking import (
    at_least_float32,
    is_known,
    masked_mean,
    softplus,
    zero_outside,
)


def coral(logits: Float[Tensor, "N T"], labels: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
    """``mean_i -sum_k [l_k log s(z_k) + (1 - l_k) log(1 - s(z_k))]`` with ``l_k = 1[y >= k]``.

    There are T = K-1 thresholds k = 1..K-1, and ``s(z_k) = P(y >= k)`` (Cao, Mirjalili and Raschka
    2020).

    >>> from torchcross.losses import coral
    >>> coral(torch.zeros(3, 2), torch.tensor([0, 1, 2]))
    tensor(1.3863)
    """
    check_single_label("coral", logits, labels, "K-1", 1)
    mask = is_known(labels)
    z = zero_outside(at_least_float32(logits), mask.unsqueeze(1))
    return masked_mean(softplus(_signed_margins(z, labels)).sum(dim=1), mask)


def corn(logits: Float[Tensor, "N T"], labels: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
    """Binary cross-entropies of ``s(z_k) = P(y >= k | y >= k-1)`` over the items with y >= k-1.

    There are T = K-1 thresholds. The sum of all terms is divided by their number, so thresholds
    that few items reach weigh less (Shi, Cao and Raschka 2023).

    >>> from torchcross.losses import corn
    >>> corn(torch.zeros(3, 2), torch.tensor([0, 1, 2]))
    tensor(0.6931)
    """
    check_single_label("corn", logits, labels, "K-1", 1)
    # A missing label is -1 and reaches no threshold, since the first asks for y >= 0.
    reached = labels.unsqueeze(1) >= torch.arange(logits.shape[1], device=logits.device)
    z = zero_outside(at_least_float32(logits), reached)
    return masked_mean(softplus(_signed_margins(z, labels)), reached)


def cumulative_link(logits: Float[Tensor, "N K"], labels: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
    """``mean_i -log [s(theta_y - f) - s(theta_{y-1} - f)]`` (McCullagh 1980).

    Column 0 of the logits is f, columns 1..K-1 are the raw thresholds. The first threshold is free,
    each next one lies ``softplus(raw)`` above its predecessor.

    >>> from torchcross.losses import cumulative_link
    >>> cumulative_link(torch.zeros(3, 3), torch.tensor([0, 1, 2]))
    tensor(1.1945)
    """
    check_single_label("cumulative_link", logits, labels, "K", 2)
    mask = is_known(labels)
    log_p = cumulative_link_log_probabilities(
        zero_outside(at_least_float32(logits), mask.unsqueeze(1))
    )
    index = torch.where(mask, labels, 0).unsqueeze(1)
    return masked_mean(-log_p.gather(1, index).squeeze(1), mask)


def earth_movers(
    logits: Float[Tensor, "N K"],
    labels: Int64[Tensor, " N"],
    *,
    gaps: Sequence[float] | Real[Tensor, " K-1"],
) -> Float[Tensor, ""]:
    """``mean_i sum_k (r_{k+1} - r_k) (CDF_p(k) - CDF_y(k))^2``, p the softmax of the logits.

    ``gaps`` are the differences between neighbouring grades (Hou, Yu and Samaras 2016).

    >>> from torchcross.losses import earth_movers
    >>> earth_movers(torch.zeros(2, 3), torch.tensor([0, 1]), gaps=[1.0, 2.0])
    tensor(0.5000)
    """
    check_single_label("earth_movers", logits, labels, "K", 2)
    mask = is_known(labels)
    p = torch.softmax(zero_outside(at_least_float32(logits), mask.unsqueeze(1)), dim=1)
    row = gap_tensor("earth_movers", gaps, logits.shape[1], p)
    ranks = torch.arange(logits.shape[1] - 1, device=logits.device)
    label_cdf = (labels.unsqueeze(1) <= ranks).to(p.dtype)
    return masked_mean((row * (p[:, :-1].cumsum(dim=1) - label_cdf).square()).sum(dim=1), mask)


def soft_labels(
    logits: Float[Tensor, "N K"],
    labels: Int64[Tensor, " N"],
    *,
    grades: Sequence[float] | Real[Tensor, " K"],
    tau: float = 1.0,
) -> Float[Tensor, ""]:
    """``mean_i -sum_k q_k log p_k`` with ``q_k ~ exp(-|r_k - r_y| / tau)``.

    p is the softmax of the logits, and ``tau`` has the unit of the grades (Diaz and Marathe 2019).

    >>> from torchcross.losses import soft_labels
    >>> soft_labels(torch.zeros(2, 3), torch.tensor([0, 2]), grades=[0.0, 1.0, 3.0])
    tensor(1.0986)
    """
    check_single_label("soft_labels", logits, labels, "K", 2)
    check_option("soft_labels", "tau", tau)
    mask = is_known(labels)
    log_p = F.log_softmax(zero_outside(at_least_float32(logits), mask.unsqueeze(1)), dim=1)
    row = grade_tensor("soft_labels", grades, logits.shape[1], log_p)
    own = row.expand_as(log_p).gather(1, torch.where(mask, labels, 0).unsqueeze(1))
    q = torch.softmax(-(row - own).abs() / tau, dim=1)
    return masked_mean(-(q * log_p).sum(dim=1), mask)


def _signed_margins(z: Float[Tensor, "N T"], labels: Int64[Tensor, " N"]) -> Float[Tensor, "N T"]:
    """``-z_k`` where y >= k, else ``z_k``: its softplus is the binary cross-entropy."""
    thresholds = torch.arange(1, z.shape[1] + 1, device=z.device)
    return torch.where(labels.unsqueeze(1) >= thresholds, -z, z)
