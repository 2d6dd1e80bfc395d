"""A whole network trained on all samples of a part: of a source, or of a target's folds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchcross import backbones
from torchcross._kit.argument_checks import as_int
from torchcross._kit.arrays import Indices
from torchcross._kit.randomness import Stream, permutation
from torchcross.algorithms import Reptile, Supervised
from torchcross.backbones import without_batch_norm
from torchcross.backbones.input_normalisation import InputNormalisation
from torchcross.backbones.record import IMAGENET_MEAN, IMAGENET_STD
from torchcross.data import Augmentation, MixedBatches, Normalise, TaskSource, class_fraction
from torchcross.errors import InfeasibleError
from torchcross.evaluation.whole_source import predictions_of
from torchcross.targets import Prediction, balanced_weights
from torchcross.training import FitOptions, FitResult, TorchMachine, fit
from torchcross.training.augmented_feed import AugmentedFeed
from torchcross.training.options import Optimiser
from torchcross.training.running_statistics import renew_backbone_statistics
from torchcross.transfer.studies.settings import StudySettings, StudyTraining


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
        """Renew BatchNorm's statistics on at most `images` images, drawn by a fixed seed."""
        renew_learner(self.learner, source, images, batch_size)


def renew_learner(
    learner: Supervised | Reptile, source: TaskSource, images: int, batch_size: int
) -> None:
    """Renew BatchNorm's statistics on at most `images` images, drawn by a fixed seed."""
    backbone, normalise = learner.backbone, learner.input_normalisation
    renew_backbone_statistics(backbone, _batches(backbone, normalise, source, images, batch_size))


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
    validation: TaskSource | None = None,
    renew: int = 0,
) -> TrainedNetwork:
    """Train a backbone with a fresh head on a source; a killed training goes on in its folder.

    validation  judges; None: a share of the source, where the settings want a judge
    renew       images on which statistics are renewed before BatchNorm is folded; where it is kept,
                before each validation, on a copy: what is judged is what is scored
    """
    part, judge = split_validation(source, settings, seed, validation)
    if settings.batch_norm != "keep":
        backbone = _without_batch_norm(backbone, part, settings, channels, renew)
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
    every = settings.validate_every or batches.batches_per_epoch
    options = FitOptions(
        steps=settings.steps or settings.epochs * batches.batches_per_epoch,
        lr=settings.lr,
        schedule=settings.schedule,
        optimiser=optimiser,
        weight_decay=settings.weight_decay,
        meta_batch=1,
        seed=seed,
        validate_every=None if judge is None else every,
        patience=settings.patience or None,
        epoch_steps=batches.batches_per_epoch,
        checkpoint_every=max(batches.batches_per_epoch, 50),
    )
    validate = None
    if judge is not None:
        renewal: Callable[[Supervised], None] | None = None
        if renew and settings.batch_norm == "keep":
            size = settings.batch_size
            renewal = partial(renew_learner, source=source, images=renew, batch_size=size)
        validate = partial(_score, judge=judge, metric=settings.stop_by, renewal=renewal)
    result = fit(
        learner,
        data,
        options,
        folder=folder,
        validate=validate,
        machine=machine_of_network(backbone),
        progress=False,
    )
    return TrainedNetwork(learner, result, 0 if judge is None else len(judge))


def split_validation(
    source: TaskSource,
    settings: StudyTraining,
    seed: int,
    validation: TaskSource | None = None,
    section: str = "fine_tuning",
) -> tuple[TaskSource, TaskSource | None]:
    """(what is trained on, what judges it), subjects apart; the latter only where it is wanted.

    `section` of the settings is named in errors.
    """
    if not settings.is_validated:
        return source, None
    if validation is not None:
        return source, validation
    try:
        judge = class_fraction(source, settings.validation, seed=seed).indices
    except InfeasibleError as error:
        raise InfeasibleError(
            f"no validation part: {error}. The fraction is {section}.validation; {section}.patience"
            f" = 0 and {section}.validate_every = 0 do without one"
        ) from error
    rest = source.subset(np.setdiff1d(np.arange(len(source)), judge), name=source.name)
    left = rest.counts()
    if lost := [name for name, count in source.counts().items() if count and not left[name]]:
        raise InfeasibleError(
            f"the validation part ({section}.validation={settings.validation:g}) takes every sample"
            f" of {lost} of source {source.name!r}, and none is left to train on; give a smaller"
            f" share, another seed, or {section}.patience = 0 and {section}.validate_every = 0"
        )
    return rest, source.subset(judge)


def _score(
    trained: Supervised,
    *,
    judge: TaskSource,
    metric: str,
    renewal: Callable[[Supervised], None] | None,
) -> float:
    """The metric of the judge; with a renewal, of a copy whose statistics are renewed."""
    if renewal is not None:
        trained = copy.deepcopy(trained)
        renewal(trained)
    rows, prediction = predictions_of(trained, judge)
    target = judge.task.target
    return target.evaluate(prediction, judge.targets(rows), metrics=(metric,))[metric].value


def _without_batch_norm(
    backbone: Any, part: TaskSource, settings: StudyTraining, channels: int, renew: int
) -> Any:
    """The network without BatchNorm, which fine-tuning starts from."""
    normalise = InputNormalisation.before(backbone, input_normalisation_of(backbone, channels))
    size = settings.batch_size
    if settings.batch_norm == "fold":
        renew_backbone_statistics(backbone, _batches(backbone, normalise, part, renew, size))
    example = next(_batches(backbone, normalise, part, size, size))
    return without_batch_norm(backbone, settings.batch_norm, example)


def machine_of_network(backbone: Any) -> TorchMachine:
    """The machine that a network is on."""
    return TorchMachine(next(backbone.parameters()).device)


def input_normalisation_of(backbone: Any, channels: int) -> Normalise | None:
    """Of images for a network of random initial values; one with weights normalises itself."""
    if getattr(backbone, "weights", None) is not None or channels != 3:
        return None
    return Normalise(IMAGENET_MEAN, IMAGENET_STD)


def _batches(
    backbone: Any,
    normalise: InputNormalisation,
    source: TaskSource,
    images: int,
    batch_size: int,
) -> Iterator[Tensor]:
    count = min(as_int("images", images), len(source))
    # In drawn order: samples that stand by class would give batches of one class each, and the mean
    # of their variances is less than the variance. Equal batches, because each counts the same.
    rows = permutation(Stream(0, "renewed statistics"), 0, len(source))[:count]
    # A batch of one image has no variance where an image is one place.
    batches = max(1, min(-(-count // batch_size), count // 2))
    like = next(backbone.parameters())
    for part in np.array_split(rows, batches):
        images_read = source.read(part).to(like.device)
        yield normalise(images_read, f"source {source.name!r}", like)


def starting_network(settings: StudySettings, seed: int, weights: str) -> Any:
    """The study's backbone, with random values or those of a file."""
    options = {name: value for name, value in settings.backbone.items() if name != "name"}
    spec = {
        "name": settings.backbone["name"],
        "options": {"in_channels": settings.channels, **options},
    }
    network: Any = backbones.build(spec, seed=seed)
    if weights:
        normalisation = settings.study.normalisation or None
        backbones.load_weights(network, weights, normalisation=normalisation)
    # Convolutions of a CPU are faster where the channels of a place lie together.
    return network.to(memory_format=torch.channels_last)
