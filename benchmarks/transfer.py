"""Scores before training beside published code:
`python -m benchmarks.transfer [--tllib FOLDER] [--quick] [--wall] [--json FILE]`.

Seconds of one core's own time for 5,000 x 1,280 features of 20 classes (LEEP and NCE: 100 classes
of a source), and the ratio to tllib's code, or to scikit-learn's for `knn`. FOLDER is a checkout of
github.com/thuml/Transfer-Learning-Library, which no package registry has; without it only
scikit-learn is a peer. Values must agree where both compute the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Rate, interleave, number, save, table
from benchmarks.peers import Worker
from benchmarks.peers.environment import ROOT

_CONTESTANTS = Path(__file__).with_name("contestants")
# tllib's LogME stops when the ratio of its precisions moves by less than 1 %.
_AGREE = {"logme": 1e-4}
_CLOSE = 1e-8


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.transfer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tllib", type=Path, help="a checkout of Transfer-Learning-Library")
    parser.add_argument("--quick", action="store_true", help="1,000 x 256 features")
    parser.add_argument("--wall", action="store_true", help="by the wall clock")
    parser.add_argument("--python", default=sys.executable, help="that runs the published code")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    if options.tllib and not (options.tllib / "tllib/ranking/logme.py").is_file():
        parser.error(f"{options.tllib} has no tllib/ranking/logme.py; give a checkout")
    arrays = made_up_features(*((1000, 256) if options.quick else (5000, 1280)))
    tllib = options.tllib.resolve() if options.tllib else ""
    ours, published = (_CONTESTANTS / f"transfer_{name}.py" for name in ("ours", "published"))
    clock: Any = "seconds" if options.wall else "cpu"
    with (
        Worker(sys.executable, ours, path=ROOT, arrays=arrays) as mine,
        Worker(options.python, published, tllib, path=ROOT, arrays=arrays) as theirs,
    ):
        values = {
            worker: {name: worker.measure(name, 1).last[0] for name in worker.names}
            for worker in (mine, theirs)
        }
        _check_values(values[mine], values[theirs])
        rates = {
            worker: {rate.name: rate for rate in _rates(worker, options.quick, clock)}
            for worker in (mine, theirs)
        }
    results = _show(rates[mine], rates[theirs], values[mine], values[theirs])
    if options.json:
        save(options.json, results)


def made_up_features(samples: int, width: int, classes: int = 20) -> dict[str, NDArray[Any]]:
    """Features as networks make them, of classes of equal size, and what a source says of them."""
    generator = np.random.default_rng(0)
    labels = np.arange(samples) % classes
    means = 1 + 0.15 * generator.standard_normal((classes, width))
    features = np.maximum(means[labels] + generator.standard_normal((samples, width)), 0)
    logits = generator.standard_normal((samples, 100))
    logits += 2 * generator.standard_normal((classes, 100))[labels]
    states = np.exp(logits)
    return {
        "features": features,
        "states": states / states.sum(axis=1, keepdims=True),
        "labels": labels,
    }


def _rates(worker: Worker, quick: bool, clock: Any) -> list[Rate]:
    return interleave([worker], rounds=3, seconds=0.1 if quick else 1.0, clock=clock)


def _check_values(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    for name, value in theirs.items():
        if abs(mine[name] - value) > _AGREE.get(name, _CLOSE):
            raise AssertionError(f"{name} is {mine[name]} here and {value} by the published code")


def _show(
    mine: Mapping[str, Rate],
    theirs: Mapping[str, Rate],
    values: Mapping[str, Any],
    others: Mapping[str, Any],
) -> list[dict[str, Any]]:
    rows, results = [], []
    for name, rate in mine.items():
        seconds = 1 / rate.median
        peer = 1 / theirs[name].median if name in theirs else None
        ratio = None if peer is None else statistics.median(_ratios(rate, theirs[name]))
        shown = ["", "", ""]
        if peer is not None and ratio is not None:
            shown = [number(peer), number(ratio), f"{abs(values[name] - others[name]):.1e}"]
        rows.append([name, number(seconds), *shown[:2], f"{values[name]:.6f}", shown[2]])
        results.append({"name": name, "seconds": seconds, "published": peer, "ratio": ratio})
    header = ["score", "seconds", "published", "ratio", "value", "difference"]
    table("seconds of one core for each score; a ratio below 1 is faster", header, rows)
    return results


def _ratios(rate: Rate, other: Rate) -> list[float]:
    """Of seconds, round by round."""
    return [theirs / mine for mine, theirs in zip(rate.rounds, other.rounds, strict=True)]


if __name__ == "__main__":
    main()
