"""What a float64 gradient cannot show: the loss that is reported, and the path in lower precision.

In float32 a network runs other kernels, with the channels last where that is faster. The row holds
its meta-gradient against the same one in float64. What rounding alone does is measured: in float64,
with parameters moved by as much as float32 rounds them. Where the difference is larger, a ReLU or a
max-pooling may have the other slope in float32: more is moved, several times, and the largest jump
of the float64 gradient says whether that explains the difference. Or the loss is so small that the
probabilities, which are rounded, hardly differ from the labels.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, final

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchcross.algorithms.base import Step
from torchcross.algorithms.checks.rounding_moves import move_data, move_params, move_sums
from torchcross.functional import (
    CertificateRow,
    Engine,
    Implicit,
    Meta,
    Problem,
    adapt,
    meta_gradient,
)
from torchcross.functional.certify import in_float64
from torchcross.functional.network.layers import LayerCall, wrong_layer
from torchcross.functional.network.observing import SupportCall, observe_support

_LOSS_ROUNDING = 1e-9
# Rounding grows with every step: two are enough to see all that runs.
_STEPS = 2
_ROUNDING_UNITS = 1000.0
_TIMES_MOVED = 100.0
_CHAOS = 0.3
_WRONG_LAYER = 0.03
_MOVES = 8
# In units of rounding: many sums of a layer are further off than one unit.
_MOVE_UNITS = 30.0
_TIMES_EXPLAINED = 3.0


def compare_reported_losses(
    step: Step, problems: list[Problem], meta: Meta, engine: Engine
) -> list[CertificateRow]:
    """Compare the losses of a training step with a plain adaptation and its query loss."""
    if isinstance(engine, Implicit):
        return []
    plain = torch.stack([_plain_query_loss(problem, meta) for problem in problems])
    pairs = {"losses of the episodes": (step.losses, plain), "loss": (step.loss, plain.mean())}
    rows = []
    for name, (reported, expected) in pairs.items():
        error = float((reported.detach() - expected).norm() / expected.norm().clamp_min(1e-300))
        row = CertificateRow(
            f"training step: {name}", engine.name, engine.order, error, _LOSS_ROUNDING, None
        )
        rows.append(dataclasses.replace(row, holds=error <= _LOSS_ROUNDING))
    return rows


@torch.no_grad()
def _plain_query_loss(problem: Problem, meta: Meta) -> Tensor:
    inner = problem.inner
    total = torch.zeros((), dtype=torch.float64)
    for updates in range(inner.steps + 1):
        if weight := inner.weight_after(updates):
            end = adapt(problem, meta, steps=updates)
            params = {**meta.params, **end.params}
            loss, _ = inner.query(params, end.buffers, problem.data, updates)
            total = total + weight * loss
    return total


def compare_precision(
    problem: Problem, label: str, meta: Meta, engine: Engine
) -> list[CertificateRow]:
    """Compare the meta-gradient in the algorithm's own precision with that in float64."""
    dtypes = {value.dtype for value in meta.params.values() if value.is_floating_point()}
    if dtypes <= {torch.float64}:
        return []
    dtype = max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)
    inner = dataclasses.replace(
        problem.inner, steps=min(problem.inner.steps, _STEPS), query_weights=None
    )
    short = dataclasses.replace(problem, inner=inner)
    reference = _Reference(short, meta, engine, dtype)
    rows = []
    for layout, data in (("", short.data), (", channels last", _channels_last(short.data))):
        here = dataclasses.replace(short, data=data)
        error = reference.distance(meta_gradient(here, meta, engine=engine).params)
        row = CertificateRow(
            f"{label}: {reference.precision} against float64{layout}",
            engine.name,
            engine.order,
            error,
            reference.tolerance,
            error <= reference.tolerance,
        )
        rows.append(row if row.holds else _with_reason(row, here, meta, reference))
    return rows


def _with_reason(
    row: CertificateRow, problem: Problem, meta: Meta, reference: _Reference
) -> CertificateRow:
    """The row of a difference that is too large: what is wrong, or why nothing can be told."""
    if row.tolerance > _CHAOS:
        note = f"rounding alone moves this gradient by {100 * row.tolerance:.0f} %"
        return dataclasses.replace(row, holds=None, note=note)
    if layer := _wrong_layer(problem, meta):
        return dataclasses.replace(row, note=f"{layer} has another output there")
    if doubt := reference.doubt(row.error):
        return dataclasses.replace(row, holds=None, note=doubt)
    note = "no layer has another output there: the derivatives differ"
    return dataclasses.replace(row, note=note)


