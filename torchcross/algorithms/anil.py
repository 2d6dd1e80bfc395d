"""ANIL: almost no inner loop (Raghu et al. 2020)."""

from __future__ import annotations

from typing import Unpack, final

from torch import nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import (
    HEAD_NAMES,
    HeadStart,
    InnerLoopRecipe,
    InnerOptimiser,
    Memory,
)
from torchcross.algorithms.options import EpisodicOptions


@final
class ANIL(InnerLoopAlgorithm):
    """MAML whose inner loop moves the head alone.

    The features are computed once for each episode, unless dropout or the BatchNorm policy changes
    them from step to step. Gradients flow through them, so the meta-gradient is complete.
    `EpisodicOptions` describes the other options.

    >>> from torchcross import backbones
    >>> from torchcross.algorithms import ANIL
    >>> from torchcross.data import toys
    >>> episode = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=16), shots=5, queries=3))[0]
    >>> algorithm = ANIL(backbones.conv4(8, in_channels=1), steps=2)
    >>> algorithm.adapt(episode.support, episode.task)(episode.query.x).decisions.shape
    torch.Size([6])
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
        weight_decay: float | None = None,
        **options: Unpack[EpisodicOptions],
    ) -> None:
        recipe = InnerLoopRecipe(
            "ANIL",
            steps,
            lr,
            head,
            optimiser,
            adapted=HEAD_NAMES,
            order=order,
            memory=memory,
            weight_decay=weight_decay,
        )
        super().__init__(backbone, recipe, **options)
