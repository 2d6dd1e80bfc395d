"""How uncertain the scores of predictions for a split are: what may be stored beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross.statistics.split_errors import (
    SPLIT_RESAMPLES,
    TOO_FEW,
    UNDEFINED_IN_SAMPLES,
    auroc_error,
    bootstrap_errors,
)
from torchcross.targets import Prediction, Target

Indices = NDArray[np.int64]
_AUROC, _DELONG, _BOOTSTRAP = "auroc", "delong", "bootstrap over images"


def split_errors(
    target: Target,
    prediction: Prediction,
    labels: Tensor,
    subjects: Indices | None,
    resamples: int = SPLIT_RESAMPLES,
    metrics: Sequence[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Metric -> the method, with the standard error, or the reason why there is none.

    `metrics` are those of the target by default.
    """
    wanted = target.default_metrics if metrics is None else metrics
    names = [name for name in wanted if name != _AUROC]

    def evaluate(rows: NDArray[np.int64]) -> dict[str, float]:
        some = torch.from_numpy(rows)
        scores = None if prediction.scores is None else prediction.scores[some]
        part = Prediction(prediction.probabilities[some], prediction.decisions[some], scores)
        scored = target.evaluate(part, labels[some], metrics=names)
        return {name: score.value for name, score in scored.items()}

    errors = dict.fromkeys(names, math.nan)
    if names:
        errors |= bootstrap_errors(evaluate, len(labels), subjects, resamples=resamples)
    methods = dict.fromkeys(names, _BOOTSTRAP)
    if _AUROC in wanted:
        ranking = prediction.probabilities if prediction.scores is None else prediction.scores
        answers = _answers(labels.cpu().numpy(), ranking.shape[1])
        errors[_AUROC] = auroc_error(ranking.cpu().numpy(), answers, subjects)
        methods[_AUROC] = _DELONG
    return {
        name: {**_error_or_reason(error, methods[name]), "method": methods[name]}
        for name, error in errors.items()
    }


def _error_or_reason(error: float, method: str) -> dict[str, Any]:
    if math.isfinite(error):
        return {"error": error}
    return {"reason": TOO_FEW if method == _DELONG else UNDEFINED_IN_SAMPLES}


def _answers(labels: NDArray[np.int64], columns: int) -> NDArray[np.int64]:
    """One column for each class: whether an image is of it, -1 where that is unknown."""
    if labels.ndim == 2:
        return labels
    answers: NDArray[np.int64] = (labels[:, None] == np.arange(columns)).astype(np.int64)
    answers[labels < 0] = -1
    return answers
