"""Losses of support and query as functions of parameters: what an inner loop differentiates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from torchcross.algorithms._shared.support_views import ROWS, images_at, labels_at
from torchcross.functional import Network, Split
from torchcross.heads import head_logits
from torchcross.targets import Target

Tree = dict[str, Tensor]
# (params, buffers, data, step) -> (loss, new buffers).
Loss = Callable[[Tree, Tree, Any, int], tuple[Tensor, Tree]]
# (params, features, data, name of the labels) -> loss.
HeadLoss = Callable[[Tree, Tensor, Any, str], Tensor]
# (params, buffers, data) -> parameters that belong to the episode alone.
Start = Callable[[Tree, Tree, Any], Tree]
# (features of the support, data) -> the head it starts from.
HeadOf = Callable[[Tensor, Any], Tree]

_SUPPORT_FEATURES, _QUERY_FEATURES = "features.support", "features.query"


def plain_loss(target: Target, params: Tree, features: Tensor, data: Any, labels: str) -> Tensor:
    return target.loss(head_logits("linear", target, features, params), data[labels])


def losses(network: Network, head_loss: HeadLoss, *, may_split: bool) -> tuple[Loss | Split, Loss]:
    """Return the support loss and the query loss.

    Features that `episode_start` computed are read, not computed again. `may_split`: the same
    parameters make the same features of the same images at every step, and they are not read.
    """

    def support(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        features = params.get(_SUPPORT_FEATURES)
        if features is None:
            images, masks = images_at(data, step), data.get("ms")
            features, buffers = network.support(params, buffers, images, step=step, masks=masks)
        elif ROWS in data:
            features = features[data[ROWS][step]]
        return head_loss(params, features, labels_at(data, step), "ys"), buffers

    def query(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        features = params.get(_QUERY_FEATURES)
        if features is None:
            statistics, buffers = network.statistics(params, buffers, data["xs"], step=step)
            features, buffers = network.query(
                params, buffers, data["xq"], statistics=statistics, step=step, masks=data.get("mq")
            )
        return head_loss(params, features, data, "yq"), buffers

    def body(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        return network.support(params, buffers, data["xs"], step=step)

    def top(params: Tree, features: Tensor, data: Any) -> Tensor:
        return head_loss(params, features, data, "ys")

    return (Split(body, top) if may_split else support), query


def episode_start(
    network: Network, head_of: HeadOf | None, *, keeps_features: bool
) -> Start | None:
    """Return what computes the episode's own parameters before the first step, if there are any.

    head_of         makes the head of the support's features; None: it is there already
    keeps_features  the features, which no step moves; gradients flow through them
    """
    if head_of is None and not keeps_features:
        return None

    def start(params: Tree, buffers: Tree, data: Any) -> Tree:
        features, _ = network.support(params, buffers, data["xs"])
        own = {} if head_of is None else head_of(features, data)
        if keeps_features:
            own[_SUPPORT_FEATURES] = features
        if keeps_features and "xq" in data:
            statistics, _ = network.statistics(params, buffers, data["xs"])
            own[_QUERY_FEATURES], _ = network.query(
                params, buffers, data["xq"], statistics=statistics
            )
        return own

    return start
