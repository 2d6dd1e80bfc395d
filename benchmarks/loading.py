"""How fast planned episodes are read: `python -m benchmarks.loading [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Rate, interleave, number, save, table
from benchmarks.peers import Worker
from benchmarks.peers.environment import ROOT

SCRIPT = Path(__file__).with_name("contestants") / "loading.py"
PER_EPISODE = 75


@dataclass(frozen=True)
class Effort:
    rounds: int
    seconds: float
    images: int
    workers: Sequence[int]


FULL = Effort(rounds=5, seconds=2.0, images=2000, workers=[0, 1, 2, 4])
QUICK = Effort(rounds=3, seconds=0.3, images=400, workers=[0, 2])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.loading", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="less of everything: seconds instead of minutes"
    )
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    results = {
        kind: loading(effort, kind, channels) for kind, channels in (("grey", 1), ("RGB", 3))
    }
    if options.json:
        save(options.json, results)


def loading(effort: Effort, kind: str, channels: int) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    labels = generator.permutation(effort.images) % 10
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "images.npy")
        # Written here and read at once, so the files are in the page cache for everybody.
        images = generator.integers(0, 256, (effort.images, channels, 224, 224), dtype=np.uint8)
        np.save(file, images, allow_pickle=False)
        with Worker(
            sys.executable, SCRIPT, file, *effort.workers, path=ROOT, arrays={"labels": labels}
        ) as worker:
            check_same(worker)
            rates = interleave([worker], rounds=effort.rounds, seconds=effort.seconds)
    return show(
        f"episodes of {PER_EPISODE} {kind} images, 224 x 224, uint8 memory map to float", rates
    )


def check_same(worker: Worker) -> None:
    """Every contestant reads the same tensors for the same episode."""
    first, *others = (worker.measure(name, 3).last for name in worker.names)
    if any(other != first for other in others):
        raise AssertionError(f"the contestants {worker.names} do not read the same episodes")


def show(title: str, rates: Sequence[Rate]) -> list[dict[str, Any]]:
    plain = [rate for rate in rates if not rate.name.startswith("ours")]
    rows, results = [], []
    for rate in rates:
        same = next(base for base in plain if base.name.split(", ")[1] == rate.name.split(", ")[1])
        best = max(plain, key=lambda base: base.median)
        images = [PER_EPISODE * value for value in (rate.median, rate.slowest, rate.fastest)]
        ratios = rate.over(same), rate.over(best)
        rows.append([rate.name, *map(number, (*images, *ratios))])
        results.append(
            {
                "name": rate.name,
                "images/s": images[0],
                "x same workers": ratios[0],
                "x best": ratios[1],
            }
        )
    header = ["loader", "images/s", "slowest", "fastest", "x item by item", "x item by item's best"]
    table(title, header, rows)
    return results


if __name__ == "__main__":
    main()
