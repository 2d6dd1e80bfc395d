"""A small transfer study on a device, with its mean AUROC as the loss of the row."""

from __future__ import annotations

from torchcross import transfer
from torchcross.data import toys
from torchcross.transfer import StudyTraining

SCORES = ("logme", "leep")


def mean_auroc(device: str, *, size: int, epochs: int) -> float:
    """Trains two sources and a random start on a target: validation, statistics, scores, heads."""
    training = StudyTraining(epochs=epochs, augment=False, validate_every=4, patience=8)
    results = transfer.study(
        {"shape": toys.multiclass(size=size), "shapes": toys.multilabel(size=size)},
        {"hole": toys.binary(size=size)},
        backbone={"name": "conv4", "channels": 8},
        folds=2,
        source_training=training,
        fine_tuning=training,
        scores=SCORES,
        device=device,
    )
    return float(results.values.mean())
