"""How fast datasets are written, against the same bytes written plainly:
`python -m benchmarks.medimeta.writing`.

Everyone ends with their bytes on the disk (fsync). They take turns, each in a process of its own,
which also tells its peak of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import number, save, table
from benchmarks.peers.environment import ROOT

MODULE = "benchmarks.medimeta.writing"
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Case:
    """`batch` images of `shape` are handed over at a time, `count` in all, to these writers."""

    name: str
    shape: tuple[int, ...]
    count: int
    batch: int
    writers: tuple[str, ...]


# What a writer does beside images.hdf5: nothing; a journal that outlasts a power cut; a TIFF per
# image too.
WRITERS: dict[str, dict[str, Any]] = {
    "hdf5 only": {"tiffs": False},
    "hdf5 only, resumable": {"tiffs": False, "resume": True},
    "hdf5 and TIFF": {"tiffs": True},
}
WITHOUT_TIFF = ("hdf5 only", "hdf5 only, resumable")
CASES = {
    case.name: case
    for case in (
        Case("224 x 224 RGB, one by one", (224, 224, 3), 4000, 1, tuple(WRITERS)),
        Case("224 x 224 RGB, batches of 64", (224, 224, 3), 4000, 64, tuple(WRITERS)),
        Case("28 x 28 grey, one by one", (28, 28), 100_000, 1, WITHOUT_TIFF),
        Case("28 x 28 grey, batches of 1000", (28, 28), 100_000, 1000, WITHOUT_TIFF),
    )
}
PLAIN = "plain file"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=MODULE, description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="less of everything: seconds instead of minutes"
    )
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    parser.add_argument(
        "--child", nargs=4, metavar=("CASE", "WHO", "COUNT", "FOLDER"), help=argparse.SUPPRESS
    )
    options = parser.parse_args(arguments)
    if options.child:
        case, who, count, folder = options.child
        sys.stdout.write(json.dumps(written(CASES[case], who, int(count), Path(folder))))
        return
    results = measure(options.quick)
    if options.json:
        save(options.json, results)


def measure(quick: bool, threads: int = 1) -> list[dict[str, Any]]:
    """Print a table per case; return the numbers. `threads` are torch's, which has no part in
    this.
    """
    del threads
    return [result for case in CASES.values() for result in compared(case, quick)]


def compared(case: Case, quick: bool) -> list[dict[str, Any]]:
    count = case.count // 10 if quick else case.count
    rounds: dict[str, list[dict[str, float]]] = {who: [] for who in (PLAIN, *case.writers)}
    for _ in range(2 if quick else 3):
        for who, found in rounds.items():
            found.append(in_a_process(case, who, count))
    results, rows = [], []
    for who, found in rounds.items():
        ratio = statistics.median(
            one["images/s"] / plain["images/s"]
            for one, plain in zip(found, rounds[PLAIN], strict=True)
        )
        median = {name: statistics.median(one[name] for one in found) for name in found[0]}
        results.append(
            {"case": case.name, "writer": who, "count": count, **median, "x plain": ratio}
        )
        rows.append([who, *map(number, (median["images/s"], median["MB/s"], ratio, median["MB"]))])
    header = ["writer", "images/s", "MB/s of pixels", "x plain file", "peak above start, MB"]
    table(f"writing {count:,} images, {case.name}", header, rows)
    return results


def in_a_process(case: Case, who: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        # Nobody pays for what others left to be written.
        os.sync()
        command = [sys.executable, "-m", MODULE, "--child", case.name, who, str(count), folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{who} failed to write {count} images:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def written(case: Case, who: str, count: int, folder: Path) -> dict[str, float]:
    from medimeta_adapter.format.info import TaskInfo, TaskTarget
    from medimeta_adapter.writing.draft import DatasetDraft
    from medimeta_adapter.writing.writer import DatasetWriter

    images = np.random.default_rng(0).integers(0, 256, (case.batch, *case.shape), dtype=np.uint8)
    task = TaskInfo("class", TaskTarget.MULTICLASS_CLASSIFICATION, {0: "a", 1: "b", 2: "c"})
    size = (3 if len(case.shape) == 3 else 1, *case.shape[:2])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    if who == PLAIN:
        with (folder / "plain").open("wb", buffering=0) as file:
            for _ in range(count // case.batch):
                file.write(images)
            os.fsync(file.fileno())
    else:
        draft = DatasetDraft(id="many", name="Many", domain="Noise", tasks=[task], input_size=size)
        with DatasetWriter(folder / "many", draft, **WRITERS[who]) as writer:
            for n in range(count // case.batch):
                if case.batch == 1:
                    writer.add(images[0], {"class": n % 3}, split="train")
                else:
                    writer.add_batch(images, {"class": np.arange(case.batch) % 3}, splits="train")
    seconds = time.perf_counter() - began
    count = count // case.batch * case.batch
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / MEGABYTE
    return {
        "images/s": count / seconds,
        "MB/s": count * images[0].nbytes / MEGABYTE / seconds,
        "MB": peak,
    }


if __name__ == "__main__":
    main()
