"""The score of a trial: the mean AUROC over episodes, the same ones for all trials of all rows."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torchcross.algorithms import Algorithm
from torchcross.data import Episodes, EpisodeSampler, TaskSource
from torchcross.errors import InfeasibleError, InputError, SubjectLeakWarning
from torchcross.evaluation import ProgressBar, evaluate
from torchcross.evaluation.whole_source import predictions_of
from torchcross.experiment.rows.adaptation import adapter, inner_steps
from torchcross.experiment.rows.method import Method
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.row_shots import shots_of_row
from torchcross.experiment.rows.target_episodes import level_of, target_episodes
from torchcross.experiment.run.cells import Cell, WorkContext
from torchcross.experiment.run.row_texts import texts_of
from torchcross.experiment.run.training import sources_of
from torchcross.experiment.settings.schema import Experiment
from torchcross.records.shots import shots_text

METRIC = "auroc"
CHANCE = 0.5
"""What an episode without a score counts as: a row that fails where it is hard gains nothing."""


@dataclass(frozen=True)
class TrialScore:
    """`value` is a mean; `undefined` episodes of it had no score and count as chance."""

    value: float
    undefined: int


class Judge(Protocol):
    """What scores trials, for one target or for targets that leave the same sources."""

    def score(
        self, work: WorkContext, cell: Cell, learner: Any, experiment: Experiment
    ) -> TrialScore: ...

    def notes(self) -> list[str]:
        """In words: the validation splits that cannot score trials."""

    def describe(self) -> dict[str, Any]:
        """What trials are scored on, as plain values."""


def judge_of(work: WorkContext, cell: Cell) -> Judge:
    """What scores the trials of a cell; an InfeasibleError where nothing can."""
    experiment, method = work.experiment, METHODS[cell.algorithm]
    reads_target = experiment.tune.score == "target-queries"
    if method.supervised:
        split: Literal["test", "val"] = "test" if reads_target else "val"
        return _SplitJudge(work.collection.target(cell.target, split=split), split)
    if reads_target:
        episodes = target_episodes(work.collection.target(cell.target), experiment)
        return _EpisodeJudge(episodes.sampler, episodes.count, ())
    return _source_judge(work, cell, method)


def _source_judge(work: WorkContext, cell: Cell, method: Method) -> Judge:
    """Episodes of the validation splits of the sources, drawn as those of a target are."""
    _, judges = sources_of(work.collection, work.experiment, cell)
    usable, unfit = [], []
    for source in judges:
        try:
            _sampler([source], work.experiment)
        except (InfeasibleError, InputError) as error:
            unfit.append((source.name, str(error)))
        else:
            usable.append(source)
    if not usable:
        shots = shots_text(max(work.experiment.support_shots))
        reasons = "".join(f"; {name}: {reason}" for name, reason in unfit)
        raise InfeasibleError(
            f"no validation split of the sources of {cell.target} has episodes of"
            f" {shots} to score trials on{reasons}; give fewer tune.queries, or fewer shots"
        )
    return _EpisodeJudge(
        _sampler(usable, work.experiment), work.experiment.tune.episodes, tuple(unfit)
    )


def _sampler(sources: Sequence[TaskSource], experiment: Experiment) -> EpisodeSampler:
    tune, evaluation = experiment.tune, experiment.evaluation
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SubjectLeakWarning)  # the page says it of all episodes
        return EpisodeSampler(
            list(sources),
            shots=max(experiment.support_shots),
            queries=tune.queries or evaluation.queries,
            min_samples="enough",
            seed=tune.seed,
            groups=evaluation.groups,
        )


@dataclass(frozen=True)
class _EpisodeJudge:
    """Adapts to episodes at every number of shots, as a run does to those of a target."""

    sampler: EpisodeSampler
    count: int
    unfit: tuple[tuple[str, str], ...]

    def notes(self) -> list[str]:
        if not self.unfit:
            return []
        request = self.sampler.request
        names = ", ".join(name for name, _ in self.unfit)
        return [
            f"validation splits too small to score trials of {request.shots} shots with"
            f" {request.queries} query images a class: {names}"
        ]

    def score(
        self, work: WorkContext, cell: Cell, learner: Any, experiment: Experiment
    ) -> TrialScore:
        method = METHODS[cell.algorithm]
        texts = texts_of(cell.algorithm, work, experiment, self.sampler.sources)
        algorithm = adapter(method, learner, experiment, texts)
        values: list[float] = []
        for shots in shots_of_row(cell.algorithm, experiment.shots):
            episodes = Episodes(level_of(self.sampler, experiment, shots))
            values += self._values(work, cell, algorithm, episodes, shots, experiment)
        undefined = sum(map(math.isnan, values))
        mean = sum(CHANCE if math.isnan(value) else value for value in values) / len(values)
        return TrialScore(mean if undefined < len(values) else math.nan, undefined)

    def _values(
        self,
        work: WorkContext,
        cell: Cell,
        algorithm: Algorithm,
        episodes: Episodes,
        shots: int,
        experiment: Experiment,
    ) -> list[float]:
        title = f"{cell.target}, {cell.algorithm}, {shots}-shot"
        with ProgressBar(self.count, title, wanted=work.progress) as bar:
            rows = evaluate(
                algorithm,
                (episodes[number].to(work.machine.device) for number in range(self.count)),
                run="tuning",
                algorithm=cell.algorithm,
                shots=shots,
                seed=cell.seed,
                metrics=(METRIC,),
                steps=inner_steps(METHODS[cell.algorithm], algorithm, experiment),
                progress=bar,
            )
            return [row.value for row in rows]

    def describe(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for number in range(self.count):
            plan = self.sampler[number]
            digest.update(repr((plan.index, plan.source, plan.classes)).encode())
            for part in (plan.support, plan.support_labels, plan.query, plan.query_labels):
                digest.update(repr(part.shape).encode() + part.astype("<i8").tobytes())
        return {
            "episodes": self.count,
            "of": [source.name for source in self.sampler.sources],
            "too small": [name for name, _ in self.unfit],
            "digest": digest.hexdigest(),
        }


@dataclass(frozen=True)
class _SplitJudge:
    """Scores the row `supervised`, which has no episodes, on a split of its own task."""

    source: TaskSource
    split: str

    def notes(self) -> list[str]:
        return []

    def score(
        self, work: WorkContext, cell: Cell, learner: Any, experiment: Experiment
    ) -> TrialScore:
        images, prediction = predictions_of(learner, self.source, len(self.source))
        labels = self.source.targets(images)
        score = self.source.task.target.evaluate(prediction, labels, metrics=(METRIC,))[METRIC]
        return TrialScore(float(score.value), int(math.isnan(score.value)))

    def describe(self) -> dict[str, Any]:
        return {
            "episodes": 0,
            "of": [f"{self.source.name}, its {self.split} split"],
            "too small": [],
            "digest": self.source.fingerprint(),
        }
