"""The same scores by published code: tllib's, from a checkout, and scikit-learn's neighbours.

Stands alone: it runs in an interpreter that sees nothing else of this repository.
"""

from __future__ import annotations

import runpy
import sys
import types
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

Work = Callable[[int], list[Any]]
_FUNCTIONS = {
    "logme": ("logme", "log_maximum_evidence"),
    "h_score": ("hscore", "h_score"),
    "shrunk_h_score": ("hscore", "regularized_h_score"),
    "transrate": ("transrate", "transrate"),
    "leep": ("leep", "log_expected_empirical_prediction"),
    "nce": ("nce", "negative_conditional_entropy"),
}


def contestants(inputs: Mapping[str, Any], tllib: str) -> dict[str, Work]:
    """Each computes its score so often, and returns the last value. `tllib` may be empty."""
    threadpool_limits(limits=1)
    features, states, labels = (inputs[name] for name in ("features", "states", "labels"))
    works: dict[str, Callable[[], Any]] = {"knn": partial(_neighbours, features, labels)}
    if tllib:
        _without_numba()
        for name, (file, function) in _FUNCTIONS.items():
            score = runpy.run_path(str(Path(tllib, "tllib", "ranking", f"{file}.py")))[function]
            rows = {"leep": states, "nce": states.argmax(axis=1)}.get(name, features)
            works[name] = partial(score, rows, labels)
    return {name: partial(_repeat, work) for name, work in works.items()}


def _without_numba() -> None:
    """Its LogME compiles one loop of eleven steps by numba; without it, NumPy runs the same."""
    try:
        import numba
    except ImportError:
        numba = types.ModuleType("numba")
        numba.njit = lambda function: function  # type: ignore[attr-defined]
        sys.modules["numba"] = numba


def _neighbours(features: Any, labels: Any) -> float:
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(features)
    # Without rows, a sample is no neighbour of its own.
    nearest = search.kneighbors(return_distance=False)[:, 0]
    return float((labels[nearest] == labels).mean())


def _repeat(work: Callable[[], Any], count: int) -> list[Any]:
    for _ in range(count):
        value = work()
    return [np.float64(value)]
