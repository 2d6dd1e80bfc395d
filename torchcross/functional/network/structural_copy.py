"""The structural copy that a pure forward runs: a module's layers, placeholders for tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.utils import _pytree as pytree

from torchcross.errors import InputError


class Placeholder(Tensor):
    """Stands where a parameter or buffer comes in with the call.

    Code that computes with a placeholder runs outside the call, and is refused.
    """

    tensor_name: str

    @classmethod
    def of(cls, tensor: Tensor, name: str) -> Placeholder:
        blank = torch.empty_like(tensor, device="meta")
        placeholder: Placeholder = torch.Tensor._make_subclass(cls, blank, tensor.requires_grad)
        placeholder.tensor_name = name
        if isinstance(tensor, nn.Parameter):
            placeholder._is_param = True
        return placeholder

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> NoReturn:
        leaves = pytree.tree_leaves((args, kwargs))
        names = [leaf.tensor_name for leaf in leaves if isinstance(leaf, Placeholder)]
        raise InputError(
            f"{[*names, 'a tensor'][0]!r} was used outside the network's call, where it has no"
            " value. Activation checkpointing runs layers again after the call, and a list or other"
            " attribute that holds a tensor keeps it after the call. Run without checkpointing"
            " (engine 'recompute' saves the same memory), and read parameters and buffers under"
            " their registered names."
        )


def structural_copy(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode that holds none of the module's tensors.

    Layers that would run and be wrong are refused, or replaced by operations of the same values.
    """
    tensors = [*module.named_parameters(), *module.named_buffers()]
    lazy = nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer
    if any(isinstance(tensor, lazy) for _, tensor in tensors):
        raise InputError(
            f"{type(module).__name__} has lazy parameters; run it once on a batch first."
        )
    for name, tensor in module.named_parameters():
        refuse_complex(name, tensor, f"a parameter of {type(module).__name__}")
    # `deepcopy` takes what the memo holds for a tensor's id instead of copying the tensor.
    memo: dict[int, Any] = {id(tensor): Placeholder.of(tensor, name) for name, tensor in tensors}
    try:
        module_copy = copy.deepcopy(module, memo)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"{type(module).__name__} cannot be copied ({error}); an attribute of it is neither"
            " plain data nor a parameter or buffer. Register tensors, and use"
            " torch.nn.utils.parametrizations for weight norms."
        ) from error
    for name, layer in module_copy.named_modules():
        _refuse_wrong_layer(layer, name)
        _replace_operations(layer)
    return module_copy.eval()


def refuse_complex(name: str, tensor: Tensor, whose: str) -> None:
    if tensor.is_complex():
        raise InputError(
            f"{name!r}, {whose}, is complex ({tensor.dtype}), and gradients are taken of real"
            " parameters alone; hold its real and imaginary part in a real parameter, and combine"
            " them in `forward` with torch.view_as_complex. (Buffers that stay as they are may be"
            " complex.)"
        )


def _refuse_wrong_layer(layer: nn.Module, name: str) -> None:
    """Refuse what would run and be wrong."""
    if hasattr(layer, "_orig_mod"):
        raise InputError(
            f"layer {name!r} is compiled (torch.compile), and compiled code has one derivative and"
            " parameters of its own; give the module that was compiled (its `_orig_mod`), or"
            " compile it in place with `module.compile()`."
        )
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.sparse:
        raise InputError(
            f"layer {name!r} is a {type(layer).__name__} with sparse=True, whose sparse gradients"
            " have no second derivative; build it with sparse=False."
        )
    if isinstance(layer, nn.RNNBase) and layer.num_layers > 1 and layer.dropout:
        raise InputError(
            f"layer {name!r} is a {type(layer).__name__} with dropout={layer.dropout} inside, which"
            " takes no mask and would be off; set its `dropout` to 0.0 (nn.Dropout layers work)."
        )
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm | SpectralNorm):
            is_weight = isinstance(hook, WeightNorm)
            which = "weight_norm" if is_weight else "spectral_norm"
            fault = "writes to its buffers in every forward"
            if is_weight:
                fault = "has a second derivative that torch gets wrong"
            raise InputError(
                f"layer {name!r} has torch.nn.utils.{which}, which {fault}; use"
                f" torch.nn.utils.parametrizations.{which}, which works."
            )


def _replace_operations(layer: nn.Module) -> None:
    """Operations of the same values where torch's own would be wrong."""
    if type(layer) is _WeightNorm:
        # Torch's has a wrong second derivative.
        vars(layer)["forward"] = _weight_norm(layer.dim)
    if type(layer) is nn.Hardsigmoid:
        # Torch's has no second derivative.
        vars(layer)["forward"] = _hard_sigmoid
    if isinstance(layer, nn.TransformerEncoderLayer):
        # Turns off the fast path, which has no dropout; nothing else reads the attribute.
        layer.activation_relu_or_gelu = 0
    if isinstance(layer, nn.TransformerEncoder):
        layer.use_nested_tensor = False
    if isinstance(layer, nn.RNNBase):
        # It would move the tensors of the call to other storage.
        vars(layer)["flatten_parameters"] = lambda: None


def _hard_sigmoid(input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
    return nn.functional.relu6(input + 3) / 6


def _weight_norm(dim: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Weights g v / |v|, the norm over all axes but one, or over all (Salimans & Kingma 2016)."""

    def forward(magnitude: Tensor, direction: Tensor) -> Tensor:
        axes = [
            axis for axis in range(direction.dim()) if dim == -1 or axis != dim % direction.dim()
        ]
        norm: Tensor = torch.linalg.vector_norm(direction, dim=axes, keepdim=dim != -1)
        return direction * (magnitude / norm)

    return forward


_LAYOUT_READS = (Tensor.as_strided, torch.as_strided, Tensor.stride)


class Bypasses(torch.overrides.TorchFunctionMode):
    """Looks for the module's own parameters in a forward that gets copies of them.

    Code that reads them bypasses the call: the parameters of the call do not reach it. What lanes
    would get wrong is noted too: reads of `.data`, and of how a tensor lies in memory.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._own = {id(tensor): name for name, tensor in module.named_parameters()}
        self.parameter: str | None = None
        self.has_data_reads = False
        self.has_layout_reads = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__self__", None) is torch.Tensor.data:
            self.has_data_reads = True
        self.has_layout_reads |= func in _LAYOUT_READS
        for leaf in pytree.tree_leaves((args, kwargs)):
            if self.parameter is None and isinstance(leaf, Tensor):
                self.parameter = self._own.get(id(leaf))
        return func(*args, **kwargs)
