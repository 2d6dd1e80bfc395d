"""What intervals cover and how often equal algorithms differ: `python -m benchmarks.coverage`.

Equal algorithms are scored on overlapping episodes, in numpy, many times over. A row of the table
says how often the interval of 95 % covers the mean over all images (`coverage`), and how often a
test at 5 % calls equal algorithms different (`size`): two that find the same images hard (`alike`),
and two that see other features (`unlike`). Each stands beside the same over episodes of these
images.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from benchmarks.equal_algorithms import KINDS, Repetition, Setting, generator, repetition
from benchmarks.image_estimators import estimators
from benchmarks.measure import save, table
from torchcross.statistics import (
    Difference,
    Interval,
    hierarchical_interval,
    mean_interval,
    paired_difference,
    seeded_difference,
)

T = TypeVar("T")
REPETITIONS: Final = 2000
IMAGES, EPISODES, SHOTS = (50, 100, 200, 500), (20, 100, 400, 1000), (1, 5)
_WITHOUT_BOUNDS = {"ordinal"}
_FEW_RESAMPLES = 199
_SETTING = ("kind", "shots", "images", "episodes", "seeds")


@dataclass(frozen=True)
class Measured:
    """Shares of repetitions; each pair of numbers is over images and over episodes of these."""

    coverage: tuple[float, float]
    alike: tuple[float, float]
    unlike: tuple[float, float]
    half: tuple[float, float]
    mean: float
    repetitions: int


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.coverage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few cells with few repetitions")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", choices=KINDS, nargs="+", default=KINDS, help="some kinds")
    parser.add_argument("--episodes", type=int, nargs="+", default=EPISODES)
    parser.add_argument("--estimators", action="store_true", help="compare estimators instead")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    cells = [s for s in settings(options.only) if s.episodes in options.episodes]
    repetitions = options.repetitions
    if options.quick:
        cells = [s for s in cells if s.images == 100 and s.episodes == 100 and s.shots == 5]
        repetitions = min(repetitions, 40)
    function: Callable[[Setting, int], Any] = measure
    if options.estimators:
        function = estimators
        cells = [s for s in cells if s.kind == "binary" and s.seeds == 1 and s.episodes >= 100]
    results = list(_results(function, cells, repetitions, options.processes))
    if options.estimators:
        _print_estimators(results)
    else:
        _print_table(results)
    if options.json:
        rows = [{**asdict(setting), "measured": _plain(result)} for setting, result in results]
        save(options.json, {"repetitions": repetitions, "rows": rows})


def settings(kinds: Iterable[str] = KINDS) -> list[Setting]:
    """All cells: binary targets in full, the others at 100 episodes, and at 400 with 5 shots."""
    cells = []
    for kind, shots, n, episodes in product(kinds, SHOTS, IMAGES, EPISODES):
        if kind == "binary" or episodes == 100 or (episodes == 400 and shots == 5):
            cells.append(Setting(kind, n, episodes, shots))
        if kind == "binary" and shots == 5 and episodes == 100:
            cells.append(Setting(kind, n, episodes, shots, seeds=3))
    return cells


def measure(setting: Setting, repetitions: int) -> Measured:
    """The coverage and size of one cell."""
    rng = generator(setting)
    intervals, differences, scores = [], [], []
    for _ in range(repetitions):
        one = repetition(setting, rng)
        scores.append(one.scores.mean())
        intervals.append(_interval(one, setting))
        differences.append([_difference(one, other, setting) for other in (1, 2)])
    # All learners are equally good, so their mean over all repetitions is the population's.
    truth = float(np.mean(scores))
    narrow = [interval.these_images or interval for interval in intervals]
    return Measured(
        (_coverage(intervals, truth), _coverage(narrow, truth)),
        _sizes([first for first, _ in differences]),
        _sizes([second for _, second in differences]),
        (_half(intervals), _half(narrow)),
        truth,
        repetitions,
    )


def _interval(one: Repetition, setting: Setting) -> Interval:
    rows = one.scores[0]
    bounds = None if setting.kind in _WITHOUT_BOUNDS else (0.0, 1.0)
    if setting.seeds == 1:
        interval = mean_interval(rows[0], draws=one.draws, bounds=bounds)
    else:
        interval = hierarchical_interval(
            list(rows), resamples=_FEW_RESAMPLES, draws=one.draws, bounds=bounds
        )
    return interval


def _difference(one: Repetition, other: int, setting: Setting) -> Difference:
    if setting.seeds == 1:
        return paired_difference(one.scores[0, 0], one.scores[other, 0], draws=one.draws)
    return seeded_difference(list(one.scores[0] - one.scores[other]), draws=one.draws)


def _coverage(intervals: Sequence[Interval], truth: float) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


def _half(intervals: Sequence[Interval]) -> float:
    return float(np.mean([interval.half for interval in intervals]))


def _sizes(differences: Sequence[Difference]) -> tuple[float, float]:
    wide = np.mean([difference.p <= 0.05 for difference in differences])
    narrow = np.mean([(each.these_images or each).p <= 0.05 for each in differences])
    return float(wide), float(narrow)


# -- running and printing --------------------------------------------------------------------------


def _results(
    function: Callable[[Setting, int], T],
    cells: Sequence[Setting],
    repetitions: int,
    processes: int,
) -> Iterator[tuple[Setting, T]]:
    """The result of each cell, in their order, computed in several processes."""
    # The workers read it when they import numpy: each has one core.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        # Large cells first, so that the processes end together.
        futures = {
            setting: pool.submit(function, setting, repetitions)
            for setting in sorted(cells, key=lambda s: -s.episodes * s.images)
        }
        for setting in cells:
            yield setting, futures[setting].result()


def _print_table(results: Sequence[tuple[Setting, Measured]]) -> None:
    header = [*_SETTING, "mean"]
    header += ["coverage", "of these", "alike", "of these", "unlike", "of these", "±", "of these"]
    lines = []
    for setting, row in results:
        pairs = (row.coverage, row.alike, row.unlike)
        shares = [f"{100 * share:.1f}" for pair in pairs for share in pair]
        halves = [f"{half:.3f}" for half in row.half]
        lines.append([*_names(setting), f"{row.mean:.3f}", *shares, *halves])
    table("coverage and size in %", header, lines)


def _print_estimators(results: Sequence[tuple[Setting, Mapping[str, Sequence[float]]]]) -> None:
    names = list(results[0][1]) if results else []
    lines = []
    for setting, by_name in results:
        cells = [" / ".join(f"{100 * share:.1f}" for share in by_name[name]) for name in names]
        lines.append([*_names(setting), *cells])
    header = [*_SETTING, *names]
    table("coverage / size of a pair alike / of one unlike, in %", header, lines)


def _names(setting: Setting) -> list[str]:
    numbers = (setting.shots, setting.images, setting.episodes, setting.seeds)
    return [setting.kind, *map(str, numbers)]


def _plain(result: Any) -> Any:
    return asdict(result) if isinstance(result, Measured) else result


if __name__ == "__main__":
    main()
