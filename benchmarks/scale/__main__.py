"""What jobs cost, and how they scale: `python -m benchmarks.scale [--quick] [--only PART]`."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import number, save, table
from benchmarks.peers.environment import ROOT
from benchmarks.scale.durations import measured_seconds
from benchmarks.scale.overhead import (
    coordination,
    load,
    local_engine,
    median_ms,
    planning,
    ray_engine,
    seconds_per_unit,
)
from benchmarks.scale.ranks import ONE, TWO, compare
from benchmarks.scale.simulation import Cluster, Recorded, Simulated, simulate

ENGINES = ROOT / ".venv-engines" / "bin" / "python"
"""What `make engines` builds: Ray is there."""

_UNIT_SECONDS = 10.0
_SHARDS = 99


@dataclass(frozen=True)
class Effort:
    """`clusters`: (workers, coordinators) of the simulations."""

    calls: int
    planned: int
    simulated: int
    clusters: Sequence[tuple[int, int]]


FULL = Effort(500, 100_000, 100_000, [(1, 1), (8, 1), (64, 1), (512, 1), (512, 4), (512, 16)])
QUICK = Effort(100, 10_000, 2_000, [(1, 1), (8, 1), (8, 2)])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything: seconds")
    parser.add_argument("--only", choices=list(PARTS), action="append", help="this part, or these")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    parser.add_argument("--in-this-process", choices=list(_IN_A_PROCESS), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    if options.in_this_process:
        print(json.dumps(_IN_A_PROCESS[options.in_this_process](effort)))
        return
    print(load())
    results = {
        name: part(effort, options.quick)
        for name, part in PARTS.items()
        if name in (options.only or PARTS)
    }
    print(f"\n{load()}")
    if options.json:
        save(options.json, results)


def overhead(effort: Effort, quick: bool) -> Any:
    """Submit to done of an empty unit, where engines run one after the other."""
    found = {"local": _in_a_process("local", quick)}
    if ENGINES.exists():
        found["ray"] = _in_a_process("ray", quick, ENGINES)
    targets = {"local": 30, "ray": 50}
    rows = [
        [name, *(number(ms[key]) for key in ("median", "tenth", "ninetieth")), f"{targets[name]}"]
        for name, ms in found.items()
    ]
    header = ["an empty unit, ms", "median", "tenth", "ninetieth", "target"]
    table("submit to done, warm", header, rows)
    if "ray" not in found:
        print("  Ray is not measured: run `make engines` first, which sets up .venv-engines")
    return found


def _milliseconds(make_engine: Callable[..., Any]) -> Callable[[Effort], dict[str, float]]:
    def measure(effort: Effort) -> dict[str, float]:
        seconds = sorted(seconds_per_unit(make_engine, effort.calls))
        tenth = len(seconds) // 10
        return {
            "median": median_ms(seconds),
            "tenth": 1e3 * seconds[tenth],
            "ninetieth": 1e3 * seconds[-1 - tenth],
        }

    return measure


def plans(effort: Effort, quick: bool) -> Any:
    found = _in_a_process("planning", quick)
    row = [f"{found['units']:,}", *(number(found[key]) for key in ("first", "again", "megabytes"))]
    header = ["units", "s", "s, again", "MB"]
    table("planning: all units made and checked (target: 10 s, 500 MB for 100,000)", header, [row])
    return found


def coordinator(effort: Effort, quick: bool) -> Any:
    rows, found = [], []
    for slots in (1, 512):
        seconds = coordination(effort.planned, slots)
        work = effort.planned * _UNIT_SECONDS
        shares = seconds / work, seconds / (work / slots)
        found.append({"slots": slots, "seconds": seconds, "of work": shares[0]})
        per_unit = 1e3 * seconds / effort.planned
        rows.append([str(slots), number(seconds), number(per_unit), *map(_percent, shares)])
    header = ["calls at once", "s", "ms a unit", "of the work", "of the time on so many workers"]
    table(
        f"the coordinator's own time for {effort.planned:,} units of {_UNIT_SECONDS:g} s"
        " (target: 1 % of the work)",
        header,
        rows,
    )
    return found


def scaling(effort: Effort, quick: bool) -> Any:
    job = Recorded(measured_seconds(), effort.simulated, _SHARDS, _UNIT_SECONDS)
    found = [simulate(job, Cluster(*cluster)) for cluster in effort.clusters]
    table(
        f"{effort.simulated:,} units of {_UNIT_SECONDS:g} s on average, 1 % of the attempts die,"
        " 0.5 ms a file operation (targets: .95 on 64 workers, .90 on 512)",
        ["workers", "coordinators", "efficiency", "hours", "deaths", "calls a unit", "again"],
        [
            [
                str(each.cluster.workers),
                str(each.cluster.coordinators),
                f"{each.efficiency:.3f}",
                number(each.makespan / 3600),
                f"{sum(each.deaths.values()):,}",
                f"{each.submissions / effort.simulated:.2f}",
                str(len(each.repeated)),
            ]
            for each in found
        ],
    )
    kinds = sorted({kind for each in found for kind in each.operations})
    table(
        "file operations a unit, in the folder of the job, without those of the unit itself",
        ["workers", "coordinators", "in all", *kinds, "a second"],
        [
            [
                str(each.cluster.workers),
                str(each.cluster.coordinators),
                f"{sum(each.operations.values()) / effort.simulated:.1f}",
                *(f"{each.operations[kind] / effort.simulated:.2f}" for kind in kinds),
                number(sum(each.operations.values()) / each.makespan),
            ]
            for each in found
        ],
    )
    return [_plain(each) for each in found]


def ranks(effort: Effort, quick: bool) -> Any:
    """Of each round, so that what slows the machine slows both."""
    meta_batch, steps, size, rounds = (4, 1, 16, 2) if quick else (16, 2, 28, 5)
    found = compare(meta_batch, steps, size, rounds)
    one, two = found[str(ONE)], found[str(TWO)]
    ratios = [after.seconds / before.seconds for before, after in zip(one, two, strict=True)]
    rows = []
    for name, costs in found.items():
        medians = [
            statistics.median(getattr(each, key) for each in costs)
            for key in ("seconds", "cpu", "sent", "wire")
        ]
        in_parameters = [f"{part / costs[0].parameters:.2f}" for part in medians[2:]]
        rows.append([name, *map(number, medians[:2]), *in_parameters])
    table(
        f"W1, meta-batch {meta_batch}, by fit: 2 ranks take {statistics.median(ratios):.2f} of the"
        f" time of 1, {min(ratios):.2f} to {max(ratios):.2f} over {rounds} rounds (target: .82)",
        ["processes", "s a step", "CPU s of a rank", "sent by a rank", "on the wire, all ranks"],
        rows,
    )
    print(f"  bytes are in sizes of the parameters: {one[0].parameters:,} bytes")
    return {name: [asdict(cost) for cost in costs] for name, costs in found.items()}


def _plain(simulated: Simulated) -> dict[str, Any]:
    return {
        **asdict(simulated.cluster),
        "efficiency": simulated.efficiency,
        "makespan": simulated.makespan,
        "deaths": sum(simulated.deaths.values()),
        "submissions": simulated.submissions,
        "operations": dict(simulated.operations),
        "real seconds": simulated.real_seconds,
    }


def _percent(share: float) -> str:
    return f"{100 * share:.5f} %" if share < 1e-4 else f"{100 * share:.3f} %"


def _in_a_process(name: str, quick: bool, python: str | Path = sys.executable) -> dict[str, Any]:
    command = [str(python), "-m", "benchmarks.scale", "--in-this-process", name]
    if quick:
        command.append("--quick")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


_IN_A_PROCESS: dict[str, Callable[[Effort], dict[str, Any]]] = {
    "local": _milliseconds(local_engine),
    "ray": _milliseconds(ray_engine),
    "planning": lambda effort: asdict(planning(effort.planned)),
}
PARTS: dict[str, Callable[[Effort, bool], Any]] = {
    "overhead": overhead,
    "planning": plans,
    "coordinator": coordinator,
    "scaling": scaling,
    "ranks": ranks,
}

if __name__ == "__main__":
    main()
