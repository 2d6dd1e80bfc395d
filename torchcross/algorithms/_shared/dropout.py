"""Dropout: on in training and in the inner loop, with masks of the episode's or batch's number.

Predictions have no dropout. How masks reach the layers: `torchcross/functional/network/dropout.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from torchcross.algorithms._shared.draw_key import DrawKey
from torchcross.functional import Network

# Support and query of one episode draw from streams of their own.
_SUPPORT, _QUERY = 0, 1


def episode_masks(
    network: Network,
    state: tuple[dict[str, Tensor], dict[str, Tensor]],
    data: Mapping[str, Any],
    key: DrawKey,
    *,
    steps: int = 1,
) -> dict[str, dict[str, Tensor]]:
    """Return the masks of an episode's support ("ms", one row per step) and query ("mq")."""
    number = key.number_for("dropout")
    parts = {"ms": ("xs", _SUPPORT, max(steps, 1)), "mq": ("xq", _QUERY, 1)}
    return {
        name: network.masks(
            *state, data[images], seed=key.seed, episode=number, part=part, rows=rows
        )
        for name, (images, part, rows) in parts.items()
        if images in data
    }
