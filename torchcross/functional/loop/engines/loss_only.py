"""The loss alone, for where no gradient is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from torchcross.functional.loop.engines import Engine, Implicit
from torchcross.functional.loop.engines.loop import Loop, LoopResult
from torchcross.functional.loop.engines.unrolling import unrolled_query_loss
from torchcross.functional.trees import zeros


@dataclass(frozen=True)
class LossOnly:
    """Runs the loop, keeps one step at a time, and returns gradients of zero.

    of   the engine whose loss it is: `implicit` solves a proximal problem, all others the plain one
    """

    of: Engine | None = None
    name: str = "value"
    order: int = 0

    def __call__(self, loop: Loop) -> LoopResult:
        if isinstance(self.of, Implicit):
            loop = self.of.proximal_loop(loop)
        loss, (buffers, trace) = unrolled_query_loss(loop, loop.tree(), keep=False)
        grads = {part: zeros(tensors) for part, tensors in loop.tree().items()}
        return LoopResult(loss, grads["adapted"], grads["fixed"], grads["rates"], buffers, trace)
