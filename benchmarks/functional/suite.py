"""Meta-gradients and adaptation against the peers:
`python -m benchmarks.functional [--quick] [--only PART]`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.functional.workloads import Params, Workload, flops
from benchmarks.measure import interleave, number, save, table
from benchmarks.peers import Worker, call, ensure
from benchmarks.peers.environment import ROOT
from torchcross.functional import meta_loss, peak_memory

FOLDER = Path(__file__).parents[1] / "contestants"
PEERS = ("higher", "learn2learn", "torchopt", "torchcross 0.0.6", "plain loop")
LEAN = ("ours, low memory (recompute)", "ours, low memory (mixed)")
MB = 1e6
_LONG = 16
"""Tasks in a meta-batch of which the first is no warm-up: what a first call costs is lost in it."""


@dataclass(frozen=True)
class Effort:
    """`workloads`: (name, tasks, rounds)."""

    workloads: Sequence[tuple[str, int, int]]
    memory: Sequence[tuple[str, int]]
    growth_steps: Sequence[int]
    growth_tasks: Sequence[int]
    adaptation: tuple[int, int]


FULL = Effort(
    [("W1", 4, 5), ("W2", 4, 3), ("W1", 16, 3)],
    [("W1", 16), ("W2", 4)],
    [5, 10, 20, 40],
    [1, 16],
    (50, 3),
)
QUICK = Effort([("W1", 2, 3), ("W2", 1, 2)], [("W1", 2)], [5, 10], [1, 2], (5, 1))


@dataclass(frozen=True)
class Times:
    """Seconds of a contestant's meta-batches, by the wall clock and of its process's own time."""

    name: str
    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    loss: float

    def by(self, clock: str) -> tuple[float, ...]:
        return {"wall": self.wall, "cpu": self.cpu}[clock]

    def over(self, other: Times, clock: str) -> float:
        """The median over rounds of the ratio: what slows the machine slows both."""
        return statistics.median(
            mine / theirs for mine, theirs in zip(self.by(clock), other.by(clock), strict=True)
        )

    def median(self, clock: str) -> float:
        return statistics.median(self.by(clock))


# Freed memory stays with the process, for all contestants alike: on a virtual machine, getting
# pages back from the host may take longer than the work. Not set where memory is measured.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.functional", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute or two")
    parser.add_argument("--only", choices=list(PARTS), action="append", help="this part, or these")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    torch.set_num_threads(2)
    results = {
        name: part(effort) for name, part in PARTS.items() if name in (options.only or PARTS)
    }
    if options.json:
        save(options.json, results)


def times(effort: Effort) -> list[dict[str, Any]]:
    with mock.patch.dict(os.environ, KEEP_MEMORY):
        return [row for workload in effort.workloads for row in _times_of_workload(*workload)]


def _times_of_workload(name: str, tasks: int, rounds: int) -> list[dict[str, Any]]:
    with ExitStack() as stack:

        def worker(
            interpreter: str | Path, script: str, part: str, path: str | Path = ""
        ) -> Worker:
            return stack.enter_context(
                Worker(interpreter, FOLDER / script, name, tasks, part, path=path)
            )

        peers = worker(ensure(), "inner_loops_peers.py", "all")
        ours = worker(sys.executable, "inner_loops_ours.py", "engines", ROOT)
        convolutions = worker(sys.executable, "inner_loops_ours.py", "convolutions", ROOT)
        kernel, count, operations = _fastest_convolution(convolutions)
        contestants, kernels = _interleave(
            [peers, ours],
            rounds,
            lambda: convolutions.measure(kernel, count),
            warm_up=tasks < _LONG,
        )
    _check_same(contestants)
    workload = Workload(name, tasks)
    # Seconds for one convolution unit of the workload, at the best rate seen: a floor takes no
    # median.
    unit = _flops_of_a_unit(workload) / operations / count
    wall, cpu = (
        unit * min(getattr(each, clock) for each in kernels) for clock in ("seconds", "cpu")
    )
    one = Times("unit", (wall,) * rounds, (cpu,) * rounds, 0.0)
    return _show(
        name,
        workload,
        contestants,
        one,
        f"{kernel}: {_flops_of_a_unit(workload) / wall / 1e9:.0f} GFLOP/s",
    )


def _interleave(
    workers: Sequence[Worker], rounds: int, kernel: Callable[[], Any], *, warm_up: bool = True
) -> tuple[list[Times], list[Any]]:
    """Let the processes take turns: one that idles for long may lose its memory pages."""
    turns = itertools.zip_longest(
        *([(worker, name) for name in worker.names] for worker in workers)
    )
    names = [turn for turn in itertools.chain.from_iterable(turns) if turn is not None]
    measured: dict[str, list[Any]] = {name: [] for worker in workers for name in worker.names}
    kernels = []
    for number_of_round in range(-int(warm_up), rounds):
        for worker, name in names:
            result = worker.measure(name, 1)
            if number_of_round >= 0:
                measured[name].append(result)
            kernels.append(kernel())
    times = [
        Times(name, tuple(r.seconds for r in each), tuple(r.cpu for r in each), each[-1].last[0][0])
        for name, each in measured.items()
    ]
    return times, kernels


def _check_same(contestants: Sequence[Times]) -> None:
    """Raise where losses disagree by more than float32 and five steps at this rate explain."""
    exact = [each for each in contestants if "bf16" not in each.name]
    middle = statistics.median(each.loss for each in exact)
    for each in exact:
        if abs(each.loss - middle) > 0.1 * middle:
            raise AssertionError(f"{each.name} has the loss {each.loss}, the others {middle}")


def _fastest_convolution(worker: Worker) -> tuple[str, int, int]:
    """(name, how many take about 0.2 s, operations in one) of the kernel with the highest rate."""
    rates = {}
    for rate in interleave([worker], rounds=3, seconds=0.03):
        (operations,) = worker.measure(rate.name, 1).last
        rates[rate.name] = (int(str(operations)) * rate.median, rate.median, int(str(operations)))
    name = max(rates, key=lambda each: rates[each][0])
    return name, max(1, round(0.2 * rates[name][1])), rates[name][2]


def _flops_of_a_unit(workload: Workload) -> float:
    images = len(workload.data[0]["xq"])
    return sum(flops(layer, x) for layer, x in workload.convolutions()) / images


def _show(
    name: str, workload: Workload, contestants: list[Times], unit: Times, kernel: str
) -> list[dict[str, Any]]:
    rows, results = [], []
    for each in contestants:
        order = _order(each)
        peers = [other for other in contestants if not other.name.startswith("ours")]
        rivals = [peer for peer in peers if _order(peer) == order]
        own_floor = workload.units(order, zero_head=each.name.startswith("ours"))
        row: dict[str, Any] = {
            "workload": name,
            "tasks": len(workload.data),
            "name": each.name,
            "loss": each.loss,
        }
        for clock in ("wall", "cpu"):
            best = min(rivals, key=lambda rival: rival.median(clock))
            row[clock] = each.median(clock)
            row[f"x best peer, {clock}"] = each.over(best, clock)
            row[f"x floor, {clock}"] = each.over(unit, clock) / workload.units(order)
            row[f"x own floor, {clock}"] = each.over(unit, clock) / own_floor
        results.append(row)
        shown = [
            "wall",
            "cpu",
            "x best peer, wall",
            "x best peer, cpu",
            "x floor, cpu",
            "x own floor, cpu",
            "loss",
        ]
        rows.append([each.name, *(number(row[key]) for key in shown)])
    header = [
        "meta-batch",
        "s",
        "cpu s",
        "x best peer",
        "x best (cpu)",
        "x floor",
        "x floor, zero head",
        "loss",
    ]
    table(f"{name}, {len(workload.data)} tasks; floor at {kernel}", header, rows)
    return results


def _order(contestant: Times) -> int:
    return 1 if "first order" in contestant.name else 2


def memory(effort: Effort) -> list[dict[str, Any]]:
    """The memory of one meta-batch above a warm-up with ten images, each in a fresh process."""
    results = []
    for name, tasks in effort.memory:
        peaks = {
            library: call(ensure(), FOLDER / "inner_loops_peers.py", name, tasks, library)["peak"]
            for library in PEERS
        }
        for ours in ("ours", *LEAN):
            peaks[ours] = call(
                sys.executable, FOLDER / "inner_loops_ours.py", name, tasks, ours, path=ROOT
            )["peak"]
        published = float(peaks["torchcross 0.0.6"])
        measured: list[dict[str, Any]] = [
            {
                "workload": name,
                "tasks": tasks,
                "name": each,
                "MB": float(peak) / MB,
                "x less": published / float(peak),
            }
            for each, peak in peaks.items()
        ]
        rows = [[str(row["name"]), number(row["MB"]), number(row["x less"])] for row in measured]
        table(
            f"{name}, {tasks} tasks, peak memory",
            ["meta-batch", "MB above warm-up", "published is x"],
            rows,
        )
        results += measured
    return results


def growth(effort: Effort) -> list[dict[str, Any]]:
    """Tensors alive at once, counted, with W1's network on 5 support and 5 query images."""
    results, rows = [], []
    size = sum(value.nbytes for value in Workload("W1", 1).params.values()) / MB
    for tasks in effort.growth_tasks:
        for engine in ("reverse", "recompute", "mixed"):
            peaks = [_peak_bytes(engine, tasks, steps) / MB for steps in effort.growth_steps]
            slope = (peaks[-1] - peaks[-2]) / (effort.growth_steps[-1] - effort.growth_steps[-2])
            results.append(
                {
                    "tasks": tasks,
                    "engine": engine,
                    "MB": peaks,
                    "MB per step": slope,
                    "parameters MB": size,
                }
            )
            rows.append(
                [
                    f"{engine}, meta-batch of {tasks}",
                    *map(number, peaks),
                    number(slope),
                    number(slope / size),
                ]
            )
    header = [
        "engine",
        *(f"{steps} steps" for steps in effort.growth_steps),
        "MB per step",
        "x parameters",
    ]
    table(f"tensors alive at once, MB; the parameters are {size:.3f} MB", header, rows)
    return results


