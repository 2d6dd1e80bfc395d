"""Spectral normalisation of weights, with vectors that come in and go out with the call."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm

from torchcross.functional.network.norm_policies import FrameHolder, buffer_name
from torchcross.functional.trees import Buffers

VECTORS = ("_u", "_v")
"""The buffers of a layer: its estimate of the first singular vectors."""


def substitute_spectral_norm(layer: nn.Module, name: str, holder: FrameHolder) -> bool:
    """Give torch's spectral normalisation a forward that writes nothing; False if it is none."""
    if type(layer) is not _SpectralNorm or not hasattr(layer, "_u"):
        return False
    vars(layer)["forward"] = _forward_of(layer, name, holder)
    return True


def _forward_of(layer: _SpectralNorm, name: str, holder: FrameHolder) -> Callable[[Tensor], Tensor]:
    names = [buffer_name(name, part) for part in VECTORS]

    def forward(weight: Tensor) -> Tensor:
        """W / (u'Wv), after steps of the power method in training mode (Miyato et al. 2018).

        The vectors are constants to every derivative. `detach` makes them so in forward mode too,
        where `no_grad` does not.
        """
        frame = holder.frame
        matrix = layer._reshape_weight_to_matrix(weight)
        u, v = (frame.fresh.get(at, frame.buffers[at]) for at in names)
        if frame.training and layer.training:
            constant = matrix.detach()
            for _ in range(layer.n_power_iterations):
                u = F.normalize(constant @ v, dim=0, eps=layer.eps)
                v = F.normalize(constant.mT @ u, dim=0, eps=layer.eps)
            frame.fresh.update(zip(names, (u, v), strict=True))
        return weight / torch.dot(u, matrix @ v)

    return forward


def with_unit_length(buffers: Buffers, names: frozenset[str]) -> Buffers:
    """The same buffers, with these vectors of length 1 again: a mean of episodes' is shorter."""
    return {
        name: F.normalize(value, dim=0) if name in names else value
        for name, value in buffers.items()
    }
