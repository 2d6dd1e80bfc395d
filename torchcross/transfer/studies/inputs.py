"""What a study is computed from: its datasets and weights, looked at before anything is made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from torchcross._kit.suggestions import unknown_name
from torchcross._kit.user_files import read_user_file
from torchcross.data import TaskSource, stratified_folds
from torchcross.data.sources.feature_source import image_fingerprint
from torchcross.errors import InputError
from torchcross.transfer.studies.data import StudyData, at_most
from torchcross.transfer.studies.settings import SCRATCH, StudySettings


def fingerprint_inputs(settings: StudySettings, data: StudyData) -> dict[str, str]:
    """A digest of every dataset (labels, subjects, 64 images) and of every file of weights."""
    inputs = {f"data {name}": _digest_of(data.open(name)) for name in datasets_of(settings)}
    for name, file in _weight_files(settings):
        try:
            content = read_user_file(Path(file))
        except OSError as error:
            raise InputError(
                f"the weights {name!r} are {file!r}, which cannot be read: {error.strerror}; give a"
                " file of weights"
            ) from error
        inputs[f"weights {name}"] = hashlib.sha256(content).hexdigest()
    return inputs


def datasets_of(settings: StudySettings) -> tuple[str, ...]:
    """The datasets that are learned from or scored, each once."""
    design = settings.study
    sources = (name for name in design.sources if name != SCRATCH)
    return tuple(dict.fromkeys((*sources, *design.targets)))


def _weight_files(settings: StudySettings) -> Iterator[tuple[str, str]]:
    yield from settings.study.weights.items()
    if settings.scores.task2vec and (file := probe_weights(settings)):
        yield "of the probe", file


def probe_weights(settings: StudySettings) -> str:
    """The file of the weights that embeddings are made with; empty for random values."""
    return settings.scores.probe_weights or next(iter(settings.study.weights.values()), "")


def _digest_of(source: TaskSource) -> str:
    parts = hashlib.sha256(source.fingerprint().encode())
    if source.groups is not None:
        parts.update(source.groups.astype("<i8").tobytes())
    parts.update(image_fingerprint(source).encode())
    return parts.hexdigest()


def check_study(settings: StudySettings, data: StudyData) -> None:
    """Refuse what would fail after hours: metrics, folds and overlaps that are known now."""
    design = settings.study
    for name in design.targets:
        target = at_most(data.open(name), design.target_images, design.fold_seed)
        metrics = target.task.target.metrics
        if design.metric not in metrics:
            raise InputError(f"{name}: {unknown_name('metric', design.metric, metrics)}")
        stratified_folds(target, design.folds, seed=design.fold_seed)
        for source in design.sources:
            if source not in (SCRATCH, name) and (reason := data.overlap(source, name)):
                raise overlap_error(source, name, reason)


def overlap_error(source: str, target: str, reason: str) -> InputError:
    return InputError(
        f"{source!r} cannot be a source of {target!r}: {reason}. Leave one of them out of the study"
    )


def input_changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """What is not as it was, of the inputs that both have."""
    for name, value in now.items():
        if before.get(name, value) != value:
            yield f"{name} has other content than it had"
