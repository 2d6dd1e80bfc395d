"""From a search to chosen settings: the order of work. A trial is kept at once, and not redone."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchcross._kit.counts import count_text
from torchcross._kit.lock import FolderLock, lock_folder
from torchcross._kit.lost_readers import say_quietly
from torchcross.errors import DivergenceError, InfeasibleError, InputError, ReadError
from torchcross.experiment.data_formats import Collection
from torchcross.experiment.rows.device import machine_of
from torchcross.experiment.run.cells import Cell, Say, run_all
from torchcross.experiment.run.checks import check_experiment
from torchcross.experiment.run.folder import set_aside
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.run.provenance import update_provenance
from torchcross.experiment.run.rank_training import fit_over_ranks
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.training import (
    Learners,
    PlannedTraining,
    TrainedLearner,
    search_key,
    settings_of_training,
)
from torchcross.experiment.run.training_files import read_summary
from torchcross.experiment.settings.plain import as_plain, digest
from torchcross.experiment.settings.row_settings import experiment_with
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.tuning.choice import write_choice
from torchcross.experiment.tuning.folder import TuneFolder, refuse_other_folder
from torchcross.experiment.tuning.scoring import METRIC, Judge, judge_of
from torchcross.experiment.tuning.trials import TuningPlan, tuning_plan, values_of_trial
from torchcross.training import TorchMachine
from torchcross.training.signals import leave_when_asked

_OF_THE_TRIAL = (DivergenceError, InfeasibleError)
"""Errors that the same trial has again: it ends without a score."""

_SUMMARY = ("training", "steps", "best_step", "best_score", "stopped")


@dataclass(frozen=True)
class TuneContext:
    """The parts of a search. `say` gets one line of text for each event."""

    experiment: Experiment
    collection: Collection
    targets: tuple[str, ...]
    machine: TorchMachine
    folder: TuneFolder
    say: Say
    progress: bool | None
    plan: TuningPlan


def run_missing_trials(
    experiment: Experiment, out: str | Path, say: Say | None, progress: bool | None
) -> tuple[TuneFolder, list[dict[str, str]]]:
    """Try what was not tried yet in the folder `out`; return the folder and what failed."""
    say = say_quietly(say or (lambda line: None))
    check_experiment(experiment)
    plan = tuning_plan(experiment)
    machine = machine_of(experiment.machine)
    collection, targets = open_targets(experiment.data)
    refuse_other_folder(Path(out))
    with lock_folder(Path(out)) as lock, leave_when_asked(say):
        folder = TuneFolder.begin(out, experiment)
        context = TuneContext(experiment, collection, targets, machine, folder, say, progress, plan)
        return folder, _Search(context).run(lock)


class _Search:
    """`sources` has, for each target, the key of its sources, or why it has none."""

    def __init__(self, context: TuneContext) -> None:
        self._context = context
        self._sources: dict[str, str | Exception] = {}
        score = context.experiment.tune.score
        for target in context.targets:
            try:
                self._sources[target] = search_key(context, target, score)
            except Exception as error:  # noqa: BLE001 - it is the error of the target's cells
                self._sources[target] = error
        self._first: dict[str | Exception, str] = {}
        self._noted: set[str] = set()
        for target, key in self._sources.items():
            self._first.setdefault(key, target)

    def run(self, lock: FolderLock) -> list[dict[str, str]]:
        context, folder = self._context, self._context.folder
        cells = list(self._cells())
        missing = {cell: count for cell in cells if (count := len(self._missing(cell)))}
        update_provenance(context, finished=not missing)
        if missing:
            for line in _announcements(context, sum(missing.values())):
                context.say(line)
        failures = run_all(
            cells, lambda cell: self._run_cell(cell, lock), folder, context.say, lock
        )
        write_choice(context, self._sources)
        if not any(self._missing(cell) for cell in cells):
            # Trainings serve trials that are not scored yet.
            shutil.rmtree(folder.path / "train", ignore_errors=True)
        return failures

    def _cells(self) -> Iterator[Cell]:
        """One for each row and each group of targets that leave the same sources."""
        seed = self._context.experiment.seeds[0]
        for target in self._first.values():
            for search in self._context.plan.searches:
                yield Cell(target, search.row, seed)

    def _file(self, cell: Cell, number: int) -> Path | None:
        key = self._sources[cell.target]
        if isinstance(key, Exception):
            return None
        return self._context.folder.trial_file(cell.algorithm, number, key)

    def _missing(self, cell: Cell) -> list[int]:
        """The numbers of the trials that were not scored, those of one training side by side."""
        trials = self._context.plan.search_of(cell.algorithm).trials
        numbers = []
        for number in range(1, len(trials) + 1):
            path = self._file(cell, number)
            if path is None or not self._is_whole(path, cell):
                numbers.append(number)
        return sorted(numbers, key=lambda number: _training_of(trials[number - 1]))

    def _is_whole(self, path: Path, cell: Cell) -> bool:
        try:
            return self._context.folder.trial(path) is not None
        except (InputError, ReadError) as error:
            set_aside(path)
            self._context.say(
                f"damaged: a trial of {cell} is tried again: {error} The file is kept under a name"
                " that ends in .damaged"
            )
            return False

    def _train(self, planned: PlannedTraining) -> TrainedLearner:
        return planned.run(self._context, planned.folder, fit_over_ranks)

    def _run_cell(self, cell: Cell, lock: FolderLock) -> None:
        numbers = self._missing(cell)
        if not numbers:
            return
        key = self._sources[cell.target]
        if isinstance(key, Exception):
            raise key
        judge, learners = judge_of(self._context, cell), Learners(self._context, self._train)
        trials = self._context.plan.search_of(cell.algorithm).trials
        scored_on, trained = judge.describe(), ""
        if cell.target not in self._noted:
            self._noted.add(cell.target)
            for note in judge.notes():
                self._context.say(f"note: sources without {cell.target}: {note}")
        for number in numbers:
            lock.check()
            record = _TrialRun(self._context, cell, number, judge, learners).record()
            path = self._file(cell, number)
            assert path is not None, "a target with sources has files"
            record["scored on"] = scored_on
            record["targets"] = [name for name, own in self._sources.items() if own == key]
            write_json(path, record)
            self._context.say(_line_of(record, len(trials)))
            name = (record["training"] or {}).get("training", "")
            if trained not in ("", name):
                shutil.rmtree(self._context.folder.path / "train" / trained, ignore_errors=True)
            trained = name


@dataclass(frozen=True)
class _TrialRun:
    """One trial: train where it needs to be, adapt, score."""

    context: TuneContext
    cell: Cell
    number: int
    judge: Judge
    learners: Learners

    def record(self) -> dict[str, Any]:
        """What is known of the trial when it is over, as plain values."""
        context, cell = self.context, self.cell
        trial = context.plan.search_of(cell.algorithm).trials[self.number - 1]
        own = values_of_trial(context.experiment, cell.algorithm, trial)
        score, undefined, reason, training = None, 0, "", None
        try:
            trained = self.learners.learner(cell, own)
            if trained.training is not None:
                summary = read_summary(context.folder.path / "train" / trained.training)
                training = {name: summary[name] for name in _SUMMARY}
            experiment = experiment_with(context.experiment, own)
            result = self.judge.score(context, cell, trained.learner, experiment)
            score, undefined = result.value, result.undefined
            if math.isnan(score):
                score, reason = None, "no episode has a score"
        except _OF_THE_TRIAL as error:
            reason = f"{type(error).__name__}: {error}"
        return {
            "row": cell.algorithm,
            "trial": self.number,
            "settings": as_plain(trial),
            "score": score,
            "undefined": undefined,
            "reason": reason,
            "training": training,
            "seed": cell.seed,
        }


def _training_of(trial: Any) -> str:
    """Sorts trials that share a training side by side."""
    return digest(settings_of_training(trial))


def _line_of(record: Any, count: int) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in sorted(record["settings"].items()))
    score = "no score" if record["score"] is None else f"{METRIC} {record['score']:.3f}"
    reason = f" ({record['reason']})" if record["reason"] else ""
    without = ", ".join(record["targets"])
    return (
        f"{record['row']}, sources without {without}, trial {record['trial']} of {count}:"
        f" {settings}: {score}{reason}"
    )


def _announcements(context: TuneContext, missing: int) -> Sequence[str]:
    plan, experiment = context.plan, context.experiment
    lines = [
        f"{count_text(plan.trials, 'trials')} of each of {count_text(len(plan.searches), 'rows')}"
        f" for each of {count_text(len(context.targets), 'targets')}; {missing} missing"
    ]
    if plan.untuned:
        lines.append(
            f"note: {', '.join(plan.untuned)}: nothing to search; these rows keep the values of the"
            " experiment"
        )
    if experiment.tune.score == "target-queries":
        lines.append(
            'note: tune.score = "target-queries": trials are scored on the targets themselves. The'
            " table will mark the rows as having seen the test"
        )
    return lines
