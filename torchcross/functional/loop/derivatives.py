"""The two ways to a derivative, behind one interface.

`Autograd` walks torch's tape: fastest for one episode. `Transforms` uses torch.func alone, so that
all of an engine can run under `vmap`.
"""

from __future__ import annotations

import functools
import importlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, cast

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils import _pytree as pytree

from torchcross.functional.network.purity import guarded_leaf
from torchcross.functional.trees import Params, blank, blanks, zeros

Tree = dict[str, Params]
Sink = Callable[[str, str, Tensor], None]
"""(part of a tree, name, derivative): receives each as soon as it is computed."""

_FORWARD_MODE = threading.RLock()
"""Torch has one forward-mode level in a process: a second thread waits until the first is done."""

_DEAD_END = "torch::autograd::Error"
"""What torch calls the backward node of a function that has no derivative."""


class Pullback(Protocol):
    """Cotangent of the value -> cotangent of the argument.

    With `sink`, cotangents go there one by one (none where there is no path), and the tree that is
    returned is empty.
    """

    def __call__(self, cotangent: Any, sink: Sink | None = None) -> Tree: ...


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
        """(gradient, value, aux) of a scalar function; `keep`: differentiable once more.

        `inspect`: raise where torch would drop a term of the second derivative without an error. A
        transform has no graph to inspect: see `check_outside` in lanes.py.
        """
        with torch.enable_grad():
            at = at if keep else {name: guarded_leaf(value.detach()) for name, value in at.items()}
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
        """(value, aux, cotangent of the value -> cotangent of the argument).

        `reuse`: the pullback can be called many times.
        """
        flat, spec = pytree.tree_flatten(at)
        leaves = [guarded_leaf(value.detach()) for value in flat]
        with torch.enable_grad():
            value, aux = f(pytree.tree_unflatten(leaves, spec))
        # Edges, not tensors: a caller who drops the value frees its memory.
        edges = [
            get_gradient_edge(output) if output.requires_grad else None
            for output in pytree.tree_leaves(value)
        ]

        def pull(cotangent: Any, sink: Sink | None = None) -> Tree:
            pairs = zip(edges, pytree.tree_leaves(cotangent), strict=True)
            alive = [(edge, back) for edge, back in pairs if edge is not None]
            sources, backs = [edge for edge, _ in alive], [back for _, back in alive]
            with _stream_gradients(leaves, _places(at), sink):
                grads = _grad(sources, leaves, backs, keep=False, reuse=reuse)
            tree: Tree = pytree.tree_unflatten(grads, spec) if sink is None else {}
            return tree

        aux = pytree.tree_map_only(Tensor, torch.Tensor.detach, aux)
        return pytree.tree_map(torch.Tensor.detach, value), aux, pull

    def gradient_along(
        self,
        f: Callable[[Tree, Params], Tensor],
        at: Tree,
        along: Tree,
        weights: Params,
        sink: Sink,
        *,
        want_gradient: bool,
    ) -> Tree:
        """Forward over reverse: the gradient of f(at, 0).

        Its derivative along `along` and `weights` goes to `sink`. `along` may have less than `at`;
        without `want_gradient` the gradient itself is blank. `sink` may write to the tensor of
        `along` that has the name it is called with: nothing reads it any more.
        """
        flat, spec = pytree.tree_flatten(at)
        places = _places(at)
        tangents = [along.get(part, {}).get(name) for part, name in places]
        grads = {part: blanks(tree) for part, tree in at.items()}

        def unpack(part: str, name: str, grad: Tensor) -> None:
            primal, tangent = torch.autograd.forward_ad.unpack_dual(grad)  # type: ignore[no-untyped-call]
            if want_gradient:
                grads[part][name] = primal
            if tangent is not None:
                sink(part, name, tangent)

        with forward_mode(), torch.autograd.forward_ad.dual_level():
            leaves = [guarded_leaf(_dual(*pair)) for pair in zip(flat, tangents, strict=True)]
            with torch.enable_grad():
                duals = {
                    name: _dual(torch.zeros_like(weight), weight)
                    for name, weight in weights.items()
                }
                output = f(pytree.tree_unflatten(leaves, spec), duals)
            if output.requires_grad:
                with _stream_gradients(leaves, places, unpack):
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
def _stream_gradients(
    leaves: list[Tensor], places: list[tuple[str, str]], sink: Sink | None
) -> Iterator[None]:
    """While this is open, a gradient that reaches a leaf goes to `sink` at once.

    Zeros without memory take its place, so that gradients do not wait for each other in memory.
    """
    handles = []
    for leaf, (part, name) in zip(leaves, places, strict=True) if sink is not None else ():

        def hook(grad: Tensor, part: str = part, name: str = name) -> Tensor:
            assert sink is not None
            sink(part, name, grad)
            return blank(grad)

        handles.append(leaf.register_hook(hook))  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def forward_mode() -> Iterator[None]:
    """Around all that opens a forward-mode level: one thread at a time, with torch's rules."""
    with _FORWARD_MODE:
        load_forward_rules()
        yield


