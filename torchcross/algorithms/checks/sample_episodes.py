"""Small made-up episodes, one of each target type, in the shape that a backbone takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torchcross.episode import Batch, Episode
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal, Target
from torchcross.task import Task

_SIDE = 16
_SAMPLES = 6


def make_sample_episodes(algorithm: Any) -> list[Episode]:
    """Return an episode of each task of the algorithm, or else of each target type."""
    floating = (value for value in algorithm.parameters() if value.is_floating_point())
    like = next(floating, torch.zeros(()))
    shape = _image_shape(algorithm.backbone)
    tasks = getattr(algorithm, "tasks", None) or _tasks()
    return [_episode(task, shape, like, seed) for seed, task in enumerate(tasks)]


def _image_shape(backbone: nn.Module) -> tuple[int, int, int]:
    """Return (channels, height, width): of the backbone, or of its first convolution."""
    convolutions = (layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d))
    channels = getattr(next(convolutions, None), "in_channels", 1)
    side = int(getattr(backbone, "image_size", None) or _SIDE)
    return int(getattr(backbone, "in_channels", channels)), side, side


def _tasks() -> list[Task]:
    targets: list[Target] = [
        Binary(["no", "yes"]),
        MultiClass(["one", "two", "three"]),
        MultiLabel(["left", "right"]),
        Ordinal(["low", "middle", "high"]),
    ]
    return [Task(target.kind, target, "built-in") for target in targets]


def _episode(task: Task, shape: tuple[int, int, int], like: Tensor, seed: int) -> Episode:
    count = max(_SAMPLES, 2 * task.target.num_classes)
    generator = torch.Generator().manual_seed(seed)
    labels = _labels(task.target, count)
    # Half noise, half a shade that tells the label.
    shade = labels.reshape(count, -1).double().mean(1) / task.target.num_classes
    noise = torch.rand((2, count, *shape), generator=generator, dtype=torch.float64)
    images = (0.5 * noise + 0.5 * shade.reshape(-1, 1, 1, 1)).to(like)
    labels = labels.to(like.device)
    return Episode(Batch(images[0], labels), Batch(images[1], labels), task)


def _labels(target: Target, count: int) -> Tensor:
    """Return codes with every class, or every label both present and absent, among them."""
    rows = torch.arange(count)
    if not target.label_shape:
        return rows % target.num_classes
    return (rows[:, None] + torch.arange(*target.label_shape)) % 2
