"""The first two steps from a zero head, with one forward of the body for both.

The first update moves the head alone, so the second step sees the same features. One graph of the
body serves both: this saves a forward, and in the outer backward a whole pass over the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Autograd, refuse_dead_ends
from torchcross.functional.loop.engines.loop import Loop, Moment
from torchcross.functional.loop.problem import Split
from torchcross.functional.trees import Params, detach, split_by_name, views

_FEATURES = ""
"""Stands for the features among names of parameters: no parameter has this name."""


def shared_first_steps(loop: Loop, moment: Moment, *, keep: bool) -> list[tuple[Moment, Tensor]]:
    """(moment after the update, support loss before it) of the first two steps.

    Empty where steps cannot share features. A body that changes buffers would have to run twice.
    """
    support = loop.inner.support
    if not (loop.start.head and loop.inner.steps > 1 and isinstance(support, Split)):
        return []
    if not isinstance(loop.calculus, Autograd):
        return []
    _, body = loop.split_moving(moment.params, 0)
    fixed = loop.start.fixed if keep else detach(loop.start.fixed)
    if keep:
        body = views(body)
    else:
        body = {name: value.detach().requires_grad_() for name, value in body.items()}
    with torch.enable_grad():
        features, buffers = support.body({**fixed, **body}, moment.buffers, loop.data, 0)
    changes = any(value is not moment.buffers.get(name) for name, value in buffers.items())
    if changes or not features.requires_grad:
        return []
    shared = _SharedFeatures(loop, support, body, fixed, features, keep)
    steps = []
    for k in range(2):
        moving, still = loop.split_moving(moment.params, k)
        grads, loss = shared.gradient(moving)
        moment = loop.update(moment, moving, still, grads, moment.buffers, k)
        steps.append((moment, loss))
    return steps


@dataclass(frozen=True)
class _SharedFeatures:
    """The features of the support set as a function of `body`."""

    loop: Loop
    support: Split
    body: Params
    fixed: Params
    features: Tensor
    keep: bool

    def gradient(self, moving: Params) -> tuple[Params, Tensor]:
        """(gradient of the support loss at `moving`, the loss), by the chain rule over features."""
        head, body = split_by_name(moving, self.loop.start.head)
        # A new tensor: gradients of earlier steps, which the head contains, must not flow here.
        features = self.features.view_as(self.features)

        def support_loss(tree: Params) -> tuple[Tensor, tuple[()]]:
            params = dict(tree)
            seen = params.pop(_FEATURES, features if self.keep else features.detach())
            return self.support.top({**self.fixed, **params}, seen, self.loop.data), ()

        at = {**head, _FEATURES: features} if body else head
        grads, loss, _ = self.loop.calculus.gradient(support_loss, at, keep=self.keep)
        if body:
            grads |= self._body_gradient(list(body), grads.pop(_FEATURES))
        return {name: grads[name] for name in moving}, loss

    def _body_gradient(self, names: list[str], cotangent: Tensor) -> Params:
        """The gradient of the body's parameters from that of the features."""
        at = {name: self.body[name] for name in names}
        values = torch.autograd.grad(
            [self.features],
            list(at.values()),
            [cotangent],
            retain_graph=self.keep,
            create_graph=self.keep,
            materialize_grads=True,
        )
        grads = dict(zip(at, values, strict=True))
        if self.keep:
            refuse_dead_ends(grads)
        return grads
