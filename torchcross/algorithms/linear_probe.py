"""Linear probe: a head on the features of a backbone that is left as it is."""

from __future__ import annotations

from typing import final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.recipe import HEAD_NAMES, HeadStart, InnerOptimiser, Recipe
from torchcross.functional.loop.lanes import Lanes

__all__ = ["LinearProbe"]


@final
class LinearProbe(InnerLoopAlgorithm):
    """A fresh Kaiming head trained with Adam on features that are computed once (BatchNorm policy
    `frozen`).

    As a meta-learner it is first order; its use is `adapt`, from any backbone.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 100,
        lr: float = 1e-2,
        head: HeadStart = "kaiming",
        optimiser: InnerOptimiser = "adam",
        norm: str = "frozen",
        lanes: Lanes = "auto",
        normalise: MeanAndStd | None = None,
        features: int | None = None,
    ) -> None:
        recipe = Recipe(
            "LinearProbe", steps, lr, head=head, optimiser=optimiser, adapted=HEAD_NAMES, order=1
        )
        super().__init__(
            backbone, recipe, norm=norm, lanes=lanes, normalise=normalise, features=features
        )
