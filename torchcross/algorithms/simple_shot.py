"""SimpleShot: nearest means of centred features of unit length (Wang et al. 2019)."""

from __future__ import annotations

from typing import Any, Unpack, final

import torch.nn.functional as F
from torch import Tensor, nn

from torchcross.algorithms._shared.closed_form import ClosedForm, Fit
from torchcross.algorithms.options import LaneOptions
from torchcross.heads import prototypes
from torchcross.targets import Target

Tree = dict[str, Tensor]


@final
class SimpleShot(ClosedForm):
    """Scores a query by minus its squared distance to each prototype, all of unit length.

    From every feature the mean of the support is subtracted (the paper subtracts that of its base
    classes), then it is divided by its length. Prototypes and scores are those of `ProtoNet`. Use
    `adapt`, from any backbone. The BatchNorm policy is `frozen`. `EpisodicOptions` describes the
    other options.

    >>> from torchcross import backbones
    >>> from torchcross.algorithms import SimpleShot
    >>> from torchcross.data import toys
    >>> episode = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=16), shots=5, queries=3))[0]
    >>> algorithm = SimpleShot(backbones.conv4(8, in_channels=1))
    >>> algorithm.adapt(episode.support, episode.task)(episode.query.x).decisions.shape
    torch.Size([6])
    """

    form = "centred"

    def __init__(
        self, backbone: nn.Module, *, norm: str = "frozen", **options: Unpack[LaneOptions]
    ) -> None:
        super().__init__(backbone, norm=norm, **options)

    def head_fit(self, target: Target) -> Fit:
        return _centred_prototypes

    def own_parameters(self) -> Tree:
        return {}

    def protocol(self) -> dict[str, Any]:
        return {"algorithm": "SimpleShot", "steps": 0, **self.common_protocol()}


def _centred_prototypes(features: Tensor, own: Tree, data: Tree) -> Tree:
    centre = features.mean(0)
    directions = F.normalize(features - centre, dim=-1)
    return {"head.centre": centre, "head.prototypes": prototypes(directions, data["strata"])}
