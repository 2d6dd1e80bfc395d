"""BatchNorm policies by name: where the statistics of a support and of a query forward come from.

    policy     support forward           query forward
    frozen     running statistics        running statistics
    batch      its own                   its own (transductive: a prediction depends on the rest of
                                         the batch)
    support    its own                   those of the support set, with the adapted parameters
    running    its own; each forward     the running statistics that the support forwards moved
               moves the running ones
    per_step   its own; step i moves     row i of the running statistics, moved by the support set
               row i of the running      with the parameters after i steps (MAML++, Antoniou et al.
               ones                      2019)

The module stores nothing: statistics come in with `buffers`, and new values are returned.

To add a policy: add it to `POLICIES`, to the choices of `EvaluationSettings.norm`, and to the words
of `torchcross.experiment.rows.disputed_choices`, which say whether it is transductive.
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
    PoolingWindow,
    batch_norm,
    moments,
    normalise,
    pool_and_relu,
    pooled_batch_norm,
    tracked_batch_norm,
    values_per_channel,
)
from torchcross.functional.trees import Buffers

Source = Literal["own", "stored", "support"]
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
        NormPolicy("support", support="own", query="support", moves=False, rows=False),
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
class ForwardFrame:
    """What the layers of one forward read and return; it lives as long as that forward.

    source       where BatchNorm takes its statistics from
    fast         whether layers run the operations of `ops`
    moves        whether running statistics move
    records      whether statistics are recorded, for a query forward
    row          this step's row, where buffers and BatchNorm weights have one for each step
    statistics   those of the support set, for a query forward
    shapes       if present, the forward only notes the shapes of dropout masks: BatchNorm passes
                 its input on
    recorded, fresh   statistics and new buffers that this forward made
    """

    source: Source
    buffers: Buffers
    fast: bool = True
    moves: bool = False
    records: bool = False
    row: int | None = None
    statistics: Statistics = field(default_factory=dict)
    masks: dict[str, Tensor] = field(default_factory=dict)
    mask_row: int = 0
    shapes: dict[str, torch.Size] | None = None
    recorded: Statistics = field(default_factory=dict)
    fresh: Buffers = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)

    def restart(self) -> ForwardFrame:
        """The same frame for another forward, without what a first one returned."""
        shapes: dict[str, torch.Size] | None = None if self.shapes is None else {}
        return replace(self, shapes=shapes, recorded={}, fresh={}, _calls={})

    def call_key(self, name: str) -> str:
        """A name for this call: a layer that is called twice has statistics and masks for each."""
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        return f"{name}#{call}"

    def buffer(self, name: str) -> Tensor:
        """The buffer as this forward has it: this step's row, if there is one for each step."""
        value = self.fresh.get(name, self.buffers[name])
        return value if self.row is None else self._this_row(value, f"statistics {name!r}")

    def _this_row(self, value: Tensor, kind: str) -> Tensor:
        assert self.row is not None
        if self.row >= value.shape[0]:
            raise InputError(
                f"the {kind} are for {value.shape[0] - 1} inner steps and step {self.row} was asked"
                " for; make them with `network.state(steps=...)`, or adapt with no more steps than"
                " were trained."
            )
        return value[self.row]

    def set_buffer(self, name: str, value: Tensor) -> None:
        if self.row is not None:
            # A new tensor of all rows, for nothing is written to what came in.
            rows = list(self.fresh.get(name, self.buffers[name]).unbind(0))
            rows[self.row] = value
            value = torch.stack(rows)
        self.fresh[name] = value

    def affine(self, value: Tensor | None) -> Tensor | None:
        """A weight or bias as this forward has it: this step's row, if there is one for each."""
        if value is None or value.dim() == 1 or self.row is None:
            return value
        return self._this_row(value, "BatchNorm weights")

    def statistics_of(self, name: str, key: str) -> tuple[Tensor, Tensor]:
        """(mean, variance) of a layer that does not use those of its own input."""
        if self.source == "stored":
            return self.buffer(f"{name}.running_mean"), self.buffer(f"{name}.running_var")
        if f"{key}.mean" not in self.statistics:
            raise InputError(
                f"the query forward has no support statistics for layer {name!r}; pass "
                "`statistics=network.statistics(...)` of the support set."
            )
        return self.statistics[f"{key}.mean"], self.statistics[f"{key}.variance"]


