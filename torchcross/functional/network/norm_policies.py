"""BatchNorm policies by name: where the statistics of a support and of a query forward come from.

    policy     support forward           query forward
    frozen     running statistics        running statistics
    batch      its own                   its own (transductive: predictions depend on the rest of
               the batch)
    support    its own                   those of the support set, taken with the adapted parameters
    running    its own; each one moves   the running statistics so moved
               the running statistics
    per_step   its own; step i moves     row i of the running statistics, moved by the support set
               with the
               row i of the statistics   parameters after i steps (MAML++, Antoniou et al. 2019)

Nothing is stored in the module: statistics come in with `buffers`, and new values are handed back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from torchcross.errors import InputError
from torchcross.functional.network.ops import (
    Window,
    batch_norm,
    moments,
    normalise,
    plainly_pooled,
    pooled_batch_norm,
    tracked_batch_norm,
)
from torchcross.functional.trees import Buffers

Source = Literal["own", "stored", "given"]
Statistics = dict[str, Tensor]


@dataclass(frozen=True)
class NormPolicy:
    """One row of the table above."""

    name: str
    support: Source
    query: Source
    moves: bool
    rows: bool


POLICIES: dict[str, NormPolicy] = {
    policy.name: policy
    for policy in (
        NormPolicy("frozen", support="stored", query="stored", moves=False, rows=False),
        NormPolicy("batch", support="own", query="own", moves=False, rows=False),
        NormPolicy("support", support="own", query="given", moves=False, rows=False),
        NormPolicy("running", support="own", query="stored", moves=True, rows=False),
        NormPolicy("per_step", support="own", query="stored", moves=True, rows=True),
    )
}


def policy_named(name: str) -> NormPolicy:
    if name not in POLICIES:
        raise InputError(
            f"no BatchNorm policy is called {name!r}; choose one of {', '.join(POLICIES)}."
        )
    return POLICIES[name]


@dataclass
class Frame:
    """What the layers of one forward read and what they hand back; it lives as long as that
    forward.

    With `shapes` the forward is for the shapes of the dropout masks alone: BatchNorm passes on what
    it gets.
    """

    source: Source
    buffers: Buffers
    fast: bool = True
    moves: bool = False
    records: bool = False
    row: int | None = None
    given: Statistics = field(default_factory=dict)
    masks: dict[str, Tensor] = field(default_factory=dict)
    mask_row: int = 0
    shapes: dict[str, torch.Size] | None = None
    taken: Statistics = field(default_factory=dict)
    fresh: Buffers = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)

    def anew(self) -> Frame:
        """The same frame for another forward: what was handed back is forgotten."""
        shapes: dict[str, torch.Size] | None = None if self.shapes is None else {}
        return replace(self, shapes=shapes, taken={}, fresh={}, _calls={})

    def key(self, name: str) -> str:
        """A name for this call: a layer that is called twice has statistics and masks for each."""
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        return f"{name}#{call}"

    def stored(self, name: str) -> Tensor:
        """The buffer as this forward has it; this step's row where there is one for each step."""
        value = self.fresh.get(name, self.buffers[name])
        if self.row is None:
            return value
        if self.row >= value.shape[0]:
            raise InputError(
                f"{name!r} holds statistics for {value.shape[0] - 1} inner steps and step"
                f" {self.row} was asked for; make the buffers with `network.state(steps=...)`."
            )
        return value[self.row]

    def affine(self, value: Tensor | None) -> Tensor | None:
        """A weight or bias as this forward has it: this step's row where there is one for each
        step.
        """
        if value is None or value.dim() == 1 or self.row is None:
            return value
        if self.row >= value.shape[0]:
            raise InputError(
                f"there are BatchNorm weights for {value.shape[0] - 1} inner steps and step"
                f" {self.row} was asked for; adapt with no more steps than were trained."
            )
        return value[self.row]

    def store(self, name: str, value: Tensor) -> None:
        if self.row is not None:
            whole = self.fresh.get(name, self.buffers[name])
            rows = list(whole.unbind(0))
            rows[self.row] = value
            value = torch.stack(rows)
        self.fresh[name] = value


