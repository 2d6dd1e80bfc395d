"""The settings of fine-tuning beyond the published steps and rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torchcross.training.options import option, refuse_first


@dataclass(frozen=True, kw_only=True)
class FineTuningSettings:
    """How rows that are fine-tuned do it; `evaluation` has their steps, rate and BatchNorm policy.

    head          how the head starts: "kaiming", as published; "zero", "proto" (prototypes) or
                  "logistic" (the solution of logistic regression)
    backbone_lr   learning rate of the backbone; `evaluation.lr` is then that of the head. With
                  `layer_decay` it is that of what stands behind the last block, which has it times
                  `layer_decay`. 0: the same
    layer_decay   the backbone's rate is multiplied by it for each block away from the head; at
                  most 1
    optimiser     "adam", as published, "adamw", "sgd", "momentum" or "nesterov"
    weight_decay  of the optimiser; "adamw" keeps it apart from the gradient
    schedule      "constant", or "cosine": down to zero over the steps
    warmup        the first steps, in which rates rise linearly
    batch         support images that a step sees; a support with fewer is seen whole. 0: all
    augment       flips, rotations and crops of the support images, drawn anew for each step
    grid          factors of both rates: a network is fine-tuned for each pair of a rate of the head
                  and a rate of the backbone, and probabilities are averaged; [0.1, 1, 10] makes
                  nine. Empty: one network
    """

    head: Literal["kaiming", "zero", "proto", "logistic"] = "kaiming"
    backbone_lr: float = option(0.0, may_be_zero=True)
    layer_decay: float = 1.0
    optimiser: Literal["adam", "adamw", "sgd", "momentum", "nesterov"] = "adam"
    weight_decay: float = option(0.0, may_be_zero=True)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = option(0, may_be_zero=True)
    batch: int = option(0, may_be_zero=True)
    augment: bool = False
    grid: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        grid = list(self.grid)
        refuse_first(
            (
                self.layer_decay > 1,
                f"fine_tuning.layer_decay={self.layer_decay}; give at most 1: layers nearer to the"
                " input then move more slowly",
            ),
            (len({*grid}) < len(grid), f"fine_tuning.grid={grid} names a factor twice"),
        )
