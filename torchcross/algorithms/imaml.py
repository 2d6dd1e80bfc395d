"""iMAML: meta-learning with implicit gradients (Rajeswaran et al. 2019)."""

from __future__ import annotations

from typing import final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.recipe import HeadStart, InnerOptimiser, Recipe
from torchcross.functional import Implicit
from torchcross.functional.loop.lanes import Lanes

__all__ = ["IMAML"]


@final
class IMAML(InnerLoopAlgorithm):
    """The inner loop minimises support loss + strength/2 |theta - phi|^2; conjugate gradients give
    the meta-gradient there.

    Its memory does not grow with `steps`. Adaptation has the same proximal term. The gradient is
    that of the solution: take
    enough steps to be near it.
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
        norm: str = "batch",
        lanes: Lanes = "auto",
        normalise: MeanAndStd | None = None,
        features: int | None = None,
    ) -> None:
        recipe = Recipe(
            "IMAML",
            steps,
            lr,
            head=head,
            optimiser=optimiser,
            engine=Implicit(strength, iterations),
            proximal=strength,
        )
        super().__init__(
            backbone, recipe, norm=norm, lanes=lanes, normalise=normalise, features=features
        )
