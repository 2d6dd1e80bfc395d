"""One cell of a study: a source's network on one fold of a target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchcross.algorithms import Supervised
from torchcross.data import TaskSource
from torchcross.heads import head_logits
from torchcross.metrics.ranking import area_under_roc
from torchcross.metrics.score import Score
from torchcross.statistics.prediction_errors import split_errors
from torchcross.targets import Prediction, Target
from torchcross.transfer.scores import states_of_labels
from torchcross.transfer.source_scores import Floats, block_rows, features_of, score_features
from torchcross.transfer.studies.parts import TargetParts
from torchcross.transfer.studies.settings import StudyDesign, StudySettings
from torchcross.transfer.studies.training import TrainedNetwork, input_normalisation_of, train
from torchcross.transfer.studies.units import StudyPair


def score_pair(
    pair: StudyPair,
    settings: StudySettings,
    network: Any,
    source_learner: Supervised | None,
    parts: TargetParts,
    folder: Path,
) -> dict[str, Any]:
    """Fine-tune, score, and say everything of it as plain values.

    `source_learner` is the source's network with its own head, which some scores need.
    """
    training, test = parts.training, parts.test
    scores = _scores(settings, network, source_learner, training)
    trained = train(
        network,
        training,
        settings.fine_tuning,
        seed=pair.seed,
        channels=settings.channels,
        folder=folder,
        validation=parts.validation,
        renew=settings.study.renew,
    )
    if settings.study.renew:
        trained.renew(training, settings.study.renew, settings.fine_tuning.batch_size)
    return {
        "source": pair.source,
        "target": pair.target,
        "fold": pair.fold,
        "seed": pair.seed,
        "fraction": pair.fraction,
        **({"deviations": parts.deviations} if parts.deviations else {}),
        **_measures(trained, test, settings.study),
        "scores": {name: _plain(score) for name, score in scores.items()},
        "images": {
            # A validation part of its own is none of the training part.
            "training": len(training) - (parts.validation is None) * trained.validation_images,
            "validation": trained.validation_images,
            "test": len(test),
        },
        "steps": trained.result.steps,
        "best step": trained.result.best_step,
    }


def _measures(trained: TrainedNetwork, test: TaskSource, design: StudyDesign) -> dict[str, Any]:
    rows, prediction = trained.predictions(test)
    target, labels = test.task.target, test.targets(rows)
    metrics = target.evaluate(prediction, labels, metrics=tuple(target.metrics))
    errors: dict[str, Any] = {}
    if design.splits == "own":
        subjects = None if test.groups is None else test.groups[rows]
        # A page may lead with another metric than the study's.
        stored = tuple(dict.fromkeys((design.metric, *target.default_metrics)))
        errors["errors"] = split_errors(target, prediction, labels, subjects, metrics=stored)
    return {
        **errors,
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
    features = features_of(
        network,
        input_normalisation_of(network, settings.channels),
        map(training.read, block_rows(len(training))),
        f"source {training.name!r}",
    )
    codes = training.targets(np.arange(len(training))).numpy()
    head = None if source_learner is None else partial(class_states, source_learner)
    return {
        name: score_features(
            name,
            features,
            codes,
            training.task.target,
            head,
            without_head="the source has no classes of its own",
        )
        for name in names
    }


@torch.no_grad()
def class_states(learner: Supervised, features: Floats) -> Floats:
    """Probabilities of the source's own classes."""
    (task,) = learner.tasks
    rows = torch.from_numpy(features).float().to(next(learner.parameters()).device)
    logits = head_logits("linear", task.target, rows, learner.heads.of(task))
    probabilities = task.target.answer_probabilities(logits).double().cpu().numpy()
    if probabilities.shape[1] == 1:
        one: Floats = probabilities[:, 0] / probabilities[:, 0].sum(axis=1, keepdims=True)
        return one
    return states_of_labels(probabilities[:, :, 1])


def _plain(score: Score) -> Mapping[str, Any]:
    value = None if math.isnan(score.value) else score.value
    return {"value": value, **({"reason": score.reason} if score.reason else {})}
