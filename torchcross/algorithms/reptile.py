"""Reptile (Nichol, Achiam and Schulman 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.recipe import HeadStart, InnerOptimiser, Recipe
from torchcross.algorithms.base import Step
from torchcross.episode import Batch, Episode
from torchcross.functional import merge_buffers

__all__ = ["Reptile"]


@final
class Reptile(InnerLoopAlgorithm):
    """phi <- phi + eps (theta_K - phi): the gradient handed to the optimiser is the mean of phi -
    theta_K.

    theta_K comes from K inner steps on support and query together. With SGD of rate eps as the
    outer optimiser this is the
    published update. The loss shown is that before the last inner step. A head that is not learned
    takes no part in it.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 5,
        lr: float = 1e-3,
        head: HeadStart = "zero",
        optimiser: InnerOptimiser = "adam",
        norm: str = "batch",
        normalise: MeanAndStd | None = None,
        features: int | None = None,
    ) -> None:
        recipe = Recipe("Reptile", steps, lr, head=head, optimiser=optimiser, order=1)
        super().__init__(
            backbone, recipe, norm=norm, lanes="loop", normalise=normalise, features=features
        )

    def training_step(
        self,
        episodes: Sequence[Episode],
        *,
        epoch: int | None = None,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> Step:
        """One way for each episode, from the same parameters; the surrogate loss has their mean as
        its gradient.
        """
        ways, losses, traces, buffers = [], [], [], []
        for episode, place in zip(episodes, self._places(episodes, seed, indices), strict=True):
            whole = Batch(
                torch.cat([episode.support.x, episode.query.x]),
                torch.cat([episode.support.y, episode.query.y]),
            )
            data = self._data(whole, None, episode.task, place)
            end, _ = self._adapted(data, episode.task, place, None)
            start = {**self.network.state()[0], **self._learned_head(episode)}
            ways.append(_way(start, end.params, 1.0 / len(episodes)))
            losses.append(end.trace[-1] if len(end.trace) else self._like().new_zeros(()))
            traces.append(end.trace)
            buffers.append(end.buffers)
        value = torch.stack(losses)
        surrogate = torch.stack(ways).sum()
        loss = value.mean() + (surrogate - surrogate.detach())
        return Step(
            loss, value, self._renamed(merge_buffers(buffers)), "reptile", 1, traces=tuple(traces)
        )

    def _learned_head(self, episode: Episode) -> dict[str, Tensor]:
        return {} if self.heads is None else self.heads.of(episode.task)


def _way(start: dict[str, Tensor], end: dict[str, Tensor], share: float) -> Tensor:
    """A number whose gradient is share * (phi - theta)."""
    parts = [
        (value * (value - end[name]).detach()).sum()
        for name, value in start.items()
        if value.requires_grad
    ]
    return share * torch.stack(parts).sum()
