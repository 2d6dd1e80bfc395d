"""R2-D2: ridge regression as the head, in closed form (Bertinetto et al. 2019)."""

from __future__ import annotations

import math
from typing import Any, Unpack, final

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.closed_form import ClosedForm, Fit
from torchcross.algorithms.options import EpisodicOptions
from torchcross.errors import InputError
from torchcross.heads import WEIGHT, known_codes, ridge_weight
from torchcross.targets import Target
from torchcross.task import Task

Tree = dict[str, Tensor]


@final
class Ridge(ClosedForm):
    """Regresses the support's code words on its features; scaled outputs are the query's logits.

    `strength` of the penalty and `scale` of the outputs are where these two start; both are
    learned, as logarithms. The paper's additive offset is left out: it cancels where classes are
    exclusive, and would favour one side elsewhere. `EpisodicOptions` describes the other options.
    """

    form = "ridge"

    def __init__(
        self,
        backbone: nn.Module,
        *,
        strength: float = 1.0,
        scale: float = 1.0,
        **options: Unpack[EpisodicOptions],
    ) -> None:
        super().__init__(backbone, **options)
        if not (0 < strength < math.inf and 0 < scale < math.inf):
            raise InputError(
                f"Ridge got strength={strength} and scale={scale}; give positive numbers."
            )
        like = self._example_parameter()
        self.log_strength = nn.Parameter(like.new_tensor(math.log(strength)))
        self.log_scale = nn.Parameter(like.new_tensor(math.log(scale)))

    def _fit(self, target: Target) -> Fit:
        return _regression

    def _own_parameters(self) -> Tree:
        return {"head.log_strength": self.log_strength, "head.log_scale": self.log_scale}

    def _label_data(self, data: Tree, task: Task) -> Tree:
        codes, known = known_codes(task.target, data["ys"])
        return {"codes": codes, "known": known}

    def protocol(self) -> dict[str, Any]:
        return {
            "algorithm": "Ridge",
            "strength": math.exp(self.log_strength.item()),
            "scale": math.exp(self.log_scale.item()),
            "steps": 0,
            **self._common_protocol(),
        }


def _regression(features: Tensor, own: Tree, data: Tree) -> Tree:
    strength = torch.exp(own["head.log_strength"])
    return {
        WEIGHT: ridge_weight(features, data["codes"], data["known"], strength),
        "head.scale": torch.exp(own["head.log_scale"]),
    }
