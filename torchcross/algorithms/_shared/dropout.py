"""Training mode: on in training and the inner loop, with draws of the episode's or batch's number.

Predictions are in evaluation mode. How numbers reach the layers:
`torchcross/functional/network/masked_draws.py`.
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
    parts = {"ms": ("xs", _SUPPORT, max(steps, 1)), "mq": ("xq", _QUERY, 1)}
    masks = {}
    for name, (images, part, rows) in parts.items():
        if images not in data:
            continue
        # A network that draws nothing needs no number.
        draws = network.draws(*state, data[images])
        number = key.number_for("dropout") if draws else 0
        masks[name] = network.masks(
            *state, data[images], seed=key.seed, episode=number, part=part, rows=rows
        )
    return masks
