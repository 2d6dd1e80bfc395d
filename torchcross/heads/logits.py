"""From features to logits: one function for each form of head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.heads.linear import BIAS, WEIGHT
from torchcross.heads.logistic import LOGISTIC_FORMS, logistic_logits
from torchcross.heads.text import TEXT_FORM, text_logits
from torchcross.targets import Target

MEAN_FORM = "linear-mean"
"""The form of head of an ensemble."""

Form = Callable[[Target, Tensor, dict[str, Tensor]], Tensor]


def _linear(target: Target, features: Tensor, params: dict[str, Tensor]) -> Tensor:
    return target.head.logits(features, params[WEIGHT], params[BIAS])


def _linear_mean(target: Target, features: Tensor, params: dict[str, Tensor]) -> Tensor:
    """Logits that mean the mean probability of several heads, each on its own part of the features.

    Weights are (members, rows, D), and features (N, members x D).
    """
    # By chunks: an export must not fix the number of images.
    parts = features.chunk(len(params[WEIGHT]), dim=-1)
    heads = zip(parts, params[WEIGHT], params[BIAS], strict=True)
    every = [target.answer_probabilities(target.head.logits(*one)) for one in heads]
    mean = torch.stack(every).mean(0)
    # Below this there are no numbers, and a logarithm has no gradient.
    log_mean = mean.clamp(min=torch.finfo(mean.dtype).tiny).log()
    return target.prototype_logits(target.likelihood.prototype_scores(log_mean))


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


def _centred_distances(target: Target, features: Tensor, params: dict[str, Tensor]) -> Tensor:
    directions, means = (
        F.normalize(features - params["head.centre"], dim=-1),
        params["head.prototypes"],
    )
    # Minus squared distances; no lengths are large, so nothing cancels in the expanded square.
    squares = directions.square().sum(-1, keepdim=True) + means.square().sum(-1)
    return target.prototype_logits(2 * directions @ means.transpose(0, 1) - squares)


def _nothing(target: Target, features: Tensor, params: dict[str, Tensor]) -> Tensor:
    return features[:, :0]


CONSTANT: Final = "constant"
"""The form of a head of no class: the support set alone decides, and no image changes anything."""

FORMS: dict[str, Form] = {
    "linear": _linear,
    "euclidean": _euclidean,
    "cosine": _cosine,
    "ridge": _ridge,
    "centred": _centred_distances,
    MEAN_FORM: _linear_mean,
    CONSTANT: _nothing,
    TEXT_FORM: text_logits,
    **{form: partial(logistic_logits, unit_length=unit) for unit, form in LOGISTIC_FORMS.items()},
}


def head_logits(
    form: str,
    target: Target,
    features: Float[Tensor, "N D"],
    params: dict[str, Tensor],
    counts: Sequence[int] | None = None,
) -> Float[Tensor, "N outputs"]:
    """The logits of the target's loss, by the head of this form in `params`.

    `counts` are those of a support set that has not every class: the head is then of
    `head_target(target, counts)`, and `target.logits_of_all` says what becomes of the others.

    >>> from torchcross.heads import head_logits, zero_head
    >>> from torchcross.targets import Binary
    >>> params = zero_head(Binary(), 4)
    >>> head_logits("linear", Binary(), torch.ones(2, 4), params)
    tensor([[0.],
            [0.]])
    """
    if form not in FORMS:
        raise InputError(unknown_name("form of head", form, FORMS))
    try:
        logits = FORMS[form](head_target(target, counts), features, params)
    except KeyError as error:
        name = "".join(map(str, error.args))
        if name in params or not name.startswith("head."):
            raise
        raise lacking_tensor(form, name, params) from error
    return logits if counts is None else target.logits_of_all(logits, counts)


def lacking_tensor(form: str, name: str, params: dict[str, Tensor]) -> InputError:
    """The error about a head that has not every tensor of its form: its fit does not return it."""
    return InputError(
        f"a head of the form {form!r} needs {name!r}, and this one has"
        f" {', '.join(map(repr, params)) or 'nothing'}; a method of one's own returns it from the"
        " function of `head_fit` (`torchcross.testing.check_algorithm` checks it)"
    )


def head_target(target: Target, counts: Sequence[int] | None) -> Target:
    """The target that a head is fitted to: that of the classes that the support set has.

    The whole target where there are no counts, or where a head cannot be fitted at all.

    >>> from torchcross.heads import head_target
    >>> from torchcross.targets import MultiClass
    >>> head_target(MultiClass(["disc", "square", "star"]), [5, 0, 5]).classes
    ('disc', 'star')
    """
    seen = () if counts is None else target.seen_classes(counts)
    return target.restrict(seen) if seen else target
