"""The two ways to a derivative, behind one interface.

`Autograd` walks torch's tape: fastest for one episode. `Transforms` uses torch.func alone, so that
all of an engine can run under `vmap`.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils import _pytree as pytree

from torchcross.functional.network.purity import given_leaf
from torchcross.functional.trees import Params, blank, blanks, zeros

Tree = dict[str, Params]
Take = Callable[[str, str, Tensor], None]
"""(part of a tree, name, derivative): gets each as soon as it is there, and need not copy what it
does not keep.
"""

_DEAD_END = "torch::autograd::Error"


class Pullback(Protocol):
    """Cotangent of the value -> cotangent of the argument.

    With `take`, cotangents go there one by one (none where there is no path) and the tree handed
    back is empty.
    """

    def __call__(self, cotangent: Any, take: Take | None = None) -> Tree: ...


class Calculus(Protocol):
    """Derivatives of pure functions of tensors."""

    def gradient(
        self,
        f: Callable[[Params], tuple[Tensor, Any]],
        at: Params,
        *,
        keep: bool,
        inspect: bool = False,
    ) -> tuple[Params, Tensor, Any]:
        """(gradient, value, aux) of a scalar function; `keep`: differentiable once more.

        `inspect`: look for what torch would drop from the second derivative without a word. A
        transform has no graph to look at: there `torchcross.functional.unroll.probe` looks
        beforehand.
        """
        ...

    def pullback(
        self, f: Callable[[Tree], tuple[Any, Any]], at: Tree, *, reuse: bool = False
    ) -> tuple[Any, Any, Pullback]:
        """(value, aux, cotangent of the value -> cotangent of the argument); `reuse`: to be called
        many times.
        """
        ...

    def gradient_along(
        self,
        f: Callable[[Tree, Params], Tensor],
        at: Tree,
        along: Tree,
        weights: Params,
        take: Take,
        *,
        value: bool,
    ) -> Tree:
        """The gradient of f(at, 0); its derivative along `along` and `weights` goes to `take`.
        Forward over reverse.

        `along` may have less than `at`; without `value` the gradient itself is let go, and blank.
        `take` may write to the tensor of `along` that has the name it is called with: nothing reads
        it any more.
        """
        ...


class Autograd:
    """Torch's tape."""

    def gradient(
        self,
        f: Callable[[Params], tuple[Tensor, Any]],
        at: Params,
        *,
        keep: bool,
        inspect: bool = False,
    ) -> tuple[Params, Tensor, Any]:
        with torch.enable_grad():
            at = at if keep else {name: given_leaf(value.detach()) for name, value in at.items()}
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
        leaves = [given_leaf(value.detach()) for value in flat]
        with torch.enable_grad():
            value, aux = f(pytree.tree_unflatten(leaves, spec))
        # Edges, not tensors: who drops the value frees its memory.
        edges = [
            get_gradient_edge(output) if output.requires_grad else None
            for output in pytree.tree_leaves(value)
        ]

        def pull(cotangent: Any, take: Take | None = None) -> Tree:
            pairs = zip(edges, pytree.tree_leaves(cotangent), strict=True)
            alive = [(edge, back) for edge, back in pairs if edge is not None]
            sources, backs = [edge for edge, _ in alive], [back for _, back in alive]
            with _handed_on(leaves, _places(at), take):
                grads = _grad(sources, leaves, backs, keep=False, reuse=reuse)
            tree: Tree = pytree.tree_unflatten(grads, spec) if take is None else {}
            return tree

        aux = pytree.tree_map_only(Tensor, torch.Tensor.detach, aux)
        return pytree.tree_map(torch.Tensor.detach, value), aux, pull

    def gradient_along(
        self,
        f: Callable[[Tree, Params], Tensor],
        at: Tree,
        along: Tree,
        weights: Params,
        take: Take,
        *,
        value: bool,
    ) -> Tree:
        load_forward_rules()
        flat, spec = pytree.tree_flatten(at)
        places = _places(at)
        tangents = [along.get(part, {}).get(name) for part, name in places]
        grads = {part: blanks(tree) for part, tree in at.items()}

        def take_apart(part: str, name: str, grad: Tensor) -> None:
            primal, tangent = torch.autograd.forward_ad.unpack_dual(grad)  # type: ignore[no-untyped-call]
            if value:
                grads[part][name] = primal
            if tangent is not None:
                take(part, name, tangent)

        with torch.autograd.forward_ad.dual_level():
            leaves = [given_leaf(_dual(*pair)) for pair in zip(flat, tangents, strict=True)]
            with torch.enable_grad():
                output = f(
                    pytree.tree_unflatten(leaves, spec),
                    {
                        name: _dual(torch.zeros_like(weight), weight)
                        for name, weight in weights.items()
                    },
                )
            if output.requires_grad:
                with _handed_on(leaves, places, take_apart):
                    torch.autograd.grad(output, leaves, allow_unused=True)
        return grads


