"""From a search to chosen settings: what is there is looked at, and units are made of the rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from torchcross._kit.counts import count_text
from torchcross._kit.lost_readers import say_quietly
from torchcross.errors import InputError, ReadError, TorchcrossError
from torchcross.experiment.device import own_threads
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.cells import Say
from torchcross.experiment.run.engine_choice import checked_engine
from torchcross.experiment.run.experiment_job import ExperimentJob
from torchcross.experiment.run.folder import set_aside
from torchcross.experiment.run.provenance import update_provenance
from torchcross.experiment.run.run_failures import Failure
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.unit_messages import UnitMessages
from torchcross.experiment.run.unit_work import make_units, open_jobs
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.tuning.choice import write_choice
from torchcross.experiment.tuning.folder import (
    TRAININGS,
    TuneFolder,
    refuse_other_folder,
    search_as_begun,
)
from torchcross.experiment.tuning.scoring import judge_of
from torchcross.experiment.tuning.search import Search, TuneContext
from torchcross.experiment.tuning.trials import tuning_plan
from torchcross.experiment.tuning.tune_bench import TuneBench, tune_bench_of_worker
from torchcross.jobs import JobFolder
from torchcross.training.signals import leave_when_asked
from torchcross.training.world import launched_ranks


def run_missing_trials(
    experiment: Experiment,
    out: str | Path,
    say: Say | None,
    progress: bool | None,
    jobs: int | None = 1,
) -> tuple[TuneFolder, list[Failure]]:
    """Try what was not tried yet in the folder `out`; return the folder and what failed.

    Other processes may do the same at the same time: none repeats another's work.
    """
    say = say_quietly(say or (lambda line: None))
    _refuse_launched_ranks()
    experiment = search_as_begun(experiment, Path(out), say)
    chosen = checked_engine(experiment, out, jobs)
    plan = tuning_plan(experiment)
    # Another engine makes the same files.
    experiment = replace(experiment, engine={})
    collection, targets = open_targets(experiment.data)
    refuse_other_folder(Path(out))
    folder_of_jobs = JobFolder(out)
    with leave_when_asked(), folder_of_jobs.enter() as presence, own_threads(experiment.machine):
        with presence.turn():
            folder = TuneFolder.begin(out, experiment, alone=not presence.others())
            context = TuneContext(
                experiment=experiment,
                collection=collection,
                targets=targets,
                machine=chosen.machine,
                folder=folder,
                say=say,
                progress=progress,
                plan=plan,
            )
            bench = TuneBench(context, computes=chosen.computes)
            if presence.others():
                # Who is of another kind than those at work is refused before it writes anything.
                folder_of_jobs.open(bench.fingerprint())
            _prepare(context, bench, folder_of_jobs)
            job = ExperimentJob.of(experiment, folder.path, tune_bench_of_worker, bench)
            open_jobs(bench.fingerprint(), folder_of_jobs, presence)
        messages = UnitMessages(context, bench, folder_of_jobs, presence, has_bars=chosen.has_bars)
        if bench.plan.units or bench.search.failures:
            with messages:
                for key, failure in bench.search.failures.items():
                    messages.hear_failure(key, failure)
                make_units(job, folder_of_jobs, chosen.engine, messages)
        with presence.turn():
            failures = messages.update_failures()
            write_choice(context, bench.search.sources)
            presence.leave()
            if not (failures or presence.others()):
                folder_of_jobs.remove_records()
                # Earlier versions trained there.
                shutil.rmtree(folder.path / TRAININGS, ignore_errors=True)
        return folder, failures


def _refuse_launched_ranks() -> None:
    if (ranks := launched_ranks()) > 1:
        raise InputError(
            f"{ranks} processes were launched together, as ranks of one training, and a search is"
            " begun by one; launch one process: --jobs says how many make trials, and machine.ranks"
            " how many share a training"
        )


def _prepare(context: TuneContext, bench: TuneBench, jobs: JobFolder) -> None:
    """Look at what is there, and say what a reader must know."""
    _set_damaged_trials_aside(context, bench.search)
    is_over = not (bench.plan.units or bench.search.failures)
    update_provenance(context, finished=is_over)
    if not is_over:
        for line in (*_announcements(context, bench.plan.missing_trials), *_notes(context, bench)):
            context.say(line)
        _adopt_trainings(bench, context.folder, jobs)


def _set_damaged_trials_aside(context: TuneContext, search: Search) -> None:
    for group in search.groups.values():
        for path in (context.folder.path / group.place(number) for number in group.numbers):
            try:
                context.folder.trial(path)
            except (InputError, ReadError) as error:
                set_aside(path)
                context.say(
                    f"damaged: a trial of {group.cell} is tried again: {error} The file is kept"
                    " under a name that ends in .damaged"
                )


def _adopt_trainings(bench: TuneBench, folder: TuneFolder, jobs: JobFolder) -> None:
    """Trainings that an earlier version began in their places become attempts, which go on."""
    if not (folder.path / TRAININGS).is_dir():
        return
    for unit in bench.plan.units:
        name = bench.search.training_folder(bench.search.groups[unit.key])
        place = folder.path / TRAININGS / str(name)
        if name is not None and place.is_dir():
            with jobs.hold(unit.key) as is_ours:
                if is_ours:
                    jobs.attempts.adopt(unit.key, place, f"{TRAININGS}/{name}")


def _announcements(context: TuneContext, missing: int) -> Iterator[str]:
    plan, experiment = context.plan, context.experiment
    yield (
        f"{count_text(plan.trials, 'trials')} of each of {count_text(len(plan.searches), 'rows')}"
        f" for each of {count_text(len(context.targets), 'targets')}; {missing} missing"
    )
    if plan.untuned:
        yield (
            f"note: {', '.join(plan.untuned)}: nothing to search; these rows keep the values of the"
            " experiment"
        )
    if experiment.tune.score == "target-queries":
        yield (
            'note: tune.score = "target-queries": trials are scored on the targets themselves. The'
            " table will mark the rows as having seen the test"
        )


def _notes(context: TuneContext, bench: TuneBench) -> Iterator[str]:
    """Once for each group of sources: the validation splits that score no trials."""
    cells = (
        cell
        for unit in bench.plan.units
        for cell in bench.plan.cells_that_need(unit.key)
        if not METHODS[cell.algorithm].supervised
    )
    for cell in {cell.target: cell for cell in cells}.values():
        # What cannot be read is an error of the units that need it.
        with suppress(TorchcrossError, OSError):
            for note in judge_of(context, cell).notes():
                yield f"note: sources without {cell.target}: {note}"
