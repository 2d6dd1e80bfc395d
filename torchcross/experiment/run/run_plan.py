"""What a run has to do, and about how long it takes: a short calibration, and nothing is kept."""

from __future__ import annotations

import heapq
import time  # noqa: TID251 (durations are what is asked for)
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

from torchcross._kit.process_memory import most_resident_bytes
from torchcross.errors import TorchcrossError
from torchcross.evaluation.whole_source import predictions_of
from torchcross.experiment.rows.adaptation import adapter
from torchcross.experiment.rows.device import GB, machine_of, own_threads
from torchcross.experiment.rows.methods import METHODS, starting_network
from torchcross.experiment.rows.target_episodes import level_of
from torchcross.experiment.rows.training_setup import TrainingSetup
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.checks import check_experiment, check_image_sides
from torchcross.experiment.run.earlier_presets import as_begun
from torchcross.experiment.run.experiment_record import EXPERIMENT
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.protocol import Protocol
from torchcross.experiment.run.run_units import RunUnits
from torchcross.experiment.run.scoring import score_part
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.time_left import duration_text
from torchcross.experiment.run.training import PlannedTraining
from torchcross.experiment.settings.schema import Experiment
from torchcross.jobs import Unit
from torchcross.training import fit

Kind = Literal["training", "scoring"]

_STEPS: Final = 3
"""Of a calibration: the first one is not counted, for it sets everything up."""
_EPISODES: Final = 3


@dataclass(frozen=True)
class PlannedPart:
    """The units of one kind of one row: how many, and the seconds of each."""

    row: str
    kind: Kind
    units: int
    seconds: float


@dataclass(frozen=True)
class RunPlan:
    """What is left to do. `memory` is the most bytes that the calibration held.

    reasons  why a row could not be measured
    """

    cells: int
    parts: tuple[PlannedPart, ...]
    chain: float
    seconds_with: Mapping[int, float]
    memory: int | None
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        units = sum(part.units for part in self.parts)
        if not units:
            yield f"nothing is left to do: {self.cells} of {self.cells} cells have their rows"
            return
        yield f"{units} units are left, of {self.cells} cells"
        width = max(len(part.row) for part in self.parts)
        for part in self.parts:
            each = duration_text(part.seconds)
            yield f"  {part.row:{width}}  {part.kind}  {part.units:4} units of about {each}"
        if self.memory is not None:
            yield f"each process holds about {self.memory / GB:.1f} GB (machine.memory)"
        for jobs, seconds in self.seconds_with.items():
            yield f"--jobs {jobs}: about {duration_text(seconds)}"
        yield f"the longest chain takes {duration_text(self.chain)}, with any number of processes"
        yield from self.reasons


def plan_run(experiment: Experiment, out: str | Path, jobs: Sequence[int]) -> RunPlan:
    """The units that `torchcross run` would make, each row measured on its first target."""
    experiment = as_begun(experiment, Path(out), lambda line: None)
    check_experiment(experiment)
    machine = machine_of(experiment.machine)
    collection, targets = open_targets(experiment.data)
    check_image_sides(experiment, collection, targets)
    with TemporaryDirectory() as place, own_threads(experiment.machine):
        is_begun = (Path(out) / EXPERIMENT).is_file()
        folder = RunFolder(out) if is_begun else RunFolder.begin(place, experiment)
        run = RunContext(
            *(experiment, collection, targets, machine),
            *(folder, lambda line: None, False, folder.files),
        )
        protocol = Protocol(run)
        protocol.look(targets)
        units = RunUnits(run, protocol.episode_counts())
        calibration = _Calibration(run, protocol, units)
        seconds = {unit.key: calibration.seconds_of(unit) for unit in units.units}
    return RunPlan(
        cells=sum(len(run.shots_of(cell)) for cell in run.cells()),
        parts=calibration.parts(),
        chain=_makespan(units.units, seconds, len(units.units) or 1),
        seconds_with={count: _makespan(units.units, seconds, count) for count in jobs},
        memory=most_resident_bytes(),
        reasons=calibration.reasons(),
    )


