"""How long units take on a number of processes, by simulation."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from torchcross.jobs import Unit
from torchcross.jobs.units import UnitGraph
from torchcross.jobs.units_left import UnitsLeft


def makespan(units: Sequence[Unit], seconds: Mapping[str, float], jobs: int) -> float:
    """The time until all units are done by `jobs` processes.

    A process that is free takes the first unit, in the order of the plan, whose needs are done.
    """
    left = UnitsLeft(UnitGraph.of(units), b"")
    for unit in units:
        left.add_if_free(unit.key)
    now, running = 0.0, list[tuple[float, str]]()
    while len(left):
        while left.first() is not None and len(running) < jobs:
            key = left.take_first()
            heapq.heappush(running, (now + seconds[key], key))
        now, key = heapq.heappop(running)
        for later in left.finish(key):
            left.add_if_free(later)
    return now
