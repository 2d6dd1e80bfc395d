"""Normalising layers of the structural copy: their statistics are where the policy says.

A layer is one if it has running statistics and calls `batch_norm` or `instance_norm`, whatever its
class: torch's own, a class derived from them, or any other module.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from torchcross.errors import InputError
from torchcross.functional.network.class_code import mentions
from torchcross.functional.network.norm_policies import (
    ForwardFrame,
    FrameHolder,
    NormPolicy,
    buffer_name,
)
from torchcross.functional.network.ops import (
    PoolingWindow,
    batch_norm,
    moments,
    normalise,
    pool_and_relu,
    pooled_batch_norm,
    tracked_batch_norm,
    values_per_channel,
)

_PLAIN: tuple[type[nn.Module], ...] = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
)
_BATCH_NORMS = (F.batch_norm, torch.batch_norm)
_INSTANCE_NORMS = (F.instance_norm, torch.instance_norm)


def substitute_norm(layer: nn.Module, name: str, holder: FrameHolder, policy: NormPolicy) -> bool:
    """Give a normalising layer a forward that follows the frame; False if it is none."""
    if not is_norm(layer):
        return False
    _refuse_policy(layer, name, policy)
    if type(layer) in _PLAIN:
        norm_of_call = functools.partial(_norm_of, cast(_BatchNorm, layer), name, holder)
        vars(layer)["forward"] = functools.partial(_normalise_batch, norm_of_call)
    else:
        # Otherwise it would count its batches itself; its own layers keep their mode.
        layer.training = False
        vars(layer)["forward"] = _intercepted_forward(layer, name, holder)
    return True


def is_norm(layer: nn.Module) -> bool:
    """Whether this layer follows the BatchNorm policy."""
    if isinstance(layer, _BatchNorm):
        return True
    if any(_buffer_of(layer, part) is None for part in ("running_mean", "running_var")):
        return False
    return isinstance(layer, _NormBase) or any(
        mentions(layer, function) for function in ("batch_norm", "instance_norm")
    )


def _buffer_of(layer: nn.Module, part: str) -> Tensor | None:
    return dict(layer.named_buffers(recurse=False)).get(part)


def _refuse_policy(layer: nn.Module, name: str, policy: NormPolicy) -> None:
    tracks = _buffer_of(layer, "running_mean") is not None
    if not tracks and (policy.moves or "stored" in (policy.support, policy.query)):
        raise InputError(
            f"policy {policy.name!r} needs running statistics, and layer {name!r} tracks none"
            " (track_running_stats=False); use policy 'batch' or 'support'."
        )
    if isinstance(layer, _InstanceNorm) and (policy.rows or policy.query == "support"):
        raise InputError(
            f"layer {name!r} is a {type(layer).__name__} that tracks running statistics; they are"
            f" of single images, so policy {policy.name!r} says nothing of them. Use policy"
            " 'batch', 'frozen' or 'running', or build the layer with track_running_stats=False."
        )


def _norm_of(layer: _BatchNorm, name: str, holder: FrameHolder) -> _Norm:
    frame = holder.frame
    weight, bias = frame.affine(layer.weight), frame.affine(layer.bias)
    return _Norm(frame, name, weight, bias, layer.eps, layer.momentum)


class _Norm:
    """One normalisation in one forward."""

    def __init__(
        self,
        frame: ForwardFrame,
        name: str,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        momentum: float | None,
        *,
        counts: bool = True,
    ) -> None:
        self.frame, self.name, self.key = frame, name, frame.call_key(name)
        self.counts = counts
        self.weight, self.bias, self.eps, self.momentum = weight, bias, eps, momentum

    def of_instances(self, x: Tensor) -> Tensor:
        """Each image with its own statistics; the running ones are means over the images."""
        frame, shape = self.frame, x.shape
        if frame.draws is not None:
            return x
        if frame.source == "stored":
            return self.with_stored(x)
        apart = x.reshape(1, shape[0] * shape[1], *shape[2:])
        self.check_has_variance(apart)
        mean, variance = moments(apart)
        if frame.moves:
            means, variances = (value.view(shape[:2]).mean(0) for value in (mean, variance))
            self.move_running(means, variances, values_per_channel(apart))
        y = normalise(apart, mean, variance, None, None, self.eps).view(shape)
        ones = [1] * (x.dim() - 2)
        if self.weight is not None:
            y = y * self.weight.view(-1, *ones)
        return y if self.bias is None else y + self.bias.view(-1, *ones)

    def with_stored(self, x: Tensor) -> Tensor:
        mean, variance = self.frame.statistics_of(self.name, self.key)
        return normalise(x, mean, variance, self.weight, self.bias, self.eps)

    def with_tracked(self, x: Tensor) -> Tensor:
        """Normalise with x's own statistics; record them, or move the running ones, or both."""
        self.check_has_variance(x)
        if self.frame.fast:
            y, mean, variance = tracked_batch_norm(x, self.weight, self.bias, self.eps)
        else:
            mean, variance = moments(x)
            y = normalise(x, mean, variance, self.weight, self.bias, self.eps)
        if self.frame.records:
            self.frame.recorded |= {f"{self.key}.mean": mean, f"{self.key}.variance": variance}
        if self.frame.moves:
            self.move_running(mean, variance, values_per_channel(x))
        return y

    def check_has_variance(self, x: Tensor) -> None:
        if values_per_channel(x) < 2:
            raise InputError(
                f"layer {self.name!r} got one value for each channel (input {tuple(x.shape)}),"
                " which has no variance; use more samples, larger images or policy 'frozen'."
            )

    def move_running(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running average by m towards the new value; variances are unbiased, as in torch.

        m is the layer's momentum, or 1 / batches where that is None.
        """
        frame = self.frame
        factor: float | Tensor = 0.0 if self.momentum is None else self.momentum
        counter = buffer_name(self.name, "num_batches_tracked")
        if counter in frame.buffers and self.counts:
            batches = frame.buffer(counter) + 1
            frame.set_buffer(counter, batches)
            if self.momentum is None:
                factor = 1.0 / batches.to(mean.dtype)
        unbiased = variance * (count / (count - 1))
        for part, value in (("running_mean", mean), ("running_var", unbiased)):
            buffer = buffer_name(self.name, part)
            old = frame.buffer(buffer)
            frame.set_buffer(buffer, (old + factor * (value - old)).to(old.dtype))


def _normalise_batch(
    norm_of_call: Callable[[], _Norm],
    input: Tensor,  # noqa: A002 (torch's name)
    *,
    window: PoolingWindow | None = None,
) -> Tensor:
    """With a `window`, max-pooling and ReLU follow. One function, so that calls are not deep."""
    norm, x = norm_of_call(), input
    frame, weight, bias, eps = norm.frame, norm.weight, norm.bias, norm.eps
    if frame.draws is not None:
        y = x
    elif frame.source != "own":
        y = norm.with_stored(x)
    elif frame.moves or frame.records:
        y = norm.with_tracked(x)
    else:
        norm.check_has_variance(x)
        if not frame.fast:
            y = normalise(x, *moments(x), weight, bias, eps)
        elif window is not None:
            return pooled_batch_norm(x, weight, bias, eps, window)
        else:
            y = batch_norm(x, weight, bias, eps)
    return y if window is None else pool_and_relu(y, window)


def _intercepted_forward(layer: nn.Module, name: str, holder: FrameHolder) -> Callable[..., Any]:
    """The layer's own forward, with its calls of `batch_norm` and `instance_norm` replaced."""
    own_forward = layer.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        calls = _NormCalls(layer, name, holder.frame)
        with calls:
            output = own_forward(*args, **kwargs)
        if not calls.count:
            raise InputError(
                f"layer {name!r} is a {type(layer).__name__}, which has running statistics and does"
                " not call torch.nn.functional.batch_norm, so no BatchNorm policy reaches it; call"
                " that function in its forward, or use torch's BatchNorm layers or GroupNorm."
            )
        return output

    return forward


class _NormCalls(torch.overrides.TorchFunctionMode):
    """Answers one layer's calls of `batch_norm` and `instance_norm` as the frame says."""

    def __init__(self, layer: nn.Module, name: str, frame: ForwardFrame) -> None:
        super().__init__()
        self.layer, self.name, self.frame, self.count = layer, name, frame, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in (*_BATCH_NORMS, *_INSTANCE_NORMS):
            return func(*args, **kwargs)
        self.count += 1
        x, weight, bias, momentum, eps = _arguments(func, args, kwargs)
        is_batch_norm = func in _BATCH_NORMS
        if isinstance(self.layer, _BatchNorm):
            # In evaluation mode, classes pass 0 for the momentum None.
            momentum = self.layer.momentum
        weight, bias = self.frame.affine(weight), self.frame.affine(bias)
        norm = _Norm(self.frame, self.name, weight, bias, eps, momentum, counts=is_batch_norm)
        return _normalise_batch(lambda: norm, x) if is_batch_norm else norm.of_instances(x)


def _arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """(x, weight, bias, momentum, eps) of a call; torch has two orders of arguments."""
    names = _ORDER if func in (F.batch_norm, F.instance_norm) else _ORDER_OF_KERNELS
    values = {**_DEFAULTS, **dict(zip(names, args, strict=False)), **kwargs}
    return tuple(values[name] for name in ("input", "weight", "bias", "momentum", "eps"))


_STATISTICS, _AFFINE = ("running_mean", "running_var"), ("weight", "bias")
_OTHERS = ("training", "momentum", "eps", "cudnn_enabled")
_ORDER = ("input", *_STATISTICS, *_AFFINE, *_OTHERS)
_ORDER_OF_KERNELS = ("input", *_AFFINE, *_STATISTICS, *_OTHERS)
_DEFAULTS = {"weight": None, "bias": None, "momentum": 0.1, "eps": 1e-5}
