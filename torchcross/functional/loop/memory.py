"""How much memory an engine needs: predicted from one short run, and measured.

Most of what an inner step makes dies with it. What lives until the query loss is what a further
step adds. The short run is replayed with that many copies of one of its steps.
"""

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
from torchcross.functional.loop.problem import Inner, Meta, Problem, Split
from torchcross.functional.trees import Buffers, Data, LossFn, Params

_FIRST_ORDINARY_STEP = 2
"""From a zero head the first step moves the head alone, and the second may share its features."""


_MB = 1e6
_FIRST_USE = 40_000_000
"""Bytes that torch's libraries take when they compute for the first time."""
_ALLOCATED_FOR_COUNTED = 1.3
"""What an allocator and the kernels take for each byte of tensors. Both were measured on Linux with
two threads: `python -m benchmarks.memory_estimate`."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of live tensors at the peak, above what was alive before.

    per_step  what each further inner step keeps until the query loss
    process   what this process will hold of the machine's memory at the peak, from what it held
              when it was asked; rougher than `peak`. `torchcross.estimate` gives it, except for
              tensors on an accelerator, and where the system does not say what a process holds
    """

    peak: int
    per_step: int
    steps: int
    engine: str
    order: int
    process: int | None = None

    def __str__(self) -> str:
        steps = f"{self.steps} inner step" if self.steps == 1 else f"{self.steps} inner steps"
        text = (
            f"{self.engine}, {steps}: {self.peak / _MB:,.1f} MB of tensors at the peak,"
            f" {self.per_step / _MB:,.1f} MB for each further step"
        )
        if self.process is None:
            return text
        return f"{text}; the process will hold about {self.process / _MB:,.0f} MB"


def process_bytes(peak: int, before: int | None, device: torch.device) -> int | None:
    """What a process that held `before` will hold where tensors of `peak` bytes are alive."""
    if before is None or device.type != "cpu":
        return None
    return before + _FIRST_USE + round(_ALLOCATED_FOR_COUNTED * peak)


