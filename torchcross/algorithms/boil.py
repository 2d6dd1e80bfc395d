"""BOIL: body only update in the inner loop (Oh et al. 2021)."""

from __future__ import annotations

from typing import Unpack, final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import (
    HeadStart,
    InnerLoopRecipe,
    InnerOptimiser,
    Memory,
    is_in_body,
)
from torchcross.algorithms.options import EpisodicOptions


@final
class BOIL(InnerLoopAlgorithm):
    """MAML whose inner loop moves the backbone alone and leaves the head where it starts.

    A zero head sends no gradient to the backbone, so the head starts as `kaiming`, `proto` or
    `LearnedHeads`. `EpisodicOptions` describes the other options.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 5,
        lr: float = 0.1,
        head: HeadStart = "kaiming",
        order: int = 2,
        memory: Memory = "fast",
        optimiser: InnerOptimiser = "sgd",
        weight_decay: float | None = None,
        **options: Unpack[EpisodicOptions],
    ) -> None:
        recipe = InnerLoopRecipe(
            "BOIL",
            steps,
            lr,
            head,
            optimiser,
            adapted=is_in_body,
            order=order,
            memory=memory,
            weight_decay=weight_decay,
        )
        super().__init__(backbone, recipe, **options)
