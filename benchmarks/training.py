"""What `fit` spends beside the work: `python -m benchmarks.training [--quick] [--json FILE]`.

Reading, forward, backward and the optimiser's step are the work; the loop is all else: the norm of
the gradient and whether it is finite, new buffers, gradients let go, the log, the bar, the learning
rate, and one 500th of a checkpoint.

Measured in a fresh process with the C library's allocator as it is, and again in one that keeps
freed memory: who gives back gradients to the system in every step pays for that in the loop, and
for their return in the backward pass.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.measure import number, save, table
from benchmarks.peers.environment import ROOT
from torchcross.algorithms import MAML, MultiTask, ProtoNet
from torchcross.backbones import conv4, resnet18
from torchcross.data import Episodes, EpisodeSampler, MixedBatches, toys
from torchcross.training import Feed, FitOptions, fit

WORK = ("reading", "forward", "backward", "optimiser")
_CHECKPOINT_EVERY = FitOptions(steps=1).checkpoint_every
_WARM_UP = 2
_MS = 1e3


@dataclass(frozen=True)
class Effort:
    """`steps` of one run of fit, by workload; `checkpoints`: steps of a run that writes one after
    each.
    """

    rounds: int
    steps: dict[str, int]
    checkpoints: int


FULL = Effort(
    5,
    {"MultiTask, Conv4-64, 28 px": 20, "MultiTask, ResNet-18, 64 px": 6, "ProtoNet": 20, "MAML": 4},
    4,
)
QUICK = Effort(
    2,
    {"MultiTask, Conv4-64, 28 px": 6, "MultiTask, ResNet-18, 64 px": 3, "ProtoNet": 6, "MAML": 2},
    2,
)

Learner = tuple[Any, Any]
"""(algorithm, feed)"""


class Stopwatch:
    """Seconds of this process's own time, by the part of a step that they went to."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self._began = 0.0

    def begin(self) -> None:
        """A step begins where its data are asked for; the one before ends there."""
        now = time.process_time()
        if self.steps:
            self.steps[-1]["whole"] = now - self._began
        self.steps.append(dict.fromkeys(WORK, 0.0))
        self._began = now

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **options: Any) -> Any:
            before = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.steps[-1][part] += time.process_time() - before

        return measured

    def whole_steps(self) -> list[dict[str, float]]:
        """Without those before everything is warm, and the last one, which has no end."""
        return self.steps[_WARM_UP:-1]


class Watched(Feed):
    """A feed of ready items; asking for one begins a step."""

    def __init__(self, items: Callable[[int], Any], watch: Stopwatch) -> None:
        self._items = items
        self._watch = watch

    def read(self, start: int, stop: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        read = self._watch.timed("reading", self._items)
        for index in range(start + rank, stop, ranks):
            self._watch.begin()
            yield read(index)

    def fingerprint(self, count: int) -> str:
        return str(count)


def multi_task(backbone: Callable[..., Any], size: int) -> Callable[[], Learner]:
    def make() -> Learner:
        sources = [toys.multiclass(512, size=size), toys.binary(512, size=size, domain="chalk")]
        batches = MixedBatches(sources, batch_size=64)
        learner = MultiTask(backbone(in_channels=1), [source.task for source in sources])
        return learner, lambda index: batches.read(batches[index])

    return make


def episodic(kind: Callable[..., Any]) -> Callable[[], Learner]:
    def make() -> Learner:
        sampler = EpisodeSampler(toys.multiclass(600), ways=5, shots=5, queries=15)
        return kind(conv4(64, in_channels=1)), Episodes(sampler).__getitem__

    return make


WORKLOADS: dict[str, Callable[[], Learner]] = {
    "MultiTask, Conv4-64, 28 px": multi_task(lambda **options: conv4(64, **options), 28),
    "MultiTask, ResNet-18, 64 px": multi_task(resnet18, 64),
    "ProtoNet": episodic(ProtoNet),
    "MAML": episodic(lambda net: MAML(net, steps=4)),
}


_ALLOCATORS = {
    "memory goes back to the system, as by default": {},
    "freed memory is kept": {
        "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    },
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.training", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="less of everything: a minute instead of several"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="of torch; idle ones may count as busy"
    )
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    parser.add_argument("--in-this-process", metavar="TITLE", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.in_this_process:
        torch.set_num_threads(options.threads)
        results: Any = breakdown(QUICK if options.quick else FULL, options.in_this_process)
    else:
        results = {
            title: _in_a_process(title, options.quick, options.threads) for title in _ALLOCATORS
        }
    if options.json:
        save(options.json, results)


def _in_a_process(title: str, quick: bool, threads: int) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "found.json")
        command = [
            sys.executable,
            "-m",
            "benchmarks.training",
            "--in-this-process",
            title,
            "--json",
            str(found),
        ]
        command += ["--threads", str(threads), *(["--quick"] if quick else [])]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **_ALLOCATORS[title]}, check=True)
        return json.loads(found.read_text())


