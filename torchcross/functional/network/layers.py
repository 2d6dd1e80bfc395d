"""The layers of a network one by one: what each got in a forward, and which of them is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.utils import _pytree as pytree

from torchcross.errors import InputError
from torchcross.functional.network.network import Network
from torchcross.functional.network.observing import SupportCall
from torchcross.functional.trees import floating


@dataclass(frozen=True)
class LayerCall:
    """The first call of a layer in a forward, as a call of a network of its own.

    `output` is what the layer returned there.
    """

    name: str
    kind: str
    call: SupportCall
    output: Any


def wrong_layer(call: SupportCall, is_wrong: Callable[[LayerCall], bool]) -> str | None:
    """Describe the innermost layer that is wrong: of several, the one that runs first."""
    layers = layer_calls(call)
    for layer in sorted(layers, key=lambda layer: -_depth(layer.name)):
        # What cannot run alone is judged as a part of the layer around it.
        try:
            if is_wrong(layer):
                return f"layer {layer.name!r} ({layer.kind})" if layer.name else layer.kind
        except (InputError, RuntimeError, TypeError, ValueError):
            continue
    return None


def _depth(name: str) -> int:
    return len(name.split(".")) if name else 0


def layer_calls(call: SupportCall) -> list[LayerCall]:
    """The layers that one support forward calls, in the order in which they return.

    Inputs that depend on a parameter require a gradient. Calls with keyword arguments are left out.
    """
    seen: list[tuple[nn.Module, tuple[Any, ...], Any]] = []
    thread = threading.get_ident()

    def note(
        layer: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        is_new = all(layer is not other for other, _, _ in seen)
        if threading.get_ident() == thread and is_new and not kwargs:
            seen.append((layer, inputs, output))

    leaves = {
        name: value.detach().requires_grad_() for name, value in floating(call.params).items()
    }
    watched = SupportCall(
        call.network, {**call.params, **leaves}, call.buffers, call.inputs, call.step
    )
    watched.run()
    # The first forward of a network may run twice, to check it; so it is not the one that is seen.
    handle = torch_module.register_module_forward_hook(note, with_kwargs=True)
    try:
        with torch.enable_grad():
            watched.run()
    finally:
        handle.remove()
        # torch keeps an entry of a hook with keyword arguments, and `torch.compile` then warns.
        torch_module._global_forward_hooks_with_kwargs.pop(handle.id, None)
    root = seen[-1][0] if seen else nn.Identity()
    names = {id(layer): name for name, layer in root.named_modules()}
    originals = dict(call.network.module.named_modules())
    return [
        LayerCall(name, type(originals[name]).__name__, _call_of(call, name, inputs), output)
        for layer, inputs, output in seen
        if (name := names.get(id(layer))) is not None and name in originals
    ]


def _call_of(call: SupportCall, name: str, inputs: tuple[Any, ...]) -> SupportCall:
    if not name:
        return call
    network = call.network
    layer = Network(network.module.get_submodule(name), norm=network.policy.name, fast=network.fast)
    params, buffers = layer.state(call.step)
    params = {part: call.params.get(f"{name}.{part}", value) for part, value in params.items()}
    buffers = {part: call.buffers.get(f"{name}.{part}", value) for part, value in buffers.items()}
    return SupportCall(layer, params, buffers, inputs, call.step)


def first_samples(call: SupportCall, count: int) -> SupportCall:
    """The same call with so many samples: inputs are cut along their first axis."""
    sizes = [len(value) for value in pytree.tree_leaves(call.inputs) if _has_rows(value)]

    def cut(value: Any) -> Any:
        return value[:count] if _has_rows(value) and len(value) == sizes[0] else value

    inputs = pytree.tree_map(cut, call.inputs)
    return SupportCall(call.network, call.params, call.buffers, inputs, call.step)


def _has_rows(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0
