"""The scores of one cell, written as rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torchcross.algorithms import Algorithm
from torchcross.data import CurveLevel, Episodes
from torchcross.episode import Episode
from torchcross.errors import DivergenceError
from torchcross.evaluation import ProgressBar, evaluate
from torchcross.experiment.rows.adaptation import inner_steps
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.target_episodes import ScoredEpisodes, TargetEpisodes
from torchcross.experiment.rows.training_setup import predictions_of
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.episode_files import PLANS, keep_plans
from torchcross.experiment.run.examples import write_example
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.run.prediction_store import PredictionStore
from torchcross.experiment.run.scored_rows import SPLIT_ERRORS
from torchcross.experiment.run.split_scores import split_errors
from torchcross.experiment.run.training import TrainedLearner
from torchcross.records import EpisodeRecord, Records
from torchcross.report import Example
from torchcross.targets import Prediction


def score_episodes(
    run: RunContext,
    cell: Cell,
    algorithm: Algorithm,
    target: TargetEpisodes,
    level: CurveLevel,
    training: str | None,
    store: PredictionStore,
) -> None:
    """Adapt to a target's episodes; write the rows, the plans of the episodes, an example and,
    where the run stores them, the predictions.

    `training` is the name of the algorithm's training in the folder `train`, if it has one.
    """
    experiment, shots, episodes = run.experiment, level.shots, Episodes(level)
    (source,) = target.sampler.sources
    first: list[tuple[Episode, Prediction]] = []
    log = store.log(cell, shots, groups=source.groups)

    def observe(episode: Episode, prediction: Prediction) -> None:
        if not first:
            first.append((episode, prediction))
        if log is not None:
            log(episode, prediction)

    scored = ScoredEpisodes(source)
    title = f"{cell.target}, {cell.algorithm}, {shots}-shot, seed {cell.seed}"
    with ProgressBar(target.count, title, wanted=run.progress) as bar:
        rows = list(
            evaluate(
                algorithm,
                (
                    scored.add(episodes[number]).to(run.machine.device)
                    for number in range(target.count)
                ),
                run=run.folder.name,
                algorithm=cell.algorithm,
                shots=shots,
                seed=cell.seed,
                steps=inner_steps(METHODS[cell.algorithm], algorithm, run.experiment_of(cell)),
                progress=bar,
                observe=observe,
            )
        )
    if all(math.isnan(row.value) for row in rows):
        raise DivergenceError(
            f"none of {target.count} episodes has a score; the first: {rows[0].reason}"
        )
    metric = experiment.evaluation.metric
    values = [row.value for row in rows if row.metric == metric]
    if first and shots == max(experiment.shots) and cell.seed == experiment.seeds[0]:
        _write_example(run, cell, *first[0], score=values[0] if values else math.nan)
    predictions = None if log is None else log.predictions()
    about = scored.describe() | store.write(run.rows_file(cell, shots).stem, predictions)
    plans = run.folder.plans_file(cell.target, shots)
    keep_plans(plans, level, scored.plans, about["digest"])
    _write_rows(run, cell, shots, rows, {**about, PLANS: plans.stem}, training)
    defined = [value for value in values if not math.isnan(value)]
    mean = sum(defined) / len(defined) if defined else math.nan
    run.say(f"{title}: {metric} {mean:.3f}")


def score_test_split(
    run: RunContext, cell: Cell, trained: TrainedLearner, store: PredictionStore
) -> None:
    """Score the row `supervised` over the target's test split: one "episode" of 0 shots."""
    source = run.collection.target(cell.target, split="test")
    images, prediction = predictions_of(trained.learner, source)
    labels = source.targets(images)
    scores = source.task.target.evaluate(prediction, labels)
    rows = [
        EpisodeRecord(
            run=run.folder.name,
            target=source.name,
            domain=source.task.domain,
            algorithm=cell.algorithm,
            shots=0,
            seed=cell.seed,
            episode=0,
            metric=metric,
            value=score.value,
            reason=score.reason,
        )
        for metric, score in scores.items()
    ]
    log, predictions = store.log(cell, 0, groups=source.groups, split="test"), None
    if log is not None:
        log.add(0, images, labels.numpy(), prediction)
        predictions = log.of(source.name, source.task)
    stored = store.write(run.rows_file(cell, 0).stem, predictions)
    subjects = None if source.groups is None else source.groups[images]
    errors = split_errors(source.task.target, prediction, labels, subjects)
    about = {"episodes": 1, "shared subjects": 0, "digest": source.fingerprint(), **stored}
    about[SPLIT_ERRORS] = errors
    _write_rows(run, cell, 0, rows, about, trained.training)
    metric = run.experiment.evaluation.metric
    run.say(
        f"{cell.target}, {cell.algorithm}, test split, seed {cell.seed}: {metric}"
        f" {scores[metric].value:.3f}"
    )


def _write_rows(
    run: RunContext,
    cell: Cell,
    shots: int,
    rows: list[EpisodeRecord],
    about: Mapping[str, Any],
    training: str | None,
) -> None:
    """The rows come last: a cell that has its rows has everything."""
    path = run.rows_file(cell, shots)
    episodes = {
        "target": rows[0].target,
        "algorithm": cell.algorithm,
        "shots": shots,
        "seed": cell.seed,
        "cell": path.stem,
        "rows": len(rows),
        **about,
    }
    if training is not None:
        episodes["training"] = training
    write_json(run.folder.episodes_file(path.stem), episodes)
    Records.of(rows).write(path)


def _write_example(
    run: RunContext, cell: Cell, episode: Episode, prediction: Prediction, score: float
) -> None:
    example = Example.of(
        episode,
        prediction,
        target=cell.target,
        algorithm=cell.algorithm,
        metric=run.experiment.evaluation.metric,
        score=score,
    )
    name = run.rows_file(cell, max(run.experiment.shots)).stem
    write_example(run.folder.example_file(name), example)
