"""The two ways to a derivative, behind one interface.

`Autograd` walks torch's tape: fastest for one episode. `Transforms` uses torch.func alone, so that all of an engine can
run under `vmap`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchcross.functional._types import Params

Tree = dict[str, Params]
Pullback = Callable[[Any], Tree]

_DEAD_END = "torch::autograd::Error"


class Calculus(Protocol):
    """Derivatives of pure functions of tensors."""

    def gradient(
        self, f: Callable[[Params], tuple[Tensor, Any]], at: Params, *, keep: bool, inspect: bool = False
    ) -> tuple[Params, Tensor, Any]:
        """(gradient, value, aux) of a scalar function; `keep`: differentiable once more.

        `inspect`: look for what torch would drop from the second derivative without a word.
        """
        ...

    def pullback(
        self, f: Callable[[Tree], tuple[Any, Any]], at: Tree, *, reuse: bool = False
    ) -> tuple[Any, Any, Pullback]:
        """(value, aux, cotangent of the value -> cotangent of the argument); `reuse`: to be called many times."""
        ...


class Autograd:
    """Torch's tape."""

    def gradient(
        self, f: Callable[[Params], tuple[Tensor, Any]], at: Params, *, keep: bool, inspect: bool = False
    ) -> tuple[Params, Tensor, Any]:
        with torch.enable_grad():
            at = at if keep else {name: value.detach().requires_grad_() for name, value in at.items()}
            value, aux = f(at)
            grads = dict(zip(at, _grad([value], list(at.values()), None, keep=keep), strict=True))
        if keep:
            if inspect:
                _refuse_dead_ends(grads)
            return grads, value, aux
        value, aux = pytree.tree_map_only(Tensor, torch.Tensor.detach, (value, aux))
        return grads, value, aux

    def pullback(
        self, f: Callable[[Tree], tuple[Any, Any]], at: Tree, *, reuse: bool = False
    ) -> tuple[Any, Any, Pullback]:
        flat, spec = pytree.tree_flatten(at)
        leaves = [value.detach().requires_grad_() for value in flat]
        with torch.enable_grad():
            value, aux = f(pytree.tree_unflatten(leaves, spec))
        outputs = pytree.tree_leaves(value)

        def pull(cotangent: Any) -> Tree:
            pairs = zip(outputs, pytree.tree_leaves(cotangent), strict=True)
            alive = [(output, back) for output, back in pairs if output.requires_grad]
            sources, backs = [output for output, _ in alive], [back for _, back in alive]
            grads = _grad(sources, leaves, backs, keep=False, reuse=reuse)
            tree: Tree = pytree.tree_unflatten(grads, spec)
            return tree

        aux = pytree.tree_map_only(Tensor, torch.Tensor.detach, aux)
        return pytree.tree_map(torch.Tensor.detach, value), aux, pull


def _refuse_dead_ends(grads: Params) -> None:
    """Raise where a custom function marked `once_differentiable` lies on the way.

    `torch.autograd.grad` prunes the node that would raise, so that the second derivative comes out wrong instead.
    """
    seen: set[Any] = set()
    todo = [value.grad_fn for value in grads.values()]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        if node.name() == _DEAD_END:
            raise NotImplementedError("derivative for a function marked `once_differentiable` is not implemented")
        seen.add(node)
        todo.extend(following for following, _ in node.next_functions)


def _grad(
    outputs: list[Tensor],
    inputs: list[Tensor],
    cotangents: list[Tensor] | None,
    *,
    keep: bool,
    reuse: bool = False,
) -> list[Tensor]:
    alive = bool(inputs) and any(output.requires_grad for output in outputs)
    if not alive:
        return [torch.zeros_like(value) for value in inputs]
    grads = torch.autograd.grad(
        outputs, inputs, cotangents, retain_graph=keep or reuse, create_graph=keep, allow_unused=True
    )
    return [torch.zeros_like(at) if grad is None else grad for at, grad in zip(inputs, grads, strict=True)]


class Transforms:
    """torch.func."""

    def gradient(
        self, f: Callable[[Params], tuple[Tensor, Any]], at: Params, *, keep: bool, inspect: bool = False
    ) -> tuple[Params, Tensor, Any]:
        at = at if keep else pytree.tree_map(torch.Tensor.detach, at)
        if not at:
            value, aux = f(at)
            return {}, value, aux
        grads, (value, aux) = torch.func.grad_and_value(f, has_aux=True)(at)
        if not keep:
            grads, value, aux = pytree.tree_map_only(Tensor, torch.Tensor.detach, (grads, value, aux))
        return grads, value, aux

    def pullback(
        self, f: Callable[[Tree], tuple[Any, Any]], at: Tree, *, reuse: bool = False
    ) -> tuple[Any, Any, Pullback]:
        value, pull, aux = cast(Any, torch.func.vjp(f, at, has_aux=True))
        return value, aux, lambda cotangent: pull(cotangent)[0]
