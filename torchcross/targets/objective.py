"""The objective that a head is trained on, and the prediction that it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from torchcross.targets.head_layout import HeadLayout
from torchcross.targets.objective_parts import log_odds
from torchcross.targets.padding import Padding


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for N samples.

    `probabilities` has one column per class (binary: two) or per label. `decisions` are class
    positions, or zeros and ones for multi-label. `scores`, where there are any, are the log-odds of
    the probabilities. Metrics that rank samples (AUROC, average precision) read them instead, since
    probabilities round to 1 and then tie.
    """

    probabilities: Float[Tensor, "N C"]
    decisions: Int64[Tensor, " N *L"]
    scores: Float64[Tensor, "N C"] | None = None

    def split(self, sizes: Sequence[int]) -> list[Prediction]:
        """The predictions of the first so many samples, of the next ones, and so on."""
        columns = (self.probabilities, self.decisions, self.scores)
        parts = [
            repeat(None, len(sizes)) if column is None else torch.split(column, list(sizes))
            for column in columns
        ]
        return [Prediction(*part) for part in zip(*parts, strict=True)]


@dataclass(frozen=True)
class Objective:
    """One way to train a head: the loss, the layout of the head, and the meaning of its logits.

    `loss` is called as `loss(logits, labels, target, **options)`. `from_scores` turns one score per
    class or label (its softmax or sigmoid is the probability) into logits that mean the same under
    this objective, so that prototype and ridge heads work with every loss. `log_odds` turns float64
    logits into the log-odds of each class or label. Without it they are computed from the
    probabilities, of classes that exclude each other. `padding` computes the loss as that of more
    outputs.

    >>> from torchcross.targets import MultiClass
    >>> target = MultiClass(["disc", "star"])
    >>> objective, logits = target.objective, torch.tensor([[0.0, 0.0], [0.0, 3.0]])
    >>> objective.probabilities(logits)[0], objective.decisions(logits)[1]
    (tensor([0.5000, 0.5000]), tensor(1))
    >>> round(float(objective.loss(logits[:1], torch.tensor([1]), target)), 4)  # ln 2
    0.6931
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
        """Log-odds to rank samples by, without gradient. Certainty is the largest float64.

        Equal logits have equal scores, so that a constant predictor ranks nothing.
        """
        logits = logits.detach()
        if logits.device.type == "mps":
            # Apple's GPUs have no float64.
            logits = logits.cpu()
        logits = logits.double()
        if self.log_odds is not None:
            odds = self.log_odds(logits)
        else:
            odds = log_odds(self.probabilities(logits).log())
        bound = torch.finfo(torch.float64).max
        # The same numbers in two places of a tensor may come out of `exp` and `log` a rounding
        # apart: torch computes the end of a tensor in another way than its vectors.
        return odds.clamp(-bound, bound)[_first_equal_rows(logits)]


def _first_equal_rows(logits: Float64[Tensor, "N O"]) -> Int64[Tensor, " N"]:
    """For each row, the place of the first row with the same numbers.

    Of fixed shape, so that it runs under vmap, which `torch.unique` does not.
    """
    places = torch.arange(len(logits), device=logits.device)
    order = places
    for column in reversed(logits.unbind(dim=1)):
        order = order[column[order].argsort(stable=True)]
    ordered = logits[order]
    differs = (ordered[1:] != ordered[:-1]).any(dim=1)
    starts = torch.cat([places[:1], torch.where(differs, places[1:], 0)]).cummax(dim=0).values
    return torch.zeros_like(order).scatter(0, order, order[starts])
