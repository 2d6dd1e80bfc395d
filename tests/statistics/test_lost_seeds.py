"""Results by class where a training seed has no episode that can be used."""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.statistics.test_by_class import predictions_of
from tests.targets.tables import TARGETS
from torchcross.evaluation import PredictionLog
from torchcross.records import Predictions
from torchcross.statistics import class_values
from torchcross.task import Task

LABELS = np.arange(24) % 2
TARGET = TARGETS["binary"]


def lost(seed: int) -> Predictions:
    """Predictions of which none is finite."""
    log = PredictionLog("any", shots=5, seed=seed)
    log.add(0, np.arange(24), LABELS, TARGET.predict(torch.full((24, 1), math.nan)))
    return log.of("toys/any", Task("any", TARGET))


def test_a_training_seed_without_finite_predictions_is_left_out() -> None:
    several = [predictions_of(TARGET, seed=seed, labels=LABELS) for seed in (0, 1)]
    values, plain = class_values([*several, lost(2)]), class_values(several)
    for value, other in zip(values, plain, strict=True):
        assert value.interval.mean == other.interval.mean
        assert value.interval.half == other.interval.half
        assert value.predictions == other.predictions
        assert value.interval.note.endswith("1 of 3 training seeds left out: no finite predictions")
        assert "left out" not in other.interval.note


def test_without_any_finite_prediction_there_is_no_value() -> None:
    values = class_values([lost(0), lost(1)])
    assert all(math.isnan(value.interval.mean) for value in values)
    assert values[0].interval.note == "no episode has images on both sides"
