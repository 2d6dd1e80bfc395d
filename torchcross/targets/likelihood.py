"""The convex likelihood that a converged linear head maximises, and how labels enter it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.losses.links import cumulative_link_log_probabilities


def raw_thresholds(free: Float[Tensor, "*B T"]) -> Float[Tensor, "*B T"]:
    """The first threshold, then for each next one the number whose softplus is its distance."""
    gaps = free.diff(dim=-1)
    return torch.cat([free[..., :1], gaps + torch.log(-torch.expm1(-gaps))], -1)


@dataclass(frozen=True)
class Likelihood:
    """What a converged head fits to labels of a target, whatever the loss of the target.

    family   "softmax": a score for each class. "cumulative": one score and ascending thresholds,
             P(y <= k) = s(threshold_k - score) with s the logistic sigmoid; with two classes this
             is binary logistic regression
    answers  questions that are answered apart from each other: 1, or one for each label
    classes  of each answer
    """

    family: Literal["softmax", "cumulative"]
    answers: int
    classes: int

    def codes(self, labels: Int64[Tensor, " N *L"]) -> Int64[Tensor, "{self.answers} N"]:
        """The code of every sample under each answer."""
        return labels.reshape(len(labels), self.answers).transpose(-1, -2)

    @property
    def scores(self) -> int:
        """How many scores a sample has: the rows of the weights."""
        return self.classes if self.family == "softmax" else self.answers

    @property
    def free(self) -> int:
        """How many numbers no penalty touches: intercepts, or thresholds."""
        return self.classes if self.family == "softmax" else self.answers * (self.classes - 1)

    def log_probabilities(
        self, scores: Float[Tensor, "N M {self.scores}"], free: Float[Tensor, "M {self.free}"]
    ) -> Float[Tensor, "N M {self.answers} {self.classes}"]:
        """Of each class of each answer, by M heads.

        `free` are intercepts; or for each answer the first threshold, and the numbers whose
        softplus is the distance of each next one from its predecessor.
        """
        if self.family == "softmax":
            return (scores + free).log_softmax(-1).unsqueeze(-2)
        thresholds = free.reshape(-1, self.answers, self.classes - 1)
        # A number of rows that a trace follows; len() would be a constant to it.
        every = thresholds.expand(scores.shape[0], *thresholds.shape)
        rows = torch.cat([scores.unsqueeze(-1), every], -1)
        return cumulative_link_log_probabilities(rows.flatten(0, -2)).view_as(rows)

    def prototype_scores(
        self, log_probabilities: Float[Tensor, "N {self.answers} {self.classes}"]
    ) -> Float[Tensor, "N P"]:
        """Log-probabilities in the order of the target's prototypes.

        `target.prototype_logits` makes logits of its loss of them.
        """
        return log_probabilities.transpose(-1, -2).flatten(-2)
