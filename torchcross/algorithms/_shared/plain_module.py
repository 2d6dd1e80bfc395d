"""A predictor as an ordinary module, which torch can trace, compile and export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from torchcross.backbones.input_normalisation import InputNormalisation
from torchcross.heads import head_logits
from torchcross.targets import Target
from torchcross.task import Task

Output: TypeAlias = Literal["probabilities", "logits"]


@final
class PlainPredictor(nn.Module):
    """Images (N, C, H, W) to probabilities or logits, by layers of torch alone.

    `Predictor.to_module` makes it. It is in evaluation mode, and its tensors are its own. It checks
    no pixels. `classes` are the names of the columns of probabilities.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Mapping[str, Tensor],
        *,
        task: Task,
        form: str,
        pixels: InputNormalisation,
        output: Output,
        counts: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.output = output
        self.classes: tuple[str, ...] = task.classes
        self.task = task
        self.normalisation = _Normalisation(pixels, next(iter(head.values())))
        self.backbone = backbone
        self.head = _Head(form, task.target, head, counts)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(self.normalisation(images)))
        if self.output == "logits":
            return logits
        return self.task.target.objective.probabilities(logits)


@final
class _Normalisation(nn.Module):
    """`InputNormalisation` with its numbers as buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self, pixels: InputNormalisation, like: Tensor) -> None:
        super().__init__()
        self.left_alone = pixels.left_alone
        self.is_identity = not pixels.mean
        shape = (-1, 1, 1)
        self.register_buffer("mean", like.new_tensor(pixels.mean).view(shape))
        self.register_buffer("std", like.new_tensor(pixels.std).view(shape))

    def forward(self, images: Tensor) -> Tensor:
        is_uint8 = images.dtype == torch.uint8
        if self.left_alone and is_uint8:
            return images
        scaled = images.to(self.mean.dtype)
        if is_uint8:
            scaled = scaled / 255
        return scaled if self.is_identity else (scaled - self.mean) / self.std


@final
class _Head(nn.Module):
    def __init__(
        self,
        form: str,
        target: Target,
        tensors: Mapping[str, Tensor],
        counts: tuple[int, ...] | None,
    ) -> None:
        super().__init__()
        self.counts = counts
        self.form = form
        self.target = target
        self.names = {name: name.replace(".", "_") for name in tensors}
        for name, value in tensors.items():
            self.register_buffer(self.names[name], value.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        tensors = {name: self.get_buffer(local) for name, local in self.names.items()}
        logits = head_logits(self.form, self.target, features, tensors, self.counts)
        return logits.to(features.dtype)
