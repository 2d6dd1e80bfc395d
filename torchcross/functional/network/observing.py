"""Who watches the support forwards of networks: checks that must see what a loss asks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torchcross.functional.trees import Buffers, Params

if TYPE_CHECKING:
    from torchcross.functional.network.network import Network


@dataclass(frozen=True)
class SupportCall:
    """The arguments of one `Network.support`, except dropout masks."""

    network: Network
    params: Params
    buffers: Buffers
    inputs: tuple[Any, ...]
    step: int

    def run(self) -> tuple[Any, Buffers]:
        """(output, new buffers), unobserved and without dropout."""
        with observe_support(None):
            return self.network.support(self.params, self.buffers, *self.inputs, step=self.step)


Observer = Callable[[SupportCall], tuple[Any, Buffers]]
"""Gets a call in place of the network, and returns what the network would."""

_OBSERVER: ContextVar[Observer | None] = ContextVar("observer", default=None)


def current_observer() -> Observer | None:
    return _OBSERVER.get()


@contextmanager
def observe_support(observer: Observer | None) -> Iterator[None]:
    """While this is open, support forwards of this thread go to the observer."""
    token = _OBSERVER.set(observer)
    try:
        yield
    finally:
        _OBSERVER.reset(token)
