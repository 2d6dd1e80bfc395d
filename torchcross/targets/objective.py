"""What a head is trained on and what a predictor says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from torchcross.targets.head_layout import HeadLayout
from torchcross.targets.objective_parts import log_odds
from torchcross.targets.padding import Padding

__all__ = ["Objective", "Prediction"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a predictor says of N samples.

    `probabilities` has one column per class (binary: two) or per label; `decisions` are class
    positions, or zeros and ones for multi-label. `scores`, where there are any, are the log-odds
    behind the probabilities: metrics that rank samples (AUROC, average precision) read them
    instead, since probabilities round to 1 and then tie.
    """

    probabilities: Float[Tensor, "N C"]
    decisions: Int64[Tensor, " N *L"]
    scores: Float64[Tensor, "N C"] | None = None


@dataclass(frozen=True)
class Objective:
    """One way to train a head: the loss, the head's layout, and the way from logits to
    probabilities and decisions.

    `loss` is called as `loss(logits, labels, target, **options)`. `from_scores` turns one score per
    class, or per label (higher is likelier, a softmax or sigmoid of it is the probability), into
    logits that mean the same under this objective, so that prototype and ridge heads work with
    every loss. `log_odds` turns float64 logits into the log-odds of each class or label; without it
    they come from the probabilities, of classes that exclude each other. With `padding` the loss of
    more outputs can be this one's.
    """

    loss: Callable[..., Tensor]
    layout: Callable[[int], HeadLayout]
    probabilities: Callable[[Tensor], Tensor]
    decisions: Callable[[Tensor], Tensor]
    from_scores: Callable[[Tensor], Tensor]
    options: frozenset[str] = frozenset()
    log_odds: Callable[[Tensor], Tensor] | None = None
    padding: Padding | None = None

    def scores(self, logits: Float[Tensor, "N O"]) -> Float64[Tensor, "N C"]:
        """Log-odds to rank samples by, without gradient; certainty is the largest float64, so that
        they are finite.
        """
        logits = logits.detach()
        # Apple's GPUs have no float64.
        exact = (logits.cpu() if logits.device.type == "mps" else logits).double()
        odds = (
            log_odds(self.probabilities(exact).log())
            if self.log_odds is None
            else self.log_odds(exact)
        )
        bound = torch.finfo(torch.float64).max
        return odds.clamp(-bound, bound)
