"""No other process: each call runs where it is submitted, and one after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, final

from torchcross.jobs.engines.engine import JobEngine
from torchcross.jobs.units import Resources


@final
class InlineEngine(JobEngine):
    """Runs calls in this process, which is what a debugger needs.

    Ctrl-C and SystemExit leave `submit` as they leave the call.

    >>> from torchcross.jobs import InlineEngine, Resources
    >>> InlineEngine().submit(max, 3, 5, resources=Resources()).result()
    5
    """

    is_here = True

    def __init__(self) -> None:
        self._is_full = False

    def has_room(self, resources: Resources) -> bool:
        """No, once after each call: its outcome is looked at before the next call begins."""
        if self._is_full:
            self._is_full = False
            return False
        return True

    def submit(self, call: Callable[..., Any], /, *args: Any, resources: Resources) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args))
        except Exception as error:  # noqa: BLE001 - the future has it
            future.set_exception(error)
        self._is_full = True
        return future

    def shutdown(self, *, cancel: bool = False) -> None:
        """There is nothing to end."""
