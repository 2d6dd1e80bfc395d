"""Reptile (Nichol, Achiam and Schulman 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack, final

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.image_gradients import learned_images
from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import (
    HeadStart,
    InnerLoopRecipe,
    InnerOptimiser,
)
from torchcross.algorithms.base import Step
from torchcross.algorithms.options import InputOptions, check_option_names
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.functional import merge_buffers


@final
class Reptile(InnerLoopAlgorithm):
    """phi <- phi + eps (theta_K - phi): the outer gradient is the mean of phi - theta_K.

    theta_K comes from K inner steps on support and query together. With SGD of rate eps as the
    outer optimiser this is the published update. The loss shown is the one before the last inner
    step. A head that is not learned takes no part in the update. `EpisodicOptions` describes
    norm, normalise and features.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 5,
        lr: float = 1e-3,
        head: HeadStart = "zero",
        optimiser: InnerOptimiser = "adam",
        weight_decay: float | None = None,
        norm: str = "batch",
        **options: Unpack[InputOptions],
    ) -> None:
        check_option_names(Reptile, options, InputOptions)
        recipe = InnerLoopRecipe(
            "Reptile", steps, lr, head, optimiser, order=1, weight_decay=weight_decay
        )
        super().__init__(backbone, recipe, norm=norm, lanes="loop", **options)

    def training_step(
        self,
        episodes: Sequence[Episode],
        *,
        epoch: int | None = None,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> Step:
        """One inner loop for each episode, from the same parameters.

        The gradient of the surrogate loss is the mean of their phi - theta_K.
        """
        surrogates, losses, traces, buffers = [], [], [], []
        for episode, key in zip(episodes, self._keys(episodes, seed, indices), strict=True):
            both = Batch(
                torch.cat([episode.support.x, episode.query.x]),
                torch.cat([episode.support.y, episode.query.y]),
            )
            data = self._data(both, None, episode.task, key.name)
            if learned_images(data):
                raise InputError(
                    f"{key.name}: its images require gradients, and Reptile's training step takes"
                    " none through the inner loop; give images without (`.detach()`), or take"
                    " MAML(order=1), whose gradients reach the images."
                )
            end = self._run_inner_loop(data, episode.task, key, self.recipe.steps)
            start = self.network.state()[0]
            if self.heads is not None:
                start |= self.heads.of(episode.task)
            surrogates.append(_surrogate(start, end.params) / len(episodes))
            losses.append(end.trace[-1] if len(end.trace) else torch.zeros_like(surrogates[-1]))
            traces.append(end.trace)
            buffers.append(end.buffers)
        value = torch.stack(losses)
        surrogate = torch.stack(surrogates).sum()
        # The value of the loss, with the gradient of the surrogate.
        loss = value.mean() + (surrogate - surrogate.detach())
        new_buffers = self._changed_buffers(merge_buffers(buffers))
        return Step(loss, value, new_buffers, "reptile", 1, traces=tuple(traces))


def _surrogate(start: dict[str, Tensor], end: dict[str, Tensor]) -> Tensor:
    """Return a number whose gradient is phi - theta."""
    parts = [
        (value * (value - end[name]).detach()).sum()
        for name, value in start.items()
        if value.requires_grad
    ]
    return torch.stack(parts).sum()
