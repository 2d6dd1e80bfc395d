"""What makes the units of a run in one process: trainings, and the rows of cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import final

from torchcross.data import CurveLevel, Episodes
from torchcross.errors import InputError
from torchcross.experiment.device import machine_of
from torchcross.experiment.rows.adaptation import adapter
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.stored_features import adapter_of_features, row_uses_features
from torchcross.experiment.rows.target_episodes import TargetEpisodes, TargetPlans
from torchcross.experiment.run.cell_parts import joined_parts, write_part
from torchcross.experiment.run.cells import Cell, RunContext, Say
from torchcross.experiment.run.experiment_job import fingerprint_of
from torchcross.experiment.run.feature_units import RunFeatures, width_of, write_features
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.identity import identity
from torchcross.experiment.run.prediction_store import PredictionStore
from torchcross.experiment.run.protocol import Protocol
from torchcross.experiment.run.rank_training import fit_over_ranks
from torchcross.experiment.run.row_texts import texts_of
from torchcross.experiment.run.run_files import CELL_PARTS, RunFiles
from torchcross.experiment.run.run_units import RunUnits, cell_parts, works_by_key
from torchcross.experiment.run.scoring import (
    ScoredPart,
    score_part,
    score_test_split,
    write_cell,
)
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.training import (
    FitOver,
    Learners,
    PlannedTraining,
    TrainedLearner,
)
from torchcross.experiment.settings.schema import Experiment


@final
class Workbench:
    """What a process needs to make units of a run, one after the other.

    One that leaves them all to an engine elsewhere does not compute (`computes`).
    """

    def __init__(
        self, run: RunContext, protocol: Protocol, fit_over: FitOver, *, computes: bool = True
    ) -> None:
        self.run, self._computes = run, computes
        self.protocol = protocol
        self._episodes = protocol.known_episodes()
        self._works = works_by_key(run, self._episodes)
        self._fit_over = fit_over
        self._learners = Learners(run, lambda planned: planned.load(run))
        self._features = RunFeatures(run)
        self._plans: dict[str, TargetPlans] = {}
        self._store: PredictionStore | None = None
        self.has_made = False

    @cached_property
    def plan(self) -> RunUnits:
        return RunUnits(self.run, self._episodes)

    def fingerprint(self) -> Mapping[str, str | None]:
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> Mapping[str, str | None]:
        return run_fingerprint(self.run, computes=self._computes)

    def make(self, key: str, folder: Path, say: Say | None) -> None:
        work = self._works.get(key)
        if work is None:
            raise InputError(
                f"{key!r} is no unit of this experiment: this process has other settings or data"
            )
        self.has_made = True
        run = replace(self.run, say=say or self.run.say, out=RunFiles(folder))
        if work.makes_features:
            write_features(run, work.cell, folder)
        elif work.shots is None:
            self._train(run, work.cell, folder)
        else:
            for part in CELL_PARTS:
                (folder / part).mkdir(exist_ok=True)
            self._score(run, work.cell, work.shots, work.part)

    def _train(self, run: RunContext, cell: Cell, folder: Path) -> None:
        planned = PlannedTraining.of(run, cell, run.own_values(cell))
        place = folder / "train" / planned.folder.name
        self._learners.keep(planned, planned.run(run, place, self._fit_over))
        # It names this process, and the training is over.
        (place / "lock").unlink(missing_ok=True)

    def _score(self, run: RunContext, cell: Cell, shots: int, part: range | None) -> None:
        method = METHODS[cell.algorithm]
        if method.supervised:
            score_test_split(run, cell, self._trained_learner(cell), self._prediction_store())
            return
        # Without episodes of the target, this is where the cell fails, and says why.
        plans = self._plans_of(cell.target)
        store, name = self._prediction_store(), run.cell_name(cell, shots)
        if part is None and (ranges := cell_parts(run, cell, self._episodes)):
            kind = self._episodes[cell.target].kind
            scored = joined_parts(run.folder.path, name, ranges, kind)
            write_cell(run, cell, plans, shots, scored, self._training_name(cell), store)
            return
        numbers = part or range(plans.episodes.count)
        scored = self._score_episodes(run, cell, plans.episodes, plans.level(shots), numbers)
        if part is None:
            write_cell(run, cell, plans, shots, scored, self._training_name(cell), store)
        else:
            write_part(run.out.path, name, part, self._episodes[cell.target].kind, scored)

    def _score_episodes(
        self, run: RunContext, cell: Cell, target: TargetEpisodes, level: CurveLevel, numbers: range
    ) -> ScoredPart:
        method, experiment = METHODS[cell.algorithm], run.experiment_of(cell)
        store = self._prediction_store()
        texts = texts_of(cell.algorithm, run, experiment, target.sampler.sources)
        if not row_uses_features(cell.algorithm, run.experiment):
            learner = self._trained_learner(cell).learner
            algorithm = adapter(method, learner, experiment, texts)
            return score_part(run, cell, algorithm, target, level, numbers, store)
        vectors = self._features.episodes(cell, target)
        algorithm = adapter_of_features(method, width_of(vectors), experiment, texts)
        algorithm = algorithm.to(run.machine.device)
        of_vectors = level.read_from(vectors.sampler)
        return score_part(
            run, cell, algorithm, vectors, of_vectors, numbers, store, shown=Episodes(level)
        )

    def _plans_of(self, target: str) -> TargetPlans:
        """Of the target that this process is at: most of its units are of one after the other."""
        if target not in self._plans:
            episodes = self.protocol.episodes_of(target)
            self._plans = {target: TargetPlans(episodes, self.run.experiment)}
        return self._plans[target]

    def _training_name(self, cell: Cell) -> str | None:
        if not METHODS[cell.algorithm].trains:
            return None
        return PlannedTraining.of(self.run, cell, self.run.own_values(cell)).folder.name

    def _trained_learner(self, cell: Cell) -> TrainedLearner:
        return self._learners.learner(cell, self.run.own_values(cell))

    def _prediction_store(self) -> PredictionStore:
        if self._store is None:
            self._store = self.protocol.prediction_store()
        return self._store


def run_fingerprint(run: RunContext, *, computes: bool) -> dict[str, str | None]:
    """What the processes at work on a run have in common."""
    evaluation = run.experiment.evaluation
    return {
        **fingerprint_of(run, identity(run.experiment), computes=computes),
        # These decide no row, and show in the other files of a cell.
        "metric": evaluation.metric,
        "predictions": str(evaluation.predictions),
    }


def workbench_of_worker(experiment: Experiment, out: Path) -> Workbench:
    """The bench of a process that an engine started."""
    collection, targets = open_targets(experiment.data)
    folder = RunFolder(out)
    run = RunContext(
        experiment,
        collection,
        targets,
        machine_of(experiment.machine),
        folder,
        say=lambda line: None,
        progress=False,
        out=folder.files,
    )
    return Workbench(run, Protocol(run), fit_over_ranks)
