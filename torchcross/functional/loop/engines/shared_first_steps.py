"""The first two steps from a zero head, with one forward of the body for both.

The first update moves the head alone, so the second step sees the same features. One graph of the
body serves both: this saves a forward, and in the outer backward a whole pass over the body.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Autograd, refuse_dead_ends
from torchcross.functional.loop.engines.loop import Loop, LoopState
from torchcross.functional.loop.problem import Split
from torchcross.functional.trees import Params, detach, split_by_name, views

_FEATURES = ""
"""Stands for the features among names of parameters: no parameter has this name."""


def shared_first_steps(
    loop: Loop, state: LoopState, *, keep: bool
) -> list[tuple[LoopState, Tensor]]:
    """(state after the update, support loss before it) of the first two steps.

    Empty where steps cannot share features. A body that changes buffers would have to run twice.
    """
    support = loop.inner.support
    if not (loop.start.head and loop.inner.steps > 1 and isinstance(support, Split)):
        return []
    if not isinstance(loop.calculus, Autograd):
        return []
    _, body = loop.split_moving(state.params, 0)
    if keep:
        fixed, body = loop.start.fixed, views(body)
    else:
        fixed = detach(loop.start.fixed)
        body = {name: value.detach().requires_grad_() for name, value in body.items()}
    with torch.enable_grad():
        features, buffers = support.body({**fixed, **body}, state.buffers, loop.data, 0)
    has_changed = any(value is not state.buffers.get(name) for name, value in buffers.items())
    if has_changed or not features.requires_grad:
        return []

    def gradient(moving: Params) -> tuple[Params, Tensor]:
        """(gradient of the support loss at `moving`, the loss), by the chain rule over features."""
        at, moving_body = split_by_name(moving, loop.start.head)
        # A new tensor: gradients of earlier steps, which the head contains, must not flow here.
        seen = features.view_as(features)
        if moving_body:
            at[_FEATURES] = seen

        def support_loss(tree: Params) -> tuple[Tensor, tuple[()]]:
            params = {**fixed, **tree}
            inputs = params.pop(_FEATURES, seen if keep else seen.detach())
            return support.top(params, inputs, loop.data), ()

        grads, loss, _ = loop.calculus.gradient(support_loss, at, keep=keep)
        if moving_body:
            grads |= _body_gradient(features, grads.pop(_FEATURES), body, keep=keep)
        return {name: grads[name] for name in moving}, loss

    steps = []
    for k in range(2):
        moving, still = loop.split_moving(state.params, k)
        grads, loss = gradient(moving)
        state = loop.update(state, moving, still, grads, state.buffers, k)
        steps.append((state, loss))
    return steps


def _body_gradient(features: Tensor, cotangent: Tensor, body: Params, *, keep: bool) -> Params:
    """The gradient of the body's parameters from that of the features."""
    values = torch.autograd.grad(
        [features],
        list(body.values()),
        [cotangent],
        retain_graph=keep,
        create_graph=keep,
        materialize_grads=True,
    )
    grads = dict(zip(body, values, strict=True))
    if keep:
        refuse_dead_ends(grads)
    return grads
