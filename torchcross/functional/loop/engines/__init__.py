"""Interchangeable ways to the meta-gradient: one file each, one row in `ENGINES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torchcross.errors import InputError
from torchcross.functional.loop.engines.implicit import Implicit
from torchcross.functional.loop.engines.loop import Loop, LoopResult
from torchcross.functional.loop.engines.recompute import Mixed, Recompute
from torchcross.functional.loop.engines.unrolling import FirstOrder, Reverse

__all__ = [
    "ENGINES",
    "Engine",
    "FirstOrder",
    "Implicit",
    "Mixed",
    "Recompute",
    "Reverse",
    "engine_named",
]


class Engine(Protocol):
    """Runs a loop and returns its loss and gradient; `order` is that of the gradient."""

    @property
    def name(self) -> str: ...

    @property
    def order(self) -> int: ...

    def __call__(self, loop: Loop) -> LoopResult: ...


ENGINES: dict[str, Callable[[], Engine]] = {
    "reverse": Reverse,
    "recompute": Recompute,
    "mixed": Mixed,
    "first_order": FirstOrder,
    "implicit": Implicit,
}


def engine_named(engine: str | Engine) -> Engine:
    """The engine of that name with its defaults, or the engine itself."""
    if not isinstance(engine, str):
        return engine
    if engine not in ENGINES:
        raise InputError(f"no engine is called {engine!r}; choose one of {', '.join(ENGINES)}.")
    return ENGINES[engine]()
