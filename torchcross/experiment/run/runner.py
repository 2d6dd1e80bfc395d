"""From an experiment to rows: what is there is looked at, and units are made of what is not."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from torchcross._kit.lost_readers import say_quietly
from torchcross.errors import InputError, TorchcrossError
from torchcross.experiment.rows.device import device_type, machine_of, own_threads
from torchcross.experiment.run.cell_parts import PARTS
from torchcross.experiment.run.cells import RunContext, Say
from torchcross.experiment.run.checks import check_experiment, check_image_sides, check_metric
from torchcross.experiment.run.chosen_settings import check_chosen_settings
from torchcross.experiment.run.damage import remove_half_made, set_damaged_cells_aside
from torchcross.experiment.run.earlier_presets import as_begun
from torchcross.experiment.run.engine_choice import engine_of
from torchcross.experiment.run.environment import keep_times
from torchcross.experiment.run.episode_files import mend_plans
from torchcross.experiment.run.experiment_job import ExperimentJob
from torchcross.experiment.run.folder import PROTOCOL, RunFolder, refuse_other_folder
from torchcross.experiment.run.protocol import Protocol
from torchcross.experiment.run.provenance import update_provenance
from torchcross.experiment.run.rank_training import (
    LedTrainings,
    fit_over_ranks,
    follow_run,
    of_world,
)
from torchcross.experiment.run.run_failures import update_failures
from torchcross.experiment.run.subgroup_files import update_subgroups
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.training import FitOver
from torchcross.experiment.run.unit_messages import UnitMessages
from torchcross.experiment.run.unit_work import make_units, open_jobs
from torchcross.experiment.run.workbench import Workbench, workbench_of_worker
from torchcross.experiment.settings.schema import Experiment
from torchcross.jobs import InlineEngine, JobEngine, JobFolder
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
    check_experiment(experiment)
    engine = engine_of(experiment, out, jobs) if world is None else _engine_of_ranks(experiment)
    # Another engine makes the same files.
    experiment = replace(experiment, engine={})
    machine = machine_of(experiment.machine)
    collection, targets = open_targets(experiment.data)
    check_image_sides(experiment, collection, targets)
    refuse_other_folder(Path(out))
    folder_of_jobs = JobFolder(out)
    with leave_when_asked(say), folder_of_jobs.enter() as presence, own_threads(experiment.machine):
        with presence.turn():
            folder = RunFolder.begin(out, experiment, alone=not presence.others())
            run = RunContext(
                *(experiment, collection, targets, machine),
                *(folder, say, progress, folder.files),
            )
            fit_over = fit_over_ranks if world is None else LedTrainings(world).fit_over
            bench = _prepare(run, fit_over)
            if bench is None:
                return folder, update_failures(folder, None, {})
            job = ExperimentJob.of(experiment, folder.path, workbench_of_worker, bench)
            remove_half_made(run, folder_of_jobs, bench.plan.trainings())
            open_jobs(job, folder_of_jobs, presence)
        messages = UnitMessages(
            *(run, bench, folder_of_jobs, presence),
            has_bars=isinstance(engine, InlineEngine),
            keep_times=partial(keep_times, run, bench.plan),
        )
        with messages:
            make_units(job, folder_of_jobs, engine, messages)
        with presence.turn():
            failures = messages.update_failures()
            bench.protocol.complete()
            presence.leave()
            if not (failures or presence.others()):
                folder_of_jobs.remove_records()
                shutil.rmtree(folder.path / PARTS, ignore_errors=True)
        return folder, failures


def _engine_of_ranks(experiment: Experiment) -> JobEngine:
    """This process: all that were launched with it are ranks of each training."""
    if experiment.engine:
        raise InputError(
            f"the ranks that were launched train together, and engine={dict(experiment.engine)}"
            " would run trainings side by side; launch one process, or leave the engine out"
        )
    return InlineEngine()


def _prepare(run: RunContext, fit_over: FitOver) -> Workbench | None:
    """Look at what is there, say what a reader must know; None where nothing is left to do."""
    set_damaged_cells_aside(run)
    unfinished = [cell for cell in run.cells() if run.missing_shots(cell)]
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
    if not unfinished:
        return None
    return Workbench(run, protocol, fit_over)


def _check_metric(run: RunContext) -> None:
    types = {}
    for target in run.targets:
        # What cannot be read is an error of the cells that need it.
        with suppress(TorchcrossError, OSError):
            types[target] = run.collection.target(target).task.target
    if types:
        check_metric(run.experiment.evaluation.metric, types)
