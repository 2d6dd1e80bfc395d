"""A Ray cluster, of one node or a hundred. Placement, retries and autoscaling are Ray's."""

from __future__ import annotations

import socket
import time  # noqa: TID251 (a clock that only waits: no result depends on it)
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, final

from torchcross._kit.counts import count_text
from torchcross._kit.extras import import_extra
from torchcross.errors import EngineWarning, InputError
from torchcross.jobs.engines.engine import JobEngine, WorkerEnded
from torchcross.jobs.units import Resources

_GB: Final = 1024**3
_SLOTS_PER_CORE: Final = 2
"""Calls that wait in Ray for each core that the cluster has, so that no core waits for us."""

_COUNT_CORES_EVERY: Final = 1.0
"""Seconds for which the number of cores is believed; a cluster grows and shrinks."""

_LONGEST_ANSWER: Final = 10.0
"""Seconds in which a cluster must accept a connection."""


@final
class RayEngine(JobEngine):
    """Calls as Ray tasks with the cores, memory and GPUs of their units.

    address   of the cluster: "auto", "ray://host:10001", or None for one on this machine
    slots     how many calls wait or run in Ray at once; by default two for each of its cores
    """

    def __init__(self, address: str | None = None, slots: int | None = None) -> None:
        if slots is not None and slots < 1:
            raise InputError(f"engine.slots = {slots} runs nothing; give 1 or more")
        self._ray = import_extra("ray", "ray", "RayEngine")
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            _refuse_silent_address(address)
            try:
                self._ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                raise InputError(
                    f"no Ray cluster answers at {address!r} ({error}); start one by `ray start"
                    " --head`, or give its address"
                ) from error
        self._slots = slots
        self._cores, self._counted = 1.0, float("-inf")
        self._remotes: dict[Callable[..., Any], Any] = {}
        self._tasks: dict[Future[Any], Any] = {}
        self._looked_at: set[Resources] = set()

    def has_room(self, resources: Resources) -> bool:
        if self._slots is not None:
            return len(self._tasks) < self._slots
        if time.monotonic() - self._counted >= _COUNT_CORES_EVERY:
            self._cores = self._ray.cluster_resources().get("CPU", 1.0)
            self._counted = time.monotonic()
        return len(self._tasks) < max(1, int(_SLOTS_PER_CORE * self._cores))

    def submit(self, call: Callable[..., Any], /, *args: Any, resources: Resources) -> Future[Any]:
        if resources not in self._looked_at:
            self._looked_at.add(resources)
            self._warn_where_no_node_fits(resources)
        if call not in self._remotes:
            # Ray keeps a copy of each remote function on the cluster for ever.
            self._remotes[call] = self._ray.remote(call)
        # A unit of which a worker died is tried again by the coordinator, after its claim.
        remote = self._remotes[call].options(
            num_cpus=resources.cores,
            num_gpus=resources.gpus or None,
            memory=resources.memory or None,
            max_retries=0,
        )
        task = remote.remote(*args)
        outer: Future[Any] = Future()
        outer.set_running_or_notify_cancel()
        self._tasks[outer] = task
        task.future().add_done_callback(lambda inner: self._pass_on(inner, outer))
        return outer

    def shutdown(self, *, cancel: bool = False) -> None:
        if cancel:
            for task in list(self._tasks.values()):
                self._ray.cancel(task, force=False)
        if self._is_ours:
            self._ray.shutdown()

    def _warn_where_no_node_fits(self, resources: Resources) -> None:
        """Ray lets such a call wait without a word, for a cluster may grow."""
        wanted = {"CPU": resources.cores, "memory": resources.memory, "GPU": resources.gpus}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(node.get(name, 0) >= wanted[name] for name in wanted) for node in nodes):
            return
        warnings.warn(
            f"none of the {count_text(len(nodes), 'nodes')} of the Ray cluster has the"
            f" {count_text(resources.cores, 'cores')}, {resources.memory / _GB:.1f} GB and"
            f" {resources.gpus:g} GPUs of a unit, which waits for one that has; give it less"
            " (machine.threads, machine.memory, machine.gpus, machine.ranks), or add such a node",
            EngineWarning,
            stacklevel=2,
        )

    def _pass_on(self, inner: Future[Any], outer: Future[Any]) -> None:
        """Give the caller's future what the task gave, or that its worker or node is gone."""
        self._tasks.pop(outer, None)
        error = inner.exception()
        ends = self._ray.exceptions
        if error is None:
            outer.set_result(inner.result())
        elif isinstance(
            error, (ends.WorkerCrashedError, ends.NodeDiedError, ends.OutOfMemoryError)
        ):
            outer.set_exception(WorkerEnded(None))
        elif isinstance(error, ends.RayTaskError):
            outer.set_exception(error.cause)
        else:
            outer.set_exception(error)


def _refuse_silent_address(address: str | None) -> None:
    """Ray itself asks for minutes before it gives up."""
    place = (address or "").removeprefix("ray://")
    host, _, port = place.rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=_LONGEST_ANSWER).close()
    except OSError as error:
        raise InputError(
            f"no Ray cluster answers at {address!r} ({error}); start one by `ray start --head`, or"
            " give its address"
        ) from error
