"""The structural copy that a pure forward runs: a module's layers with placeholders where its
tensors are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.utils import _pytree as pytree

from torchcross.errors import InputError


class Placeholder(Tensor):
    """Stands where a parameter or buffer comes in with the call; whoever computes with it got past
    the call.
    """

    called: str

    @classmethod
    def of(cls, tensor: Tensor, name: str) -> Placeholder:
        blank = torch.empty_like(tensor, device="meta")
        twin: Placeholder = torch.Tensor._make_subclass(cls, blank, tensor.requires_grad)
        twin.called = name
        if isinstance(tensor, nn.Parameter):
            twin._is_param = True
        return twin

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> NoReturn:
        found = [
            leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Placeholder)
        ]
        raise InputError(
            f"{found[0].called if found else 'a tensor'!r} was used outside the network's call,"
            " where it has no value: activation checkpointing runs layers again when the call is"
            " over, and a list or another attribute that holds a tensor holds it past the call;"
            " run without checkpointing (engine 'recompute' saves the same memory) and read"
            " parameters and buffers under their registered names."
        )


def shadow_of(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode that holds none of the module's tensors, with nothing in it that
    fails in silence.
    """
    named = [*module.named_parameters(), *module.named_buffers()]
    if any(
        isinstance(t, nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer)
        for _, t in named
    ):
        raise InputError(
            f"{type(module).__name__} has lazy parameters; run it once on a batch first."
        )
    memo: dict[int, Any] = {id(tensor): Placeholder.of(tensor, name) for name, tensor in named}
    try:
        shadow = copy.deepcopy(module, memo)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"{type(module).__name__} cannot be copied ({error}); an attribute of it is neither"
            " plain data nor a parameter or buffer. Register tensors, and use"
            " torch.nn.utils.parametrizations for weight norms."
        ) from error
    for name, layer in shadow.named_modules():
        _refuse_silent(layer, name)
        _write_out(layer)
    return shadow.eval()


def _refuse_silent(layer: nn.Module, name: str) -> None:
    """Refuse what would run and be wrong."""
    inside = isinstance(layer, nn.MultiheadAttention) or (
        isinstance(layer, nn.RNNBase) and layer.num_layers > 1
    )
    rate = layer.dropout if inside else 0.0
    if rate:
        raise InputError(
            f"layer {name!r} is a {type(layer).__name__} with dropout={rate} inside, which would be"
            " left out, for it takes no mask; set its `dropout` to 0.0 (nn.Dropout layers are"
            " served)."
        )
    if any(isinstance(hook, WeightNorm) for hook in layer._forward_pre_hooks.values()):
        raise InputError(
            f"layer {name!r} has torch.nn.utils.weight_norm, whose second derivative torch gets"
            " wrong; use torch.nn.utils.parametrizations.weight_norm, which is served."
        )


def _write_out(layer: nn.Module) -> None:
    """Operations of the same values: torch's weight norm has a wrong second derivative, its fast
    path no dropout.
    """
    if type(layer) is _WeightNorm:
        vars(layer)["forward"] = _weight_norm(layer.dim)
    if isinstance(layer, nn.TransformerEncoderLayer):
        layer.activation_relu_or_gelu = 0  # asked for by the fast path alone
    if isinstance(layer, nn.RNNBase):
        vars(layer)["flatten_parameters"] = lambda: (
            None
        )  # it moves the tensors given to other storage
    if isinstance(layer, nn.TransformerEncoder):
        layer.use_nested_tensor = False


def _weight_norm(dim: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Weights g v / |v|, the norm over all axes but one, or over all (Salimans & Kingma 2016)."""

    def forward(magnitude: Tensor, direction: Tensor) -> Tensor:
        axes = [
            axis for axis in range(direction.dim()) if dim == -1 or axis != dim % direction.dim()
        ]
        norm: Tensor = torch.linalg.vector_norm(direction, dim=axes, keepdim=dim != -1)
        return direction * (magnitude / norm)

    return forward


class Bypasses(torch.overrides.TorchFunctionMode):
    """Looks for the module's own parameters in a forward that was given others: who reads them got
    past the call.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._own = {id(tensor): name for name, tensor in module.named_parameters()}
        self.found: str | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        names = (self._own.get(id(leaf)) for leaf in _tensors((args, kwargs)))
        self.found = self.found or next((name for name in names if name is not None), None)
        return func(*args, **kwargs)


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor))
