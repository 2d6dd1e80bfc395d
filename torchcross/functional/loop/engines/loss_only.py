"""The loss alone, for where no gradient is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.functional.loop.engines.loop import Loop, LoopResult
from torchcross.functional.trees import zeros


@dataclass(frozen=True)
class LossOnly:
    """Runs the loop, keeps one step at a time, and returns gradients of zero."""

    name: str = "value"
    order: int = 0

    def __call__(self, loop: Loop) -> LoopResult:
        moment, losses = loop.begin(), []
        weighted: list[Tensor] = []
        buffers = moment.buffers
        for updates in range(loop.inner.steps + 1):
            weight = loop.inner.weight_after(updates)
            if weight or updates == loop.inner.steps:
                query, buffers = loop.query_loss(moment, updates)
                weighted.append(query * weight)
            if updates < loop.inner.steps:
                moment, loss = loop.step(moment, updates, keep=False)
                losses.append(loss)
        loss, trace = sum(weighted[1:], weighted[0]), torch.stack([*losses, query])
        grads = {part: zeros(tensors) for part, tensors in loop.tree().items()}
        return LoopResult(loss, grads["adapted"], grads["fixed"], grads["rates"], buffers, trace)
