"""Fine-tuning from a pre-trained backbone (IM-PT in the published evaluation protocol)."""

from __future__ import annotations

from typing import final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.recipe import HeadStart, InnerOptimiser, Recipe
from torchcross.functional.loop.lanes import Lanes
from torchcross.functional.network.network import Choice

__all__ = ["FineTune"]


@final
class FineTune(InnerLoopAlgorithm):
    """A fresh Kaiming head, and Adam on everything: 50 steps of 1e-3, the whole support set as one
    batch.

    BatchNorm as published: support forwards in training mode move the running statistics, the query
    uses them (`running`).
    As a meta-learner it is first order; its use is `adapt`, from any backbone.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 50,
        lr: float = 1e-3,
        head: HeadStart = "kaiming",
        optimiser: InnerOptimiser = "adam",
        adapted: Choice = "*",
        norm: str = "running",
        lanes: Lanes = "auto",
        normalise: MeanAndStd | None = None,
        features: int | None = None,
    ) -> None:
        recipe = Recipe(
            "FineTune", steps, lr, head=head, optimiser=optimiser, adapted=adapted, order=1
        )
        super().__init__(
            backbone, recipe, norm=norm, lanes=lanes, normalise=normalise, features=features
        )
