"""Is forward over reverse exact for this inner loop? Engine `mixed` asks at the first use.

Forward mode sees through `torch.no_grad()`, and several of torch's own rules (`linalg.solve`,
`det`, `slogdet`) are wrong under it, without an error. One Hessian-vector product by forward over
reverse is held against one by reverse over reverse: of each network on a few samples, and of the
loss above the networks.
"""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Callable, Hashable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchcross.errors import InputError
from torchcross.functional.loop.derivatives import Autograd, Tree
from torchcross.functional.loop.engines.loop import Loop
from torchcross.functional.network.layers import LayerCall, first_samples, wrong_layer
from torchcross.functional.network.network import Network
from torchcross.functional.network.observing import SupportCall, observe_support
from torchcross.functional.trees import Buffers, Params, detach, floating, inside_transform

_SAMPLES = 8
_ROUNDING_IN_FLOAT64 = 1e-6
_MUCH_WORSE = 10.0
_SMALL_PART = 1e-2
"""A tensor whose part of the product is smaller than this is measured against the whole."""

_checked_networks: weakref.WeakKeyDictionary[Network, set[Hashable]] = weakref.WeakKeyDictionary()
_checked_losses: weakref.WeakKeyDictionary[Any, set[Hashable]] = weakref.WeakKeyDictionary()


def refuse_inexact_forward_mode(loop: Loop) -> None:
    """Raise where forward over reverse is not what reverse over reverse is; look once."""
    if inside_transform() or not loop.inner.steps or not loop.start.adapted:
        return
    support, kind = loop.inner.support, _kind(loop.start.adapted)
    if kind in _checked_losses.get(support, ()):
        return
    with torch.autocast(next(iter(loop.start.adapted.values())).device.type, enabled=False):
        calls = _support_calls(loop)
        for call, _ in calls:
            _check_network(call, loop.start.adapted)
        _check_loss(loop, calls)
    _checked_losses.setdefault(support, set()).add(kind)


def _kind(params: Params) -> Hashable:
    return frozenset((value.dtype, value.device) for value in params.values())


_Calls = list[tuple[SupportCall, tuple[Any, Buffers]]]


def _support_calls(loop: Loop) -> _Calls:
    """The support forwards of one support loss, and what they return."""
    calls: _Calls = []

    def note(call: SupportCall) -> tuple[Any, Buffers]:
        calls.append((call, call.run()))
        return calls[-1][1]

    with torch.no_grad(), observe_support(note):
        _support_loss(loop, loop.start.adapted)
    return calls


def _support_loss(loop: Loop, adapted: Params) -> Tensor:
    """The support loss before the second update: the first may see a head of zeros."""
    params = {**detach(loop.start.fixed), **adapted}
    step = min(1, loop.inner.steps - 1)
    loss, _ = loop.inner.support(params, loop.start.buffers, loop.data, step)
    return loss


def _check_network(call: SupportCall, adapted: Params) -> None:
    network = call.network
    names = [name for name, _ in network.module.named_parameters() if name in adapted]
    moving = {name: call.params[name].detach() for name in names}
    if not moving or _kind(moving) in _checked_networks.get(network, ()):
        return
    few = first_samples(call, _SAMPLES)
    error = _disagreement(_loss_of_call(few, moving), moving)
    if error is not None:
        _refuse(wrong_layer(few, _is_wrong_layer) or type(network.module).__name__, error)
    _checked_networks.setdefault(network, set()).add(_kind(moving))


def _loss_of_call(call: SupportCall, moving: Params) -> Callable[[Params], Tensor]:
    """A curved function of the outputs; `moving` holds parameters and inputs (by their number)."""
    leaves, spec = pytree.tree_flatten(call.inputs)

    def loss(at: Params) -> Tensor:
        like = next(iter(at.values()))
        inputs = [
            at.get(f"input {number}", _as_dtype(leaf, like)) for number, leaf in enumerate(leaves)
        ]
        params = {name: at.get(name, _as_dtype(value, like)) for name, value in call.params.items()}
        buffers = {name: _as_dtype(value, like) for name, value in call.buffers.items()}
        here = dataclasses.replace(
            call, params=params, buffers=buffers, inputs=pytree.tree_unflatten(inputs, spec)
        )
        output, _ = here.run()
        return _curve_of(output)

    return loss


def _as_dtype(value: Any, like: Tensor) -> Any:
    is_float = isinstance(value, Tensor) and value.is_floating_point()
    return value.detach().to(like.dtype) if is_float else value


def _curve_of(output: Any) -> Tensor:
    leaves = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]
    parts = [
        ((_random(leaf, seed) + 0.5 * leaf) * leaf).sum()
        for seed, leaf in enumerate(leaves)
        if leaf.is_floating_point()
    ]
    return torch.stack(parts).sum()


def _is_wrong_layer(layer: LayerCall) -> bool:
    call = layer.call
    moving = {name: value.detach() for name, value in floating(call.params).items()}
    for number, leaf in enumerate(pytree.tree_leaves(call.inputs)):
        if isinstance(leaf, Tensor) and leaf.requires_grad:
            moving[f"input {number}"] = leaf.detach()
    return bool(moving) and _disagreement(_loss_of_call(call, moving), moving) is not None


