"""Prototypical networks (Snell, Swersky and Zemel 2017)."""

from __future__ import annotations

import math
from typing import Any, Literal, Unpack, final

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.closed_form import ClosedForm, Fit
from torchcross.algorithms.options import EpisodicOptions
from torchcross.errors import InputError
from torchcross.heads import prototypes
from torchcross.targets import Target

Tree = dict[str, Tensor]


@final
class ProtoNet(ClosedForm):
    """Scores a query by minus its squared distance to each prototype, or by `scale` x its cosine.

    Prototypes are the means that the target asks for: one per class or rank. For multi-label
    targets, one is of the samples with each label and one of those without it, and their scores are
    subtracted. The target turns scores into logits of its own loss. The scale of cosines is
    learned, as its logarithm, from `scale`. `EpisodicOptions` describes the other options.

    >>> from torchcross import backbones
    >>> from torchcross.algorithms import ProtoNet
    >>> from torchcross.data import toys
    >>> episode = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=16), shots=5, queries=3))[0]
    >>> protonet = ProtoNet(backbones.conv4(8, in_channels=1))
    >>> protonet.adapt(episode.support, episode.task)(episode.query.x).decisions.shape
    torch.Size([6])
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        scale: float = 10.0,
        **options: Unpack[EpisodicOptions],
    ) -> None:
        super().__init__(backbone, **options)
        if metric not in ("euclidean", "cosine"):
            raise InputError(f"ProtoNet got metric={metric!r}; choose 'euclidean' or 'cosine'.")
        if not 0 < scale < math.inf:
            raise InputError(f"ProtoNet got scale={scale}; give a positive number.")
        self.form = metric
        self.log_scale: nn.Parameter | None = None
        if metric == "cosine":
            self.log_scale = nn.Parameter(self._example_parameter().new_tensor(math.log(scale)))

    def head_fit(self, target: Target) -> Fit:
        return _mean_prototypes

    def own_parameters(self) -> Tree:
        return {} if self.log_scale is None else {"head.log_scale": self.log_scale}

    def protocol(self) -> dict[str, Any]:
        scale = {} if self.log_scale is None else {"scale": math.exp(self.log_scale.item())}
        return {
            "algorithm": "ProtoNet",
            "metric": self.form,
            **scale,
            "steps": 0,
            **self.common_protocol(),
        }


def _mean_prototypes(features: Tensor, own: Tree, data: Tree) -> Tree:
    head = {"head.prototypes": prototypes(features, data["strata"])}
    if "head.log_scale" in own:
        head["head.scale"] = torch.exp(own["head.log_scale"])
    return head
