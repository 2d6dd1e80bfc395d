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

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from torchcross.errors import InputError
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


def buffer_name(layer: str, part: str) -> str:
    """The full name of a layer's buffer; the network's own module has no name."""
    return f"{layer}.{part}" if layer else part


DrawKind = Literal["keep", "uniform", "normal"]
"""Booleans that are true but for a rate, numbers in [0, 1), numbers of mean 0 and variance 1."""


@dataclass(frozen=True)
class Draw:
    """The random numbers that one call in a forward needs."""

    kind: DrawKind
    shape: torch.Size
    rate: float = 0.0


@dataclass
class ForwardFrame:
    """What the layers of one forward read and return; it lives as long as that forward.

    source       where BatchNorm takes its statistics from
    fast         whether layers run the operations of `ops`
    moves        whether running statistics move
    records      whether statistics are recorded, for a query forward
    row          this step's row, where buffers and BatchNorm weights have one for each step
    statistics   those of the support set, for a query forward
    training     whether layers act as in training mode, with random numbers from `masks`
    draws        if present, the forward only notes which random numbers it needs: BatchNorm passes
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
    training: bool = False
    masks: dict[str, Tensor] = field(default_factory=dict)
    mask_row: int = 0
    draws: dict[str, Draw] | None = None
    recorded: Statistics = field(default_factory=dict)
    fresh: Buffers = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)

    def restart(self) -> ForwardFrame:
        """The same frame for another forward, without what a first one returned."""
        draws: dict[str, Draw] | None = None if self.draws is None else {}
        return replace(self, draws=draws, recorded={}, fresh={}, _calls={})

    def call_key(self, name: str) -> str:
        """A name for this call: a layer that is called twice has statistics and masks for each."""
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        return f"{name}#{call}"

    def numbers(self, key: str, draw: Draw) -> Tensor | None:
        """The random numbers of this call, in this step's row; None where it is only noted."""
        if self.draws is not None:
            self.draws[key] = draw
            return None
        shape = (self.mask_row + 1, *draw.shape)
        known = tuple(self.masks[key].shape) if key in self.masks else (0,)
        if known[0] < shape[0] or known[1:] != shape[1:]:
            raise InputError(
                f"{key!r} needs random numbers of shape {shape[1:]} for step {self.mask_row}, and"
                f" those drawn have the shape {known[1:]} for {known[0]} steps; draw masks with"
                " `network.masks(...)` for this network, these shapes and enough steps. A module"
                " whose draws depend on earlier draws has no masks."
            )
        return self.masks[key][self.mask_row]

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
            mean, variance = (buffer_name(name, part) for part in ("running_mean", "running_var"))
            return self.buffer(mean), self.buffer(variance)
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
