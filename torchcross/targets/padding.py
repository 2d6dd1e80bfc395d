"""The loss of a few outputs as that of more: tasks of different sizes are computed side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from torchcross.losses import MISSING


@dataclass(frozen=True)
class Padding:
    """How outputs that a task does not have are kept from counting.

    labels   (labels, outputs) -> labels of a task with so many outputs
    logits   (logits, which outputs the task has) -> logits for the loss
    keeps    options of the loss under which this is exact; others depend on the number of outputs
    """

    labels: Callable[[Tensor, int], Tensor]
    logits: Callable[[Tensor, Tensor], Tensor]
    keeps: frozenset[str] = frozenset()


def _with_unknown(labels: Int64[Tensor, "N L"], outputs: int) -> Int64[Tensor, "N {outputs}"]:
    return F.pad(labels, (0, outputs - labels.shape[1]), value=MISSING)


def _labels_alone(labels: Int64[Tensor, " N"], outputs: int) -> Int64[Tensor, " N"]:
    return labels


def _logits_alone(
    logits: Float[Tensor, "N O"], present: Bool[Tensor, " O"]
) -> Float[Tensor, "N O"]:
    return logits


def _impossible(logits: Float[Tensor, "N O"], present: Bool[Tensor, " O"]) -> Float[Tensor, "N O"]:
    """Probabilities of exactly 0 under a softmax."""
    # Finite logits: a difference of infinities would be NaN.
    return torch.where(present, logits, torch.finfo(logits.dtype).min / 2)


ABSENT_CLASSES = Padding(_labels_alone, _impossible)
UNKNOWN_LABELS = Padding(_with_unknown, _logits_alone, frozenset({"alpha", "gamma", "smoothing"}))
