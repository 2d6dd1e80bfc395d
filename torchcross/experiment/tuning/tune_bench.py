"""What makes the units of a search in one process: the trials that share a training."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

from torchcross.errors import DivergenceError, InfeasibleError, InputError, ReadError
from torchcross.experiment.device import machine_of
from torchcross.experiment.run.cells import Cell, Say
from torchcross.experiment.run.experiment_job import fingerprint_of
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.run.rank_training import fit_over_ranks
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.training import Learners
from torchcross.experiment.run.training_files import read_summary
from torchcross.experiment.settings.plain import as_plain, digest
from torchcross.experiment.settings.row_settings import experiment_with
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.tuning.folder import TRAININGS, TuneFolder, search_settings
from torchcross.experiment.tuning.scoring import METRIC, Judge, judge_of
from torchcross.experiment.tuning.search import Search, TrialGroup, TuneContext, TuneUnits
from torchcross.experiment.tuning.trials import tuning_plan, values_of_trial

_OF_THE_TRIAL = (DivergenceError, InfeasibleError)
"""Errors that the same trial has again: it ends without a score."""

_SUMMARY = ("training", "steps", "best_step", "best_score", "stopped")


@dataclass(frozen=True)
class _CellJudge:
    """What scores the trials of a cell, and its description: the last one of a process is kept."""

    cell: Cell
    judge: Judge
    scored_on: dict[str, Any]


@final
class TuneBench:
    """Trains and scores the trials of a group, one after the other, in an attempt's folder."""

    def __init__(self, context: TuneContext, *, computes: bool = True) -> None:
        self._context, self._computes = context, computes
        self.search = Search(context)
        self._judge: _CellJudge | None = None
        self.has_made = False

    @cached_property
    def plan(self) -> TuneUnits:
        return TuneUnits(self._context, self.search)

    def fingerprint(self) -> Mapping[str, str | None]:
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> Mapping[str, str | None]:
        identity = digest(search_settings(self._context.experiment))
        return fingerprint_of(self._context, identity, computes=self._computes)

    def make(self, key: str, folder: Path, say: Say | None) -> None:
        group = self.search.groups.get(key)
        if group is None:
            raise InputError(
                f"{key!r} is no unit of this search: this process has other settings or data"
            )
        self.has_made = True
        context = replace(self._context, say=say or self._context.say)
        missing = [number for number in group.numbers if not self._has(group, number, folder)]
        if not missing:
            return
        judge = self._judge_of(group.cell)
        learners = Learners(
            context,
            lambda planned: planned.run(
                context, folder / TRAININGS / planned.folder.name, fit_over_ranks
            ),
        )
        trials = context.plan.search_of(group.cell.algorithm).trials
        for number in missing:
            record = _TrialRun(context, group.cell, number, judge.judge, learners, folder).record()
            record["scored on"] = judge.scored_on
            record["targets"] = self.search.targets_of(group)
            write_json(folder / group.place(number), record)
            context.say(_line_of(record, len(trials)))

    def _has(self, group: TrialGroup, number: int, attempt: Path) -> bool:
        """Whether an attempt has a trial: from an earlier one, or it was published before."""
        folder, place = self._context.folder, group.place(number)
        path = attempt / place
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() and (folder.path / place).is_file():
            shutil.copyfile(folder.path / place, path)
        try:
            return folder.trial(path) is not None
        except (InputError, ReadError):
            # Of an attempt that a machine that stopped has left.
            path.unlink()
            return False

    def _judge_of(self, cell: Cell) -> _CellJudge:
        if self._judge is None or self._judge.cell != cell:
            judge = judge_of(self._context, cell)
            self._judge = _CellJudge(cell, judge, judge.describe())
        return self._judge


def tune_bench_of_worker(experiment: Experiment, out: Path) -> TuneBench:
    """The bench of a process that an engine started."""
    collection, targets = open_targets(experiment.data)
    context = TuneContext(
        experiment,
        collection,
        targets,
        machine_of(experiment.machine),
        TuneFolder(out),
        say=lambda line: None,
        progress=False,
        plan=tuning_plan(experiment),
    )
    return TuneBench(context)


@dataclass(frozen=True)
class _TrialRun:
    """One trial: train where it needs to be, adapt, score."""

    context: TuneContext
    cell: Cell
    number: int
    judge: Judge
    learners: Learners
    folder: Path

    def record(self) -> dict[str, Any]:
        """What is known of the trial when it is over, as plain values."""
        context, cell = self.context, self.cell
        trial = context.plan.search_of(cell.algorithm).trials[self.number - 1]
        own = values_of_trial(context.experiment, cell.algorithm, trial)
        score, undefined, reason, training = None, 0, "", None
        try:
            trained = self.learners.learner(cell, own)
            if trained.training is not None:
                summary = read_summary(self.folder / TRAININGS / trained.training)
                training = {name: summary[name] for name in _SUMMARY}
            experiment = experiment_with(context.experiment, own, cell.algorithm)
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


def _line_of(record: Mapping[str, Any], count: int) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in sorted(record["settings"].items()))
    score = "no score" if record["score"] is None else f"{METRIC} {record['score']:.3f}"
    reason = f" ({record['reason']})" if record["reason"] else ""
    without = ", ".join(record["targets"])
    return (
        f"{record['row']}, sources without {without}, trial {record['trial']} of {count}:"
        f" {settings}: {score}{reason}"
    )
