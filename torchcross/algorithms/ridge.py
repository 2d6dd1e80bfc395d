"""R2-D2: ridge regression as the head, in closed form (Bertinetto et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack, final

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.closed_form import ClosedForm, Fit
from torchcross.algorithms.options import EpisodicOptions
from torchcross.errors import InputError
from torchcross.heads import WEIGHT, known_codes, leave_one_out_errors, ridge_weight
from torchcross.targets import Target
from torchcross.task import Task

Tree = dict[str, Tensor]


@final
class Ridge(ClosedForm):
    """Regresses the support's code words on its features; scaled outputs are the query's logits.

    `strength` of the penalty and `scale` of the outputs are where these two start; both are
    learned, as logarithms. Several strengths are not learned: each support takes that with the
    smallest squared error on its own samples, each left out once, by the exact formula. The paper's
    additive offset is left out: it cancels where classes are exclusive, and would favour one side
    elsewhere. `EpisodicOptions` describes the other options.

    >>> from torchcross import backbones
    >>> from torchcross.algorithms import Ridge
    >>> from torchcross.data import toys
    >>> episode = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=16), shots=5, queries=3))[0]
    >>> algorithm = Ridge(backbones.conv4(8, in_channels=1))
    >>> algorithm.adapt(episode.support, episode.task)(episode.query.x).decisions.shape
    torch.Size([6])
    """

    form = "ridge"

    def __init__(
        self,
        backbone: nn.Module,
        *,
        strength: float | Sequence[float] = 1.0,
        scale: float = 1.0,
        **options: Unpack[EpisodicOptions],
    ) -> None:
        super().__init__(backbone, **options)
        several = tuple(strength) if isinstance(strength, list | tuple) else ()
        candidates = several or (strength,)
        if not all(_is_positive(value) for value in (*candidates, scale)):
            raise InputError(
                f"Ridge got strength={strength} and scale={scale}; give positive numbers, or"
                " several strengths to choose from, such as (0.1, 1, 10)."
            )
        like = self._example_parameter()
        self.strengths = tuple(map(float, several))
        self.log_strength: nn.Parameter | None = None
        if not several:
            self.log_strength = nn.Parameter(like.new_tensor(math.log(candidates[0])))
        self.log_scale = nn.Parameter(like.new_tensor(math.log(scale)))

    def head_fit(self, target: Target) -> Fit:
        if not self.strengths:
            return _regression
        return partial(_chosen_regression, torch.tensor(self.strengths, dtype=torch.float64))

    def own_parameters(self) -> Tree:
        scale: Tree = {"head.log_scale": self.log_scale}
        if self.log_strength is None:
            return scale
        return {"head.log_strength": self.log_strength, **scale}

    def label_data(self, data: Tree, task: Task) -> Tree:
        codes, known = known_codes(task.target, data["ys"])
        return {"codes": codes, "known": known}

    def protocol(self) -> dict[str, Any]:
        strength: dict[str, Any] = {"strength": list(self.strengths), "chosen": "leave-one-out"}
        if self.log_strength is not None:
            strength = {"strength": math.exp(self.log_strength.item())}
        return {
            "algorithm": "Ridge",
            **strength,
            "scale": math.exp(self.log_scale.item()),
            "steps": 0,
            **self.common_protocol(),
        }


def _is_positive(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value < math.inf  # type: ignore[operator]


def _regression(features: Tensor, own: Tree, data: Tree) -> Tree:
    return _head(features, own, data, torch.exp(own["head.log_strength"]))


def _chosen_regression(strengths: Tensor, features: Tensor, own: Tree, data: Tree) -> Tree:
    """With the strength of the smallest error; the choice itself has no gradient."""
    errors = leave_one_out_errors(features, data["codes"], data["known"], strengths)
    # A sum with zeros and a one, for lanes cannot index by their own values.
    is_best = torch.arange(len(strengths), device=errors.device) == errors.argmin()
    chosen = is_best.to(errors) @ strengths.to(errors)
    return _head(features, own, data, chosen.to(features))


def _head(features: Tensor, own: Tree, data: Tree, strength: Tensor) -> Tree:
    return {
        WEIGHT: ridge_weight(features, data["codes"], data["known"], strength),
        "head.scale": torch.exp(own["head.log_scale"]),
    }
