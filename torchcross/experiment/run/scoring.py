"""The scores of one cell, written as rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torchcross.algorithms import Algorithm
from torchcross.data import CurveLevel, Episodes
from torchcross.data.plan_files.drawn_images import write_drawn_images
from torchcross.episode import Episode
from torchcross.errors import DivergenceError
from torchcross.evaluation import ProgressBar, evaluate
from torchcross.evaluation.whole_source import predictions_of
from torchcross.experiment.rows.adaptation import inner_steps
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.prediction_sets import sets_of_row
from torchcross.experiment.rows.target_episodes import TargetEpisodes, TargetPlans
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.episode_files import PLANS, holds_plans
from torchcross.experiment.run.examples import write_example
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.run.prediction_store import PredictionStore
from torchcross.experiment.run.scored_rows import SPLIT_ERRORS
from torchcross.experiment.run.stored_shots import STORED_ALL_SHOTS, stored_shots
from torchcross.experiment.run.training import TrainedLearner
from torchcross.records import EpisodeRecord, Predictions, Records
from torchcross.records.shots import ALL_SHOTS, shots_prefix
from torchcross.report import Example
from torchcross.statistics.prediction_errors import split_errors
from torchcross.targets import Prediction


@dataclass(frozen=True)
class ScoredPart:
    """Some of the episodes of a cell: their rows, and what was predicted, where that is stored.

    write_example  writes the first of them that has a prediction; None where none is to be shown
    """

    rows: Sequence[EpisodeRecord]
    predictions: Predictions | None
    write_example: Callable[[Path], object] | None


def score_part(
    run: RunContext,
    cell: Cell,
    algorithm: Algorithm,
    target: TargetEpisodes,
    level: CurveLevel,
    numbers: range,
    store: PredictionStore,
    *,
    shown: Episodes | None = None,
) -> ScoredPart:
    """Adapt to some of a target's episodes, and score them.

    `shown` are the same episodes with images, where those that are scored have none.
    """
    shots, episodes = level.shots, Episodes(level)
    (source,) = target.sampler.sources
    first: list[tuple[Episode, Prediction]] = []
    sets_of = sets_of_row(algorithm, run.experiment_of(cell))
    log = store.log(cell, shots, groups=source.groups, sets_of=sets_of)

    def read(number: int) -> Episode:
        return episodes[number].to(run.machine.device)

    def observe(episode: Episode, prediction: Prediction) -> None:
        if not first:
            first.append((episode, prediction))
        if log is not None:
            log(episode, prediction)

    with ProgressBar(len(numbers), _title(cell, shots), wanted=run.progress) as bar:
        rows = list(
            evaluate(
                algorithm,
                map(read, numbers),
                run=run.folder.name,
                algorithm=cell.algorithm,
                shots=shots,
                seed=cell.seed,
                steps=inner_steps(METHODS[cell.algorithm], algorithm, run.experiment_of(cell)),
                progress=bar,
                observe=observe,
            )
        )
    is_shown = shots == run.experiment.most_shots and cell.seed == run.experiment.seeds[0]
    write = None
    if first and is_shown:
        episode, prediction = first[0]
        if shown is not None and episode.plan is not None:
            episode = shown[episode.plan.index]
        write = partial(_write_example, run, cell, rows, episode, prediction)
    predictions = log.predictions() if log is not None and first else None
    return ScoredPart(rows, predictions, write)


def write_cell(
    run: RunContext,
    cell: Cell,
    plans: TargetPlans,
    shots: int,
    scored: ScoredPart,
    training: str | None,
    store: PredictionStore,
) -> None:
    """Write the rows of all episodes, their plans, an example and, where the run stores them, the
    predictions.

    `training` is the name of the algorithm's training in the folder `train`, if it has one.
    """
    rows, name, count = scored.rows, run.cell_name(cell, shots), plans.episodes.count
    if all(math.isnan(row.value) for row in rows):
        raise DivergenceError(f"none of {count} episodes has a score; the first: {rows[0].reason}")
    if scored.write_example is not None:
        scored.write_example(run.out.example(name))
    about = plans.describe(shots)
    about |= store.write(name, scored.predictions, run.out)
    path = run.folder.files.plans(cell.target, shots)
    if not holds_plans(path, about["digest"]):
        level = plans.level(shots)
        write_drawn_images(run.out.plans(cell.target, shots), level, level.batch(range(count)))
    _write_rows(run, cell, shots, rows, {**about, PLANS: path.stem}, training)
    metric = run.experiment.evaluation.metric
    values = [row.value for row in rows if row.metric == metric and not math.isnan(row.value)]
    mean = sum(values) / len(values) if values else math.nan
    run.say(f"{_title(cell, shots)}: {metric} {mean:.3f}")


def _title(cell: Cell, shots: int) -> str:
    return f"{cell.target}, {cell.algorithm}, {shots_prefix(shots)}, seed {cell.seed}"


def score_test_split(
    run: RunContext, cell: Cell, trained: TrainedLearner, store: PredictionStore
) -> None:
    """Score the row `supervised` over the target's test split: one "episode".

    Its shots are all labels, which files have as 0.
    """
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
            shots=STORED_ALL_SHOTS,
            seed=cell.seed,
            episode=0,
            metric=metric,
            value=score.value,
            reason=score.reason,
        )
        for metric, score in scores.items()
    ]
    log, predictions = store.log(cell, ALL_SHOTS, groups=source.groups, split="test"), None
    if log is not None:
        log.add(0, images, labels.numpy(), prediction)
        predictions = log.of(source.name, source.task)
    stored = store.write(run.cell_name(cell, ALL_SHOTS), predictions, run.out)
    subjects = None if source.groups is None else source.groups[images]
    errors = split_errors(source.task.target, prediction, labels, subjects)
    about = {"episodes": 1, "shared subjects": 0, "digest": source.fingerprint(), **stored}
    about[SPLIT_ERRORS] = errors
    _write_rows(run, cell, ALL_SHOTS, rows, about, trained.training)
    metric = run.experiment.evaluation.metric
    run.say(
        f"{cell.target}, {cell.algorithm}, test split, seed {cell.seed}: {metric}"
        f" {scores[metric].value:.3f}"
    )


def _write_rows(
    run: RunContext,
    cell: Cell,
    shots: int,
    rows: Sequence[EpisodeRecord],
    about: Mapping[str, Any],
    training: str | None,
) -> None:
    """The rows come last: a cell that has its rows has everything."""
    name = run.cell_name(cell, shots)
    episodes = {
        "target": rows[0].target,
        "algorithm": cell.algorithm,
        "shots": stored_shots(shots),
        "seed": cell.seed,
        "cell": name,
        "rows": len(rows),
        **about,
    }
    if training is not None:
        episodes["training"] = training
    write_json(run.out.episodes(name), episodes)
    Records.of(rows).write(run.out.rows(name))


def _write_example(
    run: RunContext,
    cell: Cell,
    rows: Sequence[EpisodeRecord],
    episode: Episode,
    prediction: Prediction,
    path: Path,
) -> None:
    metric = run.experiment.evaluation.metric
    assert episode.plan is not None, "episodes of a sampler have plans"
    number = episode.plan.index
    scores = [row.value for row in rows if (row.metric, row.episode) == (metric, number)]
    example = Example.of(
        episode,
        prediction,
        target=cell.target,
        algorithm=cell.algorithm,
        metric=metric,
        score=scores[0] if scores else math.nan,
    )
    write_example(path, example)
