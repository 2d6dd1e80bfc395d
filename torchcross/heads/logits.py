"""From features to logits: one function for each form of head."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.heads.linear import BIAS, WEIGHT
from torchcross.targets import Target

Form = Callable[[Target, Tensor, dict[str, Tensor]], Tensor]


def _linear(target: Target, features: Tensor, params: dict[str, Tensor]) -> Tensor:
    return target.head.logits(features, params[WEIGHT], params[BIAS])


def _euclidean(target: Target, features: Tensor, params: dict[str, Tensor]) -> Tensor:
    apart = features.unsqueeze(-2) - params["head.prototypes"]
    return target.prototype_logits(-apart.square().sum(-1))


def _cosine(target: Target, features: Tensor, params: dict[str, Tensor]) -> Tensor:
    directions, means = (
        F.normalize(features, dim=-1),
        F.normalize(params["head.prototypes"], dim=-1),
    )
    return target.prototype_logits(params["head.scale"] * (directions @ means.transpose(-2, -1)))


def _ridge(target: Target, features: Tensor, params: dict[str, Tensor]) -> Tensor:
    return target.regression_logits(params["head.scale"] * (features @ params[WEIGHT]))


FORMS: dict[str, Form] = {
    "linear": _linear,
    "euclidean": _euclidean,
    "cosine": _cosine,
    "ridge": _ridge,
}


def head_logits(
    form: str, target: Target, features: Float[Tensor, "N D"], params: dict[str, Tensor]
) -> Float[Tensor, "N outputs"]:
    """The logits of the target's loss, by the head of this form in `params`."""
    if form not in FORMS:
        raise InputError(unknown_name("form of head", form, FORMS))
    return FORMS[form](target, features, params)
