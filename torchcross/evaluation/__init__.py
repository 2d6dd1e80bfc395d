"""Evaluation: from episodes to records."""

from __future__ import annotations

from torchcross.evaluation.evaluate import evaluate
from torchcross.evaluation.progress import ProgressBar

__all__ = [
    "ProgressBar",
    "evaluate",
]
