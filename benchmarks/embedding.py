"""Embedding: `python -m benchmarks.embedding [--quick]`.

Images per second of `tx.features` into a file, beside the bare module's forward in batches of the
same size, in turn, by the process's own time with one thread; and what a process holds for more and
more images.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import torchcross as tx
from benchmarks.measure import number, save, table
from torchcross import backbones
from torchcross.data import TensorSource
from torchcross.embedding.forward import BLOCK
from torchcross.targets import Binary

SIDE = 64

_HELD = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import torchcross as tx
from benchmarks.embedding import made_up_source
from torchcross import backbones
from torchcross._kit.process_memory import most_resident_bytes
count, place = int(sys.argv[1]), Path(sys.argv[2])
tx.features(made_up_source(place, count), backbones.conv4(16), place / "features")
print(most_resident_bytes())
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.embedding",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer images and rounds")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = {
        "embedding": _embedding(*((3, 4) if options.quick else (5, 16))),
        "memory": _memory((1_000, 4_000) if options.quick else (1_000, 10_000, 100_000)),
    }
    if options.json:
        save(options.json, results)


def made_up_source(folder: Path, count: int, side: int = 16) -> TensorSource:
    """Images in a file that is memory-mapped, as those of a large dataset are."""
    path, shape = folder / f"images-{count}.npy", (count, 3, side, side)
    images: NDArray[Any] = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    draws = np.random.default_rng(0)
    for start in range(0, count, 1024):
        part = images[start : start + 1024]
        part[:] = draws.integers(0, 256, part.shape, dtype=np.uint8)
    images.flush()
    mapped: NDArray[Any] = np.load(path, mmap_mode="r")
    return TensorSource(mapped, np.arange(count) % 2, tx.Task("made-up", Binary()))


def _embedding(rounds: int, blocks: int) -> list[dict[str, Any]]:
    """Seconds of both ways by turns: what slows the machine slows both."""
    rows, results = [], []
    with TemporaryDirectory() as place:
        source = made_up_source(Path(place), blocks * BLOCK, SIDE)
        for name in ("mobilenet_v2", "resnet18"):
            bare, ours, ratio = _against_forwards(getattr(backbones, name)().eval(), source, rounds)
            speeds = (number(len(source) / seconds) for seconds in (bare, ours))
            rows.append([name, *speeds, f"{ratio:.3f}"])
            results.append({"name": name, "bare": bare, "ours": ours, "ratio": ratio})
    title = f"images/s of one core at {SIDE} pixels, {blocks * BLOCK} images"
    table(title, ["backbone", "bare forward", "tx.features", "ratio"], rows)
    return results


def _against_forwards(
    net: torch.nn.Module, source: TensorSource, rounds: int
) -> tuple[float, float, float]:
    """Median seconds of bare forwards and of ours, and the median of their ratios."""
    works = (lambda: _forwards(net, source), lambda: _features(net, source))
    pairs = [tuple(_seconds(work) for work in works) for _ in range(rounds)]
    bare, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    return bare, ours, statistics.median(theirs / mine for theirs, mine in pairs)


def _seconds(work: Callable[[], object]) -> float:
    """Of the process itself, with all its threads: what others do distorts it less."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


@torch.no_grad()
def _forwards(net: torch.nn.Module, source: TensorSource) -> None:
    for start in range(0, len(source), BLOCK):
        net(source.read(np.arange(start, start + BLOCK)))


def _features(net: torch.nn.Module, source: TensorSource) -> None:
    with TemporaryDirectory() as folder:
        tx.features(source, net, folder, progress=False)


def _memory(counts: Sequence[int]) -> dict[int, int]:
    """The most bytes that a process of its own held, for so many images."""
    held = {}
    for count in counts:
        with TemporaryDirectory() as place:
            ran = subprocess.run(
                [sys.executable, "-c", _HELD, str(count), place],
                capture_output=True,
                text=True,
                check=True,
            )
        held[count] = int(ran.stdout.split()[-1])
    rows = [[f"{count:,} images", number(size / 2**20)] for count, size in held.items()]
    table(
        "the most MB that embedding held (file pages that the system may drop among them)",
        ["source", "MB"],
        rows,
    )
    return held


if __name__ == "__main__":
    main()