class _Calibration:
    """Seconds of the units of each row, measured once for each row and kind."""

    def __init__(self, run: RunContext, protocol: Protocol, units: RunUnits) -> None:
        self._run, self._protocol, self._units = run, protocol, units
        self._seconds: dict[tuple[str, Kind], float] = {}
        self._counts: dict[tuple[str, Kind], int] = {}
        self._reasons: dict[str, str] = {}

    def seconds_of(self, unit: Unit) -> float:
        cell = self._units.cell_of(unit.key)
        kind: Kind = "scoring" if self._units.is_scoring(unit.key) else "training"
        key = (cell.algorithm, kind)
        if key not in self._seconds:
            try:
                measure = self._score if kind == "scoring" else self._train
                self._seconds[key] = measure(cell)
            except (TorchcrossError, OSError) as error:
                self._reasons[f"{cell.algorithm}, {kind}"] = str(error)
                self._seconds[key] = 0.0
        self._counts[key] = self._counts.get(key, 0) + 1
        return self._seconds[key]

    def parts(self) -> tuple[PlannedPart, ...]:
        return tuple(
            PlannedPart(*key, self._counts[key], seconds) for key, seconds in self._seconds.items()
        )

    def reasons(self) -> tuple[str, ...]:
        return tuple(f"{what} is not measured: {why}" for what, why in self._reasons.items())

    def _train(self, cell: Cell) -> float:
        """All steps at the pace of a few, and a validation as often as there will be one."""
        setup = PlannedTraining.of(self._run, cell, self._run.own_values(cell)).setup()
        options = setup.options
        steps = min(_STEPS, options.steps)
        first, last = (_seconds_of_steps(self._run, setup, count) for count in (1, steps))
        pace = (last - first) / max(steps - 1, 1)
        total = first + pace * (options.steps - 1)
        if setup.validate is not None and options.validate_every is not None:
            begin = time.monotonic()
            setup.validate(setup.learner)
            total += (time.monotonic() - begin) * -(-options.steps // options.validate_every)
        return total

    def _score(self, cell: Cell) -> float:
        """All episodes of a unit at the pace of a few, with weights that have not learned."""
        run, method = self._run, METHODS[cell.algorithm]
        learner = self._learner(cell)
        if method.supervised:
            source = run.collection.target(cell.target, split="test")
            begin = time.monotonic()
            predictions_of(learner, source)
            return time.monotonic() - begin
        target = self._protocol.episodes_of(cell.target)
        level = level_of(target.sampler, run.experiment, max(run.shots_of(cell)))
        algorithm = adapter(method, learner, run.experiment_of(cell))
        count, store = min(_EPISODES, target.count), self._protocol.prediction_store()
        begin = time.monotonic()
        score_part(run, cell, algorithm, target, level, range(count), store)
        pace = (time.monotonic() - begin) / count
        return pace * min(target.count, run.experiment.machine.unit_episodes)

    def _learner(self, cell: Cell) -> Any:
        method = METHODS[cell.algorithm]
        if not method.trains:
            net = starting_network(method, self._run.experiment, cell.seed)
            return net.to(self._run.machine.device)
        planned = PlannedTraining.of(self._run, cell, self._run.own_values(cell))
        return planned.setup().learner.to(self._run.machine.device)


def _seconds_of_steps(run: RunContext, setup: TrainingSetup, steps: int) -> float:
    options = replace(setup.options, steps=steps, validate_every=None, patience=None, warmup=0)
    begin = time.monotonic()
    fit(setup.learner, setup.data, options, machine=run.machine, progress=False)
    return time.monotonic() - begin


def _makespan(units: Sequence[Unit], seconds: Mapping[str, float], jobs: int) -> float:
    """The time until all units are done by `jobs` processes, which take them in this order."""
    ends: dict[str, float] = {}
    free = [0.0] * jobs
    for unit in units:
        begin = max([heapq.heappop(free), *(ends[need] for need in unit.needs)])
        ends[unit.key] = begin + seconds[unit.key]
        heapq.heappush(free, ends[unit.key])
    return max(ends.values(), default=0.0)