@final
class _Reference:
    """The same gradient in float64, and how far rounding to another precision may move it."""

    def __init__(self, problem: Problem, meta: Meta, engine: Engine, dtype: torch.dtype) -> None:
        self.precision = str(dtype).removeprefix("torch.")
        self._eps = torch.finfo(dtype).eps
        self._problem, self._meta = in_float64(problem, meta)
        self._engine = engine
        result = meta_gradient(self._problem, self._meta, engine=engine)
        self._gradient, self._loss = result.params, float(result.loss)
        moved = meta_gradient(self._problem, move_params(self._meta, self._eps), engine=engine)
        rounding = self.distance(moved.params)
        self.tolerance = max(_ROUNDING_UNITS * self._eps, _TIMES_MOVED * rounding)

    def distance(self, gradient: dict[str, Tensor]) -> float:
        """Relative to the gradient in float64."""
        exact = self._gradient
        names = [name for name, value in exact.items() if value.is_floating_point()]
        gap = math.hypot(*(float((gradient[n].double() - exact[n]).norm()) for n in names))
        return gap / max(math.hypot(*(float(exact[n].norm()) for n in names)), 1e-300)

    def doubt(self, error: float) -> str:
        """Why a right gradient may have this error; empty if rounding does not explain it."""
        # Probabilities are rounded by about eps, and the gradient is their distance from the
        # labels: as small as the loss.
        if error * abs(self._loss) <= self._eps:
            return (
                f"the loss is {self._loss:.1e}, and of the gradient of so small a loss"
                f" {self.precision} keeps few digits"
            )
        if error <= _TIMES_EXPLAINED * self._largest_jump:
            return (
                "a ReLU or a max-pooling changes its slope within the rounding of activations,"
                f" which alone moves this gradient by {self._largest_jump:.1e}"
            )
        return ""

    @functools.cached_property
    def _largest_jump(self) -> float:
        """How far the gradient goes where inputs, parameters and sums move a little."""
        size, jumps = _MOVE_UNITS * self._eps, []
        for seed in range(1, _MOVES + 1):
            problem = move_data(self._problem, size, seed)
            meta = move_params(self._meta, size, seed)
            with move_sums(size, seed):
                moved = meta_gradient(problem, meta, engine=self._engine)
            jumps.append(self.distance(moved.params))
        return max(jumps)


def _channels_last(data: Any) -> Any:
    def lay_out(value: Any) -> Any:
        is_images = isinstance(value, Tensor) and value.dim() == 4 and value.is_floating_point()
        return value.contiguous(memory_format=torch.channels_last) if is_images else value

    return pytree.tree_map(lay_out, data)


def _wrong_layer(problem: Problem, meta: Meta) -> str | None:
    """Describe the layer that has another output in float64, if one has."""
    calls: list[SupportCall] = []

    def note(call: SupportCall) -> Any:
        calls.append(call)
        return call.run()

    with torch.no_grad(), observe_support(note):
        adapted = adapt(dataclasses.replace(problem), meta, steps=0)
        params = {**meta.params, **adapted.params}
        problem.inner.support(params, meta.buffers, problem.data, 0)
    for call in calls[-1:]:
        return wrong_layer(call, _differs_in_float64)
    return None


@torch.no_grad()
def _differs_in_float64(layer: LayerCall) -> bool:
    def widen(value: Any) -> Any:
        is_float = isinstance(value, Tensor) and value.is_floating_point()
        return value.detach().double().contiguous() if is_float else value

    call = layer.call
    wide = dataclasses.replace(
        call,
        params=pytree.tree_map(widen, call.params),
        buffers=pytree.tree_map(widen, call.buffers),
        inputs=pytree.tree_map(widen, call.inputs),
    )
    exact, _ = wide.run()
    pairs = zip(pytree.tree_leaves(layer.output), pytree.tree_leaves(exact), strict=True)
    return any(
        float((left.double() - right).norm()) > _WRONG_LAYER * float(right.norm())
        for left, right in pairs
        if isinstance(left, Tensor) and left.is_floating_point()
    )
