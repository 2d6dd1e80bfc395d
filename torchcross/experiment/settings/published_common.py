"""What both published tables have in common."""

from __future__ import annotations

from typing import Any

from torchcross.experiment.settings.protocol_points import AnyFile, OneOf, ProtocolPoint
from torchcross.experiment.settings.schema import Experiment


def _published_rate(experiment: Experiment) -> float:
    return 1e-4 if experiment.model.backbone.name == "resnet50" else 1e-3


def plain_adam(section: str, rate: Any = _published_rate) -> dict[str, Any]:
    """Plain Adam at a constant rate."""
    plain = {"optimiser": "adam", "weight_decay": 0.0, "schedule": "constant", "warmup": 0}
    plain |= {"clip": 0.0, "ema": 0.0}
    return {f"{section}.{name}": value for name, value in {"lr": rate, **plain}.items()}


def no_single_image(experiment: Experiment) -> str:
    keeps = experiment.pretraining.last_batch == "keep"
    return "a last batch of a single image is left out" if keeps else ""


def one_warp(augments: bool) -> str:
    return "rotation and crop are one interpolation, published two" if augments else ""


def one_warp_of_batches(experiment: Experiment) -> str:
    return one_warp(experiment.pretraining.augment)


IMAGENET = AnyFile("ImageNet weights")
ADAM = "Adam, rate 1e-3 (ResNet-50: 1e-4), constant"
BUDGET = "until early stopping, at most 1,000 epochs (the default of Lightning's Trainer)"
AUGMENTATION = (
    "flips with probability .25 each, rotation by up to 10 degrees, with probability .25 a crop of"
    " 200 of 224 pixels"
)

COMMON_POINTS = (
    ProtocolPoint(
        "backbone",
        "torchvision's ResNet-18 or ResNet-50",
        {"model.backbone": OneOf(({"name": "resnet18"}, {"name": "resnet50"}))},
    ),
    ProtocolPoint(
        "images",
        "three channels, with ImageNet's mean and standard deviation",
        {"data.channels": 3, "model.normalisation": OneOf(("", "imagenet"))},
    ),
    ProtocolPoint("precision", "32 bits", {"machine.precision": "32"}),
    ProtocolPoint(
        "training seeds",
        "one training of each row, its seed not set",
        {"seeds": lambda experiment: list(experiment.seeds)[:1]},
    ),
)
