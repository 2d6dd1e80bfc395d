"""A whole network trained on all samples of a part: of a source, or of a target's folds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from torchcross import backbones
from torchcross._kit.argument_checks import as_int
from torchcross._kit.arrays import Indices
from torchcross.algorithms import Supervised
from torchcross.backbones.record import IMAGENET_MEAN, IMAGENET_STD
from torchcross.data import Augmentation, MixedBatches, Normalise, TaskSource, class_fraction
from torchcross.errors import InfeasibleError
from torchcross.evaluation.whole_source import predictions_of
from torchcross.targets import Prediction, balanced_weights
from torchcross.training import FitOptions, FitResult, fit
from torchcross.training.augmented_feed import AugmentedFeed
from torchcross.training.options import Optimiser
from torchcross.training.running_statistics import renew_backbone_statistics
from torchcross.transfer.studies.settings import StudySettings, StudyTraining

_METRIC = "auroc"


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with a head, how long it was trained, and what judged it."""

    learner: Supervised
    result: FitResult
    validation_images: int

    def predictions(self, source: TaskSource) -> tuple[Indices, Prediction]:
        """Of all samples of a source, in order."""
        return predictions_of(self.learner, source)

    def renew(self, source: TaskSource, images: int, batch_size: int) -> None:
        """Renew BatchNorm's statistics on at most `images` images, evenly spaced."""
        renew_backbone_statistics(
            self.learner.backbone, _batches(self.learner, source, images, batch_size)
        )


def learner_of(backbone: Any, source: TaskSource, *, seed: int, channels: int) -> Supervised:
    """The learner of a source before its training: what a file of its weights is read into."""
    return Supervised(
        backbone, source.task, seed=seed, normalise=input_normalisation_of(backbone, channels)
    )


def train(
    backbone: Any,
    source: TaskSource,
    settings: StudyTraining,
    *,
    seed: int,
    channels: int,
    folder: Path,
) -> TrainedNetwork:
    """Train a backbone with a fresh head on a source; a killed training goes on in its folder."""
    part, judge = _with_validation(source, settings, seed)
    weights = None
    if settings.class_weights:
        weights = balanced_weights(part.task.target, part.targets(np.arange(len(part))))
    learner = Supervised(
        backbone,
        part.task,
        seed=seed,
        normalise=input_normalisation_of(backbone, channels),
        class_weights=weights,
    )
    size = min(settings.batch_size, len(part))
    batches = MixedBatches([part], batch_size=size, seed=seed, order="epoch")
    data: Any = batches
    if settings.augment:
        data = AugmentedFeed(batches, Augmentation.medimeta(seed), 0)
    optimiser: Optimiser = "adamw" if settings.weight_decay else "adam"
    options = FitOptions(
        steps=settings.epochs * batches.batches_per_epoch,
        lr=settings.lr,
        schedule=settings.schedule,
        optimiser=optimiser,
        weight_decay=settings.weight_decay,
        meta_batch=1,
        seed=seed,
        validate_every=None if judge is None else batches.batches_per_epoch,
        patience=settings.patience or None,
        epoch_steps=batches.batches_per_epoch,
        checkpoint_every=max(batches.batches_per_epoch, 50),
    )
    validate = None if judge is None else lambda trained: _score(trained, judge)
    result = fit(learner, data, options, folder=folder, validate=validate, progress=False)
    return TrainedNetwork(learner, result, 0 if judge is None else len(judge))


def _with_validation(
    source: TaskSource, settings: StudyTraining, seed: int
) -> tuple[TaskSource, TaskSource | None]:
    """(what is trained on, what judges it), subjects apart; the latter only for a patience."""
    if not settings.patience:
        return source, None
    try:
        judge = class_fraction(source, settings.validation, seed=seed).indices
    except InfeasibleError as error:
        raise InfeasibleError(f"no validation part: {error}; or give patience = 0") from error
    rest = np.setdiff1d(np.arange(len(source)), judge)
    return source.subset(rest, name=source.name), source.subset(judge)


def _score(trained: Supervised, judge: TaskSource) -> float:
    rows, prediction = predictions_of(trained, judge)
    target = judge.task.target
    return target.evaluate(prediction, judge.targets(rows), metrics=(_METRIC,))[_METRIC].value


def input_normalisation_of(backbone: Any, channels: int) -> Normalise | None:
    """Of images for a network of random initial values; one with weights normalises itself."""
    if getattr(backbone, "weights", None) is not None or channels != 3:
        return None
    return Normalise(IMAGENET_MEAN, IMAGENET_STD)


def _batches(
    learner: Supervised, source: TaskSource, images: int, batch_size: int
) -> Iterator[Tensor]:
    count = min(as_int("images", images), len(source))
    rows = np.array([place * len(source) // count for place in range(count)], dtype=np.int64)
    like = next(learner.backbone.parameters())
    for start in range(0, count, batch_size):
        part = rows[start : start + batch_size]
        # A batch of one image has no variance where an image is one place.
        if len(part) > 1 or count == 1:
            images_read = source.read(part).to(like.device)
            yield learner.input_normalisation(images_read, f"source {source.name!r}", like)


def starting_network(settings: StudySettings, seed: int, weights: str) -> Any:
    """The study's backbone, with random values or those of a file."""
    options = {name: value for name, value in settings.backbone.items() if name != "name"}
    spec = {
        "name": settings.backbone["name"],
        "options": {"in_channels": settings.channels, **options},
    }
    network = backbones.build(spec, seed=seed)
    if weights:
        normalisation = settings.study.normalisation or None
        backbones.load_weights(network, weights, normalisation=normalisation)
    return network
