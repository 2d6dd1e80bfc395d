"""What a run has to do, and about how long it takes: a short calibration, and nothing is kept."""

from __future__ import annotations

import time  # noqa: TID251 (durations are what is asked for)
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

from torchcross._kit.counts import count_text
from torchcross._kit.process_memory import available_bytes, most_resident_bytes
from torchcross.evaluation.whole_source import predictions_of
from torchcross.experiment.device import GB, machine_of, own_threads, resources_of
from torchcross.experiment.rows.adaptation import adapter
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.starting_networks import starting_network
from torchcross.experiment.rows.stored_features import adapter_of_features, row_uses_features
from torchcross.experiment.rows.target_episodes import level_of
from torchcross.experiment.rows.training_setup import TrainingSetup
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.checks import check_experiment, check_image_sides
from torchcross.experiment.run.earlier_presets import as_begun
from torchcross.experiment.run.feature_units import (
    made_up_episodes,
    seconds_of_features,
    width_of,
)
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.makespan import makespan
from torchcross.experiment.run.protocol import Protocol
from torchcross.experiment.run.row_texts import texts_of
from torchcross.experiment.run.run_units import RunUnits
from torchcross.experiment.run.scoring import score_part
from torchcross.experiment.run.target_checks import check_targets
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.time_left import duration_text
from torchcross.experiment.run.training import PlannedTraining
from torchcross.experiment.settings.schema import Experiment
from torchcross.jobs import JobFolder, Unit
from torchcross.jobs.engines.local import usable_cores
from torchcross.jobs.failures import reason_of
from torchcross.training import fit

Kind = Literal["training", "features", "scoring"]

_STEPS: Final = 3
"""Of a calibration, after a step that is not counted, for it sets everything up."""
_EPISODES: Final = 3

_MOST_OF_ALL: Final = 0.8
"""A chain that takes so much of the time decides how long a run takes."""


@dataclass(frozen=True)
class PlannedPart:
    """The units of one kind of one row: how many, and the seconds of each, if they are known."""

    row: str
    kind: Kind
    units: int
    seconds: float | None


