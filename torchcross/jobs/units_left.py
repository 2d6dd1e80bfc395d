"""The units of a job that are not done: which of them can begin, in the order of the plan."""

from __future__ import annotations

import heapq
from typing import final
from zlib import crc32

from torchcross.jobs.units import Unit, UnitGraph


@final
class UnitsLeft:
    """Units by key; one that is done leaves all tables.

    `own_name` is that of the process: several of them have orders of their own among the next
    units.
    """

    def __init__(self, graph: UnitGraph, own_name: bytes) -> None:
        self._units = dict(graph.units)
        self._needed_by = dict(graph.needed_by)
        self._places = {key: place for place, key in enumerate(self._units)}
        self._missing = {key: len(set(unit.needs)) for key, unit in self._units.items()}
        self._ready: list[tuple[int, str]] = []
        self._queued: set[str] = set()
        self._own_name = own_name

    def __contains__(self, key: str) -> bool:
        return key in self._units

    def __getitem__(self, key: str) -> Unit:
        return self._units[key]

    def __len__(self) -> int:
        return len(self._units)

    def in_order(self) -> tuple[str, ...]:
        """The keys of those that are not done, as the plan has them."""
        return tuple(self._units)

    def units(self) -> tuple[Unit, ...]:
        return tuple(self._units.values())

    def first(self) -> str | None:
        """The unit that begins next, if one can."""
        return self._ready[0][1] if self._ready else None

    def take_first(self) -> str:
        _, key = heapq.heappop(self._ready)
        self._queued.remove(key)
        return key

    def add_if_free(self, key: str, others: int = 0) -> None:
        """Let a unit begin, where all that it needs is done.

        `others` are units that other processes make now: among twice as many next ones each process
        has an order of its own, or all of them would want the same one.
        """
        if key not in self._units or self._missing[key] or key in self._queued:
            return
        place = self._places[key]
        if others:
            place += crc32(self._own_name + key.encode()) % (2 * others)
        self._queued.add(key)
        heapq.heappush(self._ready, (place, key))

    def finish(self, key: str) -> tuple[str, ...]:
        """The unit is done; those that needed it alone can begin, and are returned."""
        del self._units[key], self._places[key], self._missing[key]
        free = []
        for later in dict.fromkeys(self._needed_by.pop(key)):
            if later in self._units:
                self._missing[later] -= 1
                if not self._missing[later]:
                    free.append(later)
        return tuple(free)
