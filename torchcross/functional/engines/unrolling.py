"""`reverse` and `first_order`: autograd through the unrolled loop, with and without second derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from torchcross.functional._calculus import Tree
from torchcross.functional._types import Buffers
from torchcross.functional.engines.step import Loop, Outcome, unrolled


@dataclass(frozen=True)
class Reverse:
    """Exact: reverse over reverse, the graph of all inner steps kept."""

    name: str = "reverse"
    order: int = 2

    def __call__(self, loop: Loop) -> Outcome:
        return _through(loop, keep=True)


@dataclass(frozen=True)
class FirstOrder:
    """Inner gradients as constants (Finn et al. 2017, section 5.2)."""

    name: str = "first_order"
    order: int = 1

    def __call__(self, loop: Loop) -> Outcome:
        return _through(loop, keep=False)


def _through(loop: Loop, *, keep: bool) -> Outcome:
    def total(tree: Tree) -> tuple[torch.Tensor, tuple[Buffers, torch.Tensor]]:
        return unrolled(loop.with_tree(tree), keep=keep)

    loss, (buffers, trace), pull = loop.calculus.pullback(total, loop.tree())
    grads = pull(torch.ones_like(loss))
    return Outcome(loss, grads["adapted"], grads["fixed"], grads["rates"], buffers, trace)
