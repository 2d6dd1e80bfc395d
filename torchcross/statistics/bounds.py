"""Metrics whose values lie between bounds, and intervals that stay between them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.argument_checks import is_number
from torchcross.errors import InputError
from torchcross.metrics.reference_values import BOUNDS

Bounds = tuple[float, float]
Floats = NDArray[np.float64]


def bounds_of(metric: str) -> Bounds | None:
    """The least and the largest value of a metric of the library; None where there are none."""
    return BOUNDS.get(metric)


def check_bounds(bounds: Bounds | None, values: Floats) -> None:
    """Refuse bounds that are none, and values beyond them."""
    if bounds is None:
        return
    is_pair = isinstance(bounds, tuple | list) and len(bounds) == 2 and all(map(is_number, bounds))
    if not (is_pair and -math.inf < bounds[0] < bounds[1] < math.inf):
        raise InputError(f"the bounds are {bounds!r}; give the least and the largest value")
    low, high = bounds
    if ((values < low) | (values > high)).any():
        raise InputError(
            f"the values reach from {np.nanmin(values):g} to {np.nanmax(values):g}, beyond the"
            f" bounds {low:g} and {high:g}; give the bounds of the metric, or None"
        )


def within_bounds(mean: float, half: float, bounds: Bounds) -> tuple[float, float]:
    """The ends mean ± half, taken on the logit scale: both stay between the bounds.

    The scale is that of x = log((mean - low) / (high - mean)), whose derivative gives the width.
    """
    low, high = bounds
    below, above = mean - low, high - mean
    if not (below > 0 and above > 0 and half > 0):
        return mean - half, mean + half
    step = half * (high - low) / (below * above)
    # With odds o = below / above: low + (high - low) * o e^x / (1 + o e^x), without overflow.
    shrink = math.exp(-step)
    return (
        low + (high - low) * below * shrink / (below * shrink + above),
        low + (high - low) * below / (below + above * shrink),
    )
