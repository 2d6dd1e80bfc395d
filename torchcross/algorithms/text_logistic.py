"""Logistic regression that begins with the texts of the classes."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Unpack, final

from torch import Tensor, nn

from torchcross.algorithms._shared.closed_form import Fit
from torchcross.algorithms._shared.text_form import TextForm
from torchcross.algorithms.options import LaneOptions
from torchcross.errors import InputError
from torchcross.heads import text_head, text_logistic_head
from torchcross.targets import Target
from torchcross.text import Texts

Tree = dict[str, Tensor]


@final
class TextLogistic(TextForm):
    """Penalised logistic regression whose weights are pulled towards the texts, to convergence.

    It minimises |W - scale x texts|^2 / 2 + C x (sum of losses) on features of unit length, without
    intercepts: with a small C, or an empty support set, it is `TextPrototypes`. Pulling weights to
    the zero-shot ones is the constraint of CLAP (Silva-Rodriguez et al. 2024); for a linear head it
    is the same as the scores of the texts as an offset. The loss is the softmax over classes, for
    ordinal targets too, and for each label of a multi-label target that over the label and
    "nothing"; a missing label leaves its own sample out. `C` weighs the losses as in
    `LogisticRegression`.

    Use `adapt`; training steps differentiate through the solution. The BatchNorm policy is
    `frozen`. `EpisodicOptions` describes the other options.
    """

    def __init__(
        self,
        backbone: nn.Module,
        texts: Texts,
        *,
        C: float = 10.0,
        **options: Unpack[LaneOptions],
    ) -> None:
        super().__init__(backbone, texts, **options)
        if not isinstance(C, float | int) or not 0 < C < math.inf:
            raise InputError(f"TextLogistic got C={C!r}; give a positive number.")
        self.C = float(C)

    def head_fit(self, target: Target) -> Fit:
        return partial(_pulled_to_texts, target, self.texts.scale, self.C)

    def protocol(self) -> dict[str, Any]:
        return {
            "algorithm": "TextLogistic",
            "C": self.C,
            **self._text_protocol(),
            **self.common_protocol(),
        }


def _pulled_to_texts(
    target: Target, scale: float, C: float, features: Tensor, own: Tree, data: Tree
) -> Tree:
    if not len(features):
        return text_head(data["texts"], scale, features)
    likelihood, codes = target.likelihood, data["codes"]
    return text_logistic_head(likelihood, features, codes, data["texts"], scale, C)
