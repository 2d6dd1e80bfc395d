"""How long units took that were really made: `seconds.json`, and how to measure it anew.

python -m benchmarks.scale.durations RUN    # of `torchcross demo`, by one process

A process that makes cells one after the other writes each file when it has made it, so a cell took
the time between two files.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import save

FILE = Path(__file__).with_name("seconds.json")


def measured_seconds() -> Mapping[str, Sequence[float]]:
    """Seconds by kind of unit, as `main` wrote them."""
    plain: Mapping[str, Sequence[float]] = json.loads(FILE.read_text())["seconds"]
    return plain


def seconds_of(run: Path) -> dict[str, list[float]]:
    """What the units of a run took: its trainings, and its cells, which are parts of episodes."""
    moments = [(path.stat().st_mtime, "part") for path in run.glob("rows/*.csv")]
    moments += [(path.stat().st_mtime, "training") for path in run.glob("train/*/training.json")]
    moments.sort()
    seconds: dict[str, list[float]] = {"training": [], "part": []}
    for (before, _), (moment, kind) in itertools.pairwise(moments):
        seconds[kind].append(round(moment - before, 2))
    return {kind: sorted(each) for kind, each in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.scale.durations", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder of `torchcross run`")
    options = parser.parse_args(arguments)
    save(FILE, {"run": "torchcross demo", "seconds": seconds_of(options.run)})


if __name__ == "__main__":
    main()
