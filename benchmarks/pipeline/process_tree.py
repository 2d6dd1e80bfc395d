"""How much memory all processes hold together that a process has started."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_EVERY: Final = 0.1
"""Seconds between two looks; a peak between them is missed."""

_PROC: Final = Path("/proc")


class PeakMemory:
    """The most bytes that the descendants of a process held at one moment of the block.

    Memory that several of them share counts once, in equal parts (Linux: "Pss"). The process itself
    is not counted. 0 on other systems.
    """

    def __init__(self, process: int) -> None:
        self._process = process
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = 0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ends.wait(_EVERY):
            self.peak = max(self.peak, sum(map(held_bytes, descendants(self._process))))


def descendants(process: int) -> Iterator[int]:
    """The processes that this one has started, and those that they have started."""
    children: dict[int, list[int]] = {}
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError):
            # The name, in brackets, may hold anything; the parent is the second field after it.
            after_name = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            children.setdefault(int(after_name[1]), []).append(int(folder.name))
    left = [process]
    while left:
        for child in children.get(left.pop(), []):
            yield child
            left.append(child)


def held_bytes(process: int) -> int:
    """0 where the process has ended."""
    with suppress(OSError):
        for line in (_PROC / str(process) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
