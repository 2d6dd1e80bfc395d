"""The features, labels and source probabilities of the golden values, made by formula."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def class_features(samples: int, width: int) -> tuple[NDArray, NDArray]:
    """(features, labels of three classes)."""
    i, j = np.arange(samples)[:, None], np.arange(width)[None]
    labels = class_labels(samples)
    waves = np.sin(1.3 * i + 0.7 * j + 0.11 * i * j)
    return waves + 0.9 * (j % 3 == labels[:, None]), labels


def class_labels(samples: int) -> NDArray:
    i = np.arange(samples)
    return ((i**2 + i) % 5) % 3


def source_probabilities(samples: int) -> NDArray:
    """Of five classes of a source."""
    i, s = np.arange(samples)[:, None], np.arange(5)[None]
    own = s == (class_labels(samples)[:, None] + 1) % 5
    logits = np.cos(0.5 * i + 1.1 * s + 0.13 * i * s) + 1.5 * own
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)


def label_answers(samples: int) -> NDArray:
    """Three yes/no labels."""
    i, label = np.arange(samples)[:, None], np.arange(3)[None]
    waves = np.sin(0.9 * i + 1.7 * label + 0.2 * i * label)
    return (waves + 0.8 * (label == class_labels(samples)[:, None]) > 0.35).astype(np.int64)
