"""Proto-MAML (Triantafillou et al. 2020)."""

from __future__ import annotations

from typing import Unpack, final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import (
    InnerLoopRecipe,
    InnerOptimiser,
    Memory,
)
from torchcross.algorithms.options import EpisodicOptions


@final
class ProtoMAML(InnerLoopAlgorithm):
    """MAML whose head starts as the prototypes: W_c = 2 mu_c, b_c = -|mu_c|^2.

    Gradients flow through the prototypes. `EpisodicOptions` describes the other options.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 5,
        lr: float = 0.1,
        order: int = 2,
        memory: Memory = "fast",
        optimiser: InnerOptimiser = "sgd",
        weight_decay: float | None = None,
        **options: Unpack[EpisodicOptions],
    ) -> None:
        recipe = InnerLoopRecipe(
            "ProtoMAML",
            steps,
            lr,
            "proto",
            optimiser,
            order=order,
            memory=memory,
            weight_decay=weight_decay,
        )
        super().__init__(backbone, recipe, **options)
