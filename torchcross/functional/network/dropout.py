"""Dropout whose masks are drawn outside of the forward, from (seed, episode).

A mask is data: it enters a forward as images do. So a loop over episodes and lanes under `vmap`
drop the same units, and no global generator is touched. Without masks dropout layers are off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from torchcross.errors import InputError
from torchcross.functional.network.norm_policies import FrameHolder

_ELEMENTWISE = (nn.Dropout,)
_CHANNELWISE = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_UNSUPPORTED = (nn.AlphaDropout, nn.FeatureAlphaDropout)


def substitute_dropout(layer: nn.Module, name: str, holder: FrameHolder) -> bool:
    """Give a dropout layer a forward that reads its mask from the frame; False if it is none."""
    if type(layer) in _UNSUPPORTED:
        kind = type(layer).__name__
        raise InputError(f"layer {name!r} is {kind}, which takes no masks; use nn.Dropout.")
    if type(layer) not in (*_ELEMENTWISE, *_CHANNELWISE):
        return False
    vars(layer)["forward"] = _forward_of(layer, name, holder)
    return True


def _forward_of(layer: nn.Module, name: str, holder: FrameHolder) -> Callable[[Tensor], Tensor]:
    keep = 1.0 - float(cast(float, layer.p))
    channelwise = type(layer) in _CHANNELWISE

    def forward(x: Tensor) -> Tensor:
        frame = holder.frame
        key = frame.call_key(name)
        if keep == 1.0:
            return x
        if frame.shapes is not None:
            ones = [1] * (x.dim() - 2)
            frame.shapes[key] = torch.Size([*x.shape[:2], *ones]) if channelwise else x.shape
            return x
        if not frame.masks:
            return x
        mask = _mask(frame.masks, key, frame.mask_row)
        return x * mask.to(x.dtype) / keep if keep > 0.0 else torch.zeros_like(x)

    return forward


def _mask(masks: dict[str, Tensor], key: str, row: int) -> Tensor:
    if key not in masks or row >= masks[key].shape[0]:
        count = masks[key].shape[0] if key in masks else 0
        raise InputError(
            f"dropout layer {key!r} needs a mask for step {row} and {count} were drawn; draw masks"
            " with `network.masks(...)` for this network, these shapes and enough steps."
        )
    return masks[key][row]


def refuse_unreached(shapes: dict[str, torch.Size], rates: dict[str, float]) -> None:
    """Raise where a layer drops units and the forward went around it: it would be off silently."""
    reached = {key.rsplit("#", 1)[0] for key in shapes}
    missed = [name for name, rate in rates.items() if rate > 0 and name not in reached]
    if missed:
        raise InputError(
            f"dropout layer {missed[0]!r} (p={rates[missed[0]]}) is not called in the forward, so"
            " that it can get no mask; call the layer itself where its rate is used, or set its p"
            " to 0.0."
        )


def draw_masks(
    shapes: dict[str, torch.Size],
    rates: dict[str, float],
    *,
    seed: int,
    episode: int,
    rows: int,
    part: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """Boolean masks [rows, ...] for every dropout call: a pure function of the arguments."""
    masks = {}
    for index, (key, shape) in enumerate(shapes.items()):
        words = (seed, episode, part, index)
        generator = torch.Generator().manual_seed(_mix(words))
        uniform = torch.rand((rows, *shape), generator=generator)
        masks[key] = (uniform >= rates[key.rsplit("#", 1)[0]]).to(device)
    return masks


def _mix(words: tuple[int, ...]) -> int:
    """One 63-bit number from several, by the finaliser of SplitMix64 (Steele et al. 2014)."""
    state = 0
    for word in words:
        state = (state + 0x9E3779B97F4A7C15 + (word & 0xFFFFFFFFFFFFFFFF)) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
