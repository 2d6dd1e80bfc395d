"""Episodes of 75 images at 224 x 224 from a dataset on disk: this adapter and the published
medimeta reader.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Rate, interleave, number, table
from benchmarks.medimeta.contestants.ours import sampler_of
from benchmarks.medimeta.folders import write_images
from benchmarks.peers import Worker, ensure
from benchmarks.peers.environment import ROOT
from medimeta_adapter import MedIMeta

HERE = Path(__file__).with_name("contestants")
EPISODES = 64
PER_EPISODE = 75
# What the project wants to reach, in images per second over the published reader's in one process.
WANTED = {
    ("grey", "ours, float"): 7.0,
    ("RGB", "ours, float"): 2.2,
    ("RGB", "ours, float, out="): 3.0,
    ("grey", "ours, uint8"): 30.0,
    ("RGB", "ours, uint8"): 30.0,
}


@dataclass(frozen=True)
class Effort:
    rounds: int
    seconds: float
    images: int
    workers: Sequence[int]


FULL = Effort(rounds=7, seconds=1.5, images=1000, workers=[1, 2, 4])
QUICK = Effort(rounds=3, seconds=0.3, images=300, workers=[2])


def measure(quick: bool, threads: int) -> list[dict[str, Any]]:
    effort = QUICK if quick else FULL
    results = []
    for kind, channels in (("grey", 1), ("RGB", 3)):
        with tempfile.TemporaryDirectory() as root:
            write_images(Path(root), kind, effort.images, channels)
            results += _one_kind(Path(root), kind, effort, threads)
    return results


def _one_kind(root: Path, kind: str, effort: Effort, threads: int) -> list[dict[str, Any]]:
    plans = sampler_of(MedIMeta(root), kind).batch(range(EPISODES))
    episodes = np.stack([np.concatenate([plan.support, plan.query]) for plan in plans])
    arguments = (root, kind, threads, *effort.workers)
    with ExitStack() as stack:
        pairs = ((ensure(), "published.py", ""), (sys.executable, "ours.py", ROOT))
        workers = [
            stack.enter_context(
                Worker(python, HERE / script, *arguments, path=path, arrays={"episodes": episodes})
            )
            for python, script, path in pairs
        ]
        check_same(workers)
        rates = interleave(workers, rounds=effort.rounds, seconds=effort.seconds)
    return show(kind, rates)


def check_same(workers: Sequence[Worker]) -> None:
    """Every contestant's first episode has the same values, bit for bit."""
    found = {name: worker.measure(name, 0).last for worker in workers for name in worker.names}
    if len({str(last) for last in found.values()}) > 1:
        raise AssertionError(f"the contestants do not read the same values: {found}")


def show(kind: str, rates: Sequence[Rate]) -> list[dict[str, Any]]:
    plain = next(rate for rate in rates if rate.name == "published")
    rows, results = [], []
    for rate in rates:
        workers = rate.name.rpartition(", ")[2] if rate.name.endswith("workers") else ""
        same = next(
            (base for base in rates if workers and base.name == f"published, {workers}"), plain
        )
        images = [PER_EPISODE * value for value in (rate.median, rate.slowest, rate.fastest)]
        wanted = WANTED.get((kind, rate.name))
        ratios = rate.over(same), rate.over(plain)
        rows.append(
            [rate.name, *map(number, (*images, *ratios)), "" if wanted is None else number(wanted)]
        )
        results.append(
            {
                "kind": kind,
                "name": rate.name,
                "images/s": images[0],
                "x same workers": ratios[0],
                "x": ratios[1],
            }
        )
    header = [
        "reader",
        "images/s",
        "slowest",
        "fastest",
        "x published, as many workers",
        "x published",
        "wanted",
    ]
    table(f"episodes of {PER_EPISODE} {kind} images, 224 x 224, warm page cache", header, rows)
    return results
