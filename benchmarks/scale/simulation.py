"""A job on hundreds of workers: the real planner, coordinators, claims and folder in one process.

Simulated are the clock, the processes with their machines, and what a unit does: it sleeps as long
as a measured unit took, and writes one file. Each attempt dies with a given probability, at some
moment of the unit, like a process that is killed: its claim stays, and what it did is lost.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from benchmarks.scale.operations import Operations, counted_operations
from benchmarks.scale.world import Actor, World
from torchcross._kit.whole_files import write_whole
from torchcross.jobs import JobEngine, JobResult, Resources, Unit, WorkerEnded, run_job
from torchcross.jobs.claims import LEASE
from torchcross.jobs.observer import Observer
from torchcross.jobs.processes import ProcessIdentity

T = TypeVar("T")
Seconds = Mapping[str, Sequence[float]]
"""What units took, by kind: trainings and parts of episodes."""


@dataclass(frozen=True)
class Cluster:
    """What is simulated.

    deaths      probability that an attempt at a unit dies
    restart     seconds until a dead worker has a successor
    operation   seconds that one operation of the shared file system takes
    dispatch    seconds from a coordinator to a worker
    cores       workers on one machine; who dies on another machine is dead after the lease
    """

    workers: int
    coordinators: int = 1
    deaths: float = 0.01
    restart: float = 10.0
    operation: float = 0.0005
    dispatch: float = 0.01
    lease: float = LEASE
    cores: int = 8


@dataclass
class Simulated:
    """What came of it. `runs` and `deaths` are by unit."""

    cluster: Cluster
    results: list[JobResult] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    submissions: int = 0
    makespan: float = 0.0
    work: float = 0.0
    real_seconds: float = 0.0
    operations: Counter[str] = field(default_factory=Counter)
    left_behind: list[str] = field(default_factory=list)

    @property
    def efficiency(self) -> float:
        """The work of an undisturbed worker, over what all of them had time for."""
        return self.work / (self.cluster.workers * self.makespan)

    @property
    def repeated(self) -> list[str]:
        """Units that were run again although no attempt at them had died."""
        return [key for key, runs in self.runs.items() if runs > 1 + self.deaths[key]]


class Recorded:
    """Trainings, and parts of the episodes of each; a part needs its training."""

    def __init__(self, seconds: Seconds, units: int, parts: int, mean: float) -> None:
        self._units: list[Unit] = []
        self.seconds: dict[str, float] = {}
        trainings = -(-units // (parts + 1))
        for training in range(trainings):
            name = f"training{training}"
            self._add(name, seconds["training"], f"trainings/{training}.json")
            for part in range(min(parts, units - trainings - training * parts)):
                place = f"parts/{training}/{part}.json"
                self._add(f"part{training}-{part}", seconds["part"], place, name)
        # Their spread is as measured; the mean is that of the units of a real study.
        factor = mean * len(self.seconds) / sum(self.seconds.values())
        self.seconds = {key: factor * value for key, value in self.seconds.items()}
        self.simulation: Simulation | None = None

    def _add(self, key: str, seconds: Sequence[float], place: str, *needs: str) -> None:
        self._units.append(Unit(key, (place,), needs))
        self.seconds[key] = seconds[int(_uniform("duration", key) * len(seconds))]

    def units(self) -> Sequence[Unit]:
        return self._units

    def fingerprint(self) -> Mapping[str, str]:
        return {"units": str(len(self._units))}

    def run(self, key: str, folder: Path) -> None:
        assert self.simulation is not None
        self.simulation.work_on(key, folder)


class Simulation:
    """One run of a job on a cluster."""

    def __init__(self, job: Recorded, cluster: Cluster, operations: Operations) -> None:
        self._job, self.cluster, self._operations = job, cluster, operations
        self.found = Simulated(cluster, work=sum(job.seconds.values()))
        self.world = World(self._charge)
        self.alive: set[tuple[str, str]] = set()
        self._paid = 0
        self._workers: dict[Actor, SimulatedWorker] = {}

    def run(self, folder: Path) -> Simulated:
        job, began = self._job, time.perf_counter()
        job.simulation = self
        for number in range(self.cluster.coordinators):
            self.world.start(f"coordinator {number}", partial(self._coordinate, number, folder))
        self.world.run()
        self.found.real_seconds = time.perf_counter() - began
        self.found.operations = Counter(self._operations.counts)
        return self.found

    def _coordinate(self, number: int, folder: Path) -> None:
        own = len(range(number, self.cluster.workers, self.cluster.coordinators))
        observer = SimulatedObserver(self, f"machine {number}.0", self.world.current)
        engine = SimulatedEngine(self, observer, number, own)
        result = run_job(self._job, folder, engine, lease=self.cluster.lease, observer=observer)
        self.world.sleep(0.0)
        self.found.results.append(result)
        self.found.submissions += engine.submissions
        self.found.makespan = self.world.now
        if len(self.found.results) == self.cluster.coordinators:
            with self._operations.paused():
                self.found.left_behind = _left_behind(folder)

    def work_on(self, key: str, folder: Path) -> None:
        """What a unit does: nothing, for as long as it takes."""
        self.found.runs[key] += 1
        seconds = self._job.seconds[key]
        death = _uniform("death", key, str(self.found.runs[key]))
        if death < self.cluster.deaths:
            self.world.sleep(seconds * death / self.cluster.deaths)
            self.found.deaths[key] += 1
            self._workers[self.world.current].die()
        self.world.sleep(seconds)
        with self._operations.paused():
            place = folder / self._job_result(key)
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, key)

    def _job_result(self, key: str) -> str:
        kind, _, name = key.partition("training")
        if name:
            return f"trainings/{name}.json"
        return f"parts/{kind.removeprefix('part').replace('-', '/')}.json"

    def add_worker(self, engine: SimulatedEngine, machine: str) -> None:
        worker = SimulatedWorker(self, engine, machine)
        self._workers[worker.actor] = worker

    def _charge(self) -> float:
        before, self._paid = self._paid, self._operations.total
        return (self._operations.total - before) * self.cluster.operation


class SimulatedObserver(Observer):
    """A process of a simulated machine. It knows of those on the same machine whether they live."""

    def __init__(self, simulation: Simulation, machine: str, actor: Actor) -> None:
        self._world, self._alive = simulation.world, simulation.alive
        # Host names repeat, as on real clusters of containers.
        self._identity = ProcessIdentity("worker", 1 + len(simulation.alive), machine, actor.name)
        self._actor = actor
        self._is_waiting = False
        simulation.alive.add(self._key)

    @property
    def _key(self) -> tuple[str, str]:
        return self._identity.machine, self._identity.started

    def identity(self) -> ProcessIdentity:
        return self._identity

    def is_running(self, owner: ProcessIdentity) -> bool | None:
        if owner.machine != self._identity.machine:
            return None
        return (owner.machine, owner.started) in self._alive

    def now(self) -> float:
        return self._world.now

    def collect(self, inbox: SimpleQueue[T], seconds: float) -> list[T]:
        self._world.sleep(0.0)
        if inbox.empty():
            self._is_waiting = True
            self._world.sleep(seconds)
            self._is_waiting = False
        return [inbox.get() for _ in range(inbox.qsize())]

    def repeat(self, action: Callable[[], object], seconds: float) -> AbstractContextManager[None]:
        return self._world.repeat(action, seconds)

    def call_back(self) -> None:
        """Something has come for this process."""
        if self._is_waiting:
            self._world.wake(self._actor)

    def end(self) -> None:
        self._alive.discard(self._key)


class SimulatedWorker:
    """A process that makes units, one after the other."""

    def __init__(self, simulation: Simulation, engine: SimulatedEngine, machine: str) -> None:
        self._simulation, self._engine, self._machine = simulation, engine, machine
        self.call: tuple[Callable[..., Any], tuple[Any, ...], Future[Any]] | None = None
        self._is_idle = False
        name = f"worker {next(engine.numbers)} of {engine.number}"
        self.actor = simulation.world.start(name, self._live)
        self._observer = SimulatedObserver(simulation, machine, self.actor)

    def give(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        future: Future[Any] = Future()
        future.add_done_callback(lambda _: self._engine.observer.call_back())
        self.call = (call, arguments, future)
        if self._is_idle:
            self._simulation.world.wake(self.actor)
        return future

    def die(self) -> None:
        assert self.call is not None
        world, future = self._simulation.world, self.call[2]
        self._observer.end()
        future.set_exception(WorkerEnded(None))
        restart = world.now + self._simulation.cluster.restart
        world.at(restart, lambda: self._simulation.add_worker(self._engine, self._machine))
        world.die()

    def _live(self) -> None:
        world = self._simulation.world
        while True:
            self._engine.add_idle(self)
            while self.call is None:
                self._is_idle = True
                world.pause()
                self._is_idle = False
            call, arguments, future = self.call
            world.sleep(self._simulation.cluster.dispatch)
            report = call(*arguments, observer=self._observer)
            world.sleep(0.0)
            self.call = None
            future.set_result(report)


class SimulatedEngine(JobEngine):
    """Workers on machines of `cores` each; the first machine has the coordinator."""

    def __init__(
        self, simulation: Simulation, observer: SimulatedObserver, number: int, workers: int
    ) -> None:
        self.observer, self.number = observer, number
        self.submissions = 0
        self.numbers = iter(range(10**9))
        self._idle: deque[SimulatedWorker] = deque()
        self._world = simulation.world
        for at in range(workers):
            machine = at // simulation.cluster.cores
            simulation.add_worker(self, f"machine {number}.{machine}")

    def add_idle(self, worker: SimulatedWorker) -> None:
        self._idle.append(worker)
        self.observer.call_back()

    def has_room(self, resources: Resources) -> bool:
        return bool(self._idle)

    def submit(self, call: Callable[..., Any], /, *args: Any, resources: Resources) -> Future[Any]:
        self.submissions += 1
        return self._idle.popleft().give(call, args)

    def shutdown(self, *, cancel: bool = False) -> None:
        """The workers have nothing to do; the world ends them."""


def simulate(job: Recorded, cluster: Cluster) -> Simulated:
    """Run a job on a simulated cluster, in a folder that is in memory where that is possible."""
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(dir=parent) as folder,
        counted_operations() as operations,
    ):
        return Simulation(job, cluster, operations).run(Path(folder) / "job")


def _left_behind(folder: Path) -> list[str]:
    """What the job's own folder still holds at the end, besides its record."""
    own = (path.relative_to(folder) for path in (folder / "jobs").rglob("*"))
    return sorted(str(path) for path in own if len(path.parts) > 2)


def _uniform(*words: str) -> float:
    """A number from 0 to 1 that belongs to these words."""
    digest = hashlib.blake2b("/".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
