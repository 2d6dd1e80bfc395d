"""From an experiment to rows: what is there is looked at, and units are made of what is not."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import final

from torchcross._kit.lost_readers import say_quietly
from torchcross._kit.plugin_files import load_plugins
from torchcross.errors import InputError, TorchcrossError
from torchcross.experiment.device import device_type, machine_of, own_threads
from torchcross.experiment.run.cell_parts import PARTS
from torchcross.experiment.run.cells import Cell, RunContext, Say
from torchcross.experiment.run.checks import check_experiment, check_image_sides, check_metric
from torchcross.experiment.run.chosen_settings import check_chosen_settings
from torchcross.experiment.run.damage import remove_half_made, set_damaged_cells_aside
from torchcross.experiment.run.earlier_presets import as_begun
from torchcross.experiment.run.engine_choice import ChosenEngine, checked_engine
from torchcross.experiment.run.environment import keep_times, read_times
from torchcross.experiment.run.episode_files import mend_plans
from torchcross.experiment.run.experiment_job import ExperimentJob
from torchcross.experiment.run.feature_units import known_features
from torchcross.experiment.run.folder import PROTOCOL, RunFolder, refuse_other_folder
from torchcross.experiment.run.protocol import Protocol
from torchcross.experiment.run.provenance import add_features, update_provenance
from torchcross.experiment.run.rank_training import (
    LedTrainings,
    fit_over_ranks,
    follow_run,
    of_world,
)
from torchcross.experiment.run.run_failures import Failure, update_failures
from torchcross.experiment.run.subgroup_files import update_subgroups
from torchcross.experiment.run.target_checks import check_targets
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.training import FitOver
from torchcross.experiment.run.unit_messages import UnitMessages
from torchcross.experiment.run.unit_work import make_units, open_jobs
from torchcross.experiment.run.workbench import Workbench, run_fingerprint, workbench_of_worker
from torchcross.experiment.settings.schema import Experiment
from torchcross.jobs import InlineEngine, JobEngine, JobFolder
from torchcross.jobs.presence import Presence
from torchcross.training.signals import leave_when_asked
from torchcross.training.world import World, joined_world


def run_or_follow(
    experiment: Experiment,
    out: str | Path,
    say: Say | None,
    progress: bool | None,
    jobs: int | None = 1,
) -> tuple[RunFolder, list[dict[str, str]]]:
    """Of processes that were launched together, the first one makes the run with the others."""
    load_plugins(experiment.plugins)
    with joined_world(device_type(experiment.machine)) as world:
        if world is None or world.rank == 0:
            return run_missing_cells(experiment, out, say, progress, jobs, world)
        follow_run(experiment, out, world)
    folder = RunFolder(out)
    return folder, folder.failures()


def run_missing_cells(
    experiment: Experiment,
    out: str | Path,
    say: Say | None,
    progress: bool | None,
    jobs: int | None = 1,
    world: World | None = None,
) -> tuple[RunFolder, list[dict[str, str]]]:
    """Do what is not done yet in the folder `out`, and return the folder and what failed.

    Other processes may do the same at the same time: none repeats another's work. Of a `world`,
    this is the first rank, and the others follow its trainings.
    """
    say = say_quietly(say or (lambda line: None))
    experiment = of_world(as_begun(experiment, Path(out), say), world)
    chosen = _engine(experiment, out, jobs, world)
    # Another engine makes the same files.
    asked, experiment = experiment, replace(experiment, engine={})
    collection, targets = open_targets(experiment.data)
    check_image_sides(experiment, collection, targets)
    refuse_other_folder(Path(out))
    check_targets(experiment, collection, targets, out)
    at_work = JobFolder(out)
    fit_over = fit_over_ranks if world is None else LedTrainings(world).fit_over
    with leave_when_asked(), at_work.enter() as presence, own_threads(experiment.machine):
        with presence.turn():
            folder = RunFolder.begin(out, experiment, alone=not presence.others())
            run = RunContext(
                experiment=experiment,
                collection=collection,
                targets=targets,
                machine=chosen.machine,
                folder=folder,
                say=say,
                progress=progress,
                out=folder.files,
            )
            call = _Call(run, at_work, presence, fit_over, computes=chosen.computes)
            bench = call.prepare()
            failures = update_failures(folder, None, {}) if bench is None else []
            if bench is None:
                call.end(failures)
        while bench is not None:
            failures, bench = call.make(bench, chosen)
            if bench is not None:
                # The engine of before has ended.
                chosen = _engine(asked, out, jobs, world)
        return folder, failures


def _engine(
    experiment: Experiment, out: str | Path, jobs: int | None, world: World | None
) -> ChosenEngine:
    if world is None:
        return checked_engine(experiment, out, jobs)
    check_experiment(experiment)
    return ChosenEngine(_engine_of_ranks(experiment), machine_of(experiment.machine))


@final
class _Call:
    """One process that makes what a run lacks, beside others that do the same."""

    def __init__(
        self,
        run: RunContext,
        jobs: JobFolder,
        presence: Presence,
        fit_over: FitOver,
        *,
        computes: bool,
    ) -> None:
        self._run, self._jobs, self._presence = run, jobs, presence
        self._fit_over, self._computes = fit_over, computes
        self._left: list[Cell] = []

    def prepare(self) -> Workbench | None:
        """Look at what there is; None where nothing is left to do. Only in a turn."""
        run, jobs = self._run, self._jobs
        if self._presence.others():
            # Who is of another kind than those at work is refused before it has written anything.
            jobs.open(run_fingerprint(run, computes=self._computes))
        protocol = _look_at(run)
        if protocol is None:
            return None
        bench = Workbench(run, protocol, self._fit_over, computes=self._computes)
        remove_half_made(run, jobs, bench.plan.trainings())
        open_jobs(bench.fingerprint(), jobs, self._presence)
        return bench

    def make(
        self, bench: Workbench, chosen: ChosenEngine
    ) -> tuple[list[Failure], Workbench | None]:
        """Make all units; what failed, and the bench for what is missing all the same."""
        run = self._run
        job = ExperimentJob.of(run.experiment, run.folder.path, workbench_of_worker, bench)
        messages = UnitMessages(
            run,
            bench,
            self._jobs,
            self._presence,
            has_bars=chosen.has_bars,
            keep_times=partial(keep_times, run, bench.plan),
            known_seconds=read_times(run.folder).seconds_of_units(),
        )
        with messages:
            make_units(job, self._jobs, chosen.engine, messages)
        with self._presence.turn():
            failures = messages.update_failures()
            bench.protocol.complete()
            add_features(run, known_features(run))
            left = self._left_without_failure(failures)
            if left and left != self._left:
                self._left = left
                return failures, self.prepare()
            if left:
                failures += map(_taken_away, left)
                run.folder.write_failures(failures)
            self.end(failures)
        return failures, None

    def end(self, failures: list[Failure]) -> None:
        """Leave; the last one removes what is under way. Only in a turn."""
        self._presence.leave()
        if not (failures or self._presence.others()):
            self._jobs.remove_records()
            shutil.rmtree(self._run.folder.path / PARTS, ignore_errors=True)

    def _left_without_failure(self, failures: list[Failure]) -> list[Cell]:
        """Cells that another process has set aside since this one looked, and did not make."""
        failed = {Cell(each["target"], each["algorithm"], int(each["seed"])) for each in failures}
        run = self._run
        return [cell for cell in run.cells() if cell not in failed and run.missing_shots(cell)]


def _taken_away(cell: Cell) -> Failure:
    return {
        "kind": "ReadError",
        "target": cell.target,
        "algorithm": cell.algorithm,
        "seed": str(cell.seed),
        "reason": (
            "its rows were gone twice after they had been made; another process removes them, or"
            " the disk loses files: run the same again when that is over"
        ),
    }


def _engine_of_ranks(experiment: Experiment) -> JobEngine:
    """This process: all that were launched with it are ranks of each training."""
    if experiment.engine:
        raise InputError(
            f"the ranks that were launched train together, and engine={dict(experiment.engine)}"
            " would run trainings side by side; launch one process, or leave the engine out"
        )
    return InlineEngine()


def _look_at(run: RunContext) -> Protocol | None:
    """Look at what is there, say what a reader must know; None where nothing is left to do."""
    set_damaged_cells_aside(run)
    missing = {cell: run.missing_shots(cell) for cell in run.cells()}
    unfinished = [cell for cell, shots in missing.items() if shots]
    _say_what_is_done(run, sum(map(len, missing.values())))
    if unfinished:
        _check_metric(run)
        check_chosen_settings(run, dict.fromkeys(cell.target for cell in unfinished))
    update_provenance(run, finished=not unfinished)
    mend_plans(run)
    run.folder.update(run.experiment)
    protocol = Protocol(run)
    if unfinished or not run.folder.plain(PROTOCOL):
        # A protocol that is gone says nothing of any target.
        looked_at = unfinished if run.folder.plain(PROTOCOL) else run.cells()
        protocol.start(dict.fromkeys(cell.target for cell in looked_at))
    update_subgroups(run)
    for note in protocol.prediction_store().notes():
        run.say(f"note: {note}")
    return protocol if unfinished else None


def _say_what_is_done(run: RunContext, missing: int) -> None:
    """A run that goes on counts what is left, so it says first how much that is of the whole."""
    cells = sum(len(run.shots_of(cell)) for cell in run.cells())
    if 0 < missing < cells:
        run.say(f"going on: {cells - missing} of {cells} cells have their rows")


def _check_metric(run: RunContext) -> None:
    types = {}
    for target in run.targets:
        # What cannot be read is an error of the cells that need it.
        with suppress(TorchcrossError, OSError):
            types[target] = run.collection.target(target).task.target
    if types:
        check_metric(run.experiment.evaluation.metric, types)
