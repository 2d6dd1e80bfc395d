"""Is the meta-gradient right? Against finite differences in float64, and against a closed form."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchcross.functional.loop.engines import Engine, Implicit, engine_named
from torchcross.functional.loop.engines.loss_only import LossOnly
from torchcross.functional.loop.meta_gradient import meta_gradient
from torchcross.functional.loop.optimisers import Rates, sgd
from torchcross.functional.loop.problem import Inner, Meta, Problem
from torchcross.functional.trees import Buffers, Params, floating

# From where rounding does not matter to where a curved loss is straight; kinks are passed on the
# way down.
_STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
_AGREE = 1e-6


@dataclass(frozen=True)
class CertificateRow:
    """One comparison. `holds` is None where the engine does not claim equality (first order,
    implicit).
    """

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
    """
    chosen = engine_named(engine)
    rows = []
    for steps in (1, 5):
        task = _Quadratic.drawn(seed=steps)
        if isinstance(chosen, Implicit):
            # The closed form is that of the inner problem's solution: take enough steps to be
            # there.
            steps = 2000
        meta = Meta({"x": task.x}, torch.tensor(task.rate, dtype=torch.float64))
        inner = Inner(task.support, task.query, sgd(), steps)
        result = meta_gradient(
            Problem(inner, task.tensors(), name="quadratic"), meta, engine=chosen
        )
        error = _relative(result.params["x"], task.gradient(chosen, steps))
        name = f"closed form, {steps} steps"
        rows.append(
            CertificateRow(name, chosen.name, chosen.order, error, tolerance, error <= tolerance)
        )
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
    """An episode of one's own against central differences in float64, along random directions.

    Differences are taken at several sizes; where they do not agree, the loss has a kink nearby
    (ReLU, max-pooling) and the row says so.
    """
    chosen = engine_named(engine)
    problem, meta = _double(problem, meta)
    result = meta_gradient(problem, meta, engine=chosen)
    rates = meta.rates if isinstance(meta.rates, Mapping) else {"*": meta.rates}
    learned = {name: rate for name, rate in rates.items() if isinstance(rate, Tensor)}
    exact = chosen.order == 2 and not isinstance(chosen, Implicit)
    kind = CertificateRow("finite differences", chosen.name, chosen.order, 0.0, tolerance, None)
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for part, at, grads in (
        ("params", floating(meta.params), result.params),
        ("rates", learned, result.rates),
    ):
        at = {name: value for name, value in at.items() if name in grads}
        row = dataclasses.replace(kind, name=f"{kind.name}, {part}")
        loss = _loss_at(problem, meta, part)
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
    """Any gradient of any loss against central differences; `row` says what is the same in all
    rows.
    """
    rows = []
    for index in range(directions):
        way = _direction(at, generator)
        slope = float(sum((grads[name] * value).sum() for name, value in way.items()))
        scale = float(_norm({name: grads[name] for name in at}) * _norm(way))
        difference, note = _difference(_along(loss, at, way))
        error = abs(slope - difference) / max(abs(difference), 1e-3 * scale, 1e-300)
        claim = error <= row.tolerance if exact else None
        rows.append(
            dataclasses.replace(
                row, name=f"{row.name} {index + 1}", error=error, holds=claim, note=note
            )
        )
    return rows


@dataclass(frozen=True)
class _Quadratic:
    A: Tensor
    B: Tensor
    a: Tensor
    b: Tensor
    x: Tensor
    rate: float = 0.1

    @classmethod
    def drawn(cls, seed: int, size: int = 5) -> _Quadratic:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        roots = (draw(size, size), draw(size, size))
        A, B = (root @ root.T / size + 0.1 * torch.eye(size, dtype=torch.float64) for root in roots)
        return cls(A, B, draw(size), draw(size), draw(size))

    def tensors(self) -> dict[str, Tensor]:
        return {"A": self.A, "B": self.B, "a": self.a, "b": self.b}

    @staticmethod
    def support(
        params: Params, buffers: Buffers, data: dict[str, Tensor], step: int
    ) -> tuple[Tensor, Buffers]:
        away = params["x"] - data["a"]
        return 0.5 * away @ data["A"] @ away, buffers

    @staticmethod
    def query(
        params: Params, buffers: Buffers, data: dict[str, Tensor], step: int
    ) -> tuple[Tensor, Buffers]:
        away = params["x"] - data["b"]
        return 0.5 * away @ data["B"] @ away, buffers

    def gradient(self, engine: Engine, steps: int) -> Tensor:
        eye = torch.eye(len(self.x), dtype=torch.float64)
        if isinstance(engine, Implicit):
            inverse = torch.linalg.inv(self.A + engine.strength * eye)
            end = inverse @ (self.A @ self.a + engine.strength * self.x)
            return cast(Tensor, engine.strength * inverse @ self.B @ (end - self.b))
        shrink = torch.linalg.matrix_power(eye - self.rate * self.A, steps)
        slope = self.B @ (self.a + shrink @ (self.x - self.a) - self.b)
        return cast(Tensor, slope if engine.order == 1 else shrink @ slope)


def _double(problem: Problem, meta: Meta) -> tuple[Problem, Meta]:
    def wide(value: Tensor) -> Tensor:
        return value.detach().double() if value.is_floating_point() else value

    def widened(tree: Any) -> Any:
        return pytree.tree_map_only(Tensor, wide, tree)

    rates: Rates = widened(dict(meta.rates) if isinstance(meta.rates, Mapping) else meta.rates)
    wide_meta = Meta(widened(meta.params), rates, widened(meta.buffers))
    return (
        dataclasses.replace(problem, data=widened(problem.data), own=widened(problem.own)),
        wide_meta,
    )


def _loss_at(problem: Problem, meta: Meta, part: str) -> Callable[[Params], float]:
    def loss(moved: Params) -> float:
        if part == "params":
            here = dataclasses.replace(meta, params={**meta.params, **moved})
        elif isinstance(meta.rates, Mapping):
            here = dataclasses.replace(meta, rates={**meta.rates, **moved})
        else:
            here = dataclasses.replace(meta, rates=moved["*"])
        return float(meta_gradient(problem, here, engine=LossOnly()).loss)

    return loss


def _along(loss: Callable[[Params], float], at: Params, way: Params) -> Callable[[float], float]:
    return lambda t: loss({name: value + t * way[name] for name, value in at.items()})


def _difference(value: Callable[[float], float]) -> tuple[float, str]:
    """The central difference at the first two sizes that agree."""
    before: float | None = None
    for size in _STEPS:
        slope = (value(size) - value(-size)) / (2 * size)
        if before is not None and abs(slope - before) <= _AGREE * max(abs(slope), abs(before)):
            return before, ""
        if before is None:
            first = slope
        before = slope
    return (
        first,
        (
            "differences disagree between sizes: a kink nearby (ReLU, max-pooling), or a steep"
            " inner loop"
        ),
    )


def _direction(at: Params, generator: torch.Generator) -> Params:
    """A random direction of length one."""
    way = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value.device)
        for name, value in at.items()
    }
    length = _norm(way)
    return {name: value / length for name, value in way.items()}


def _norm(tree: Params) -> Tensor:
    lengths = torch.stack([torch.linalg.vector_norm(value) for value in tree.values()])
    return cast(Tensor, torch.linalg.vector_norm(lengths))


def _relative(left: Tensor, right: Tensor) -> float:
    return float(torch.linalg.vector_norm(left - right) / torch.linalg.vector_norm(right))
