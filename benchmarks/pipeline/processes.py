"""The main job by `torchcross run` in two processes of one thread, against one process of two
threads and against the published packages:
`python -m benchmarks.pipeline.processes [--quick] [--json FILE]`.

The job is that of `benchmarks.pipeline`, once for each training seed: ResNet-18 meta-trained by
mm-MAML, then scored on 5-shot episodes. Of this library, the whole command is measured: imports,
files, page. Of the published packages, training and scoring alone, once, and counted for each seed.
Give it a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any, Final
from unittest import mock

import numpy as np

from benchmarks.functional.suite import KEEP_MEMORY, MB
from benchmarks.measure import number, save, table
from benchmarks.peers import Worker, ensure
from benchmarks.peers.environment import ROOT
from benchmarks.pipeline.job import (
    EPISODES,
    INNER_LR,
    INNER_STEPS,
    OUTER_LR,
    SHOTS,
    TARGET,
    TUNING_LR,
    TUNING_STEPS,
    Job,
    make_files,
)
from benchmarks.pipeline.process_tree import PeakMemory
from torchcross.experiment import RunFolder

PUBLISHED: Final = "published"
PARTS: Final = {"fine-tune": "fine-tuning", "own": "own adaptation"}
"""How a run adapts -> the part of the published job that does the same."""


@dataclass(frozen=True)
class Effort:
    """Episodes of a training and of a target, trainings, and how often everything is measured."""

    trainings: int
    evaluations: int
    seeds: int
    rounds: int


FULL, QUICK = Effort(20, 60, 2, 1), Effort(2, 4, 2, 1)
SCRIPT: Final = ROOT / "benchmarks" / "contestants" / "pipeline_published.py"
METRIC: Final = "auroc"
FEW: Final = (4, 4)
"""Episodes of a training and of a target after which the peak of memory is reached."""


@dataclass(frozen=True)
class Way:
    """So many processes of so many threads."""

    jobs: int
    threads: int

    def __str__(self) -> str:
        return f"--jobs {self.jobs}, {self.threads} thread{'s' if self.threads > 1 else ''}"


TWO, ONE, EARLIER = Way(2, 1), Way(1, 1), Way(1, 2)
"""What is measured; its rows must be those of the second one; and the way of earlier versions."""


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock and of processors, and the most bytes of all processes together."""

    seconds: float
    cpu: float
    peak: int


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.pipeline.processes", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few episodes: minutes")
    parser.add_argument("--only", choices=["times", "memory"], help="one of the two")
    parser.add_argument("--adaptation", choices=list(PARTS), help="one of the two")
    parser.add_argument("--trainings", type=int, help="episodes of a meta-training")
    parser.add_argument("--evaluations", type=int, help="episodes of the target")
    parser.add_argument("--seeds", type=int, help="trainings, each with its scoring")
    parser.add_argument("--rounds", type=int, help="of everything")
    parser.add_argument("--no-peers", action="store_true", help="without the published packages")
    parser.add_argument("--data", type=Path, help="folder of the images; made once, and kept")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    names = ("trainings", "evaluations", "seeds", "rounds")
    chosen = {name: value for name in names if (value := getattr(options, name))}
    effort = replace(QUICK if options.quick else FULL, **chosen)
    adaptations = [options.adaptation] if options.adaptation else list(PARTS)
    results: dict[str, Any] = {"load": os.getloadavg()}
    print(f"load average before: {results['load'][0]:.1f} on {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as place:
        data = options.data or Path(place) / "data"
        make_files(data)
        bench = Bench(Path(place), data.absolute(), with_peers=not options.no_peers)
        for adaptation in adaptations:
            if options.only != "memory":
                results[adaptation] = bench.times(adaptation, effort)
            if options.only != "times":
                few = replace(effort, trainings=FEW[0], evaluations=FEW[1], rounds=1)
                results[f"{adaptation}, memory"] = bench.memory(adaptation, few)
    if options.json:
        save(options.json, results)


class Bench:
    """Runs and the published job, over the same files."""

    def __init__(self, place: Path, data: Path, *, with_peers: bool) -> None:
        self._place, self._data, self._with_peers, self._runs = place, data, with_peers, 0

    def times(self, adaptation: str, effort: Effort) -> dict[str, Any]:
        """Contestants in turn, their order reversed from round to round."""
        costs: dict[str, list[Cost]] = {}
        folders: dict[Way, Path] = {}
        with mock.patch.dict(os.environ, KEEP_MEMORY):
            # For its rows; its time is shown, and compared with nothing.
            folders[ONE], cost = self._run(adaptation, effort, ONE)
            costs[str(ONE)] = [cost]
            for at in range(effort.rounds):
                ways: list[Way | None] = [TWO, EARLIER, *([None] if self._with_peers else [])]
                for way in reversed(ways) if at % 2 else ways:
                    if way is None:
                        costs.setdefault(PUBLISHED, []).append(self._published(adaptation, effort))
                        continue
                    folders[way], cost = self._run(adaptation, effort, way)
                    costs.setdefault(str(way), []).append(cost)
        rows = compare_rows(folders[TWO], folders[ONE], folders[EARLIER])
        shown = show_times(adaptation, effort, costs)
        for line in rows.lines():
            print(f"  {line}", flush=True)
        return {"times": shown, "rows": vars(rows)}

    def memory(self, adaptation: str, effort: Effort) -> dict[str, float]:
        peaks = {str(way): self._run(adaptation, effort, way)[1].peak for way in (TWO, EARLIER)}
        if self._with_peers:
            peaks[PUBLISHED] = self._published(adaptation, effort).peak
        base = peaks.get(PUBLISHED, 0)
        lines = [
            [name, number(peak / MB), number(peak / base) if base else "-"]
            for name, peak in peaks.items()
        ]
        title = f"{adaptation}: peak memory of all processes together"
        table(title, ["", "MB", "x published"], lines)
        return {name: peak / MB for name, peak in peaks.items()}

    def _run(self, adaptation: str, effort: Effort, way: Way) -> tuple[Path, Cost]:
        """One whole command; the folder's own name is in the rows, so all have the same."""
        self._runs += 1
        place = self._place / str(self._runs)
        place.mkdir()
        config = place / "job.toml"
        config.write_text(settings_text(self._data, adaptation, effort, way), encoding="utf-8")
        out = place / "run"
        command = [sys.executable, "-m", "torchcross", "run", config, "--out", out, "--quiet"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with _Costs() as costs, (place / "said.txt").open("w") as said:
            status = subprocess.run(
                [*map(str, command), "--jobs", str(way.jobs)],
                cwd=place,
                env=environment,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        if status != 0:
            raise SystemExit((place / "said.txt").read_text(encoding="utf-8"))
        return out, costs.cost

    def _published(self, adaptation: str, effort: Effort) -> Cost:
        """Its training and its scoring, times the number of seeds."""
        most = max(effort.trainings, effort.evaluations)
        arrays = Job.of(self._data).arrays(most, most)
        part, python = PARTS[adaptation], ensure()
        with _Costs() as costs, Worker(python, SCRIPT, self._data, 2, arrays=arrays) as worker:
            for name in ("meta-training", part):
                # What is set up once is not counted.
                worker.measure(name, 1)
            measured = [
                worker.measure("meta-training", effort.trainings),
                worker.measure(part, effort.evaluations),
            ]
        seconds = effort.seeds * sum(each.seconds for each in measured)
        cpu = effort.seeds * sum(each.cpu for each in measured)
        return Cost(seconds, cpu, costs.cost.peak)


class _Costs:
    """What the processes cost that are started, and end, in the block."""

    def __enter__(self) -> _Costs:
        self._memory = PeakMemory(os.getpid())
        self._memory.__enter__()
        self._begin, self._cpu = time.perf_counter(), _children_seconds()
        return self

    def __exit__(self, *error: object) -> None:
        seconds, cpu = time.perf_counter() - self._begin, _children_seconds() - self._cpu
        self._memory.__exit__(*error)
        self.cost = Cost(seconds, cpu, self._memory.peak)


def _children_seconds() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def settings_text(data: Path, adaptation: str, effort: Effort, way: Way) -> str:
    """The job as an experiment: the settings of `benchmarks.pipeline.job`."""
    ways, shots = EPISODES["ways"], list(EPISODES["shots"])
    text = f"""
preset = "medimeta-table4-short"
algorithms = ["mm-maml"]
shots = [{SHOTS}]
seeds = {list(range(effort.seeds))}

[data]
folder = "{data}"
targets = ["{TARGET}"]
leave_out = "domain"
source_tasks = "primary"
channels = 3

[model.backbone]
name = "resnet18"

[meta]
steps = {effort.trainings}
lr = {OUTER_LR}
inner_lr = {INNER_LR}
inner_steps = {INNER_STEPS}
ways = [{ways[0]}, 0]
shots = {shots}
queries = {EPISODES["queries"]}
min_images = {EPISODES["min_samples"]}
augment = false
validate_every = {effort.trainings}
validation_episodes = 1
validation_inner_steps = {INNER_STEPS}

[evaluation]
adaptation = "{adaptation}"
episodes = {effort.evaluations}
queries = 10
min_images = 50
steps = {TUNING_STEPS}
lr = {TUNING_LR}

[machine]
device = "cpu"
threads = {way.threads}
# Several units a cell, so that both processes end at about the same time.
unit_episodes = {max(1, effort.evaluations // 4)}
"""
    tomllib.loads(text)
    return text


@dataclass(frozen=True)
class RowComparison:
    """Rows of two processes: whether they are those of one, and how far those of threads are.

    different_files     files of rows that are not equal bytes, or that one of both lacks
    largest_difference  of the AUROC of an episode, to the same one with two threads
    """

    files: int
    different_files: int
    largest_difference: float
    mean_difference: float

    def lines(self) -> list[str]:
        same = "equal bytes" if not self.different_files else f"{self.different_files} DIFFER"
        return [
            f"rows of {TWO} against {ONE}: {self.files} files, {same}",
            f"AUROC, difference to {EARLIER}: of one episode {self.largest_difference:.4f} at most,"
            f" of the mean {self.mean_difference:.4f}",
        ]


def compare_rows(two: Path, one: Path, earlier: Path) -> RowComparison:
    names = sorted(path.name for path in (one / "rows").iterdir())
    others = {path.name for path in (two / "rows").iterdir()}
    differing = [
        name
        for name in sorted({*names, *others})
        if not (two / "rows" / name).is_file()
        or not (one / "rows" / name).is_file()
        or (two / "rows" / name).read_bytes() != (one / "rows" / name).read_bytes()
    ]
    columns = [RunFolder(run).records().columns for run in (two, earlier)]
    values = [each["value"][each["metric"] == METRIC] for each in columns]
    difference = np.abs(values[0] - values[1])
    means = [float(np.nanmean(each)) for each in values]
    return RowComparison(
        len(names), len(differing), float(np.nanmax(difference)), abs(means[0] - means[1])
    )


def show_times(
    adaptation: str, effort: Effort, costs: Mapping[str, Sequence[Cost]]
) -> list[dict[str, Any]]:
    """Medians over rounds, and those of the ratios round by round."""
    bases = {f"x {EARLIER}": costs[str(EARLIER)]}
    if PUBLISHED in costs:
        bases[f"x {PUBLISHED}"] = costs[PUBLISHED]
    results, lines = [], []
    for name, each in costs.items():
        row: dict[str, Any] = {"name": name}
        row["seconds"] = statistics.median(cost.seconds for cost in each)
        row["processor seconds"] = statistics.median(cost.cpu for cost in each)
        for label, base in bases.items():
            ratios = [mine.seconds / theirs.seconds for mine, theirs in zip(each, base)]  # noqa: B905
            row[label] = statistics.median(ratios)
        results.append(row)
        lines.append([name, *(number(value) for key, value in row.items() if key != "name")])
    title = (
        f"{adaptation}: {effort.seeds} x ({effort.trainings} episodes of training,"
        f" {effort.evaluations} of the target), {effort.rounds} rounds"
    )
    table(title, ["", "seconds", "processor seconds", *bases], lines)
    return results


if __name__ == "__main__":
    main()
