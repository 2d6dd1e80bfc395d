"""How fast and in how much memory many small images are converted:
`python -m benchmarks.medimeta.converting`.

Each conversion runs in a process of its own, for its memory; ten times the images must not need ten
times it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measure import number, save, table
from benchmarks.peers.environment import ROOT

MODULE = "benchmarks.medimeta.converting"
SIDE = 32
FULL, QUICK = (10_000, 100_000), (1_000, 10_000)
MEGABYTE = 1 << 20


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.medimeta.converting", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="less of everything: seconds instead of minutes"
    )
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    parser.add_argument("--threads", type=int, default=1, help="that decode")
    parser.add_argument(
        "--child", nargs=3, metavar=("SOURCE", "COUNT", "FOLDER"), help=argparse.SUPPRESS
    )
    options = parser.parse_args(arguments)
    if options.child:
        source, count, folder = options.child
        sys.stdout.write(json.dumps(convert(source, int(count), Path(folder), options.threads)))
        return
    results = measure(options.quick, options.threads)
    if options.json:
        save(options.json, results)


def measure(quick: bool, threads: int) -> list[dict[str, Any]]:
    """Print the table; return its numbers."""
    results = [
        measured(source, count, threads)
        for source in SOURCES
        for count in (QUICK if quick else FULL)
    ]
    rows = [
        [
            f"{one['source']}, {one['count']:,}",
            *(number(one[name]) for name in ("images/s", "seconds", "MB", "MB of images")),
        ]
        for one in results
    ]
    header = ["source", "images/s", "seconds", "memory above start, MB", "images themselves, MB"]
    table(f"converting {SIDE} x {SIDE} RGB images, images.hdf5 only", header, rows)
    return results


def measured(source: str, count: int, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        WRITERS[source](count, Path(folder))
        command = [
            sys.executable,
            "-m",
            MODULE,
            "--threads",
            str(threads),
            "--child",
            source,
            str(count),
            folder,
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(
                f"converting {count} images of {source} failed:\n{done.stderr[-2000:]}"
            )
    found = json.loads(done.stdout)
    return {
        "source": source,
        "count": count,
        "MB of images": count * SIDE * SIDE * 3 / MEGABYTE,
        **found,
    }


def write_array(count: int, folder: Path) -> None:
    images = np.lib.format.open_memmap(
        folder / "images.npy", "w+", np.uint8, (count, SIDE, SIDE, 3)
    )
    ramp = np.arange(SIDE * SIDE * 3, dtype=np.uint32).reshape(SIDE, SIDE, 3)
    for start in range(0, count, 1000):
        numbers = np.arange(start, min(start + 1000, count), dtype=np.uint32)
        images[numbers] = (ramp + 7 * numbers[:, None, None, None]) % 251
    images.flush()


def write_files(count: int, folder: Path) -> None:
    write_array(count, folder)
    images = np.load(folder / "images.npy", mmap_mode="r")
    for label in range(10):
        (folder / "files" / str(label)).mkdir(parents=True)
    for n in range(count):
        Image.fromarray(images[n]).save(
            folder / "files" / str(n % 10) / f"{n}.png", compress_level=1
        )
    (folder / "images.npy").unlink()


def write_medmnist(count: int, folder: Path) -> None:
    write_array(count, folder)
    images = np.load(folder / "images.npy", mmap_mode="r")
    parts = {"train": slice(0, count // 10 * 7), "val": slice(count // 10 * 7, count // 10 * 8)}
    held: dict[str, Any] = {}
    for split, rows in (parts | {"test": slice(count // 10 * 8, count)}).items():
        held |= {
            f"{split}_images": images[rows],
            f"{split}_labels": np.arange(rows.start, rows.stop)[:, None] % 10,
        }
    np.savez_compressed(folder / "images.npz", **held)


SOURCES = ("arrays", "image folder", "medmnist")
WRITERS: dict[str, Callable[[int, Path], None]] = dict(
    zip(SOURCES, (write_array, write_files, write_medmnist), strict=True)
)


def convert(source: str, count: int, folder: Path, threads: int) -> dict[str, float]:
    """The conversion itself, in this process."""
    from medimeta_adapter.convert import About, ArrayTask, Options, arrays, image_folder, medmnist

    about, options, out = (
        About(id="many", domain="Numbers"),
        Options(size=SIDE, tiffs=False, threads=threads),
        folder / "out",
    )
    memory = Memory()
    began = time.perf_counter()
    if source == "arrays":
        images = np.load(folder / "images.npy", mmap_mode="r")
        arrays(
            images,
            [ArrayTask("class", "multiclass", np.arange(count) % 10)],
            out,
            about,
            options=options,
            progress=memory,
        )
    elif source == "image folder":
        image_folder(folder / "files", out, about, options=options, progress=memory)
    else:
        medmnist(
            folder / "images.npz", out, about, kind="multi-class", options=options, progress=memory
        )
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "images/s": count / seconds, "MB": memory.most / MEGABYTE}


class Memory:
    """The most memory of its own that this process had after any batch, above what it had at the
    start.

    Pages of mapped files are not counted where the system tells them apart: they go when memory is
    short.
    """

    def __init__(self) -> None:
        self.most = 0
        self._start = own_memory()

    def __call__(self, done: int, total: int, /) -> None:
        self.most = max(self.most, own_memory() - self._start)


def own_memory() -> int:
    """Bytes in memory that belong to no file; where that cannot be had, the peak of all of them."""
    status = Path("/proc/self/status")
    if status.is_file():
        found = {
            line.split(":")[0]: line.split()[1]
            for line in status.read_text().splitlines()
            if "kB" in line
        }
        return 1024 * int(found["RssAnon"])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


if __name__ == "__main__":
    main()
