"""Proto-MAML (Triantafillou et al. 2020)."""

from __future__ import annotations

from typing import final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.recipe import InnerOptimiser, Memory, Recipe
from torchcross.functional.loop.lanes import Lanes

__all__ = ["ProtoMAML"]


@final
class ProtoMAML(InnerLoopAlgorithm):
    """MAML whose head starts as the prototypes: W_c = 2 mu_c, b_c = -|mu_c|^2. Gradients flow
    through it.
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
        norm: str = "batch",
        lanes: Lanes = "auto",
        normalise: MeanAndStd | None = None,
        features: int | None = None,
    ) -> None:
        recipe = Recipe(
            "ProtoMAML", steps, lr, head="proto", optimiser=optimiser, order=order, memory=memory
        )
        super().__init__(
            backbone, recipe, norm=norm, lanes=lanes, normalise=normalise, features=features
        )
