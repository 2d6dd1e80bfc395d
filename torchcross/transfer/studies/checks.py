"""What a study cannot be made of, refused before anything is made: it would fail after hours."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from torchcross._kit.extras import check_extra
from torchcross._kit.suggestions import unknown_name
from torchcross.data import TaskSource
from torchcross.errors import InfeasibleError, InputError
from torchcross.metrics.reference_values import lower_is_better
from torchcross.transfer.source_target import REPTILE, SCRATCH, dataset_of
from torchcross.transfer.studies.data import StudyData, at_most
from torchcross.transfer.studies.inputs import datasets_of, overlap_error
from torchcross.transfer.studies.parts import fraction_of, whole_parts
from torchcross.transfer.studies.reptile_source import check_reptile_source
from torchcross.transfer.studies.settings import StudySettings
from torchcross.transfer.studies.training import split_validation
from torchcross.transfer.studies.units import StudyPair


def check_study(settings: StudySettings, data: StudyData) -> None:
    """Refuse metrics, channels, classes, folds, validation parts and known overlaps."""
    design = settings.study
    if len(design.unused_sources) == len(design.names):
        raise InputError(
            f"the study has no pair: its sources {list(design.names)} are its targets"
            f" {list(design.targets)}; give another source, such as {SCRATCH!r}, or another target,"
            " or self_pairs = true"
        )
    _check_augmentation(settings, "fine_tuning")
    datasets = {name: data.open(name) for name in datasets_of(settings)}
    _check_sources(settings, datasets)
    for name in design.targets:
        _check_target(name, datasets[name], settings, data)
        for source_name in map(dataset_of, design.sources):
            is_other = source_name not in (SCRATCH, name)
            if is_other and (reason := data.overlap(source_name, name)):
                raise overlap_error(source_name, name, reason)


def check_sources(settings: StudySettings, data: StudyData) -> None:
    """Refuse what the trainings of the sources would fail on, whatever the targets are."""
    names = [dataset_of(name) for name in settings.study.sources if name != SCRATCH]
    _check_sources(settings, {name: data.open(name) for name in names})


def _check_sources(settings: StudySettings, datasets: Mapping[str, TaskSource]) -> None:
    """Refuse channels of any dataset, and classes, metrics and validation parts of sources."""
    design = settings.study
    channels = common_channels(datasets) if datasets else settings.channels
    if channels != settings.channels:
        raise InputError(
            f"the images have channels={channels}, and the settings of the study"
            f" {settings.channels}; give channels={channels}, or convert the images"
        )
    for name in design.sources:
        if name != SCRATCH:
            whole = datasets[dataset_of(name)]
            source = at_most(whole, design.source_images, design.fold_seed)
            _refuse_single_class("source", source)
            if name.startswith(REPTILE):
                check_reptile_source(source, settings.reptile)
                continue
            _check_augmentation(settings, "source_training")
            if settings.source_training.is_validated:
                _refuse_metric(name, source, settings.source_training.stop_by)
            for seed in {design.source_seed_of(seed) for seed in design.seeds}:
                training = settings.source_training
                split_validation(source, training, seed, section="source_training")


def _check_augmentation(settings: StudySettings, section: str) -> None:
    """Refuse to warp images where the library for it is not installed."""
    if getattr(settings, section).augment:
        name = f"{section}.augment"
        check_extra("kornia", "augment", f"{name}=true", instead=f"set {name}=false")


def common_channels(datasets: Mapping[str, TaskSource]) -> int:
    """The channels of the images of all datasets; datasets that differ are refused."""
    channels = {name: int(source.read([0]).shape[1]) for name, source in datasets.items()}
    if len(set(channels.values())) > 1:
        raise InputError(
            f"the sources and targets have different numbers of channels: {channels}; convert them"
            " to one number, or leave some out"
        )
    return next(iter(channels.values()))


def _check_target(name: str, dataset: TaskSource, settings: StudySettings, data: StudyData) -> None:
    design, tuning = settings.study, settings.fine_tuning
    _refuse_metric(name, dataset, design.metric)
    if tuning.is_validated:
        _refuse_metric(name, dataset, tuning.stop_by)
    _refuse_single_class("target", at_most(dataset, design.target_images, design.fold_seed))
    # The first shows whether there are folds; a validation part must be found in each.
    for fold in range(design.test_parts if tuning.is_validated else 1):
        whole = whole_parts(data, settings, name, fold)
        for seed, fraction in product(design.seeds, design.fractions):
            parts = fraction_of(whole, StudyPair(SCRATCH, name, fold, seed, fraction))
            split_validation(parts.training, tuning, seed, parts.validation)


def _refuse_metric(name: str, source: TaskSource, metric: str) -> None:
    metrics = source.task.target.metrics
    if metric not in metrics:
        raise InputError(f"{name}: {unknown_name('metric', metric, metrics)}")
    if lower_is_better(metric):
        others = ", ".join(each for each in metrics if not lower_is_better(each))
        raise InputError(
            f"{name}: the metric {metric!r} is better the smaller it is, and rankings and the"
            f" choice of weights take the largest value; give one of {others}"
        )


def _refuse_single_class(word: str, source: TaskSource) -> None:
    """Refuse a source whose labels do not differ: nothing can be learned, and nothing scored."""
    labels = source.labels.reshape(len(source), -1)
    known = [column[column >= 0] for column in labels.T]
    if not any(len(np.unique(column)) > 1 for column in known):
        classes = [name for name, count in source.counts().items() if count]
        raise InfeasibleError(
            f"the {word} {source.name!r} has samples of {classes} only, which nothing can be"
            " learned from or scored on; give samples of two classes or more, or leave it out"
        )
