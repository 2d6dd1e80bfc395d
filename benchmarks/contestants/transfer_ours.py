"""Scores before training, of this library, on features that are there already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from torchcross.targets import MultiClass
from torchcross.transfer import scores

Work = Callable[[int], list[Any]]


def contestants(inputs: Mapping[str, Any]) -> dict[str, Work]:
    """Each computes its score so often, and returns the last value."""
    torch.set_num_threads(1)
    threadpool_limits(limits=1)
    features, states, labels = (inputs[name] for name in ("features", "states", "labels"))
    target = MultiClass([f"class {code}" for code in range(int(labels.max()) + 1)])
    of_features = {
        "logme": scores.logme,
        "h_score": scores.h_score,
        "shrunk_h_score": scores.shrunk_h_score,
        "transrate": partial(scores.transrate, normalise=False),
        "knn": scores.knn,
        "gbc": scores.gbc,
        "parc": scores.parc,
        "sfda": scores.sfda,
        "nleep": scores.nleep,
    }
    works = {name: partial(score, features, labels, target) for name, score in of_features.items()}
    works["leep"] = partial(scores.leep, states, labels, target)
    works["nce"] = partial(scores.nce, states, labels, target)
    return {name: partial(_repeat, work) for name, work in works.items()}


def _repeat(work: Callable[[], Any], count: int) -> list[Any]:
    for _ in range(count):
        score = work()
    return [np.float64(score.value)]
