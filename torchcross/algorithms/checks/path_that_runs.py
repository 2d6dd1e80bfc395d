"""What a float64 gradient cannot show: the loss that is reported, and the path in lower precision.

In float32 a network runs other kernels, with the channels last where that is faster. The row holds
its meta-gradient against the same one in float64. What rounding alone does is measured: in float64,
with parameters moved by as much as float32 rounds them.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchcross.algorithms.base import Step
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
    eps = max(torch.finfo(dtype).eps for dtype in dtypes)
    inner = dataclasses.replace(
        problem.inner, steps=min(problem.inner.steps, _STEPS), query_weights=None
    )
    short = dataclasses.replace(problem, inner=inner)
    wide, wide_meta = in_float64(short, meta)
    exact = meta_gradient(wide, wide_meta, engine=engine).params
    moved = meta_gradient(wide, _move_params(wide_meta, eps), engine=engine).params
    tolerance = max(_ROUNDING_UNITS * eps, _TIMES_MOVED * _distance(moved, exact))
    kind = str(max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)).removeprefix("torch.")
    rows = []
    for layout, data in (("", short.data), (", channels last", _channels_last(short.data))):
        here = dataclasses.replace(short, data=data)
        error = _distance(meta_gradient(here, meta, engine=engine).params, exact)
        row = CertificateRow(
            f"{label}: {kind} against float64{layout}",
            engine.name,
            engine.order,
            error,
            tolerance,
            error <= tolerance,
        )
        if not row.holds and tolerance > _CHAOS:
            note = f"rounding alone moves this gradient by {100 * tolerance:.0f} %"
            row = dataclasses.replace(row, holds=None, note=note)
        elif not row.holds:
            row = dataclasses.replace(row, note=_culprit(here, meta))
        rows.append(row)
    return rows


def _move_params(meta: Meta, eps: float) -> Meta:
    params = {}
    for seed, (name, value) in enumerate(meta.params.items()):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        params[name] = value * (1 + eps * noise.to(value)) if value.is_floating_point() else value
    return dataclasses.replace(meta, params=params)


def _channels_last(data: Any) -> Any:
    def lay_out(value: Any) -> Any:
        is_images = isinstance(value, Tensor) and value.dim() == 4 and value.is_floating_point()
        return value.contiguous(memory_format=torch.channels_last) if is_images else value

    return pytree.tree_map(lay_out, data)


def _distance(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    names = [name for name, value in right.items() if value.is_floating_point()]
    gap = math.hypot(*(float((left[name].double() - right[name]).norm()) for name in names))
    return gap / max(math.hypot(*(float(right[name].norm()) for name in names)), 1e-300)


def _culprit(problem: Problem, meta: Meta) -> str:
    """Say which layer has another output in float64, if one has."""
    calls: list[SupportCall] = []

    def note(call: SupportCall) -> Any:
        calls.append(call)
        return call.run()

    with torch.no_grad(), observe_support(note):
        adapted = adapt(dataclasses.replace(problem), meta, steps=0)
        params = {**meta.params, **adapted.params}
        problem.inner.support(params, meta.buffers, problem.data, 0)
    for call in calls[-1:]:
        if layer := wrong_layer(call, _differs_in_float64):
            return f"{layer} has another output there"
    return "no layer has another output there: the derivatives differ"


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
