"""What a head is trained on and what a predictor says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.targets.head import HeadLayout

__all__ = ["Objective", "Prediction"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a predictor says of N samples.

    `probabilities` has one column per class (binary: two) or per label; `decisions` are class positions, or zeros and
    ones for multi-label.
    """

    probabilities: Float[Tensor, "N C"]
    decisions: Int64[Tensor, " N *L"]


@dataclass(frozen=True)
class Objective:
    """One way to train a head: the loss, the head's layout, and the way from logits to probabilities and decisions.

    `loss` is called as `loss(logits, labels, target, **options)`. `from_scores` turns one score per class, or per label
    (higher is likelier, a softmax or sigmoid of it is the probability), into logits that mean the same under this
    objective, so that prototype and ridge heads work with every loss.
    """

    loss: Callable[..., Tensor]
    layout: Callable[[int], HeadLayout]
    probabilities: Callable[[Tensor], Tensor]
    decisions: Callable[[Tensor], Tensor]
    from_scores: Callable[[Tensor], Tensor]
    options: frozenset[str] = frozenset()
