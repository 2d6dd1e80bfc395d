"""Small sources and targets whose classes are told by brightness and by where it lies."""

from __future__ import annotations

import torch

from torchcross import Task, TensorSource
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal, Target
from torchcross.transfer import StudyTraining
from torchcross.transfer.studies import StudyDesign, StudyScores, StudySettings

FAST = StudyTraining(epochs=1, batch_size=16, augment=False)
BACKBONE = {"name": "conv4", "channels": 4}
TARGETS: dict[str, Target] = {
    "grades": Ordinal(["low", "mid", "high"], loss="coral"),
    "findings": MultiLabel(["left", "right"]),
}
SOURCES: dict[str, Target] = {
    "shapes": MultiClass(["a", "b", "c"]),
    "lesions": Binary(["benign", "malignant"]),
}


def fast_settings(design: StudyDesign, scores: StudyScores) -> StudySettings:
    """A study of a small network, each of whose trainings has one epoch."""
    return StudySettings(
        study=design,
        backbone=BACKBONE,
        channels=1,
        source_training=FAST,
        fine_tuning=FAST,
        scores=scores,
    )


def images_of(name: str, count: int = 60, subjects: int = 30) -> TensorSource:
    """A dataset of this name, with two images of each subject."""
    target = (TARGETS | SOURCES)[name]
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    images = torch.rand(count, 1, 16, 16, generator=generator)
    if target.label_shape:
        labels = torch.randint(0, 2, (count, target.num_classes), generator=generator)
        images[:, :, :, :8] += 0.5 * labels[:, 0].reshape(-1, 1, 1, 1)
        images[:, :, :, 8:] += 0.5 * labels[:, 1].reshape(-1, 1, 1, 1)
    else:
        labels = torch.arange(count) % target.num_classes
        images += 0.3 * labels.reshape(-1, 1, 1, 1)
    groups = torch.arange(count) % subjects if not target.label_shape else None
    return TensorSource(images, labels, Task(name, target), groups=groups, name=name)


def sources() -> dict[str, TensorSource]:
    return {name: images_of(name) for name in SOURCES}


def targets() -> dict[str, TensorSource]:
    return {name: images_of(name) for name in TARGETS}
