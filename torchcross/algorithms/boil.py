"""BOIL: body only update in the inner loop (Oh et al. 2021)."""

from __future__ import annotations

from typing import final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.recipe import (
    HeadStart,
    InnerOptimiser,
    Memory,
    Recipe,
    body_alone,
)
from torchcross.functional.loop.lanes import Lanes

__all__ = ["BOIL"]


@final
class BOIL(InnerLoopAlgorithm):
    """MAML whose inner loop moves the backbone alone and leaves the head where it starts.

    A zero head would send the backbone no gradient at all, so the head starts as `kaiming`, `proto`
    or `LearnedHeads`.
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
        norm: str = "batch",
        lanes: Lanes = "auto",
        normalise: MeanAndStd | None = None,
        features: int | None = None,
    ) -> None:
        recipe = Recipe(
            "BOIL",
            steps,
            lr,
            head=head,
            optimiser=optimiser,
            adapted=body_alone,
            order=order,
            memory=memory,
        )
        super().__init__(
            backbone, recipe, norm=norm, lanes=lanes, normalise=normalise, features=features
        )
