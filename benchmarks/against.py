"""Is this tree as fast as another checkout of the project?
`python -m benchmarks.against FOLDER [--rounds N]`.

Meta-batches of W1 (4 tasks) and W2 (see `benchmarks.functional.workloads`) run in two processes,
one with each tree first on its path, in turn. The ratio is this tree's time over the other's, pair
by pair, and its median is what counts: above 1 this tree is slower.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import number, table
from benchmarks.peers import Worker
from benchmarks.peers.environment import ROOT

_SCRIPT = "benchmarks/contestants/inner_loops_ours.py"
_ENGINES = ("ours", "ours, low memory (recompute)", "ours, first order")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.against", description=__doc__)
    parser.add_argument("other", type=Path, help="the root of another checkout")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of runs for each engine")
    parser.add_argument("--tasks", type=int, default=4, help="episodes in a meta-batch")
    options = parser.parse_args(arguments)
    for workload in ("W1", "W2"):
        _compare(workload, options.tasks, options.other.resolve(), options.rounds)


def _compare(workload: str, tasks: int, other: Path, rounds: int) -> None:
    rows = []
    with (
        Worker(sys.executable, ROOT / _SCRIPT, workload, tasks, "engines", path=ROOT) as ours,
        Worker(sys.executable, other / _SCRIPT, workload, tasks, "engines", path=other) as theirs,
    ):
        for engine in _ENGINES:
            pairs = [_pair(ours, theirs, engine, turn) for turn in range(rounds + 1)][1:]
            ratios = sorted(mine / others for mine, others in pairs)
            medians = [statistics.median(seconds) for seconds in zip(*pairs, strict=True)]
            rows.append([engine, *map(number, (*medians, statistics.median(ratios)))])
            rows[-1].append(f"{ratios[0]:.2f}-{ratios[-1]:.2f}")
    header = ("process seconds", "this tree", "the other", "ratio", "range")
    table(f"{workload}, {tasks} tasks, {rounds} pairs", header, rows)


def _pair(ours: Worker, theirs: Worker, engine: str, turn: int) -> tuple[float, float]:
    """Process seconds of both. Who goes first changes with every turn; turn 0 is a warm-up."""
    workers = (ours, theirs) if turn % 2 else (theirs, ours)
    seconds = {worker: worker.measure(engine, 1).cpu for worker in workers}
    return seconds[ours], seconds[theirs]


if __name__ == "__main__":
    main()
