"""How much memory an engine needs: predicted from two short runs, and measured."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from torchcross.errors import InputError
from torchcross.functional.loop.engines import Engine, engine_named
from torchcross.functional.loop.meta_gradient import meta_gradient
from torchcross.functional.loop.problem import Meta, Problem

_FEW_STEPS = 2


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of live tensors at the peak, above what was alive before.

    `per_step` is for each further inner step.
    """

    peak: int
    per_step: int
    steps: int
    engine: str
    order: int


def estimate(
    problem: Problem, meta: Meta, *, engine: str | Engine = "reverse", steps: int | None = None
) -> MemoryEstimate:
    """Predict the peak of one episode's meta-gradient from runs of few inner steps.

    Memory grows linearly with the steps for every engine (by periods of `every` steps where an
    engine has them). Tensors are counted, not an allocator's slack or a kernel's scratch space.
    """
    engine = engine_named(engine)
    steps = problem.inner.steps if steps is None else steps
    if steps < 0:
        raise InputError(f"steps must be 0 or more, not {steps}.")
    period = int(getattr(engine, "every", 1))
    few = _FEW_STEPS + max(0, steps - _FEW_STEPS) % period
    first, second = (_peak(problem, meta, engine, count) for count in (few, few + period))
    growth = max(0, second - first)
    if steps > _FEW_STEPS:
        peak = first + (steps - few) // period * growth
    else:
        peak = _peak(problem, meta, engine, steps)
    return MemoryEstimate(peak, growth // period, steps, engine.name, engine.order)


def _peak(problem: Problem, meta: Meta, engine: Engine, steps: int) -> int:
    inner = dataclasses.replace(problem.inner, steps=steps, query_weights=None)
    short = dataclasses.replace(problem, inner=inner)
    return peak_memory(lambda: meta_gradient(short, meta, engine=engine))[1]


def peak_memory(run: Callable[[], Any]) -> tuple[Any, int]:
    """(result of `run`, the most bytes of tensors made by it that were alive at once)."""
    with _PeakCounter() as counter:
        result = run()
    return result, counter.peak


class _PeakCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts every storage that an operation makes until it dies."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = 0
        self.peak = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        inputs = {id(tensor.untyped_storage()) for tensor in _tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            if id(tensor.untyped_storage()) not in inputs:
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._known:
            return

        def forget(_: object) -> None:
            self.alive -= size
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, forget)
        self.alive += size
        self.peak = max(self.peak, self.alive)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]
