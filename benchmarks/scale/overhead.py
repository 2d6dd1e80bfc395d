"""What a unit costs besides its work: on engines, in the coordinator, and before anything runs."""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torchcross._kit.process_memory import most_resident_bytes
from torchcross.jobs import (
    JobEngine,
    LocalEngine,
    Outcome,
    Resources,
    Unit,
    UnitGraph,
    run_job,
)
from torchcross.jobs.work import UnitReport

MB = 1e6


class Empty(NamedTuple):
    """Units that write an empty file each, in groups: all units of a group need its first one."""

    units_in_all: int
    group: int = 100

    def units(self) -> Sequence[Unit]:
        units = []
        for at in range(self.units_in_all):
            first = at - at % self.group
            needs = () if at == first else (f"unit{first}",)
            units.append(Unit(f"unit{at}", (f"results/{first}/{at}",), needs))
        return units

    def fingerprint(self) -> Mapping[str, str]:
        return {"units": str(self.units_in_all)}

    def run(self, key: str, folder: Path) -> None:
        at = int(key.removeprefix("unit"))
        place = folder / f"results/{at - at % self.group}"
        place.mkdir(parents=True, exist_ok=True)
        (place / str(at)).touch()


def seconds_per_unit(make_engine: Callable[[], JobEngine], units: int) -> list[float]:
    """Submit to done, of one empty unit after the other; the engine has one slot and is warm."""
    moments: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        run_job(
            Empty(units),
            folder,
            make_engine(),
            notice=lambda key, outcome: moments.append(time.perf_counter()),
        )
    seconds = [later - earlier for earlier, later in itertools.pairwise(moments)]
    return seconds[len(seconds) // 10 :]


def local_engine() -> JobEngine:
    return LocalEngine(jobs=1, cores=1)


def ray_engine() -> JobEngine:
    from torchcross.jobs.engines.ray import RayEngine

    return RayEngine(slots=1)


def median_ms(seconds: Sequence[float]) -> float:
    return 1e3 * statistics.median(seconds)


@dataclass(frozen=True)
class Planned:
    """`first` and `again`: seconds to make the units and to check them, twice in a process."""

    units: int
    first: float
    again: float
    megabytes: float


def planning(units: int) -> Planned:
    """In this process, whose memory must not have been larger before: call it in a fresh one."""
    before = most_resident_bytes() or 0
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        graph = UnitGraph.of(Empty(units).units())
        seconds.append(time.perf_counter() - began)
        assert len(graph.units) == units
    grown = (most_resident_bytes() or 0) - before
    return Planned(units, seconds[0], seconds[1], grown / MB)


class Finished(JobEngine):
    """Calls that have ended when all of a batch are submitted: what is left is ours."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._running: list[Future[Any]] = []

    def has_room(self, resources: Resources) -> bool:
        return len(self._running) < self._slots

    def submit(self, call: Callable[..., Any], /, *args: Any, resources: Resources) -> Future[Any]:
        future: Future[Any] = Future()
        self._running.append(future)
        return future

    @contextmanager
    def batch(self) -> Iterator[None]:
        yield
        running, self._running = self._running, []
        for future in running:
            future.set_result(UnitReport(Outcome.DONE))

    def shutdown(self, *, cancel: bool = False) -> None:
        """Nothing runs."""


def coordination(units: int, slots: int) -> float:
    """Seconds of this process for the coordinator of so many units, besides their planning."""
    job = Empty(units)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        result = run_job(job, folder, Finished(slots))
        middle = time.process_time()
        UnitGraph.of(job.units())
        planned = time.process_time() - middle
        assert result.is_complete, result
        return middle - began - planned


def load() -> str:
    """How busy the machine is, in words."""
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
