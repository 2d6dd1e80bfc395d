"""Losses ``(logits, labels) -> scalar``, and the links from logits to probabilities.

All are pure. ``torch.func`` may differentiate each function, vectorise it and differentiate it
again. A label of ``MISSING`` contributes nothing.
"""

from __future__ import annotations

from torchcross._kit.missing_labels import MISSING
from torchcross.losses.classification import (
    binary_cross_entropy,
    binary_focal,
    cross_entropy,
    multilabel_binary_cross_entropy,
    multilabel_focal,
)
from torchcross.losses.links import (
    coral_decision,
    coral_probabilities,
    corn_decision,
    corn_probabilities,
    cumulative_link_probabilities,
    softmax,
)
from torchcross.losses.ordinal import coral, corn, cumulative_link, earth_movers, soft_labels

__all__ = [
    "MISSING",
    "binary_cross_entropy",
    "binary_focal",
    "coral",
    "coral_decision",
    "coral_probabilities",
    "corn",
    "corn_decision",
    "corn_probabilities",
    "cross_entropy",
    "cumulative_link",
    "cumulative_link_probabilities",
    "earth_movers",
    "multilabel_binary_cross_entropy",
    "multilabel_focal",
    "soft_labels",
    "softmax",
]
