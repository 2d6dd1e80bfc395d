"""The two ways to a derivative, behind one interface.

`Autograd` walks torch's tape: fastest for one episode. `Transforms` uses torch.func alone, so that all of an engine can
run under `vmap`.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils import _pytree as pytree

from torchcross.functional._types import Params, blank, zeros

Tree = dict[str, Params]
Pullback = Callable[[Any], Tree]

_DEAD_END = "torch::autograd::Error"


class Calculus(Protocol):
    """Derivatives of pure functions of tensors."""

    def gradient(
        self, f: Callable[[Params], tuple[Tensor, Any]], at: Params, *, keep: bool, inspect: bool = False
    ) -> tuple[Params, Tensor, Any]:
        """(gradient, value, aux) of a scalar function; `keep`: differentiable once more.

        `inspect`: look for what torch would drop from the second derivative without a word. A transform has no graph to
        look at: there `torchcross.functional.unroll.probe` looks beforehand.
        """
        ...

    def pullback(
        self, f: Callable[[Tree], tuple[Any, Any]], at: Tree, *, reuse: bool = False
    ) -> tuple[Any, Any, Pullback]:
        """(value, aux, cotangent of the value -> cotangent of the argument); `reuse`: to be called many times."""
        ...

    def gradient_along(
        self, f: Callable[[Tree, Params], Tensor], at: Tree, along: Tree, weights: Params, *, value: bool
    ) -> tuple[Tree, Tree]:
        """(gradient of f(at, 0), its derivative along `along` and `weights`), forward over reverse.

        `along` may have less than `at`; without `value` the gradient itself is let go, and blank.
        """
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
                refuse_dead_ends(grads)
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
        # Edges, not tensors: who drops the value frees its memory.
        edges = [get_gradient_edge(output) if output.requires_grad else None for output in pytree.tree_leaves(value)]

        def pull(cotangent: Any) -> Tree:
            pairs = zip(edges, pytree.tree_leaves(cotangent), strict=True)
            alive = [(edge, back) for edge, back in pairs if edge is not None]
            sources, backs = [edge for edge, _ in alive], [back for _, back in alive]
            grads = _grad(sources, leaves, backs, keep=False, reuse=reuse)
            tree: Tree = pytree.tree_unflatten(grads, spec)
            return tree

        aux = pytree.tree_map_only(Tensor, torch.Tensor.detach, aux)
        return pytree.tree_map(torch.Tensor.detach, value), aux, pull

    def gradient_along(
        self, f: Callable[[Tree, Params], Tensor], at: Tree, along: Tree, weights: Params, *, value: bool
    ) -> tuple[Tree, Tree]:
        load_forward_rules()
        flat, spec = pytree.tree_flatten(at)
        tangents = [along.get(part, {}).get(name) for part, tree in at.items() for name in tree]
        grads, slopes = [blank(tensor) for tensor in flat], [blank(tensor) for tensor in flat]
        with torch.autograd.forward_ad.dual_level():
            leaves = [_dual(*pair).requires_grad_() for pair in zip(flat, tangents, strict=True)]
            with torch.enable_grad():
                output = f(
                    pytree.tree_unflatten(leaves, spec),
                    {name: _dual(torch.zeros_like(weight), weight) for name, weight in weights.items()},
                )
            for slot, leaf in enumerate(leaves):
                leaf.register_hook(_taking(slot, grads if value else None, slopes))  # type: ignore[no-untyped-call]
            if output.requires_grad:
                torch.autograd.grad(output, leaves, allow_unused=True)
        return pytree.tree_unflatten(grads, spec), pytree.tree_unflatten(slopes, spec)


def _dual(primal: Tensor, tangent: Tensor | None) -> Tensor:
    primal = primal.detach()
    if tangent is None:
        return primal
    return cast(Tensor, torch.autograd.forward_ad.make_dual(primal, tangent.detach()))  # type: ignore[no-untyped-call]


def _taking(slot: int, grads: list[Tensor] | None, slopes: list[Tensor]) -> Callable[[Tensor], Tensor]:
    """A hook that takes a gradient and its slope apart as soon as they are there, and lets go of what is not asked."""

    def take(grad: Tensor) -> Tensor:
        primal, tangent = torch.autograd.forward_ad.unpack_dual(grad)  # type: ignore[no-untyped-call]
        if tangent is not None:
            slopes[slot] = tangent
        if grads is not None:
            grads[slot] = primal
        return blank(primal)

    return take


@functools.cache
def load_forward_rules() -> None:
    """Import torch's forward-mode rules ahead of their first use: scripting them warns of scripting's end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module("torch._decomp.decompositions_for_jvp")


def refuse_dead_ends(grads: Params) -> None:
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
            # As torch itself says it where it notices, so that `serving` tells both in one way.
            raise NotImplementedError("derivative for a function marked `once_differentiable` is not implemented")
        seen.add(node)
        todo.extend(following for following, _ in node.next_functions)


def _grad(
    outputs: Sequence[Tensor] | Sequence[GradientEdge],
    inputs: list[Tensor],
    cotangents: list[Tensor] | None,
    *,
    keep: bool,
    reuse: bool = False,
) -> list[Tensor]:
    alive = bool(inputs) and any(not isinstance(output, Tensor) or output.requires_grad for output in outputs)
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

    def gradient_along(
        self, f: Callable[[Tree, Params], Tensor], at: Tree, along: Tree, weights: Params, *, value: bool
    ) -> tuple[Tree, Tree]:
        load_forward_rules()

        def slopes(moving: Tree, weights: Params) -> Tree:
            merged = {part: {**tree, **moving.get(part, {})} for part, tree in at.items()}
            gradient: Tree = torch.func.grad(f)(merged, weights)
            return gradient

        primals = {part: {name: at[part][name] for name in tree} for part, tree in along.items()}
        result = torch.func.jvp(slopes, (primals, zeros(weights)), (along, weights))
        return cast(tuple[Tree, Tree], result)
