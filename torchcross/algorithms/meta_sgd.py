"""Meta-SGD (Li et al. 2017)."""

from __future__ import annotations

from typing import final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.recipe import HeadStart, Memory, Recipe
from torchcross.functional.loop.lanes import Lanes

__all__ = ["MetaSGD"]


@final
class MetaSGD(InnerLoopAlgorithm):
    """MAML with a learned rate for every entry of every parameter; `lr` is where they all start.

    Heads are the episode's and differ in size, so that their weight and their bias have one rate
    each.
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
        norm: str = "batch",
        lanes: Lanes = "auto",
        normalise: MeanAndStd | None = None,
        features: int | None = None,
    ) -> None:
        recipe = Recipe(
            "MetaSGD", steps, lr, head=head, rates="per_parameter", order=order, memory=memory
        )
        super().__init__(
            backbone, recipe, norm=norm, lanes=lanes, normalise=normalise, features=features
        )