@dataclass(frozen=True)
class RunPlan:
    """What is left to do.

    memory   the most bytes that the calibration held
    free     bytes that this machine has for processes
    threads  those of one unit
    cores    those of this machine
    reasons  why a row could not be measured

    Where the system has no word, memory and free are None.
    """

    cells: int
    parts: tuple[PlannedPart, ...]
    chain: float
    seconds_with: Mapping[int, float]
    memory: int | None
    free: int | None
    threads: int
    cores: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        units = sum(part.units for part in self.parts)
        if not units:
            yield f"nothing is left to do: {self.cells} of {self.cells} cells have their rows"
            return
        verb = "is" if units == 1 else "are"
        yield f"{count_text(units, 'units')} {verb} left, of {count_text(self.cells, 'cells')}"
        width = max(len(part.row) for part in self.parts)
        counts = [count_text(part.units, "units") for part in self.parts]
        count_width = max(map(len, counts))
        for part, count in zip(self.parts, counts, strict=True):
            each = "unknown time" if part.seconds is None else duration_text(part.seconds)
            yield f"  {part.row:{width}}  {part.kind:8}  {count:>{count_width}} of about {each}"
        yield from self._memory_lines()
        least = "at least " if self.reasons else "about "
        for jobs, seconds in self.seconds_with.items():
            yield f"--jobs {jobs}: {least}{duration_text(seconds)}"
        yield f"the longest chain takes {duration_text(self.chain)}, with any number of processes"
        yield from self._threads_lines()
        yield from self.reasons

    def _memory_lines(self) -> Iterator[str]:
        if self.memory is None:
            return
        each = f"each process holds about {self.memory / GB:.1f} GB"
        if self.free is None:
            yield f"{each}; machine.memory={self.memory / GB:.1f} tells the engine so"
            return
        room = max(1, self.free // self.memory)
        yield (
            f"{each}, and {self.free / GB:.1f} GB are free here: enough for {room}. With"
            f" machine.memory={self.memory / GB:.1f}, no more start than have room"
        )

    def _threads_lines(self) -> Iterator[str]:
        """Where one chain decides how long it takes, more processes do not help."""
        at_once = self.cores // self.threads if self.threads else 1
        seconds = [each for jobs, each in self.seconds_with.items() if jobs >= at_once]
        if at_once > 1 and seconds and self.chain >= _MOST_OF_ALL * min(seconds):
            yield (
                f"that chain decides how long the run takes: more threads for each unit, such as"
                f" machine.threads={self.cores}, shorten it. They decide last bits of the rows, so"
                " give them before the run begins"
            )


def plan_run(experiment: Experiment, out: str | Path, jobs: Sequence[int]) -> RunPlan:
    """The units that `torchcross run` would make, each row measured on its first target.

    A folder of another experiment is refused.
    """
    experiment = as_begun(experiment, Path(out), lambda line: None)
    check_experiment(experiment)
    machine = machine_of(experiment.machine)
    collection, targets = open_targets(experiment.data)
    check_image_sides(experiment, collection, targets)
    begun = RunFolder.if_begun(out, experiment)
    check_targets(experiment, collection, targets, out)
    with TemporaryDirectory() as place, own_threads(experiment.machine):
        folder = begun or RunFolder.begin(place, experiment)
        run = RunContext(
            experiment=experiment,
            collection=collection,
            targets=targets,
            machine=machine,
            folder=folder,
            say=lambda line: None,
            progress=False,
            out=folder.files,
        )
        protocol = Protocol(run)
        protocol.look(targets)
        plan = RunUnits(run, protocol.known_episodes())
        done = JobFolder(folder.path).done_keys(plan.units)
        units = [_without_needs(unit, done) for unit in plan.units if unit.key not in done]
        free = available_bytes()
        calibration = _Calibration(run, protocol, plan)
        seconds = {unit.key: calibration.seconds_of(unit) or 0.0 for unit in units}
    return RunPlan(
        cells=sum(len(run.shots_of(cell)) for cell in run.cells()),
        parts=calibration.parts(),
        chain=makespan(units, seconds, len(units) or 1),
        seconds_with={count: makespan(units, seconds, count) for count in jobs},
        memory=most_resident_bytes(),
        free=free,
        threads=resources_of(experiment.machine).cores,
        cores=usable_cores(),
        reasons=calibration.reasons(),
    )


def _without_needs(unit: Unit, done: set[str]) -> Unit:
    return replace(unit, needs=tuple(need for need in unit.needs if need not in done))


class _Calibration:
    """Seconds of the units of each row, measured once for each row and kind."""

    def __init__(self, run: RunContext, protocol: Protocol, units: RunUnits) -> None:
        self._run, self._protocol, self._units = run, protocol, units
        self._seconds: dict[tuple[str, Kind], float | None] = {}
        self._counts: dict[tuple[str, Kind], int] = {}
        self._reasons: dict[str, str] = {}
        self._measures: dict[Kind, Callable[[Cell], float]] = {
            "training": self._train,
            "features": partial(seconds_of_features, run),
            "scoring": self._score,
        }

    def _kind_of(self, key: str) -> Kind:
        if self._units.is_scoring(key):
            return "scoring"
        return "features" if self._units.makes_features(key) else "training"

    def seconds_of(self, unit: Unit) -> float | None:
        """None where the row cannot be measured."""
        cell = self._units.cell_of(unit.key)
        kind = self._kind_of(unit.key)
        key = (cell.algorithm, kind)
        if key not in self._seconds:
            try:
                self._seconds[key] = self._measures[kind](cell)
            except Exception as error:  # noqa: BLE001 - it is said, and the others are measured
                self._reasons[f"{cell.algorithm}, {kind}"] = reason_of(error)
                self._seconds[key] = None
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
        # What is set up once in a process is not counted.
        _seconds_of_steps(self._run, setup, 1)
        one, several = (_seconds_of_steps(self._run, setup, count) for count in (1, steps))
        total = _seconds_of_all(options.steps, one, several, steps)
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
        own = run.experiment_of(cell)
        texts = texts_of(cell.algorithm, run, own, target.sampler.sources)
        if row_uses_features(cell.algorithm, run.experiment):
            target = made_up_episodes(run, cell, target)
            level = level_of(target.sampler, run.experiment, level.shots)
            algorithm = adapter_of_features(method, width_of(target), own, texts)
        else:
            algorithm = adapter(method, learner, own, texts)
        count, store = min(_EPISODES, target.count), self._protocol.prediction_store()
        begin = time.monotonic()
        score_part(run, cell, algorithm, target, level, range(count), store)
        pace = (time.monotonic() - begin) / count
        return pace * min(target.count, run.experiment.machine.unit_episodes)

    def _learner(self, cell: Cell) -> Any:
        method = METHODS[cell.algorithm]
        if not method.trains:
            net = starting_network(method, self._run.experiment_of(cell), cell.seed)
            return net.to(self._run.machine.device)
        planned = PlannedTraining.of(self._run, cell, self._run.own_values(cell))
        return planned.setup().learner.to(self._run.machine.device)


def _seconds_of_all(steps: int, one: float, several: float, measured: int) -> float:
    """All steps of a training, where one step and `measured` steps took `one` and `several`.

    What one training sets up is in both. Where it hides the steps, `several` has all of it.
    """
    if measured == 1:
        return several * steps
    pace = (several - one) / (measured - 1)
    if pace <= 0:
        return several / measured * steps
    return one + pace * (steps - 1)


def _seconds_of_steps(run: RunContext, setup: TrainingSetup, steps: int) -> float:
    options = replace(setup.options, steps=steps, validate_every=None, patience=None, warmup=0)
    begin = time.monotonic()
    fit(setup.learner, setup.data, options, machine=run.machine, progress=False)
    return time.monotonic() - begin
