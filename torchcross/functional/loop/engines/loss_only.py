"""The loss alone, for where no gradient is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.functional.loop.engines.loop import Loop, Outcome
from torchcross.functional.trees import zeros


@dataclass(frozen=True)
class LossOnly:
    """Runs the loop, keeps one step at a time, and hands back gradients of zero."""

    name: str = "value"
    order: int = 0

    def __call__(self, loop: Loop) -> Outcome:
        moment, losses = loop.begin(), []
        total: Tensor | None = None
        buffers = moment.buffers
        query = torch.zeros(())
        for updates in range(loop.inner.steps + 1):
            weight = loop.inner.weight_after(updates)
            if weight or updates == loop.inner.steps:
                query, buffers = loop.query_loss(moment, updates)
                total = query * weight if total is None else total + query * weight
            if updates < loop.inner.steps:
                moment, loss = loop.step(moment, updates, keep=False)
                losses.append(loss)
        assert total is not None
        grads = {name: zeros(part) for name, part in loop.tree().items()}
        trace = torch.stack([*losses, query])
        return Outcome(total, grads["adapted"], grads["fixed"], grads["rates"], buffers, trace)
