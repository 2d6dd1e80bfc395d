"""The main job against the published packages:
`python -m benchmarks.pipeline [--quick] [--json FILE]`.

ResNet-18 is meta-trained by mm-MAML on the primary tasks of a made-up MedIMeta but for one domain,
then scored on 5-shot episodes of that domain, by fine-tuning (as the published table does) and by
its own inner loop. Both read the same files, start from the same weights and see the same episodes
in the same order; each in its own environment.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from scipy import stats

from benchmarks.functional.suite import KEEP_MEMORY, MB
from benchmarks.measure import number, save, table
from benchmarks.peers import Worker, call, ensure
from benchmarks.peers.environment import ROOT
from benchmarks.pipeline.job import Arrays, Job, make_files

FOLDER = Path(__file__).parents[1] / "contestants"
PUBLISHED, FAST, LEAN = "published", "ours", "ours, memory='low'"
OURS = {FAST: "fast", LEAN: "low"}
PARTS = ("sampling", "reading", "meta-training", "fine-tuning", "own adaptation")


@dataclass(frozen=True)
class Effort:
    """`memory`: episodes of a training, and of an evaluation, whose peak is looked at."""

    trainings: int
    evaluations: int
    rounds: int
    memory: tuple[int, int]


FULL, QUICK = Effort(100, 100, 2, (20, 5)), Effort(4, 3, 1, (4, 3))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.pipeline", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a few episodes: two minutes instead of forty"
    )
    parser.add_argument("--only", choices=["times", "memory"], help="one of the two")
    parser.add_argument("--trainings", type=int, help="episodes of meta-training")
    parser.add_argument("--evaluations", type=int, help="episodes of the target")
    parser.add_argument(
        "--rounds", type=int, help="of everything; the scores come from the last one"
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="torch's threads, the same for everybody"
    )
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    given = {
        name: getattr(options, name)
        for name in ("trainings", "evaluations", "rounds")
        if getattr(options, name)
    }
    effort = replace(effort, **given)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder))
        # Reading and sampling take as many of both kinds.
        most = max(effort.trainings, effort.evaluations, *effort.memory)
        arrays = Job.of(folder).arrays(most, most)
        what = (folder, arrays, effort, options.threads)
        if options.only != "memory":
            results |= times(*what)
        if options.only != "times":
            results["memory"] = memory(*what)
    if options.json:
        save(options.json, results)


def times(folder: str, arrays: Arrays, effort: Effort, threads: int) -> dict[str, Any]:
    """Every part of every contestant in turn, the order of contestants reversed from round to
    round.
    """
    counts = {
        part: effort.trainings if part == "meta-training" else effort.evaluations for part in PARTS
    }
    found: dict[str, dict[str, list[Any]]] = {}
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, KEEP_MEMORY))
        workers = {
            PUBLISHED: Worker(
                ensure(), FOLDER / "pipeline_published.py", folder, threads, arrays=arrays
            ),
            **{
                name: Worker(
                    sys.executable, FOLDER / "pipeline_ours.py", folder, threads, mode, path=ROOT
                )
                for name, mode in OURS.items()
            },
        }
        for name, worker in workers.items():
            stack.enter_context(worker)
            for part in PARTS:
                worker.measure(part, 1)
            found[name] = {part: [] for part in PARTS}
        for at in range(effort.rounds):
            for part in PARTS:
                for name in sorted(workers, reverse=bool(at % 2)):
                    if (name, part) != (LEAN, "fine-tuning"):
                        found[name][part].append(workers[name].measure(part, counts[part]))
    # One way of training is enough to tune: adaptation is the same for both.
    found[LEAN]["fine-tuning"] = found[FAST]["fine-tuning"]
    return {"times": show_times(found, counts), "scores": show_scores(found)}


def show_times(
    measured: dict[str, dict[str, list[Any]]], counts: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Seconds, and the median over rounds of the ratio to the published stack; whole jobs without
    the sampling.
    """
    jobs = {
        "the job, fine-tuned": ("meta-training", "fine-tuning"),
        "the job, own adaptation": ("meta-training", "own adaptation"),
    }
    results = []
    for clock in ("seconds", "cpu"):
        rows = []
        for label, parts in {**{part: (part,) for part in PARTS}, **jobs}.items():
            spent = {
                name: [
                    sum(getattr(found[part][at], clock) for part in parts)
                    for at in range(len(found[parts[0]]))
                ]
                for name, found in measured.items()
            }
            row: dict[str, Any] = {"part": label, "clock": clock}
            for name, each in spent.items():
                ratios = [
                    mine / theirs for mine, theirs in zip(each, spent[PUBLISHED], strict=True)
                ]
                row |= {
                    f"{name}, s": statistics.median(each),
                    f"{name}, x": statistics.median(ratios),
                }
            results.append(row)
            rows.append(
                [
                    label,
                    *(number(row[f"{name}, {unit}"]) for name in measured for unit in ("s", "x")),
                ]
            )
        header = [
            clock,
            *(f"{name}{unit}" for name in measured for unit in (", s", ", x published")),
        ]
        done = ", ".join(f"{count} of {part}" for part, count in counts.items())
        table(f"the main job: {done}", header, rows)
    return results


def show_scores(measured: dict[str, dict[str, list[Any]]]) -> list[dict[str, Any]]:
    """AUROC over the same episodes: means with t intervals, and the interval of the difference by
    episode.
    """
    results, rows = [], []
    for part in ("fine-tuning", "own adaptation"):
        theirs = np.array(measured[PUBLISHED][part][-1].last[0])
        for name, found in measured.items():
            mine = np.array(found[part][-1].last[0])
            row = {"part": part, "name": name, "mean": mine.mean(), "half": half_width(mine)}
            row |= {"difference": (mine - theirs).mean(), "its half": half_width(mine - theirs)}
            results.append(
                {
                    key: value if isinstance(value, str) else float(value)
                    for key, value in row.items()
                }
            )
            rows.append(
                [
                    f"{part}, {name}",
                    *(f"{row[key]:.4f}" for key in ("mean", "half", "difference", "its half")),
                ]
            )
    table("AUROC", ["", "mean", "+-", "ours - published", "+-"], rows)
    return results


def half_width(values: np.ndarray[Any, Any]) -> float:
    """Of the 95 % t interval of a mean."""
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def memory(folder: str, arrays: Arrays, effort: Effort, threads: int) -> list[dict[str, Any]]:
    """Fresh processes: what later episodes of a part made them hold at once, above what they held
    after two.
    """
    results, rows = [], []
    for part in ("meta-training", "fine-tuning", "own adaptation"):
        count = effort.memory[part != "meta-training"]
        script = FOLDER / "pipeline_published.py"
        peaks = {
            PUBLISHED: call(ensure(), script, folder, threads, part, 2, count, arrays=arrays)[
                "peak"
            ]
        }
        for name, mode in OURS.items():
            script = FOLDER / "pipeline_ours.py"
            peaks[name] = call(
                sys.executable, script, folder, threads, mode, part, 2, count, path=ROOT
            )["peak"]
        published = float(peaks[PUBLISHED])
        for name, peak in peaks.items():
            results.append(
                {
                    "part": part,
                    "name": name,
                    "MB": float(peak) / MB,
                    "x published": float(peak) / published,
                }
            )
            rows.append(
                [f"{part}, {name}", number(float(peak) / MB), number(float(peak) / published)]
            )
    table("peak memory", ["", "MB above two episodes", "x published"], rows)
    return results


if __name__ == "__main__":
    main()
