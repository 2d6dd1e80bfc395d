"""Prototypical networks (Snell, Swersky and Zemel 2017)."""

from __future__ import annotations

import math
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.closed_form import ClosedForm, Fit
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.errors import InputError
from torchcross.functional.loop.lanes import Lanes
from torchcross.heads import prototypes
from torchcross.task import Task

__all__ = ["ProtoNet"]

Tree = dict[str, Tensor]


@final
class ProtoNet(ClosedForm):
    """A query is scored by minus its squared distance to each prototype, or by `scale` times its
    cosine with it.

    Prototypes are the means that the target asks for, one per class or rank; for multi-label
    targets one of the samples with
    each label and one of those without, whose scores are subtracted. The target turns scores into
    logits of its own loss.
    The scale of cosines is learned, as its logarithm, from `scale`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        scale: float = 10.0,
        norm: str = "batch",
        lanes: Lanes = "auto",
        normalise: MeanAndStd | None = None,
        features: int | None = None,
    ) -> None:
        super().__init__(backbone, norm=norm, lanes=lanes, normalise=normalise, features=features)
        if metric not in ("euclidean", "cosine"):
            raise InputError(f"ProtoNet got metric={metric!r}; choose 'euclidean' or 'cosine'.")
        if not 0 < scale < math.inf:
            raise InputError(f"ProtoNet got scale={scale}; give a positive number.")
        self.form = metric
        like = self._like()
        self.log_scale = (
            nn.Parameter(like.new_tensor(math.log(scale))) if metric == "cosine" else None
        )

    def _fit(self) -> Fit:
        return _fit

    def _own(self) -> Tree:
        return {} if self.log_scale is None else {"head.log_scale": self.log_scale}

    def _extra(self, data: Tree, task: Task) -> Tree:
        return {}

    def protocol(self) -> dict[str, Any]:
        scale = {} if self.log_scale is None else {"scale": math.exp(self.log_scale.item())}
        return {
            "algorithm": "ProtoNet",
            "metric": self.form,
            **scale,
            "steps": 0,
            **self._common_protocol(),
        }


def _fit(features: Tensor, own: Tree, data: Tree) -> Tree:
    head = {"head.prototypes": prototypes(features, data["strata"])}
    if "head.log_scale" in own:
        head["head.scale"] = torch.exp(own["head.log_scale"])
    return head