def _dual(primal: Tensor, tangent: Tensor | None) -> Tensor:
    primal = primal.detach()
    if tangent is None:
        return primal
    return cast(Tensor, torch.autograd.forward_ad.make_dual(primal, tangent.detach()))  # type: ignore[no-untyped-call]


def _places(tree: Tree) -> list[tuple[str, str]]:
    """(part, name) of every leaf, in the order of the flattened tree."""
    return [(part, name) for part, leaves in tree.items() for name in leaves]


@contextmanager
def _handed_on(
    leaves: list[Tensor], places: list[tuple[str, str]], take: Take | None
) -> Iterator[None]:
    """Meanwhile a gradient that reaches a leaf goes to `take` at once, and zeros without memory
    stand in for it.
    """

    def hook_of(part: str, name: str) -> Callable[[Tensor], Tensor]:
        def hook(grad: Tensor) -> Tensor:
            assert take is not None
            take(part, name, grad)
            return blank(grad)

        return hook

    hooks = [] if take is None else [hook_of(*place) for place in places]
    handles = [leaf.register_hook(hook) for leaf, hook in zip(leaves, hooks, strict=False)]  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@functools.cache
def load_forward_rules() -> None:
    """Import torch's forward-mode rules ahead of their first use: scripting them warns of
    scripting's end.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module("torch._decomp.decompositions_for_jvp")


def refuse_dead_ends(grads: Params) -> None:
    """Raise where a custom function marked `once_differentiable` lies on the way.

    `torch.autograd.grad` prunes the node that would raise, so that the second derivative comes out
    wrong instead.
    """
    seen: set[Any] = set()
    todo = [value.grad_fn for value in grads.values()]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        if node.name() == _DEAD_END:
            # As torch itself says it where it notices, so that `serving` tells both in one way.
            raise NotImplementedError(
                "derivative for a function marked `once_differentiable` is not implemented"
            )
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
    alive = bool(inputs) and any(
        not isinstance(output, Tensor) or output.requires_grad for output in outputs
    )
    if not alive:
        return [torch.zeros_like(value) for value in inputs]
    grads = torch.autograd.grad(
        outputs,
        inputs,
        cotangents,
        retain_graph=keep or reuse,
        create_graph=keep,
        allow_unused=True,
    )
    return [
        torch.zeros_like(at) if grad is None else grad
        for at, grad in zip(inputs, grads, strict=True)
    ]


class Transforms:
    """torch.func."""

    def gradient(
        self,
        f: Callable[[Params], tuple[Tensor, Any]],
        at: Params,
        *,
        keep: bool,
        inspect: bool = False,
    ) -> tuple[Params, Tensor, Any]:
        at = at if keep else pytree.tree_map(torch.Tensor.detach, at)
        if not at:
            value, aux = f(at)
            return {}, value, aux
        grads, (value, aux) = torch.func.grad_and_value(f, has_aux=True)(at)
        if not keep:
            grads, value, aux = pytree.tree_map_only(
                Tensor, torch.Tensor.detach, (grads, value, aux)
            )
        return grads, value, aux

    def pullback(
        self, f: Callable[[Tree], tuple[Any, Any]], at: Tree, *, reuse: bool = False
    ) -> tuple[Any, Any, Pullback]:
        value, pull_all, aux = cast(Any, torch.func.vjp(f, at, has_aux=True))

        def pull(cotangent: Any, take: Take | None = None) -> Tree:
            tree: Tree = pull_all(cotangent)[0]
            return tree if take is None else _emptied(tree, take)

        return value, aux, pull

    def gradient_along(
        self,
        f: Callable[[Tree, Params], Tensor],
        at: Tree,
        along: Tree,
        weights: Params,
        take: Take,
        *,
        value: bool,
    ) -> Tree:
        load_forward_rules()

        def slopes(moving: Tree, weights: Params) -> Tree:
            merged = {part: {**tree, **moving.get(part, {})} for part, tree in at.items()}
            gradient: Tree = torch.func.grad(f)(merged, weights)
            return gradient

        primals = {part: {name: at[part][name] for name in tree} for part, tree in along.items()}
        grads, found = cast(
            "tuple[Tree, Tree]", torch.func.jvp(slopes, (primals, zeros(weights)), (along, weights))
        )
        _emptied(found, take)
        return grads


def _emptied(tree: Tree, take: Take) -> Tree:
    for part, name in _places(tree):
        take(part, name, tree[part].pop(name))
    return {}