def breakdown(effort: Effort, title: str) -> list[dict[str, Any]]:
    """Every workload in turn, `rounds` times over; medians over steps, so that what disturbs a few
    does not count.
    """
    watched: dict[str, list[dict[str, float]]] = {name: [] for name in effort.steps}
    kept: dict[str, list[dict[str, float]]] = {name: [] for name in effort.steps}
    made = {name: WORKLOADS[name]() for name in effort.steps}
    gc.collect()
    gc.freeze()
    for _ in range(effort.rounds):
        for name, steps in effort.steps.items():
            plain = FitOptions(steps=_WARM_UP + steps + 1, meta_batch=1, checkpoint_every=10**6)
            watched[name] += _steps(made[name], plain)
            often = replace(plain, steps=_WARM_UP + effort.checkpoints + 1, checkpoint_every=1)
            kept[name] += _steps(made[name], often)
    return _show(title, {name: _parts(watched[name], kept[name]) for name in effort.steps})


def _steps(learner: Learner, options: FitOptions) -> list[dict[str, float]]:
    algorithm, items = learner
    watch = Stopwatch()
    forward = watch.timed("forward", algorithm.training_step)
    backward = watch.timed("backward", torch.Tensor.backward)
    # The first optimiser of its kind wraps `step` in torch's own bookkeeping, unless it is marked
    # as wrapped.
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    optimise: Any = watch.timed("optimiser", torch.optim.Adam.step)
    optimise.hooked = True
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(algorithm, "training_step", forward),
        mock.patch.object(torch.Tensor, "backward", backward),
        mock.patch.object(torch.optim.Adam, "step", optimise),
    ):
        fit(
            algorithm,
            Watched(items, watch),
            options,
            folder=folder,
            progress=False,
        )
    return watch.whole_steps()


def _parts(steps: Sequence[dict[str, float]], kept: Sequence[dict[str, float]]) -> dict[str, float]:
    """Milliseconds of a step by part."""
    found = {part: _MS * statistics.median(step[part] for step in steps) for part in WORK}
    checkpoint = max(
        0.0, _MS * statistics.median(map(_left, kept)) - _MS * statistics.median(map(_left, steps))
    )
    found["loop"] = _MS * statistics.median(map(_left, steps)) + checkpoint / _CHECKPOINT_EVERY
    found["a checkpoint"] = checkpoint
    return found


def _left(step: dict[str, float]) -> float:
    return step["whole"] - sum(step[part] for part in WORK)


def _show(title: str, found: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    rows, results = [], []
    for name, parts in found.items():
        whole = sum(parts[part] for part in (*WORK, "loop"))
        share = 100 * parts["loop"] / whole
        strict = 100 * (parts["loop"] + parts["optimiser"]) / whole
        rows.append(
            [
                name,
                *(number(parts[part]) for part in (*WORK, "loop", "a checkpoint")),
                f"{share:.2f} %",
            ]
        )
        rows[-1].append(f"{strict:.2f} %")
        results.append({"workload": name, **parts, "loop %": share, "loop and optimiser %": strict})
    header = ["milliseconds of a step", *WORK, "loop", "a checkpoint", "loop", "loop and optimiser"]
    table(f"fit, process time by part, medians over steps; {title}", header, rows)
    return results


if __name__ == "__main__":
    main()
