"""`estimate` against what is counted, and against what a fresh process holds.

    python -m benchmarks.memory_estimate
    python -m benchmarks.memory_estimate --networks conv4 --heads zero --steps 2 40

Each line is one network, head, engine and number of inner steps: the estimate's peak against the
tensors counted in one meta-gradient, and its figure for the process against the most that a fresh
process held over two training steps (POSIX alone). 25 support and 50 query images.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import torchcross as tx
from benchmarks.measure import table
from torchcross import backbones
from torchcross._kit.process_memory import most_resident_bytes
from torchcross.algorithms import MAML, InnerLoopAlgorithm, LearnedHeads
from torchcross.episode import Batch, Episode
from torchcross.functional import ENGINES, meta_gradient, peak_memory
from torchcross.targets import MultiClass
from torchcross.task import Task

MB = 1e6
TASK = Task("shapes", MultiClass([f"class {at}" for at in range(5)]), "made-up")
# name: (constructor, channels, side of the images)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "conv4": (lambda: backbones.conv4(64, in_channels=1), 1, 28),
    "small conv4": (lambda: backbones.conv4(16, in_channels=1), 1, 28),
    "resnet18": (backbones.resnet18, 3, 64),
    "mobilenet": (backbones.mobilenet_v2, 3, 64),
    "vit": (lambda: backbones.small_vit(image_size=32), 3, 32),
}
HEADS = ("zero", "kaiming", "proto", "learned", "head alone")
STEPS = (2, 3, 5, 10, 20, 40)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory_estimate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--heads", nargs="+", default=list(HEADS), choices=HEADS)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--steps", nargs="+", type=int, default=list(STEPS))
    parser.add_argument(
        "--cell",
        nargs=5,
        metavar=("NETWORK", "HEAD", "ENGINE", "STEPS", "WHAT"),
        help="one process",
    )
    options = parser.parse_args()
    if options.cell:
        network, head, engine, steps, what = options.cell
        print(json.dumps(measure(network, head, engine, int(steps), what)))
        return
    lines, ratios = [], []
    cells = itertools.product(options.networks, options.heads, options.engines, options.steps)
    for network, head, engine, steps in cells:
        cell = [network, head, engine, str(steps)]
        estimate, fresh = (_in_process(cell, what) for what in ("estimate", "resident"))
        peak, process = estimate["peak"], estimate["process"]
        ratios.append((peak / fresh["counted"], process / fresh["resident"]))
        numbers = [peak, fresh["counted"], process, fresh["resident"]]
        shown = [f"{number / MB:.1f}" for number in numbers]
        lines.append([*cell, *shown, *(f"{ratio:.2f}" for ratio in ratios[-1])])
        print(*lines[-1], file=sys.stderr, flush=True)
    columns = ["network", "head", "engine", "steps", "peak", "counted", "process", "resident"]
    table(
        "megabytes, and ratios",
        [" ".join(columns[:4]), *columns[4:], "peak / counted", "process / resident"],
        [[" ".join(line[:4]), *line[4:]] for line in lines],
    )
    for name, column in zip(("counted", "resident"), zip(*ratios, strict=True), strict=True):
        print(f"estimate / {name}: {min(column):.2f} to {max(column):.2f}")


def measure(network: str, head: str, engine: str, steps: int, what: str) -> dict[str, Any]:
    """`estimate`, or the counted and the resident bytes, of this process."""
    make, channels, side = NETWORKS[network]
    backbone = make()
    subject = learner(head, backbone, int(backbone.num_features), engine, steps)  # type: ignore[arg-type]
    episode = _episode(channels, side)
    if what == "estimate":
        return dataclasses.asdict(tx.estimate(subject, [episode], indices=[0]))
    for _ in range(2):
        subject.training_step([episode], indices=[0]).loss.backward()  # type: ignore[no-untyped-call]
    resident = most_resident_bytes()
    return {"resident": resident, "counted": counted_peak(subject, episode, steps)}


def counted_peak(
    subject: InnerLoopAlgorithm, episode: Episode, steps: int, *, epoch: int | None = None
) -> int:
    """The tensors counted in the meta-gradient of one episode, at so many steps."""
    problems, meta, engine = subject.problems([episode], indices=[0], epoch=epoch)
    problem = problems[0]
    if problem.inner.steps != steps:
        inner = dataclasses.replace(problem.inner, steps=steps, query_weights=None)
        problem = dataclasses.replace(problem, inner=inner)
    return peak_memory(lambda: meta_gradient(problem, meta, engine=engine))[1]


def learner(
    head: str, backbone: nn.Module, features: int, engine: str, steps: int
) -> InnerLoopAlgorithm:
    """An algorithm with that head; `head alone` moves nothing else."""
    start: Any = "kaiming" if head == "head alone" else head
    if head == "learned":
        like = next(backbone.parameters())
        start = LearnedHeads([TASK], features).to(like.dtype)
    adapted = ("head.*",) if head == "head alone" else "*"
    return MAML(backbone, steps=steps, engine=engine, head=start, adapted=adapted)


def _episode(channels: int, side: int, support: int = 25, query: int = 50) -> Episode:
    generator = torch.Generator().manual_seed(0)
    classes = TASK.target.num_classes
    batches = [
        Batch(
            torch.rand(count, channels, side, side, generator=generator),
            torch.arange(count) % classes,
        )
        for count in (support, query)
    ]
    return Episode(batches[0], batches[1], TASK)


def _in_process(cell: list[str], what: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.memory_estimate", "--cell", *cell, what]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    numbers: dict[str, Any] = json.loads(result.stdout)
    return numbers


if __name__ == "__main__":
    main()
