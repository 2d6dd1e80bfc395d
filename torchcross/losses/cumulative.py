"""The cumulative link model's log-probabilities, shared by its loss and its link."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from torchcross.losses.masking import softplus

__all__ = ["cumulative_link_log_probabilities"]


def cumulative_link_log_probabilities(logits: Float[Tensor, "N K"]) -> Float[Tensor, "N K"]:
    """``log P(y = k)``: of the logits column 0 is f, columns 1..K-1 are the raw thresholds.

    The first threshold is free, each next one lies ``softplus(raw)`` above it. A difference of two
    sigmoids is ``s(b) - s(a) = s(b) s(-a) (1 - e^(a-b))``, and with ``b - a = softplus(r)`` its
    last factor is ``s(r)``: no difference is ever taken, so no extreme logit can round a
    probability to 0.
    """
    first = logits[:, 1:2] - logits[:, :1]
    raw_gaps = logits[:, 2:]
    margins = torch.cat([first, softplus(raw_gaps)], dim=1).cumsum(dim=1)
    at_most = -softplus(-margins)
    above = -softplus(margins)
    between = at_most[:, 1:] + above[:, :-1] - softplus(-raw_gaps)
    return torch.cat([at_most[:, :1], between, above[:, -1:]], dim=1)