def _peak_bytes(engine: str, tasks: int, steps: int) -> int:
    problems, meta = Workload("W1", tasks, support=5, query=5).problems(steps)
    return peak_memory(lambda: meta_loss(problems, meta, engine=engine, lanes="loop"))[1]


def accuracy(effort: Effort) -> list[dict[str, Any]]:
    """How far float32 and bf16 are from float64, at the workload's rate and a hundredth of it."""
    results, rows = [], []
    for name in dict.fromkeys(workload[0] for workload in effort.workloads):
        for rate in (0.1, 0.001):
            exact = _flat(name, rate, torch.float64, bf16=False)
            for kind, bf16 in (("float32", False), ("bf16 autocast", True)):
                loss, gradient = _flat(name, rate, torch.float32, bf16=bf16)
                error = float((gradient - exact[1]).norm() / exact[1].norm())
                cosine = float(torch.nn.functional.cosine_similarity(gradient, exact[1], dim=0))
                row = {
                    "loss error": abs(loss / exact[0] - 1),
                    "gradient error": error,
                    "cosine": cosine,
                }
                results.append({"workload": name, "rate": rate, "precision": kind, **row})
                rows.append(
                    [f"{name}, rate {rate}, {kind}", *(f"{value:.2g}" for value in row.values())]
                )
    table("against float64, one task", ["", "loss", "meta-gradient", "cosine"], rows)
    return results


