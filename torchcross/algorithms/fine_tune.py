"""Fine-tuning from a pre-trained backbone (IM-PT in the published evaluation protocol)."""

from __future__ import annotations

from typing import Unpack, final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import (
    HeadStart,
    InnerLoopRecipe,
    InnerOptimiser,
)
from torchcross.algorithms.options import LaneOptions
from torchcross.functional.network.parameter_names import Choice


@final
class FineTune(InnerLoopAlgorithm):
    """A fresh Kaiming head, and Adam on everything: 50 steps of 1e-3 on the whole support set.

    BatchNorm is as published: support forwards in training mode move the running statistics, and
    the query uses them (`running`). Use `adapt`, from any backbone; as a meta-learner it is first
    order. `EpisodicOptions` describes the other options.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 50,
        lr: float = 1e-3,
        head: HeadStart = "kaiming",
        optimiser: InnerOptimiser = "adam",
        weight_decay: float | None = None,
        adapted: Choice = "*",
        norm: str = "running",
        **options: Unpack[LaneOptions],
    ) -> None:
        recipe = InnerLoopRecipe(
            "FineTune", steps, lr, head, optimiser, adapted, order=1, weight_decay=weight_decay
        )
        super().__init__(backbone, recipe, norm=norm, **options)