def _check_loss(loop: Loop, calls: _Calls) -> None:
    """The loss as a function of the parameters and of what the networks returned."""
    outputs = [pytree.tree_flatten(output) for _, (output, _) in calls]
    moving = detach(loop.start.adapted)
    for number, (leaves, _) in enumerate(outputs):
        for place, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                moving[f"output {number} {place}"] = leaf.detach()

    def loss(at: Params) -> Tensor:
        numbers = iter(range(len(calls)))

        def answer(call: SupportCall) -> tuple[Any, Buffers]:
            number = next(numbers)
            leaves, spec = outputs[number]
            stand_ins = [
                at.get(f"output {number} {place}", leaf) for place, leaf in enumerate(leaves)
            ]
            return pytree.tree_unflatten(stand_ins, spec), calls[number][1][1]

        adapted = {name: at[name] for name in loop.start.adapted}
        with observe_support(answer):
            return _support_loss(_as_loop_dtype(loop, at), adapted)

    error = _disagreement(loss, moving)
    if error is not None:
        _refuse("the support loss", error)


def _as_loop_dtype(loop: Loop, at: Params) -> Loop:
    like = next(iter(at.values()))
    start = dataclasses.replace(
        loop.start,
        fixed={name: _as_dtype(value, like) for name, value in loop.start.fixed.items()},
        buffers={name: _as_dtype(value, like) for name, value in loop.start.buffers.items()},
    )
    data = pytree.tree_map(lambda value: _as_dtype(value, like), loop.data)
    return dataclasses.replace(loop, start=start, data=data)


def _refuse(what: str, error: float) -> NoReturn:
    raise InputError(
        f"engine 'mixed' is not exact here: the second derivative of {what} in forward mode is"
        f" {100 * error:.2g} % from that in reverse mode. Code under torch.no_grad(),"
        " torch.linalg.solve, det and slogdet, and an autograd.Function with a wrong jvp do that."
        " Use engine 'recompute', which saves about as much memory."
    )


# -- two products ----------------------------------------------------------------------------------


def _disagreement(loss: Callable[[Params], Tensor], at: Params) -> float | None:
    """The relative distance of both products, where it is more than rounding; None otherwise."""
    at = {name: _away_from_zero(value, seed) for seed, (name, value) in enumerate(at.items())}
    along = {name: _direction(value, seed) for seed, (name, value) in enumerate(at.items())}
    forward, reverse = _forward_product(loss, at, along), _reverse_product(loss, at, along)
    error = _distance(forward, reverse)
    if all(value.dtype == torch.float64 for value in at.values()):
        return error if error > _ROUNDING_IN_FLOAT64 else None
    tolerance = max(math.sqrt(torch.finfo(value.dtype).eps) for value in at.values())
    if error <= tolerance:
        return None
    # Rounding may do that too: then reverse over reverse is as far from float64.
    try:
        exact = _reverse_product(loss, _widen(at), _widen(along))
    except RuntimeError:
        return error
    if _distance(forward, exact) <= _MUCH_WORSE * _distance(reverse, exact) + tolerance:
        return None
    return error


def _forward_product(loss: Callable[[Params], Tensor], at: Params, along: Params) -> Params:
    product: Params = {name: torch.zeros_like(value) for name, value in at.items()}

    def sink(_: str, name: str, value: Tensor) -> None:
        product[name] = value.detach()

    def of_tree(tree: Tree, _: Params) -> Tensor:
        return loss(tree["at"])

    Autograd().gradient_along(
        of_tree, {"at": at}, {"at": dict(along)}, {}, sink, want_gradient=False
    )
    return product


def _reverse_product(loss: Callable[[Params], Tensor], at: Params, along: Params) -> Params:
    def gradient(tree: Tree) -> tuple[Params, tuple[()]]:
        grads, _, _ = Autograd().gradient(lambda here: (loss(here), ()), tree["at"], keep=True)
        return grads, ()

    _, _, pull = Autograd().pullback(gradient, {"at": at})
    return pull(along)["at"]


def _distance(left: Params, right: Params) -> float:
    """The largest relative distance of a tensor; 0 where `right` is not finite."""
    sizes = {name: float(value.double().norm()) for name, value in right.items()}
    whole = math.hypot(*sizes.values())
    if not math.isfinite(whole):
        return 0.0
    apart = {name: float((left[name].double() - right[name].double()).norm()) for name in right}
    if whole == 0.0:
        return math.inf if any(apart.values()) else 0.0
    if not all(map(math.isfinite, apart.values())):
        # `max` would pass over NaN.
        return math.inf
    return max(gap / max(sizes[name], _SMALL_PART * whole) for name, gap in apart.items())


def _away_from_zero(value: Tensor, seed: int) -> Tensor:
    """Nothing flows through a head of zeros, or through a residual branch that starts at zero."""
    value = value.detach()
    if torch.count_nonzero(value):
        return value
    return _random(value, seed) / math.sqrt(max(1, value.shape[-1] if value.dim() else 1))


def _direction(value: Tensor, seed: int) -> Tensor:
    """A random direction of the tensor's own length."""
    size = value.double().square().mean().sqrt().to(value.dtype)
    return _random(value, seed + 1) * size


def _random(like: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=generator).to(like)


def _widen(tree: Params) -> Params:
    return {name: value.double() for name, value in tree.items()}
