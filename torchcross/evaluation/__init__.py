"""Evaluation: from episodes to records."""

from __future__ import annotations

from torchcross._kit.progress import ProgressBar
from torchcross.evaluation.evaluate import evaluate
from torchcross.evaluation.prediction_log import PredictionLog

__all__ = [
    "PredictionLog",
    "ProgressBar",
    "evaluate",
]
