"""The layout of a linear head: how many weights and biases it has, and how they give logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class HeadLayout:
    """Shapes of a head: `weight` (weight_rows, D), `bias` (biases,), logits (N, outputs).

    - ``linear``: one row and one bias per output.
    - ``shared``: one row for all outputs, one bias each (CORAL's rank-consistent head).
    - ``thresholds``: output 0 is the score of the only row, the other outputs are the biases
      (cumulative link).

    >>> from torchcross.targets import Ordinal
    >>> layout = Ordinal({0: "none", 1: "some", 4: "much"}, loss="coral").head
    >>> layout.kind, layout.weight_rows, layout.biases
    ('shared', 1, 2)
    >>> layout.logits(torch.eye(2), torch.tensor([[1.0, 2.0]]), torch.tensor([0.0, -1.0]))
    tensor([[1., 0.],
            [2., 1.]])
    """

    kind: Literal["linear", "shared", "thresholds"]
    outputs: int

    @property
    def weight_rows(self) -> int:
        return self.outputs if self.kind == "linear" else 1

    @property
    def biases(self) -> int:
        return self.outputs - 1 if self.kind == "thresholds" else self.outputs

    def logits(
        self,
        features: Float[Tensor, "N D"],
        weight: Float[Tensor, "{self.weight_rows} D"],
        bias: Float[Tensor, " {self.biases}"],
    ) -> Float[Tensor, "N {self.outputs}"]:
        scores = features @ weight.transpose(-2, -1)
        if self.kind == "thresholds":
            return torch.cat([scores, bias.expand(*scores.shape[:-1], self.biases)], dim=-1)
        return scores + bias
