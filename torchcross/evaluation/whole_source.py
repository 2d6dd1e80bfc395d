"""What a pre-trained network says of all samples of a source, and its scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from torchcross._kit.arrays import Indices
from torchcross.algorithms import Pretraining
from torchcross.data import TaskSource
from torchcross.metrics import Score
from torchcross.targets import Prediction

_IMAGES_AT_ONCE = 256


def scores_of(
    trained: Pretraining,
    source: TaskSource,
    most: int | None = None,
    metrics: Sequence[str] | None = None,
) -> dict[str, Score]:
    """Metrics over at most `most` samples of a source, evenly spaced."""
    rows, prediction = predictions_of(trained, source, most)
    return source.task.target.evaluate(prediction, source.targets(rows), metrics=metrics)


def predictions_of(
    trained: Pretraining, source: TaskSource, most: int | None = None
) -> tuple[Indices, Prediction]:
    """(at most `most` samples of a source, evenly spaced, and their predictions).

    Images are read a batch at a time. Predictions are on the CPU, as labels are.
    """
    count = len(source) if most is None else min(len(source), most)
    rows = np.array([place * len(source) // count for place in range(count)], dtype=np.int64)
    predictor = trained.predictor(source.task)
    device = next(trained.parameters()).device
    logits = []
    for start in range(0, count, _IMAGES_AT_ONCE):
        images = source.read(rows[start : start + _IMAGES_AT_ONCE]).to(device)
        logits.append(predictor.logits(images).cpu())
    return rows, source.task.target.predict(torch.cat(logits))
