"""Is the meta-gradient right? Against finite differences in float64, and against a closed form."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchcross.functional.loop.engines import Engine, Implicit, engine_named
from torchcross.functional.loop.engines.loss_only import LossOnly
from torchcross.functional.loop.meta_gradient import meta_gradient
from torchcross.functional.loop.optimisers import sgd
from torchcross.functional.loop.problem import Inner, Meta, Problem
from torchcross.functional.trees import Buffers, Data, LossFn, Params, floating, widen

# From large, where rounding does not matter, to small, where a curved loss is straight and no kink
# lies between both ends.
_SIZES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
_AGREEMENT = 1e-6
_RATE = 0.1


@dataclass(frozen=True)
class CertificateRow:
    """One comparison; `holds` is None where the engine claims no equality (order 1, implicit)."""

    name: str
    engine: str
    order: int
    error: float
    tolerance: float
    holds: bool | None
    note: str = ""


def certify_engine(
    engine: str | Engine = "reverse", *, tolerance: float = 1e-9
) -> list[CertificateRow]:
    """An engine on the built-in quadratic task, whose meta-gradient is known in closed form.

    With support loss (x - a)'A(x - a)/2, query loss (x - b)'B(x - b)/2 and K steps of gradient
    descent at rate r: x_K = a + (I - rA)^K (x_0 - a), and the gradient is (I - rA)^K B(x_K - b);
    B(x_K - b) in first order; s (A + sI)^-1 B(x* - b) with x* = (A + sI)^-1 (Aa + s x_0) in the
    implicit case of strength s.

    >>> from torchcross.functional import certify_engine
    >>> all(row.holds for row in certify_engine("recompute"))
    True
    """
    engine = engine_named(engine)
    rows = []
    for steps in (1, 5):
        task = _quadratic_task(seed=steps)
        if isinstance(engine, Implicit):
            # The closed form is that of the inner problem's solution: take enough steps.
            steps = 2000
        meta = Meta({"x": task["x"]}, torch.tensor(_RATE, dtype=torch.float64))
        inner = Inner(_quadratic_loss("a", "A"), _quadratic_loss("b", "B"), sgd(), steps)
        result = meta_gradient(Problem(inner, task, name="quadratic"), meta, engine=engine)
        expected = _closed_form(task, engine, steps)
        error = float(_norm({"x": result.params["x"] - expected}) / _norm({"x": expected}))
        name, holds = f"closed form, {steps} steps", error <= tolerance
        rows.append(CertificateRow(name, engine.name, engine.order, error, tolerance, holds))
    return rows


def certify_problem(
    problem: Problem,
    meta: Meta,
    *,
    engine: str | Engine = "reverse",
    directions: int = 3,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> list[CertificateRow]:
    """Compare the meta-gradient of your own episode with central differences in float64.

    Differences are taken along random directions, at several sizes. Where they disagree, the loss
    has a kink nearby (ReLU, max-pooling), and the row says so.
    """
    engine = engine_named(engine)
    problem, meta = in_float64(problem, meta)
    result = meta_gradient(problem, meta, engine=engine)
    rates = meta.rates if isinstance(meta.rates, Mapping) else {"*": meta.rates}
    learned = {name: rate for name, rate in rates.items() if isinstance(rate, Tensor)}
    exact = engine.order == 2 and not isinstance(engine, Implicit)
    kind = CertificateRow("finite differences", engine.name, engine.order, 0.0, tolerance, None)
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for part, at, grads in (
        ("params", floating(meta.params), result.params),
        ("rates", learned, result.rates),
    ):
        at = {name: value for name, value in at.items() if name in grads}
        row = dataclasses.replace(kind, name=f"{kind.name}, {part}")
        loss = _loss_at(problem, meta, part, engine)
        rows += certify_gradient(
            loss,
            at,
            grads,
            row,
            exact=exact,
            directions=directions if at else 0,
            generator=generator,
        )
    return rows


def certify_gradient(
    loss: Callable[[Params], float],
    at: Params,
    grads: Params,
    row: CertificateRow,
    *,
    exact: bool,
    directions: int,
    generator: torch.Generator,
) -> list[CertificateRow]:
    """Any gradient of any loss against central differences; `row` has what all rows share."""
    rows = []
    for index in range(directions):
        direction = _random_direction(at, generator)
        slope = float(sum((grads[name] * value).sum() for name, value in direction.items()))
        difference, note = _central_difference(loss, at, direction)
        # Relative to the gradient's length too: along some directions the slope is next to zero.
        scale = float(_norm({name: grads[name] for name in at}))
        error = abs(slope - difference) / max(abs(difference), 1e-3 * scale, 1e-300)
        holds = error <= row.tolerance if exact else None
        name = f"{row.name} {index + 1}"
        rows.append(dataclasses.replace(row, name=name, error=error, holds=holds, note=note))
    return rows


def _quadratic_task(seed: int, size: int = 5) -> Params:
    """Random A, B (positive definite), a, b and x of the task in `certify_engine`."""
    generator = torch.Generator().manual_seed(seed)
    task = {}
    for name in ("A", "B"):
        root = torch.randn(size, size, generator=generator, dtype=torch.float64)
        task[name] = root @ root.T / size + 0.1 * torch.eye(size, dtype=torch.float64)
    for name in ("a", "b", "x"):
        task[name] = torch.randn(size, generator=generator, dtype=torch.float64)
    return task


def _quadratic_loss(centre: str, matrix: str) -> LossFn:
    def loss(params: Params, buffers: Buffers, data: Data, step: int) -> tuple[Tensor, Buffers]:
        away = params["x"] - data[centre]
        return 0.5 * away @ data[matrix] @ away, buffers

    return loss


def _closed_form(task: Params, engine: Engine, steps: int) -> Tensor:
    A, B, a, b, x = (task[name] for name in ("A", "B", "a", "b", "x"))
    eye = torch.eye(len(x), dtype=torch.float64)
    if isinstance(engine, Implicit):
        inverse = torch.linalg.inv(A + engine.strength * eye)
        end = inverse @ (A @ a + engine.strength * x)
        return cast(Tensor, engine.strength * inverse @ B @ (end - b))
    shrink = torch.linalg.matrix_power(eye - _RATE * A, steps)
    slope = B @ (a + shrink @ (x - a) - b)
    return cast(Tensor, slope if engine.order == 1 else shrink @ slope)


def in_float64(problem: Problem, meta: Meta) -> tuple[Problem, Meta]:
    """The same episode with every real or complex tensor in double precision."""

    def widen_all(tree: Any) -> Any:
        return pytree.tree_map_only(Tensor, lambda value: widen(value.detach()), tree)

    rates = widen_all(dict(meta.rates) if isinstance(meta.rates, Mapping) else meta.rates)
    return (
        dataclasses.replace(problem, data=widen_all(problem.data), own=widen_all(problem.own)),
        Meta(widen_all(meta.params), rates, widen_all(meta.buffers)),
    )


def _loss_at(problem: Problem, meta: Meta, part: str, engine: Engine) -> Callable[[Params], float]:
    """The engine's query loss as a function of some of the parameters, or of some of the rates."""

    def loss(moved: Params) -> float:
        if part == "params":
            here = dataclasses.replace(meta, params={**meta.params, **moved})
        elif isinstance(meta.rates, Mapping):
            here = dataclasses.replace(meta, rates={**meta.rates, **moved})
        else:
            here = dataclasses.replace(meta, rates=moved["*"])
        return float(meta_gradient(problem, here, engine=LossOnly(of=engine)).loss)

    return loss


def _central_difference(
    loss: Callable[[Params], float], at: Params, direction: Params
) -> tuple[float, str]:
    """(the difference at the first two sizes that agree, a note where none do)."""

    def value(distance: float) -> float:
        return loss({name: start + distance * direction[name] for name, start in at.items()})

    slopes: list[float] = []
    for size in _SIZES:
        slopes.append((value(size) - value(-size)) / (2 * size))
        # With one slope alone, NaN agrees with nothing.
        before, last = [math.nan, *slopes][-2:]
        if abs(last - before) <= _AGREEMENT * max(abs(last), abs(before)):
            return before, ""
    return slopes[0], (
        "differences disagree between sizes: a kink nearby (ReLU, max-pooling), or a steep inner"
        " loop"
    )


def _random_direction(at: Params, generator: torch.Generator) -> Params:
    """A random direction of length one."""
    direction = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value.device)
        for name, value in at.items()
    }
    length = _norm(direction)
    return {name: value / length for name, value in direction.items()}


def _norm(tree: Params) -> Tensor:
    lengths = torch.stack([torch.linalg.vector_norm(value) for value in tree.values()])
    return cast(Tensor, torch.linalg.vector_norm(lengths))
