"""Linear probe: a head on the features of a backbone that stays as it is."""

from __future__ import annotations

from typing import Unpack, final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import (
    HEAD_NAMES,
    HeadStart,
    InnerLoopRecipe,
    InnerOptimiser,
)
from torchcross.algorithms.options import LaneOptions


@final
class LinearProbe(InnerLoopAlgorithm):
    """A fresh Kaiming head trained with Adam on features that are computed once.

    The BatchNorm policy is `frozen`. Use `adapt`, from any backbone; as a meta-learner it is first
    order. `EpisodicOptions` describes the other options.

    >>> from torchcross import backbones
    >>> from torchcross.algorithms import LinearProbe
    >>> from torchcross.data import toys
    >>> episode = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=16), shots=5, queries=3))[0]
    >>> algorithm = LinearProbe(backbones.conv4(8, in_channels=1), steps=5)
    >>> algorithm.adapt(episode.support, episode.task)(episode.query.x).decisions.shape
    torch.Size([6])
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 100,
        lr: float = 1e-2,
        head: HeadStart = "kaiming",
        optimiser: InnerOptimiser = "adam",
        weight_decay: float | None = None,
        norm: str = "frozen",
        **options: Unpack[LaneOptions],
    ) -> None:
        recipe = InnerLoopRecipe(
            "LinearProbe",
            steps,
            lr,
            head,
            optimiser,
            HEAD_NAMES,
            order=1,
            weight_decay=weight_decay,
        )
        super().__init__(backbone, recipe, norm=norm, **options)
