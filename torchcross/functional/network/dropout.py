"""Dropout layers whose masks are drawn outside of the forward, from (seed, episode).

A mask is data: it enters a forward as images do. So a loop over episodes and lanes under `vmap`
drop the same units, and no global generator is touched. In evaluation mode dropout layers are off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from torchcross.functional.network.masked_draws import mask_shape, scale_kept
from torchcross.functional.network.norm_policies import Draw, FrameHolder

_CHANNELWISE: dict[type[nn.Module], int | None] = {
    nn.Dropout1d: 3,
    nn.Dropout2d: None,
    nn.Dropout3d: 5,
}
"""Layers that drop whole channels, and how many axes their input has with a batch."""


def substitute_dropout(layer: nn.Module, name: str, holder: FrameHolder) -> bool:
    """Give a dropout layer a forward that reads its mask from the frame; False if it is none.

    Masks are known by the layer's name. Other layers draw through `MaskedDraws`.
    """
    if type(layer) is not nn.Dropout and type(layer) not in _CHANNELWISE:
        return False
    vars(layer)["forward"] = _forward_of(layer, name, holder)
    return True


def _forward_of(layer: nn.Module, name: str, holder: FrameHolder) -> Callable[[Tensor], Tensor]:
    rate, kind = float(cast(float, layer.p)), type(layer)

    def forward(input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        x, frame = input, holder.frame
        key = frame.call_key(name)
        if rate == 0.0 or not (frame.training and layer.training):
            return x
        shape = mask_shape(x, _CHANNELWISE[kind]) if kind in _CHANNELWISE else x.shape
        mask = frame.numbers(key, Draw("keep", torch.Size(shape), rate))
        return x if mask is None else scale_kept(x, mask.to(x.dtype), rate)

    return forward


def draw_masks(
    draws: dict[str, Draw], *, seed: int, episode: int, rows: int, part: int, device: torch.device
) -> dict[str, Tensor]:
    """Random numbers [rows, ...] for every call that needs some: a function of the arguments."""
    masks = {}
    for index, (key, draw) in enumerate(draws.items()):
        generator = torch.Generator().manual_seed(_mix((seed, episode, part, index)))
        shape = (rows, *draw.shape)
        draw_numbers = torch.randn if draw.kind == "normal" else torch.rand
        numbers = draw_numbers(shape, generator=generator)
        masks[key] = (numbers >= draw.rate if draw.kind == "keep" else numbers).to(device)
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
