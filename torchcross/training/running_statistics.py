"""BatchNorm's running statistics after a training that did not move them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from torchcross.algorithms import Algorithm
from torchcross.episode import Episode
from torchcross.errors import InputError
from torchcross.functional.network.norm_layers import is_norm


def renew_statistics(algorithm: Algorithm, episodes: Iterable[Episode]) -> None:
    """Take the running statistics of the backbone over these episodes, under its present weights.

    Meta-training under the policies `batch` and `support` does not use running statistics: they
    stay those of the initial weights. `FineTune`, `LinearProbe` and the policies `running` and
    `frozen` read them, so renew them first, on episodes of the sources; 40 are enough. They become
    plain means over the support sets and the query sets: the same for the same weights and
    episodes. Nothing else of the backbone changes. Layers with running statistics that are no
    BatchNorm of torch's are refused.
    """
    if not isinstance(algorithm, Algorithm):
        raise InputError(
            f"renew_statistics got a {type(algorithm).__name__}; give an algorithm that was"
            " meta-trained"
        )
    if not renew_backbone_statistics(algorithm.backbone, _images(algorithm, episodes)):
        raise InputError(
            "renew_statistics got no episodes; give some of the sources, 40 are enough"
        )


def renew_backbone_statistics(backbone: nn.Module, batches: Iterable[Tensor]) -> bool:
    """Take BatchNorm's running statistics over batches of images, as plain means.

    Images come as the backbone sees them. False where there was no batch, and nothing changed.
    """
    _refuse_other_layers(backbone)
    layers = [name for name, module in backbone.named_modules() if _has_running_statistics(module)]
    if not layers:
        return True
    counted = _CountedBatches(iter(batches))
    # On a copy: images that cannot be read, or dropout, leave nothing behind.
    renewed = copy.deepcopy(backbone)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        # Dropout before a layer decides what the layer sees.
        torch.manual_seed(0)  # noqa: TID251 (within the fork)
        update_bn(counted, renewed)
    if not counted.count:
        return False
    for name in layers:
        for mine, new in zip(
            backbone.get_submodule(name).buffers(recurse=False),
            renewed.get_submodule(name).buffers(recurse=False),
            strict=True,
        ):
            mine.copy_(new)
    return True


class _CountedBatches:
    def __init__(self, images: Iterator[Tensor]) -> None:
        self.images, self.count = images, 0

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self.images:
            self.count += 1
            yield batch


def _refuse_other_layers(backbone: nn.Module) -> None:
    """Raise where a layer has running statistics and is no BatchNorm of torch's."""
    others = {
        name: type(module).__name__
        for name, module in backbone.named_modules()
        if is_norm(module) and not isinstance(module, _BatchNorm)
    }
    if others:
        layers = ", ".join(f"{name!r} ({kind})" for name, kind in others.items())
        raise InputError(
            "running statistics are renewed in torch's BatchNorm layers and classes derived from"
            f" them, and {type(backbone).__name__} has other layers with running statistics:"
            f" {layers}; use BatchNorm layers there, or a policy that reads none (norm='batch')"
        )


def _has_running_statistics(module: nn.Module) -> bool:
    return (
        isinstance(module, _BatchNorm)
        and module.track_running_stats
        and module.running_mean is not None
    )


def _images(algorithm: Algorithm, episodes: Iterable[Episode]) -> Iterator[Tensor]:
    """The images as the algorithm gives them to its backbone."""
    tensors = chain(algorithm.backbone.parameters(), algorithm.backbone.buffers())
    floating = (value for value in tensors if value.is_floating_point())
    like = next(floating, torch.zeros(()))
    # An algorithm of one's own may have none.
    normalise: Any = getattr(algorithm, "input_normalisation", None)
    for episode in episodes:
        for part in (episode.support, episode.query):
            images = part.x.to(like.device)
            yield images if normalise is None else normalise(images, "an episode", like)