@functools.cache
def load_forward_rules() -> None:
    """Import torch's forward-mode rules before their first use.

    Torch scripts them at import and then warns that scripting is deprecated: by a
    DeprecationWarning, and from 2.14 on by a FutureWarning, which users see.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.script")
        importlib.import_module("torch._decomp.decompositions_for_jvp")


def refuse_dead_ends(grads: Params) -> None:
    """Raise where a custom function marked `once_differentiable` is part of these graphs.

    `torch.autograd.grad` prunes the node that would raise: the second derivative lacks its term,
    without an error.
    """
    seen: set[Any] = set()
    nodes = [value.grad_fn for value in grads.values()]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        if node.name() == _DEAD_END:
            # Torch's own words where it does notice: `explain_torch_errors` knows them.
            raise NotImplementedError(
                "derivative for a function marked `once_differentiable` is not implemented"
            )
        seen.add(node)
        nodes.extend(following for following, _ in node.next_functions)


def _grad(
    outputs: Sequence[Tensor] | Sequence[GradientEdge],
    inputs: list[Tensor],
    cotangents: list[Tensor] | None,
    *,
    keep: bool,
    reuse: bool = False,
) -> list[Tensor]:
    has_path = any(not isinstance(output, Tensor) or output.requires_grad for output in outputs)
    if not (inputs and has_path):
        return [torch.zeros_like(value) for value in inputs]
    grads = torch.autograd.grad(
        outputs,
        inputs,
        cotangents,
        retain_graph=keep or reuse,
        create_graph=keep,
        allow_unused=True,
    )
    pairs = zip(inputs, grads, strict=True)
    return [torch.zeros_like(value) if grad is None else grad for value, grad in pairs]


class Transforms:
    """torch.func; the methods do what those of `Autograd` do."""

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

        def pull(cotangent: Any, sink: Sink | None = None) -> Tree:
            tree: Tree = pull_all(cotangent)[0]
            return tree if sink is None else _pour(tree, sink)

        return value, aux, pull

    def gradient_along(
        self,
        f: Callable[[Tree, Params], Tensor],
        at: Tree,
        along: Tree,
        weights: Params,
        sink: Sink,
        *,
        want_gradient: bool,
    ) -> Tree:

        def slopes(moving: Tree, weights: Params) -> Tree:
            merged = {part: {**tree, **moving.get(part, {})} for part, tree in at.items()}
            gradient: Tree = torch.func.grad(f)(merged, weights)
            return gradient

        primals = {part: {name: at[part][name] for name in tree} for part, tree in along.items()}
        arguments = (primals, zeros(weights)), (along, weights)
        with forward_mode():
            grads, tangents = cast("tuple[Tree, Tree]", torch.func.jvp(slopes, *arguments))
        _pour(tangents, sink)
        return grads


Calculus: TypeAlias = Autograd | Transforms


def _pour(tree: Tree, sink: Sink) -> Tree:
    """Hand all leaves to the sink, and return the tree, which is empty then."""
    for part, name in _places(tree):
        sink(part, name, tree[part].pop(name))
    return {}
