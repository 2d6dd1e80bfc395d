"""Gradients to images that require them: such images are parameters of the episode's own.

Every engine returns the gradients of an episode's own parameters, so images need no way of their
own through the inner loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchcross.functional import Inner, Problem, Split

Tree = dict[str, Tensor]

_IMAGES = ("xs", "xq")
_PREFIX = "images."


def learned_images(data: Tree) -> tuple[str, ...]:
    """Return which of support and query ("xs", "xq") require gradients that are recorded."""
    if not torch.is_grad_enabled():
        return ()
    return tuple(name for name in _IMAGES if name in data and data[name].requires_grad)


def with_image_gradients(
    problem: Problem, share: Callable[[Any, Callable[[], Inner]], Inner]
) -> Problem:
    """Return the problem with images that require gradients among its own parameters.

    `share` returns the inner loop that was made for a key, for lanes share inner loops.
    """
    names = learned_images(problem.data)
    if not names:
        return problem
    own = {**problem.own, **{_PREFIX + name: problem.data[name] for name in names}}
    inner = share((id(problem.inner), names), lambda: _reading_parameters(problem.inner, names))
    data = {**problem.data, **{name: problem.data[name].detach() for name in names}}
    return dataclasses.replace(problem, inner=inner, own=own, data=data)


def _reading_parameters(inner: Inner, names: tuple[str, ...]) -> Inner:
    """Return an inner loop whose losses find these images among the parameters."""

    def reading(loss: Callable[..., Any], data_at: int) -> Callable[..., Any]:
        def read_and_call(params: Tree, *rest: Any) -> Any:
            arguments = list(rest)
            images = {name: params[_PREFIX + name] for name in names}
            arguments[data_at] = {**arguments[data_at], **images}
            return loss(params, *arguments)

        return read_and_call

    support: Any = inner.support
    if isinstance(support, Split):
        support = Split(reading(support.body, 1), reading(support.top, 1))
    else:
        support = reading(support, 1)
    init = None if inner.init is None else reading(inner.init, 1)
    query = reading(inner.query, 1)
    return dataclasses.replace(inner, support=support, query=query, init=init)
