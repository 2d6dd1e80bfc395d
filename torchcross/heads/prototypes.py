"""Prototypes: means of the support's strata, and the linear head of distances to them."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float, Num
from torch import Tensor

from torchcross.errors import InputError
from torchcross.heads.linear import BIAS, WEIGHT
from torchcross.targets import Target

_TOLERANCE = 1e-9


def prototypes(features: Float[Tensor, "N D"], strata: Num[Tensor, "N P"]) -> Float[Tensor, "P D"]:
    """The mean of the features of each stratum; strata are zeros and ones.

    >>> from torchcross.heads import prototypes
    >>> features = torch.tensor([[0.0, 2.0], [2.0, 0.0], [4.0, 4.0]])
    >>> prototypes(features, torch.tensor([[1, 0], [1, 0], [0, 1]]))
    tensor([[1., 1.],
            [4., 4.]])
    """
    strata = strata.to(features.dtype)
    return (strata.mT @ features) / strata.sum(0).unsqueeze(-1)


def proto_head(
    target: Target, features: Float[Tensor, "N D"], strata: Num[Tensor, "N P"]
) -> dict[str, Tensor]:
    """The linear head that scores -|x - mu_p|^2 for each prototype, up to -|x|^2.

    (Snell et al. 2017; Triantafillou et al. 2020.) W_p = 2 mu_p and b_p = -|mu_p|^2, combined as
    `target.prototype_logits` combines scores: with M the matrix of that linear map, W = 2 M mu and
    b = -M |mu|^2. `strata` are those of `target.prototype_strata(labels)`. Differentiable in the
    features.

    >>> from torchcross.heads import proto_head
    >>> from torchcross.targets import MultiClass
    >>> target, labels = MultiClass(["disc", "star"]), torch.tensor([0, 1])
    >>> head = proto_head(target, torch.eye(2), target.prototype_strata(labels))
    >>> head["head.weight"]
    tensor([[2., 0.],
            [0., 2.]])
    """
    means = prototypes(features, strata)
    matrix = prototype_map(target).to(means)
    return {WEIGHT: 2.0 * matrix @ means, BIAS: -(matrix @ means.square().sum(-1))}


@lru_cache(maxsize=1024)
def prototype_map(target: Target) -> Float[Tensor, "outputs P"]:
    """The matrix M with `prototype_logits(scores) = scores M'`, where that is linear.

    Its columns are the logits of unit scores. A target whose logits are not linear in the scores,
    or whose head layout cannot hold one row per output, has no prototype head.
    """
    size, layout = target.num_prototypes, target.head
    scores = torch.sin(torch.arange(1.0, 6 * size + 1, dtype=torch.float64)).view(6, size) * 3
    matrix = target.prototype_logits(torch.eye(size, dtype=torch.float64)).mT
    matrix = matrix - target.prototype_logits(torch.zeros(1, size, dtype=torch.float64)).mT
    error = float((target.prototype_logits(scores) - scores @ matrix.mT).abs().max())
    has_row_per_output = layout.weight_rows == layout.biases == layout.outputs
    if error > _TOLERANCE or not has_row_per_output:
        raise InputError(
            f"{target!r} has no prototype head: with its loss {target.loss_name!r} the logits that"
            " distances to prototypes stand for are not linear in the features (head layout"
            f" {layout.kind!r}, {layout.outputs} outputs). Use the loss {target.default_loss!r},"
            " head='zero' or 'kaiming', or ProtoNet, which needs no linear form."
        )
    return matrix
