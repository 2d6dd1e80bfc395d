"""The job on stored features: `python -m benchmarks.features_job [--quick] [--weights FILE]`.

Six targets, ten numbers of shots, 100 episodes and four heads on the stored features of a frozen
MobileNetV2, by `torchcross run` with its page; then the page alone, and where the time of the units
went. The targets are made up: of 3 to 15 classes, and one of 14 labels. `--weights` are those of
`torchcross weights fetch mobilenet_v2`, which are fetched where none are given.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measure import number, save, table

HEADS = ("ncm", "simpleshot", "logistic", "logistic-mean")
SHOTS = "1,2,3,5,7,10,15,20,25,30"
TARGETS = ("oct", "bus", "derm", "aml", "cxr", "pbc")


@dataclass(frozen=True)
class Effort:
    targets: Sequence[str]
    shots: str
    episodes: int


FULL, QUICK = Effort(TARGETS, SHOTS, 100), Effort(TARGETS[:2], "1,5", 10)


@dataclass(frozen=True)
class Seconds:
    """By the wall clock, and of the processors."""

    wall: float
    processors: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.features_job", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two targets, two numbers of shots")
    parser.add_argument("--weights", type=Path, help="a file of weights of MobileNetV2")
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    with TemporaryDirectory() as place:
        results = _job(effort, Path(place), options.weights, options.jobs)
    load = os.getloadavg()[1] if hasattr(os, "getloadavg") else float("nan")
    rows = [[name, number(each.wall), number(each.processors)] for name, each in results.items()]
    title = f"{len(effort.targets)} targets, shots {effort.shots}, {effort.episodes} episodes"
    table(f"{title}; load average {load:.1f}", ["part", "s", "s of all processors"], rows)
    if options.json:
        save(options.json, {name: vars(each) for name, each in results.items()})


def _job(effort: Effort, place: Path, weights: Path | None, jobs: int) -> dict[str, Seconds]:
    targets = ",".join(effort.targets)
    data = str(place / "data")
    _run("data", "synth", "--out", data, "--scale", "small", "--size", "64", "--only", targets)
    if weights is None:
        _run("weights", "fetch", "mobilenet_v2", "--out", str(place))
        (weights,) = (place / "mobilenet_v2").glob("*.pth")
    backbone, features, out = f"mobilenet_v2={weights}", str(place / "features"), place / "run"
    embedding = _run(
        *("features", "--data", data, "--backbones", backbone, "--normalisation", "imagenet"),
        *("--out", features, "--quiet"),
    )
    job = _run(
        *("run", "--data", data, "--targets", targets, "--algorithms", ",".join(HEADS)),
        *("--shots", effort.shots, "--episodes", str(effort.episodes), "--backbone", backbone),
        *_settings("model.normalisation=imagenet", f"data.features={features}"),
        *_settings("evaluation.min_images=0", "data.leave_out=dataset", "machine.threads=1"),
        *("--out", str(out), "--jobs", str(jobs), "--quiet"),
    )
    page = _run("report", str(out))
    return {
        "embedding (before the job)": embedding,
        "the job: run and page": job,
        "the page alone": page,
        **_of_rows(json.loads((out / "environment.json").read_text())),
    }


def _settings(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def _of_rows(environment: Mapping[str, Any]) -> dict[str, Seconds]:
    """The wall clock of all units of each row; other programs lengthen it."""
    sums: dict[str, float] = {}
    for cell, units in environment["cells"].items():
        # A name of a file has "_" in the place of other signs.
        row = cell.partition("-seed_")[0]
        sums[row] = sums.get(row, 0.0) + sum(units.values())
    return {f"units of {row}": Seconds(value, float("nan")) for row, value in sums.items()}


def _run(*arguments: str) -> Seconds:
    # The processes of a run end within it: what children took is theirs too.
    before, begin = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "torchcross", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    after = os.times()
    processors = after.children_user + after.children_system
    processors -= before.children_user + before.children_system
    return Seconds(time.perf_counter() - begin, processors)


if __name__ == "__main__":
    main()
