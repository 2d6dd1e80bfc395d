"""Evaluation: from episodes to records."""

from __future__ import annotations

from torchcross._kit.progress import ProgressBar
from torchcross.evaluation.evaluate import evaluate

__all__ = [
    "ProgressBar",
    "evaluate",
]