class FrameHolder:
    """The one slot through which a network's layers see the frame of the running forward."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self.channels_last = True

    @property
    def frame(self) -> Frame:
        if self._frame is None:
            raise InputError("a layer of a pure network was called outside the network's own call.")
        return self._frame

    @contextmanager
    def hold(self, frame: Frame) -> Iterator[None]:
        before, self._frame = self._frame, frame
        try:
            yield
        finally:
            self._frame = before


BatchNorm = nn.modules.batchnorm._BatchNorm
_SUBSTITUTED: tuple[type[nn.Module], ...] = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
)


def substitute_norm(layer: nn.Module, name: str, holder: FrameHolder, policy: NormPolicy) -> bool:
    """Give a BatchNorm layer a forward that follows the frame; False where the layer is no
    BatchNorm.
    """
    if not isinstance(layer, BatchNorm):
        return False
    if type(layer) not in _SUBSTITUTED:
        raise InputError(
            f"layer {name!r} is a {type(layer).__name__}, a BatchNorm with a forward of its own, so"
            f" policy {policy.name!r} cannot be kept there; use torch's BatchNorm layers or"
            " GroupNorm."
        )
    tracks = layer.running_mean is not None
    if not tracks and (policy.moves or "stored" in (policy.support, policy.query)):
        raise InputError(
            f"policy {policy.name!r} needs running statistics, and layer {name!r} tracks none "
            "(track_running_stats=False); use policy 'batch' or 'support'."
        )
    vars(layer)["forward"] = _forward_of(layer, name, holder)
    return True


def _forward_of(layer: BatchNorm, name: str, holder: FrameHolder) -> Callable[..., Tensor]:
    def forward(x: Tensor, *, window: Window | None = None) -> Tensor:
        """`window`: max-pooling and ReLU after it too."""
        if window is None:
            return alone(x)
        frame = holder.frame
        if _pools_at_once(frame):
            frame.key(name)
            _check_variance(name, x)
            weight, bias = frame.affine(layer.weight), frame.affine(layer.bias)
            return pooled_batch_norm(x, weight, bias, layer.eps, window)
        return plainly_pooled(alone(x), window)

    def alone(x: Tensor) -> Tensor:
        frame = holder.frame
        key = frame.key(name)
        if frame.shapes is not None:
            return x
        if frame.source == "own":
            return _own(frame, layer, name, key, x)
        if frame.source == "given":
            if f"{key}.mean" not in frame.given:
                raise InputError(
                    f"the query forward has no support statistics for layer {name!r}; pass "
                    "`statistics=network.statistics(...)` of the support set."
                )
            mean, variance = frame.given[f"{key}.mean"], frame.given[f"{key}.variance"]
        else:
            mean, variance = (
                frame.stored(f"{name}.running_mean"),
                frame.stored(f"{name}.running_var"),
            )
        return normalise(
            x, mean, variance, frame.affine(layer.weight), frame.affine(layer.bias), layer.eps
        )

    return forward


def _pools_at_once(frame: Frame) -> bool:
    return (
        frame.fast
        and frame.source == "own"
        and not (frame.moves or frame.records)
        and frame.shapes is None
    )


def _check_variance(name: str, x: Tensor) -> int:
    """How many values each channel has."""
    count = x.numel() // x.shape[1]
    if count < 2:
        raise InputError(
            f"layer {name!r} got one value for each channel (input {tuple(x.shape)}), which has no"
            " variance; use more samples, larger images or policy 'frozen'."
        )
    return count


def _own(frame: Frame, layer: BatchNorm, name: str, key: str, x: Tensor) -> Tensor:
    count = _check_variance(name, x)
    if not (frame.moves or frame.records):
        return _normalised(frame, layer, x)
    if frame.fast:
        weight, bias = frame.affine(layer.weight), frame.affine(layer.bias)
        y, mean, variance = tracked_batch_norm(x, weight, bias, layer.eps)
    else:
        y, (mean, variance) = _normalised(frame, layer, x), moments(x)
    if frame.records:
        frame.taken[f"{key}.mean"], frame.taken[f"{key}.variance"] = mean, variance
    if frame.moves:
        _move(frame, layer, name, mean, variance * (count / (count - 1)))
    return y


def _normalised(frame: Frame, layer: BatchNorm, x: Tensor) -> Tensor:
    weight, bias = frame.affine(layer.weight), frame.affine(layer.bias)
    if frame.fast:
        return batch_norm(x, weight, bias, layer.eps)
    return normalise(x, *moments(x), weight, bias, layer.eps)


def _move(frame: Frame, layer: BatchNorm, name: str, mean: Tensor, variance: Tensor) -> None:
    """The running average moves by m towards the new value (variances unbiased, as in torch).

    m is the layer's momentum, or 1 / count where that is None.
    """
    counted = f"{name}.num_batches_tracked"
    tracked = frame.stored(counted) + 1
    factor = 1.0 / tracked.to(mean.dtype) if layer.momentum is None else layer.momentum
    frame.store(counted, tracked)
    for buffer, value in ((f"{name}.running_mean", mean), (f"{name}.running_var", variance)):
        old = frame.stored(buffer)
        frame.store(buffer, (old + factor * (value - old)).to(old.dtype))
