"""Interleaved timing of contestants, aligned tables and result files."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.peers import Worker


@dataclass(frozen=True)
class Rate:
    """Units per second of one contestant, round by round."""

    name: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def slowest(self) -> float:
        return min(self.rounds)

    @property
    def fastest(self) -> float:
        return max(self.rounds)

    def over(self, other: Rate) -> float:
        """How many times as fast, as the median over rounds: what slows the machine slows both."""
        return statistics.median(
            mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True)
        )


def interleave(
    workers: Iterable[Worker],
    *,
    rounds: int,
    seconds: float,
    clock: Literal["seconds", "cpu"] = "seconds",
) -> list[Rate]:
    """Every contestant in turn, `rounds` times over, each for about `seconds` a round after a
    warm-up.

    Rates are per second, or per second of the process's own time (`cpu`), which others on the
    machine distort less.
    """
    counts = {
        (worker, name): _count(worker, name, seconds) for worker in workers for name in worker.names
    }
    rates: dict[str, list[float]] = {name: [] for _, name in counts}
    for _ in range(rounds):
        for (worker, name), count in counts.items():
            rates[name].append(count / getattr(worker.measure(name, count), clock))
    return [Rate(name, tuple(found)) for name, found in rates.items()]


def _count(worker: Worker, name: str, seconds: float) -> int:
    """How many units take about `seconds`: the number is raised until it takes a tenth of that."""
    worker.measure(name, 1)
    count = 1
    while True:
        taken = worker.measure(name, count).seconds
        if taken >= seconds / 10:
            return max(1, round(count * seconds / taken))
        count *= 4


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a title, first column to the left, the others to the right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(f"\n{title}")
    for first, *rest in cells:
        right = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        print("  " + "   ".join([first.ljust(widths[0]), *right]).rstrip(), flush=True)


def number(value: float) -> str:
    """Three significant digits, with thousands separators, and fewer digits below 1."""
    if value >= 1000:
        return f"{round(value, 3 - len(str(int(value)))):,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.4f}" if value < 0.01 else f"{value:.2f}"


def save(path: Path, results: object) -> None:
    """Results as JSON, written to a temporary name and renamed."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(json.dumps(results, indent=2) + "\n")
    unfinished.replace(path)
