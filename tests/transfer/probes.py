"""The probe and the tasks of the golden embeddings, made by formula."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchcross.heads import BIAS, WEIGHT, head_logits
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal, Target


def sines(*shape: int, a: float, b: float) -> Tensor:
    """Entry k, counted in C order from 0, is b sin(a (k + 1))."""
    count = torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.float64)
    return (b * torch.sin(a * count)).reshape(shape)


def golden_probe() -> nn.Module:
    probe = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3, eps=1e-5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).double()
    values = {
        "0.weight": sines(3, 1, 3, 3, a=0.37, b=0.6),
        "0.bias": sines(3, a=0.9, b=0.1),
        "1.weight": 1 + sines(3, a=1.1, b=0.3),
        "1.bias": sines(3, a=0.7, b=0.2),
        "1.running_mean": sines(3, a=0.5, b=0.2),
        "1.running_var": 1 + sines(3, a=1.7, b=0.4),
        "4.weight": sines(4, 3, 3, 3, a=0.23, b=0.5),
    }
    probe.load_state_dict(probe.state_dict() | values)
    return probe


TARGETS: dict[str, Target] = {
    "A": MultiClass(["a", "b", "c"]),
    "B": MultiClass(["a", "b", "c", "d", "e"]),
    "C": Binary(["no", "yes"]),
    "D": MultiLabel(["a", "b", "c"]),
    "E": Ordinal(["a", "b", "c", "d"], loss="coral"),
}


def golden_task(name: str) -> tuple[Tensor, Target, dict[str, Tensor]]:
    """(images, target, head) of a task."""
    number = "ABCDE".index(name)
    target = TARGETS[name]
    images = sines(12, 1, 6, 6, a=0.311 + 0.05 * number, b=1)
    outputs = target.num_outputs
    weight = sines(outputs, 4, a=0.61 + 0.1 * number, b=1.5)
    bias = sines(outputs, a=0.83 + 0.1 * number, b=0.3)
    if name == "E":
        weight, bias = weight[:1], torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
    return images, target, {WEIGHT: weight, BIAS: bias}


def logits_of(target: Target, head: dict[str, Tensor]):
    return lambda features: head_logits("linear", target, features, head)
