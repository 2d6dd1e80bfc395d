"""Heads on stored features: `python -m benchmarks.heads [--quick] [--wall] [--json FILE]`.

Episodes per second of one core's own time: each process computes with one thread, so two cores do
twice as many. `--wall` takes the wall clock instead. Ratios are to scikit-learn's logistic
regression with its default tolerance, and with one at which both solutions are the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants.heads import FEW, MANY
from benchmarks.measure import Rate, interleave, number, save, table
from benchmarks.peers import Worker
from benchmarks.peers.environment import ROOT

SCRIPT = Path(__file__).with_name("contestants") / "heads.py"
_DEFAULT, _CONVERGED = "scikit-learn, multi-class", "scikit-learn to 1e-10, multi-class"
_PROBE = "LinearProbe, multi-class"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.heads",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="three short rounds")
    parser.add_argument("--wall", action="store_true", help="by the wall clock")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    rounds, seconds = (3, 0.1) if options.quick else (5, 0.5)
    with Worker(sys.executable, SCRIPT, path=ROOT) as worker:
        _check_solutions(worker)
        clock: Any = "seconds" if options.wall else "cpu"
        rates = interleave([worker], rounds=rounds, seconds=seconds, clock=clock)
    results = _show({rate.name: rate for rate in rates})
    if options.json:
        save(options.json, results)


def _check_solutions(worker: Worker) -> None:
    """All ways to the logistic solution end in the same one."""
    names = ("logistic, multi-class, batch", "logistic, multi-class", _CONVERGED)
    first, *others = (np.array(worker.measure(name, 1).last) for name in names)
    if any(np.abs(first - other).max() > 1e-5 for other in others):
        raise AssertionError(f"{names} do not have the same solution")


def _show(rates: Mapping[str, Rate]) -> list[dict[str, Any]]:
    rows, results = [], []
    for name, rate in rates.items():
        size = MANY if name.endswith("batch") else FEW
        speeds = [size * value for value in (rate.median, rate.slowest, rate.fastest)]
        ratios = [rate.over(rates[base]) * size / FEW for base in (_DEFAULT, _CONVERGED, _PROBE)]
        rows.append([name, *map(number, (*speeds, *ratios))])
        results.append({"name": name, "episodes/s": speeds[0], "ratios": ratios})
    header = ["head, target", "episodes/s", "slowest", "fastest", "x scikit-learn"]
    table(
        "predictions of 5-way 5-shot 10-query episodes of 1,280 features",
        [*header, "x the same to 1e-10", "x LinearProbe"],
        rows,
    )
    return results


if __name__ == "__main__":
    main()