def estimate(
    problem: Problem, meta: Meta, *, engine: str | Engine = "reverse", steps: int | None = None
) -> MemoryEstimate:
    """Predict the peak of one episode's meta-gradient from a run of few inner steps.

    Tensors are counted, not an allocator's slack or a kernel's scratch space. Rates and statistics
    of each step must have rows for `steps_to_run(engine, steps)` steps.
    """
    engine = engine_named(engine)
    steps = problem.inner.steps if steps is None else steps
    if steps < 0:
        raise InputError(f"steps must be 0 or more, not {steps}.")
    period, short = _period(engine), _steps_of_short_run(engine, steps)
    timeline = _timeline(problem, meta, engine, short)
    kept = timeline.kept_of_steps(range(_FIRST_ORDINARY_STEP, _FIRST_ORDINARY_STEP + period))
    if steps >= short:
        peak = timeline.peak(kept, copies=(steps - short) // period)
    else:
        peak = _timeline(problem, meta, engine, steps).peak()
    per_step = timeline.size(kept) // period
    return MemoryEstimate(peak, per_step, steps, engine.name, engine.order)


def steps_to_run(engine: str | Engine, steps: int) -> int:
    """The most inner steps that `estimate` runs where it is asked about `steps`."""
    return max(steps, _steps_of_short_run(engine_named(engine), steps))


def _period(engine: Engine) -> int:
    """After how many steps the engine's memory repeats its growth."""
    return int(getattr(engine, "every", 1))


def _steps_of_short_run(engine: Engine, steps: int) -> int:
    """The special first steps, one period, a last step, and the rest that `steps` has to a period.

    The last step is apart, for in a backward it is the one where everything else is alive.
    """
    period = _period(engine)
    least = _FIRST_ORDINARY_STEP + period + 1
    return least + (steps - least) % period


def peak_memory(run: Callable[[], Any]) -> tuple[Any, int]:
    """(result of `run`, the most bytes of tensors made by it that were alive at once).

    >>> from torchcross.functional import peak_memory
    >>> _, most = peak_memory(lambda: torch.zeros(1000, dtype=torch.float32))
    >>> most
    4000
    """
    with _StorageRecorder() as recorder:
        result = run()
    return result, recorder.timeline().peak()


# -- a run and its storages ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Event:
    """A storage (by its number) that began or ended; `step` is the inner step that made it."""

    storage: int
    size: int
    step: int | None
    begins: bool


@dataclass(frozen=True)
class _Timeline:
    """Begin and end of every storage of a run, in order; `query_at`: how many came before it."""

    events: tuple[_Event, ...]
    query_at: int

    def kept_of_steps(self, steps: range) -> frozenset[int]:
        """The storages that these steps made and that lived until the last query loss."""
        alive: set[int] = set()
        for event in self.events[: self.query_at]:
            if event.step is not None and event.step in steps:
                (alive.add if event.begins else alive.discard)(event.storage)
        return frozenset(alive)

    def size(self, storages: frozenset[int]) -> int:
        return sum(
            event.size for event in self.events if event.begins and event.storage in storages
        )

    def peak(self, repeated: frozenset[int] = frozenset(), copies: int = 0) -> int:
        """The most bytes alive at once, if there were so many copies more of some storages."""
        alive = peak = 0
        for event in self.events:
            count = 1 + copies if event.storage in repeated else 1
            alive += event.size * count if event.begins else -event.size * count
            peak = max(peak, alive)
        return peak


def _timeline(problem: Problem, meta: Meta, engine: Engine, steps: int) -> _Timeline:
    recorder = _StorageRecorder()
    inner = _with_marks(_with_steps(problem.inner, steps), recorder)
    short = dataclasses.replace(problem, inner=inner)
    with recorder:
        meta_gradient(short, meta, engine=engine)
    return recorder.timeline()


def _with_steps(inner: Inner, steps: int) -> Inner:
    """The same loop with other steps; where every step has a query loss, so it is again."""
    weights = None
    if inner.query_weights is not None and steps:
        every = sum(weight != 0 for weight in inner.query_weights) > 1
        weights = tuple(1.0 / steps for _ in range(steps)) if every else None
    return dataclasses.replace(inner, steps=steps, query_weights=weights)


def _with_marks(inner: Inner, recorder: _StorageRecorder) -> Inner:
    """The same loop, which tells the recorder when a step and when the last query loss begin."""

    def query(params: Params, buffers: Buffers, data: Data, step: int) -> tuple[Tensor, Buffers]:
        if step == inner.steps:
            recorder.begin_query()
        return inner.query(params, buffers, data, step)

    def with_mark(loss: LossFn) -> LossFn:
        def loss_with_mark(
            params: Params, buffers: Buffers, data: Data, step: int
        ) -> tuple[Tensor, Buffers]:
            recorder.begin_step(step)
            return loss(params, buffers, data, step)

        return loss_with_mark

    support: LossFn
    if isinstance(inner.support, Split):
        support = dataclasses.replace(inner.support, body=with_mark(inner.support.body))
    else:
        support = with_mark(inner.support)
    return dataclasses.replace(inner, support=support, query=query)


class _StorageRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every storage that an operation makes, and when it dies."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._events: list[_Event] = []
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._count = 0
        self._step: int | None = None
        self._query_at: int | None = None

    def begin_step(self, step: int) -> None:
        """Storages made from now on belong to this inner step, until the last query loss begins."""
        if self._query_at is None:
            self._step = step

    def begin_query(self) -> None:
        if self._query_at is None:
            self._query_at, self._step = len(self._events), None

    def timeline(self) -> _Timeline:
        events = tuple(self._events)
        return _Timeline(events, len(events) if self._query_at is None else self._query_at)

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
                self._note(tensor.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = id(storage)
        if key in self._known:
            return
        begin = _Event(self._count, storage.nbytes(), self._step, begins=True)
        self._count += 1

        def forget(_: object) -> None:
            self._events.append(dataclasses.replace(begin, begins=False))
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, forget)
        self._events.append(begin)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]
