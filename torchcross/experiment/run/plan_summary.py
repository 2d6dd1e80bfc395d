"""What is left to do of a run, and how long it takes, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from torchcross._kit.counts import count_text
from torchcross.experiment.device import GB
from torchcross.experiment.run.time_left import duration_text

Kind = Literal["training", "features", "scoring", "joining"]

_MOST_OF_ALL: Final = 0.8
"""A chain that takes so much of the time decides how long a run takes."""


@dataclass(frozen=True)
class PlannedPart:
    """The units of one kind of one row: how many, and the mean of their seconds, if it is known."""

    row: str
    kind: Kind
    units: int
    seconds: float | None


@dataclass(frozen=True)
class RunPlan:
    """What is left to do.

    memory   the most bytes that the calibration held
    free     bytes that this machine has for processes
    threads  those of one unit
    cores    those of this machine
    reasons  why a row could not be measured

    Where the system has no word, memory and free are None.
    """

    cells: int
    parts: tuple[PlannedPart, ...]
    chain: float
    seconds_with: Mapping[int, float]
    memory: int | None
    free: int | None
    threads: int
    cores: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        units = sum(part.units for part in self.parts)
        if not units:
            yield f"nothing is left to do: {self.cells} of {self.cells} cells have their rows"
            return
        verb = "is" if units == 1 else "are"
        yield f"{count_text(units, 'units')} {verb} left, of {count_text(self.cells, 'cells')}"
        width = max(len(part.row) for part in self.parts)
        counts = [count_text(part.units, "units") for part in self.parts]
        count_width = max(map(len, counts))
        for part, count in zip(self.parts, counts, strict=True):
            each = "unknown time" if part.seconds is None else duration_text(part.seconds)
            yield f"  {part.row:{width}}  {part.kind:8}  {count:>{count_width}} of about {each}"
        yield from self._memory_lines()
        least = "at least " if self.reasons else "about "
        for jobs, seconds in self.seconds_with.items():
            yield f"--jobs {jobs}: {least}{duration_text(seconds)}"
        yield f"the longest chain takes {duration_text(self.chain)}, with any number of processes"
        yield from self._threads_lines()
        yield from self.reasons

    def _memory_lines(self) -> Iterator[str]:
        if self.memory is None:
            return
        each = f"each process holds about {self.memory / GB:.1f} GB"
        if self.free is None:
            yield f"{each}; machine.memory={self.memory / GB:.1f} tells the engine so"
            return
        room = max(1, self.free // self.memory)
        yield (
            f"{each}, and {self.free / GB:.1f} GB are free here: enough for {room}. With"
            f" machine.memory={self.memory / GB:.1f}, no more start than have room"
        )

    def _threads_lines(self) -> Iterator[str]:
        """Where one chain decides how long it takes, more processes do not help."""
        at_once = self.cores // self.threads if self.threads else 1
        seconds = [each for jobs, each in self.seconds_with.items() if jobs >= at_once]
        if at_once > 1 and seconds and self.chain >= _MOST_OF_ALL * min(seconds):
            yield (
                f"that chain decides how long the run takes: more threads for each unit, such as"
                f" machine.threads={self.cores}, shorten it. They decide last bits of the rows, so"
                " give them before the run begins"
            )
