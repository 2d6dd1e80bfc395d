"""ANIL: almost no inner loop (Raghu et al. 2020)."""

from __future__ import annotations

from typing import final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.recipe import (
    HEAD_NAMES,
    HeadStart,
    InnerOptimiser,
    Memory,
    Recipe,
)
from torchcross.functional.loop.lanes import Lanes

__all__ = ["ANIL"]


@final
class ANIL(InnerLoopAlgorithm):
    """MAML whose inner loop moves the head alone.

    The features are computed once for each episode, where no dropout and no policy changes them
    from step to step; gradients flow through them, so that nothing of the meta-gradient is lost.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 5,
        lr: float = 0.1,
        head: HeadStart = "zero",
        order: int = 2,
        memory: Memory = "fast",
        optimiser: InnerOptimiser = "sgd",
        norm: str = "batch",
        lanes: Lanes = "auto",
        normalise: MeanAndStd | None = None,
        features: int | None = None,
    ) -> None:
        recipe = Recipe(
            "ANIL",
            steps,
            lr,
            head=head,
            optimiser=optimiser,
            adapted=HEAD_NAMES,
            order=order,
            memory=memory,
        )
        super().__init__(
            backbone, recipe, norm=norm, lanes=lanes, normalise=normalise, features=features
        )
