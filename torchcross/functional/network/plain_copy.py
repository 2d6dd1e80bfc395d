"""A module of ordinary layers that computes what a network's query forward computes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from torchcross.errors import InputError
from torchcross.functional.network.norm_layers import is_norm
from torchcross.functional.network.norm_policies import NormPolicy, Statistics
from torchcross.functional.network.ops import moments, values_per_channel
from torchcross.functional.network.ops.layout import channel_view
from torchcross.functional.trees import Buffers, Params, floating


def depends_on_batch(module: nn.Module, policy: NormPolicy) -> bool:
    """Whether the output for an image depends on the images beside it, under this policy."""
    if policy.query != "own":
        return False
    return any(
        is_norm(layer) and not isinstance(layer, _InstanceNorm) for layer in module.modules()
    )


def plain_copy(
    module: nn.Module,
    policy: NormPolicy,
    params: Params,
    buffers: Buffers,
    statistics: Statistics,
    *,
    step: int,
) -> nn.Module:
    """A copy in evaluation mode that holds these tensors and learns nothing.

    BatchNorm layers hold the statistics that `policy` gives a query after `step` updates. Where
    they are those of the query itself, the layers hold none and compute them for each batch.
    """
    # `deepcopy` takes what the memo holds for a tensor's id instead of copying the tensor.
    memo: dict[int, Any] = {}
    for name, own in module.named_parameters():
        value = _value_at(params[name], own, step)
        memo[id(own)] = nn.Parameter(value, requires_grad=False)
    for name, buffer in module.named_buffers():
        memo[id(buffer)] = _value_at(buffers[name], buffer, step)
    module_copy = copy.deepcopy(module, memo).eval()
    example = next(iter(floating(dict(module_copy.named_parameters())).values()), torch.zeros(()))
    for name, layer in module_copy.named_modules():
        if not is_norm(layer):
            continue
        if policy.query == "own":
            _compute_statistics(layer, name, example)
        elif policy.query == "support":
            _fix_statistics(layer, name, statistics)
    return module_copy


def _value_at(value: Tensor, own: Tensor, step: int) -> Tensor:
    """The value as `own` is shaped: the row of this step where there is one for each step."""
    row = value[step] if value.dim() > own.dim() else value
    return row.detach().clone()


def _compute_statistics(layer: nn.Module, name: str, example: Tensor) -> None:
    """Let the layer take its statistics from each batch, or each image, as torch's classes do.

    `example` is a parameter of the module, for a layer that has no tensor of its own.
    """
    if isinstance(layer, _InstanceNorm):
        layer.running_mean = layer.running_var = None
        layer.track_running_stats = False
    elif isinstance(layer, _BatchNorm):
        own = (*layer.parameters(), layer.running_mean, example)
        like = next(value for value in own if value is not None)
        size = layer.num_features
        _set_statistics(layer, like.new_zeros(size), like.new_ones(size))
        layer.register_forward_pre_hook(_standardise, with_kwargs=True)
    else:
        raise InputError(
            f"layer {name!r} is a {type(layer).__name__}, which calls batch_norm in a forward of"
            " its own and cannot take its statistics from each batch; fix them with those of"
            " the support images (support=...), or use torch's BatchNorm layers."
        )


def _fix_statistics(layer: nn.Module, name: str, statistics: Statistics) -> None:
    if f"{name}#1.mean" in statistics:
        raise InputError(
            f"layer {name!r} is called several times in a forward, and the statistics of the"
            " support set are others for each call, which a plain layer cannot hold; give each"
            " call a layer of its own, or adapt with norm='running'."
        )
    if f"{name}#0.mean" in statistics:
        mean, variance = (statistics[f"{name}#0.{kind}"] for kind in ("mean", "variance"))
        # Statistics of half images are in float32, and torch wants those of a layer in one type.
        like = next(layer.parameters(), mean)
        _set_statistics(layer, mean.detach().clone().to(like), variance.detach().clone().to(like))


def _set_statistics(layer: Any, mean: Tensor, variance: Tensor) -> None:
    layer.running_mean, layer.running_var = mean, variance
    layer.track_running_stats = True


def _standardise(
    layer: Any, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]
) -> tuple[tuple[Tensor], dict[str, Tensor]]:
    """Before a layer with the statistics 0 and 1: y = (x - m) (v + eps)^-1/2 (1 + eps)^1/2.

    The layer divides by (1 + eps)^1/2 again. So this works for layers that do more than BatchNorm.
    """
    (x,) = (*args, *kwargs.values())
    if not is_traced() and values_per_channel(x) < 2:
        raise InputError(
            f"a BatchNorm layer got one value for each channel (input {tuple(x.shape)}), which has"
            " no variance; give more images at once."
        )
    mean, variance = moments(x)
    scale = ((1 + layer.eps) / (variance + layer.eps)).sqrt()
    standard = (x - channel_view(mean, x)) * channel_view(scale, x)
    return (standard.to(x.dtype),), {}


def is_traced() -> bool:
    """Whether torch.compile, torch.export or torch.jit.trace runs the caller."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