def _flat(name: str, rate: float, dtype: torch.dtype, *, bf16: bool) -> tuple[float, torch.Tensor]:
    workload = Workload(name, 1)
    problems, meta = workload.problems(dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        result = meta_loss(problems, type(meta)(meta.params, rate, meta.buffers))
    result.loss.backward()  # type: ignore[no-untyped-call]
    grads: Params = {
        name: value.grad for name, value in workload.params.items() if value.grad is not None
    }
    return result.loss.item(), torch.cat([grad.double().flatten() for grad in grads.values()])


def adaptation(effort: Effort) -> dict[str, Any]:
    """ResNet-18 at 64 pixels, 25 images of 5 classes, Adam: seconds for an episode."""
    steps, rounds = effort.adaptation
    with (
        mock.patch.dict(os.environ, KEEP_MEMORY),
        Worker(ensure(), FOLDER / "adaptation_published.py", steps) as published,
        Worker(sys.executable, FOLDER / "adaptation_ours.py", steps, path=ROOT) as ours,
    ):
        contestants, _ = _interleave([published, ours], rounds, lambda: None)
    base, plain = contestants[:2]
    results: list[dict[str, Any]] = [
        {
            "name": each.name,
            "wall": each.median("wall"),
            "cpu": each.median("cpu"),
            "x published": each.over(base, "cpu"),
            "x plain": each.over(plain, "cpu"),
        }
        for each in contestants
    ]
    rows = [
        [row["name"], *(number(row[key]) for key in ("wall", "cpu", "x published", "x plain"))]
        for row in results
    ]
    header = ["adaptation", "s", "cpu s", "x published (cpu)", "x plain loop (cpu)"]
    table(f"adaptation, ResNet-18, 64 pixels, {steps} Adam steps", header, rows)
    inside = call(sys.executable, FOLDER / "adaptation_ours.py", steps, path=ROOT)
    whole = float(inside.pop("whole"))
    shares = {name: float(seconds) / whole for name, seconds in inside.items()}
    shares["overhead"] = 1.0 - sum(shares.values())
    table(
        "where its time goes",
        ["part", "share"],
        [[name, f"{share:.1%}"] for name, share in shares.items()],
    )
    return {"episodes": results, "shares": shares}


PARTS: dict[str, Callable[[Effort], Any]] = {
    "times": times,
    "memory": memory,
    "growth": growth,
    "accuracy": accuracy,
    "adaptation": adaptation,
}
