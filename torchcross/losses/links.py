"""From logits to probabilities, and the decision rules of CORAL and CORN.

The logits of CORAL and CORN are T = K-1 thresholds. Probabilities are never negative and each row
sums to 1 up to rounding, also where logits saturate in float32. ``s`` is the logistic sigmoid.
Half-precision logits are computed in float32.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.losses.checks import check_columns
from torchcross.losses.masking import at_least_float32, softplus


def softmax(logits: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    """``p_k = exp(z_k) / sum_j exp(z_j)``.

    >>> from torchcross.losses import softmax
    >>> softmax(torch.zeros(1, 4))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    check_columns("softmax", logits, "C", 1)
    return torch.softmax(at_least_float32(logits), dim=1)


def coral_probabilities(logits: Float[Tensor, "N T"]) -> Float[Tensor, "N T+1"]:
    """Differences of ``P(y >= k)``, which is the k-th largest ``s(z)``.

    Trained thresholds are in order. Sorting the others keeps every probability from being negative,
    and ``coral_decision`` in agreement with the distribution. A difference is computed as
    ``s(a) s(-b) (1 - e^(b-a))``, which does not cancel where ``1 - e^-d`` is computed as
    ``tanh(d/2) (1 + e^-d)``. (``expm1`` has no ONNX form in torch's older exporter.)

    >>> from torchcross.losses import coral_probabilities
    >>> coral_probabilities(torch.zeros(1, 2))
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    check_columns("coral_probabilities", logits, "K-1", 1)
    z = at_least_float32(logits).sort(dim=1, descending=True).values
    upper, lower = torch.sigmoid(z), torch.sigmoid(-z)
    gap = z[:, :-1] - z[:, 1:]
    between = upper[:, :-1] * lower[:, 1:] * (torch.tanh(gap / 2) * (1 + (-gap).exp()))
    return torch.cat([lower[:, :1], between, upper[:, -1:]], dim=1)


def corn_probabilities(logits: Float[Tensor, "N T"]) -> Float[Tensor, "N T+1"]:
    """``P(y = k) = P(y >= k) (1 - s(z_{k+1}))`` with ``P(y >= k) = prod_{j<=k} s(z_j)``.

    >>> from torchcross.losses import corn_probabilities
    >>> corn_probabilities(torch.zeros(1, 2))
    tensor([[0.5000, 0.2500, 0.2500]])
    """
    check_columns("corn_probabilities", logits, "K-1", 1)
    z = at_least_float32(logits)
    # Sums of logarithms rather than a product: the derivative of cumprod branches on zeros.
    at_least = -softplus(-z).cumsum(dim=1)
    stop = -softplus(z)
    log_p = torch.cat([stop[:, :1], at_least[:, :-1] + stop[:, 1:], at_least[:, -1:]], dim=1)
    return log_p.exp()


def cumulative_link_log_probabilities(logits: Float[Tensor, "N K"]) -> Float[Tensor, "N K"]:
    """``log P(y = k)``: of the logits column 0 is f, columns 1..K-1 are the raw thresholds.

    The first threshold is free, each next one lies ``softplus(raw)`` above it.
    """
    first = logits[:, 1:2] - logits[:, :1]
    raw_gaps = logits[:, 2:]
    margins = torch.cat([first, softplus(raw_gaps)], dim=1).cumsum(dim=1)
    # s(b) - s(a) = s(b) s(-a) (1 - e^(a-b)), and for b - a = softplus(r) the last factor is s(r).
    # So no difference is computed, and no extreme logit can round a probability to 0.
    at_most = -softplus(-margins)
    above = -softplus(margins)
    between = at_most[:, 1:] + above[:, :-1] - softplus(-raw_gaps)
    return torch.cat([at_most[:, :1], between, above[:, -1:]], dim=1)


def cumulative_link_probabilities(logits: Float[Tensor, "N K"]) -> Float[Tensor, "N K"]:
    """``P(y = k) = s(theta_k - f) - s(theta_{k-1} - f)``, logits as for ``cumulative_link``.

    >>> from torchcross.losses import cumulative_link_probabilities
    >>> cumulative_link_probabilities(torch.zeros(1, 3))
    tensor([[0.5000, 0.1667, 0.3333]])
    """
    check_columns("cumulative_link_probabilities", logits, "K", 2)
    return cumulative_link_log_probabilities(at_least_float32(logits)).exp()


def coral_decision(logits: Float[Tensor, "N T"]) -> Int64[Tensor, " N"]:
    """The rank ``#{k: s(z_k) > 1/2}``.

    >>> from torchcross.losses import coral_decision
    >>> coral_decision(torch.tensor([[3.0, -1.0], [3.0, 1.0]]))
    tensor([1, 2])
    """
    check_columns("coral_decision", logits, "K-1", 1)
    return (logits > 0).sum(dim=1)


def corn_decision(logits: Float[Tensor, "N T"]) -> Int64[Tensor, " N"]:
    """The rank ``#{k: prod_{j<=k} s(z_j) > 1/2}``.

    >>> from torchcross.losses import corn_decision
    >>> corn_decision(torch.tensor([[3.0, -1.0], [3.0, 1.0]]))
    tensor([1, 2])
    """
    check_columns("corn_decision", logits, "K-1", 1)
    return (torch.sigmoid(at_least_float32(logits)).cumprod(dim=1) > 0.5).sum(dim=1)
