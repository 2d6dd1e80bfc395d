"""What a run has to do, and about how long it takes: a short calibration, and nothing is kept."""

from __future__ import annotations

import time  # noqa: TID251 (durations are what is asked for)
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from torchcross._kit.process_memory import available_bytes, most_resident_bytes
from torchcross.evaluation.whole_source import predictions_of
from torchcross.experiment.device import machine_of, own_threads, resources_of
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
    seconds_of_image,
    width_of,
)
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.makespan import makespan
from torchcross.experiment.run.plan_summary import Kind, PlannedPart, RunPlan
from torchcross.experiment.run.protocol import Protocol
from torchcross.experiment.run.row_texts import texts_of
from torchcross.experiment.run.run_units import RunUnits
from torchcross.experiment.run.scoring import score_part
from torchcross.experiment.run.target_checks import check_targets
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.training import PlannedTraining
from torchcross.experiment.settings.schema import Experiment
from torchcross.jobs import JobFolder, Unit
from torchcross.jobs.engines.local import usable_cores
from torchcross.jobs.failures import reason_of
from torchcross.training import fit

_STEPS: Final = 3
"""Of a calibration, after a step that is not counted, for it sets everything up."""
_EPISODES: Final = 3


def plan_run(experiment: Experiment, out: str | Path, jobs: Sequence[int]) -> RunPlan:
    """The units that `torchcross run` would make, each row measured once.

    A unit of another target takes as long for each of its images or episodes. A folder of another
    experiment is refused.
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
    """Seconds of the units of each row: the pace is measured once for each row and kind."""

    def __init__(self, run: RunContext, protocol: Protocol, units: RunUnits) -> None:
        self._run, self._protocol, self._units = run, protocol, units
        self._episodes = protocol.known_episodes()
        self._paces: dict[tuple[str, Kind], float | None] = {}
        self._seconds: dict[tuple[str, Kind], list[float]] = {}
        self._reasons: dict[str, str] = {}
        self._measures: dict[Kind, Callable[[Cell], float]] = {
            "training": self._train,
            "features": partial(seconds_of_image, run),
            "scoring": self._score,
            # What the parts of a cell hold is read and written once more.
            "joining": lambda cell: 0.0,
        }

    def _kind_of(self, key: str) -> Kind:
        if self._units.joins_parts(key):
            return "joining"
        if self._units.is_scoring(key):
            return "scoring"
        return "features" if self._units.makes_features(key) else "training"

    def seconds_of(self, unit: Unit) -> float | None:
        """None where the row cannot be measured."""
        cell = self._units.cell_of(unit.key)
        kind = self._kind_of(unit.key)
        key = (cell.algorithm, kind)
        if key not in self._paces:
            try:
                self._paces[key] = self._measures[kind](cell)
            except Exception as error:  # noqa: BLE001 - it is said, and the others are measured
                self._reasons[f"{cell.algorithm}, {kind}"] = reason_of(error)
                self._paces[key] = None
        pace = self._paces[key]
        seconds = None if pace is None else pace * self._size_of(unit.key, kind, cell)
        self._seconds.setdefault(key, []).append(seconds or 0.0)
        return seconds

    def _size_of(self, key: str, kind: Kind, cell: Cell) -> int:
        """How many images or episodes a unit has; a training, and a whole split, count as one."""
        if kind == "features":
            # Protocols of earlier versions do not say how many there are.
            return self._units.images_of(key) or len(self._run.collection.target(cell.target))
        if kind != "scoring" or METHODS[cell.algorithm].supervised:
            return 1
        part, known = self._units.part_of(key), self._episodes.get(cell.target)
        if part is not None:
            return len(part)
        return 0 if known is None else known.number

    def parts(self) -> tuple[PlannedPart, ...]:
        return tuple(self._part(*key) for key in self._seconds)

    def _part(self, row: str, kind: Kind) -> PlannedPart:
        seconds, pace = self._seconds[row, kind], self._paces[row, kind]
        mean = None if pace is None else sum(seconds) / len(seconds)
        return PlannedPart(row, kind, len(seconds), mean)

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
        """An episode at the pace of a few, or a whole split, with weights that have not learned."""
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
        return (time.monotonic() - begin) / count

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