class FrameHolder:
    """The one slot through which a network's layers see the frame of the running forward."""

    def __init__(self) -> None:
        self._frame: ForwardFrame | None = None
        self.channels_last = True

    @property
    def frame(self) -> ForwardFrame:
        if self._frame is None:
            raise InputError("a layer of a pure network was called outside the network's own call.")
        return self._frame

    @contextmanager
    def hold(self, frame: ForwardFrame) -> Iterator[None]:
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
    """Give a BatchNorm layer a forward that follows the frame; False if it is no BatchNorm."""
    if not isinstance(layer, BatchNorm):
        return False
    if type(layer) not in _SUBSTITUTED:
        raise InputError(
            f"layer {name!r} is a {type(layer).__name__}, a BatchNorm with a forward of its own,"
            f" which cannot follow policy {policy.name!r}; use torch's BatchNorm layers or"
            " GroupNorm."
        )
    tracks = layer.running_mean is not None
    if not tracks and (policy.moves or "stored" in (policy.support, policy.query)):
        raise InputError(
            f"policy {policy.name!r} needs running statistics, and layer {name!r} tracks none"
            " (track_running_stats=False); use policy 'batch' or 'support'."
        )
    vars(layer)["forward"] = _forward_of(layer, name, holder)
    return True


def _forward_of(layer: BatchNorm, name: str, holder: FrameHolder) -> Callable[..., Tensor]:
    def forward(x: Tensor, *, window: PoolingWindow | None = None) -> Tensor:
        """With a `window`, max-pooling and ReLU follow."""
        frame = holder.frame
        key = frame.call_key(name)
        if frame.shapes is not None:
            return x if window is None else pool_and_relu(x, window)
        weight, bias = frame.affine(layer.weight), frame.affine(layer.bias)
        if frame.source != "own":
            y = normalise(x, *frame.statistics_of(name, key), weight, bias, layer.eps)
        elif frame.moves or frame.records:
            y = _normalise_and_track(frame, layer, name, key, x)
        else:
            _check_has_variance(name, x)
            if not frame.fast:
                y = normalise(x, *moments(x), weight, bias, layer.eps)
            elif window is not None:
                return pooled_batch_norm(x, weight, bias, layer.eps, window)
            else:
                y = batch_norm(x, weight, bias, layer.eps)
        return y if window is None else pool_and_relu(y, window)

    return forward


def _check_has_variance(name: str, x: Tensor) -> None:
    if values_per_channel(x) < 2:
        raise InputError(
            f"layer {name!r} got one value for each channel (input {tuple(x.shape)}), which has no"
            " variance; use more samples, larger images or policy 'frozen'."
        )


def _normalise_and_track(
    frame: ForwardFrame, layer: BatchNorm, name: str, key: str, x: Tensor
) -> Tensor:
    """Normalise with x's own statistics; record them, or move the running ones, or both."""
    _check_has_variance(name, x)
    weight, bias = frame.affine(layer.weight), frame.affine(layer.bias)
    if frame.fast:
        y, mean, variance = tracked_batch_norm(x, weight, bias, layer.eps)
    else:
        mean, variance = moments(x)
        y = normalise(x, mean, variance, weight, bias, layer.eps)
    if frame.records:
        frame.recorded |= {f"{key}.mean": mean, f"{key}.variance": variance}
    if frame.moves:
        count = values_per_channel(x)
        # Running variances are unbiased, as in torch.
        _move_running(frame, layer, name, mean, variance * (count / (count - 1)))
    return y


def _move_running(
    frame: ForwardFrame, layer: BatchNorm, name: str, mean: Tensor, variance: Tensor
) -> None:
    """Move the running average by m towards the new value.

    m is the layer's momentum, or 1 / count where that is None.
    """
    counter = f"{name}.num_batches_tracked"
    count = frame.buffer(counter) + 1
    factor = 1.0 / count.to(mean.dtype) if layer.momentum is None else layer.momentum
    frame.set_buffer(counter, count)
    for buffer, value in ((f"{name}.running_mean", mean), (f"{name}.running_var", variance)):
        old = frame.buffer(buffer)
        frame.set_buffer(buffer, (old + factor * (value - old)).to(old.dtype))
