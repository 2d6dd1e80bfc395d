"""The interface of engines: the one of `concurrent.futures.Executor`, with resources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import Any, Final, final

from torchcross._kit.installed_packages import sole_point
from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.jobs.units import Resources

ENTRY_POINTS: Final = "torchcross.engines"
"""Engines by name: functions of the settings in `[engine]` that return a JobEngine."""


class WorkerEnded(RuntimeError):
    """A worker process ended before its unit did. `process` is its number, where it is known."""

    def __init__(self, process: int | None) -> None:
        super().__init__(f"worker process {process or 'unknown'} ended before its unit did")
        self.process = process


class JobEngine(ABC):
    """Runs calls in other processes. Placement, retries and autoscaling are its own affair."""

    is_here: bool = False
    """Whether calls run on this machine. Elsewhere there may be other hardware and other disks."""

    @abstractmethod
    def has_room(self, resources: Resources) -> bool:
        """Whether a call that takes this much should be submitted now."""

    @abstractmethod
    def submit(self, call: Callable[..., Any], /, *args: Any, resources: Resources) -> Future[Any]:
        """Start a call. The future raises WorkerEnded where its process died."""

    def batch(self) -> AbstractContextManager[None]:
        """A block whose calls may be submitted together at its end, as an array of jobs."""
        return nullcontext()

    @abstractmethod
    def shutdown(self, *, cancel: bool = False) -> None:
        """End the workers: when their calls have ended, or (`cancel`) at once."""


@final
class ExecutorEngine(JobEngine):
    """Any executor of `concurrent.futures`' shape, with at most `slots` calls at once.

    ExecutorEngine(client.get_executor(), slots=8)    # a Dask client
    """

    def __init__(self, executor: Executor, slots: int) -> None:
        if slots < 1:
            raise InputError(f"an engine of {slots} slots runs nothing; give 1 or more")
        self._executor, self._slots = executor, slots
        self._running: set[Future[Any]] = set()

    def has_room(self, resources: Resources) -> bool:
        return len(self._running) < self._slots

    def submit(self, call: Callable[..., Any], /, *args: Any, resources: Resources) -> Future[Any]:
        future = self._executor.submit(call, *args)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def shutdown(self, *, cancel: bool = False) -> None:
        if cancel:
            for future in list(self._running):
                future.cancel()
        # No `cancel_futures`: executors of other libraries do not have it.
        self._executor.shutdown(wait=not cancel)


def engine_parameters(name: str) -> tuple[str, ...] | None:
    """The settings that an engine names, those apart that it hands on; None where there is none."""
    point = sole_point("engine", name, entry_points(group=ENTRY_POINTS, name=name))
    return None if point is None else tuple(signature(point.load()).parameters)


def job_engine_named(
    name: str, settings: Mapping[str, Any], folder: str | Path | None = None
) -> JobEngine:
    """An engine by name: one of this distribution, or of a package with such an entry point.

    `folder` is for an engine that keeps files of its own, where the settings name no other.

    >>> from torchcross.jobs import job_engine_named
    >>> engine = job_engine_named("local", {"jobs": 4, "cores": 8})
    >>> type(engine).__name__, engine.is_here
    ('LocalEngine', True)
    """
    points = entry_points(group=ENTRY_POINTS)
    point = sole_point("engine", name, points)
    if point is None:
        raise InputError(unknown_name("engine", name, sorted({each.name for each in points})))
    make = point.load()
    if folder is not None and "folder" in signature(make).parameters:
        settings = {"folder": folder, **settings}
    try:
        engine = make(**settings)
    except TypeError as error:
        raise InputError(
            f"engine {name!r} does not take the settings {sorted(settings)}: {error}"
        ) from error
    if isinstance(engine, JobEngine):
        return engine
    raise InputError(
        f"engine {name!r} is a {type(engine).__name__}; its entry point must return a"
        " torchcross.jobs.JobEngine, such as ExecutorEngine(executor, slots)"
    )
