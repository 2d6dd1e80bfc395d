"""Codes of labels as the names that people read."""

from __future__ import annotations

from typing import Any

import numpy as np

from torchcross._kit.episode_sheet import UNKNOWN
from torchcross.targets.base import Target


def answer_names(target: Target, codes: Any, truth: Any = None) -> list[str | None]:
    """One class for each sample, or the list of the labels that apply; None where none is known.

    Labels whose `truth` is unknown are left out. Where it is unknown for all labels of a sample,
    none is.
    """
    answers = np.asarray(codes)
    if answers.ndim == 1:
        return [target.classes[code] if code >= 0 else None for code in answers.tolist()]
    applies = answers > 0
    if truth is not None:
        has_truth = np.asarray(truth) >= 0
        applies &= has_truth | ~has_truth.any(axis=1, keepdims=True)
    return [
        _list_of(target, labels) if (row >= 0).any() else None
        for row, labels in zip(answers, applies, strict=True)
    ]


def answer_texts(target: Target, codes: Any, truth: Any = None) -> list[str]:
    """The same, with a text for what is not known."""
    names = answer_names(target, codes, truth)
    return [UNKNOWN if name is None else name for name in names]


def _list_of(target: Target, applies: Any) -> str:
    names = [target.classes[label] for label in np.flatnonzero(applies).tolist()]
    return ", ".join(names) or "none of them"
