"""Weights of classes under any loss, also under those that have no such option themselves."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.errors import InputError, TargetError
from torchcross.losses import MISSING
from torchcross.targets.base import Target

_OPTION = "class_weights"


def balanced_weights(target: Target, labels: Int64[Tensor, " N *L"]) -> Float[Tensor, "A C"]:
    """The weight of each class of each answer that gives all classes the same total weight.

    n / (K n_c), as scikit-learn's "balanced", with K the classes that are there; 0 for the others.

    >>> from torchcross.targets import Binary, balanced_weights
    >>> balanced_weights(Binary(), torch.tensor([0, 0, 0, 1]))
    tensor([[0.6667, 2.0000]])
    """
    codes = labels.reshape(len(labels), -1)
    classes = torch.arange(len(target.values), device=codes.device)
    counts = (codes.unsqueeze(-1) == classes).sum(0).to(torch.get_default_dtype())
    present = (counts > 0).sum(-1, keepdim=True)
    weights = counts.sum(-1, keepdim=True) / (present * counts)
    return torch.where(counts > 0, weights, 0)


def class_weighted_loss(
    target: Target,
    logits: Float[Tensor, "N outputs"],
    labels: Int64[Tensor, " N *L"],
    weights: Float[Tensor, "A C"],
) -> Float[Tensor, ""]:
    """The mean of the losses of known answers, each counted by the weight of its class."""
    losses = target.answer_losses(logits, labels)
    codes = labels.reshape(len(labels), -1)
    known = codes != MISSING
    columns = torch.arange(codes.shape[1], device=codes.device)
    counted = weights.to(losses)[columns, codes.clamp(min=0)] * known
    return (counted * losses).sum() / counted.sum().clamp(min=torch.finfo(losses.dtype).tiny)


def check_class_weights(target: Target, weights: Float[Tensor, "A C"]) -> None:
    """Refuse weights of another shape, and those of a loss that has weights of its own."""
    answers = target.label_shape[0] if target.label_shape else 1
    shape = (answers, len(target.values))
    if tuple(weights.shape) != shape or not bool((weights >= 0).all()):
        raise InputError(
            f"class weights have the shape {tuple(weights.shape)}; {target!r} needs {shape} numbers"
            " of 0 or more: balanced_weights(target, labels) makes them"
        )
    if dict(target.loss_options).get(_OPTION) is not None:
        raise TargetError(
            f"{target!r} has class weights in its loss; give them there or here, not twice"
        )
