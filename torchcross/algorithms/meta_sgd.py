"""Meta-SGD (Li et al. 2017)."""

from __future__ import annotations

from typing import Unpack, final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import HeadStart, InnerLoopRecipe, Memory
from torchcross.algorithms.options import EpisodicOptions


@final
class MetaSGD(InnerLoopAlgorithm):
    """MAML with a learned rate for every entry of every parameter; `lr` is where they all start.

    Heads are the episode's and differ in size, so their weight and their bias have one rate each.
    `EpisodicOptions` describes the other options.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 1,
        lr: float = 0.1,
        head: HeadStart = "zero",
        order: int = 2,
        memory: Memory = "fast",
        **options: Unpack[EpisodicOptions],
    ) -> None:
        recipe = InnerLoopRecipe(
            "MetaSGD", steps, lr, head, order=order, memory=memory, rates="per_parameter"
        )
        super().__init__(backbone, recipe, **options)
