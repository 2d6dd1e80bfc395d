"""One cell of a study: a source's network on one fold of a target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchcross._kit.arrays import Indices
from torchcross.algorithms import Supervised
from torchcross.data import TaskSource, stratified_folds
from torchcross.embedding.forward import BLOCK, BlockForward
from torchcross.heads import head_logits
from torchcross.metrics.ranking import area_under_roc
from torchcross.metrics.score import Score
from torchcross.targets import Prediction, Target
from torchcross.transfer.scores import states_of_labels
from torchcross.transfer.source_scores import OF_HEADS, SCORES, Floats
from torchcross.transfer.studies.settings import StudySettings
from torchcross.transfer.studies.training import TrainedNetwork, input_normalisation_of, train
from torchcross.transfer.studies.units import StudyPair


def fold_parts(target: TaskSource, settings: StudySettings, fold: int) -> tuple[TaskSource, ...]:
    """(the training part of a target's fold, its test part)."""
    design = settings.study
    folds = stratified_folds(target, design.folds, seed=design.fold_seed)
    test = folds[fold]
    rest = np.sort(np.concatenate([part for place, part in enumerate(folds) if place != fold]))
    return target.subset(rest, name=target.name), target.subset(test, name=target.name)


def score_pair(
    pair: StudyPair,
    settings: StudySettings,
    network: Any,
    source_learner: Supervised | None,
    target: TaskSource,
    folder: Path,
) -> dict[str, Any]:
    """Fine-tune, score, and say everything of it as plain values.

    `source_learner` is the source's network with its own head, which some scores need.
    """
    training, test = fold_parts(target, settings, pair.fold)
    scores = _scores(settings, network, source_learner, training)
    trained = train(
        network,
        training,
        settings.fine_tuning,
        seed=pair.seed,
        channels=settings.channels,
        folder=folder,
    )
    if settings.study.renew:
        trained.renew(training, settings.study.renew, settings.fine_tuning.batch_size)
    return {
        "source": pair.source,
        "target": pair.target,
        "fold": pair.fold,
        "seed": pair.seed,
        **_measures(trained, test),
        "scores": {name: _plain(score) for name, score in scores.items()},
        "images": {
            "training": len(training) - trained.validation_images,
            "validation": trained.validation_images,
            "test": len(test),
        },
        "steps": trained.result.steps,
        "best step": trained.result.best_step,
    }


def _measures(trained: TrainedNetwork, test: TaskSource) -> dict[str, Any]:
    rows, prediction = trained.predictions(test)
    target, labels = test.task.target, test.targets(rows)
    metrics = target.evaluate(prediction, labels, metrics=tuple(target.metrics))
    return {
        "metrics": {name: _plain(score) for name, score in metrics.items()},
        "auroc by class": _by_class(target, prediction, labels),
    }


def _by_class(
    target: Target, prediction: Prediction, labels: torch.Tensor
) -> dict[str, float | None]:
    """The area under the ROC curve of each class against the rest; None where there is none."""
    ranked = prediction.probabilities if prediction.scores is None else prediction.scores
    columns = labels if labels.ndim == 2 else (labels[:, None] == torch.arange(ranked.shape[1]))
    known = labels >= 0
    areas = {}
    for column, name in enumerate(target.classes[-ranked.shape[1] :]):
        rows = known[:, column] if labels.ndim == 2 else known
        areas[name] = area_under_roc(ranked[rows, column], columns[rows, column] == 1)
    return areas


def _scores(
    settings: StudySettings,
    network: Any,
    source_learner: Supervised | None,
    training: TaskSource,
) -> dict[str, Score]:
    """Of the source's network on the training part, before it is fine-tuned."""
    names = settings.scores.names
    if not names:
        return {}
    features = _features(network, training, settings.channels)
    codes = training.targets(np.arange(len(training))).numpy()
    target = training.task.target
    scores = {name: SCORES[name] for name in names if name not in OF_HEADS}
    values = {name: score(features, codes, target) for name, score in scores.items()}
    for name in (name for name in names if name in OF_HEADS):
        if source_learner is None:
            values[name] = Score(math.nan, "the source has no classes of its own")
        else:
            states = _states(source_learner, features)
            values[name] = SCORES[name](states, codes, target)
    return values


def _features(network: Any, part: TaskSource, channels: int) -> Floats:
    forward = BlockForward(network, input_normalisation_of(network, channels))
    subject = f"source {part.name!r}"
    blocks = [_block(part, start) for start in range(0, len(part), BLOCK)]
    return np.concatenate([forward(part.read(rows), subject) for rows in blocks]).astype(np.float64)


def _block(part: TaskSource, start: int) -> Indices:
    return np.arange(start, min(start + BLOCK, len(part)))


@torch.no_grad()
def _states(learner: Supervised, features: Floats) -> Floats:
    """Probabilities of the source's own classes."""
    (task,) = learner.tasks
    rows = torch.from_numpy(features).float()
    logits = head_logits("linear", task.target, rows, learner.heads.of(task))
    probabilities = task.target.answer_probabilities(logits).double().numpy()
    if probabilities.shape[1] == 1:
        one: Floats = probabilities[:, 0] / probabilities[:, 0].sum(axis=1, keepdims=True)
        return one
    return states_of_labels(probabilities[:, :, 1])


def _plain(score: Score) -> Mapping[str, Any]:
    value = None if math.isnan(score.value) else score.value
    return {"value": value, **({"reason": score.reason} if score.reason else {})}
