"""`torchcross data check` on 100,000 images:
`python -m benchmarks.medimeta.checking [--quick] [--json FILE]`.

The folder has planted copies, changed copies and blank images; all of them must be found, or there
is no number.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.measure import number, save, table
from benchmarks.medimeta.folders import write_info
from benchmarks.peers.environment import ROOT
from medimeta_adapter.format.info import SplitCounts, TaskInfo, TaskTarget

SIDE, CHANNELS, COARSE = 64, 3, 8
BLOCK = 2000
CLASSES = 10
PLANTED = 200
SEARCHES = {
    "files only": ["--no-pixels"],
    "equal images": ["--no-near-duplicates"],
    "equal and alike images": [],
}


@dataclass(frozen=True)
class Run:
    """One check as a process of its own."""

    name: str
    seconds: float
    megabytes: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.medimeta.checking", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10,000 images")
    parser.add_argument("--threads", type=int, default=1, help="of the check (default: 1)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    results = measure(options.quick, options.threads)
    if options.json:
        save(options.json, results)


def measure(quick: bool, threads: int) -> list[dict[str, Any]]:
    count = 10_000 if quick else 100_000
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "large", count)
        size = (Path(folder) / "large" / "images.hdf5").stat().st_size
        runs = [check(folder, name, more, threads) for name, more in SEARCHES.items()]
    rows = [
        [run.name, number(run.seconds), f"{count / run.seconds:,.0f}", number(run.megabytes)]
        for run in runs
    ]
    header = ["check of", "seconds", "images/s", "peak MB"]
    title = (
        f"data check, {count:,} RGB images, {SIDE}x{SIDE} ({size / 1e6:,.0f} MB), threads:"
        f" {threads}, warm cache"
    )
    table(title, header, rows)
    return [
        {"name": run.name, "images": count, "seconds": run.seconds, "megabytes": run.megabytes}
        for run in runs
    ]


def check(folder: str, name: str, more: Sequence[str], threads: int) -> Run:
    command = [
        sys.executable,
        "-m",
        "torchcross",
        "data",
        "check",
        folder,
        "--json",
        "--workers",
        str(threads),
        *more,
    ]
    start = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    with Peak(process.pid) as peak:
        report, _ = process.communicate()
    seconds = time.perf_counter() - start
    found = {finding["code"]: finding["count"] for finding in json.loads(report)["findings"]}
    if process.returncode != 0 or not as_planted(name, found):
        raise AssertionError(f"the check of {name} did not find what was planted: {found}")
    return Run(name, seconds, peak.megabytes)


class Peak:
    """The most memory of its own that a process had, looked at twenty times a second (Linux). Pages
    of a mapped file are not counted: the system takes them back when it likes.
    """

    def __init__(self, pid: int) -> None:
        self.status = Path(f"/proc/{pid}/status")
        self.megabytes = 0.0
        self.ended = threading.Event()
        self.watcher = threading.Thread(target=self.watch)

    def watch(self) -> None:
        while not self.ended.wait(0.05):
            try:
                lines = self.status.read_text().splitlines()
            except OSError:
                return
            own = [int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")]
            self.megabytes = max([self.megabytes, *own])

    def __enter__(self) -> Peak:
        self.watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.watcher.join()


def as_planted(name: str, found: dict[str, int]) -> bool:
    if name == "files only":
        return set(found) == {"subjects-unknown", "licence-terms"}
    equal = (
        found.get("image-constant") == PLANTED and found.get("duplicate-across-splits") == PLANTED
    )
    # The planted changes are slight: nearly all of them must be seen, and hardly anything else.
    alike = 0.95 * PLANTED <= found.get("near-duplicate-across-splits", 0) <= 1.05 * PLANTED
    return equal and (alike or name == "equal images")


def write(folder: Path, count: int) -> None:
    """Soft noise of which the last rows repeat the first: equal, changed a little, and blank ones
    before them.
    """
    draw = np.random.default_rng(0)
    task = TaskInfo(
        "class",
        TaskTarget.MULTICLASS_CLASSIFICATION,
        {label: f"c{label}" for label in range(CLASSES)},
    )
    half = SplitCounts(train=count // 2, test=count - count // 2)
    write_info(folder, folder.name, [task], (CHANNELS, SIDE, SIDE), half)
    for part in ("task_labels", "splits", "original_splits"):
        (folder / part).mkdir()
    np.save(folder / "task_labels" / "class.npy", np.arange(count) % CLASSES)
    for name, rows in {"train": range(half.train), "test": range(half.train, count)}.items():
        text = "".join(f"images/{row:06d}.tiff\n" for row in rows)
        for part in ("splits", "original_splits"):
            (folder / part / f"{name}.txt").write_text(text)
    lines = (f"images/{row:06d}.tiff,{row % CLASSES}\n" for row in range(count))
    (folder / "annotations.csv").write_text("filepath,tasks/class\n" + "".join(lines))
    with h5py.File(folder / "images.hdf5", "w") as file:
        stored = file.create_dataset("images", (count, SIDE, SIDE, CHANNELS), np.uint8)
        start = 0
        for images in noise(draw, count):
            stored[start : start + len(images)] = images
            start += len(images)
        first = stored[: 2 * PLANTED]
        changed = np.clip(first[PLANTED:] * 0.9 + draw.normal(10, 2, first[PLANTED:].shape), 0, 255)
        stored[count - 3 * PLANTED : count - 2 * PLANTED] = 7
        stored[count - 2 * PLANTED : count - PLANTED] = first[:PLANTED]
        stored[count - PLANTED :] = changed.astype(np.uint8)


def noise(draw: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    """Blocks of coarse noise with fine noise on it, so that no two images are alike."""
    scale = SIDE // COARSE
    for start in range(0, count, BLOCK):
        shape = (min(BLOCK, count - start), COARSE, COARSE, CHANNELS)
        coarse = (
            draw.integers(16, 240, shape, dtype=np.uint8)
            .repeat(scale, axis=1)
            .repeat(scale, axis=2)
        )
        yield coarse + draw.integers(0, 16, coarse.shape, dtype=np.uint8)


if __name__ == "__main__":
    main()
