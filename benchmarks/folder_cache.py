"""Images per second of a folder, with and without a cache of decoded images.

`python -m benchmarks.folder_cache [--quick] [--json FILE]`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import torchcross as tx
from benchmarks.measure import Rate, number, save, table

PER_READ, SIDE = 75, 224
FORMS = (("JPEG, 500 x 375", "jpg", (500, 375)), ("PNG, 256 x 256", "png", (256, 256)))
Sources = dict[str, tx.ImageFolderSource]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.folder_cache", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer images and rounds")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    images, rounds = (200, 3) if options.quick else (1000, 7)
    torch.set_num_threads(1)
    results = {name: _one_form(name, ending, size, images, rounds) for name, ending, size in FORMS}
    if options.json:
        save(options.json, results)


def _one_form(
    name: str, ending: str, size: tuple[int, int], images: int, rounds: int
) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        root, file = Path(folder, "images"), Path(folder, "decoded")
        _write_images(root, ending, size, images)

        def source(cache: str | Path | None) -> tx.ImageFolderSource:
            return tx.ImageFolderSource(root, size=SIDE, cache=cache)

        sources = {"no cache": source(None), "memory": source("memory"), "file": source(file)}
        first = {each: _first_pass(sources[each], images) for each in sources}
        rates = _rates(sources, images, rounds)
    plain, *_ = rates
    rows = [
        [rate.name, number(first[rate.name]), *map(number, _of(rate)), number(rate.over(plain))]
        for rate in rates
    ]
    header = ["cache", "first pass", "images/s", "slowest", "fastest", "x no cache"]
    table(f"{images} images, {name}, to {SIDE} x {SIDE}, {PER_READ} in a read", header, rows)
    return {rate.name: rate.median for rate in rates}


def _of(rate: Rate) -> tuple[float, float, float]:
    return rate.median, rate.slowest, rate.fastest


def _write_images(root: Path, ending: str, size: tuple[int, int], count: int) -> None:
    """Smooth pictures with noise, so that a JPEG file has the size of a photograph's."""
    draws = np.random.default_rng(0)
    for place in range(count):
        coarse = draws.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
        noise = draws.integers(-12, 13, smooth.shape)
        path = root / f"class{place % 5}" / f"{place}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8)).save(path)


def _first_pass(source: tx.ImageFolderSource, images: int) -> float:
    """Images per second while each is read for the first time; a file is made in that time."""
    start = time.perf_counter()
    for first in range(0, images, PER_READ):
        source.read(np.arange(first, min(first + PER_READ, images)))
    return images / (time.perf_counter() - start)


def _rates(sources: Sources, images: int, rounds: int) -> list[Rate]:
    """Random reads, the sources in turn; the bytes are compared first."""
    draws = np.random.default_rng(1)
    expected, *others = (source.read(np.arange(images)) for source in sources.values())
    if not all(torch.equal(expected, other) for other in others):
        raise AssertionError("a cache gives other bytes")
    seconds: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(rounds):
        numbers = [draws.integers(0, images, PER_READ) for _ in range(5)]
        for name, source in sources.items():
            start = time.perf_counter()
            for each in numbers:
                source.read(each)
            seconds[name].append(5 * PER_READ / (time.perf_counter() - start))
    return [Rate(name, tuple(values)) for name, values in seconds.items()]


if __name__ == "__main__":
    main()
