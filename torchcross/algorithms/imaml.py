"""iMAML: meta-learning with implicit gradients (Rajeswaran et al. 2019)."""

from __future__ import annotations

from typing import Unpack, final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import (
    HeadStart,
    InnerLoopRecipe,
    InnerOptimiser,
)
from torchcross.algorithms.options import EpisodicOptions
from torchcross.functional import Implicit


@final
class IMAML(InnerLoopAlgorithm):
    """The inner loop minimises support loss + strength/2 |theta - phi|^2.

    Conjugate gradients (`iterations` of them) compute the meta-gradient of the solution, so take
    enough `steps` to be near it; the memory does not grow with them. Adaptation has the same
    proximal term. `EpisodicOptions` describes the other options.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        strength: float = 2.0,
        steps: int = 16,
        lr: float = 0.1,
        iterations: int = 5,
        head: HeadStart = "zero",
        optimiser: InnerOptimiser = "sgd",
        **options: Unpack[EpisodicOptions],
    ) -> None:
        engine = Implicit(strength, iterations)
        recipe = InnerLoopRecipe(
            "IMAML", steps, lr, head, optimiser, engine=engine, proximal=strength
        )
        super().__init__(backbone, recipe, **options)
