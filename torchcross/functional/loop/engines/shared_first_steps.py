"""The first two steps from a zero head, with one forward of the body for both.

The first update moves the head alone, so that the second step's features are the first's. One graph
of the body then serves both: a forward is saved, and in the outer backward a whole pass over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Autograd, refuse_dead_ends
from torchcross.functional.loop.engines.loop import Loop, Moment
from torchcross.functional.loop.problem import Split
from torchcross.functional.trees import Params, detached, views


@dataclass(frozen=True)
class Shared:
    """The features of the support set as a function of `body`, for the first two steps of a
    loop.
    """

    loop: Loop
    support: Split
    body: Params
    fixed: Params
    features: Tensor
    keep: bool

    def first_two(self, moment: Moment) -> Iterator[tuple[Moment, Tensor]]:
        """(the loop, the support loss before the update) after the first update and after the
        second.
        """
        for k in range(2):
            moving, still = self.loop.parted(moment.params, k)
            grads, loss = self._gradient(moving)
            moment = self.loop.updated(moment, moving, still, grads, moment.buffers, k)
            yield moment, loss

    def _gradient(self, moving: Params) -> tuple[Params, Tensor]:
        """(gradient of the support loss at `moving`, the loss), through the features where the body
        moves.
        """
        heads = {name: value for name, value in moving.items() if name in self.loop.start.head}
        names = [name for name in moving if name not in heads]
        # New tensors: what the head has made of the features is no path of this gradient.
        features = self.features.view_as(self.features)

        def loss_of(tree: Params) -> tuple[Tensor, tuple[()]]:
            inputs = {name: value for name, value in tree.items() if name != _FEATURES}
            seen = tree.get(_FEATURES, features if self.keep else features.detach())
            return self.support.top({**self.fixed, **inputs}, seen, self.loop.data), ()

        at = {**heads, _FEATURES: features} if names else heads
        grads, loss, _ = self.loop.calculus.gradient(loss_of, at, keep=self.keep)
        if names:
            pulled = self._pulled(names, grads.pop(_FEATURES))
            grads |= pulled
        return {name: grads[name] for name in moving}, loss

    def _pulled(self, names: list[str], back: Tensor) -> Params:
        at = [self.body[name] for name in names]
        found = torch.autograd.grad(
            [self.features],
            at,
            [back],
            retain_graph=self.keep,
            create_graph=self.keep,
            allow_unused=True,
        )
        pairs = zip(names, at, found, strict=True)
        grads = {
            name: torch.zeros_like(value) if grad is None else grad for name, value, grad in pairs
        }
        if self.keep:
            refuse_dead_ends(grads)
        return grads


_FEATURES = ""
"""No parameter has this name."""


def shared_start(loop: Loop, moment: Moment, *, keep: bool) -> Shared | None:
    """What the first two steps share; None where they do not share it.

    A body that hands back other buffers would have done so twice.
    """
    support = loop.inner.support
    if not (loop.start.head and loop.inner.steps > 1 and isinstance(support, Split)):
        return None
    if not isinstance(loop.calculus, Autograd):
        return None
    _, body = loop.parted(moment.params, 0)
    fixed = loop.start.fixed if keep else detached(loop.start.fixed)
    seen = (
        views(body)
        if keep
        else {name: value.detach().requires_grad_() for name, value in body.items()}
    )
    with torch.enable_grad():
        features, buffers = support.body({**fixed, **seen}, moment.buffers, loop.data, 0)
    if (
        any(value is not moment.buffers.get(name) for name, value in buffers.items())
        or not features.requires_grad
    ):
        return None
    return Shared(loop, support, seen, fixed, features, keep)
