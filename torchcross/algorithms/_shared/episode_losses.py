"""Losses of support and query as functions of parameters: what an inner loop differentiates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchcross.functional import Network, Split
from torchcross.heads import head_logits, proto_head
from torchcross.targets import Target

Tree = dict[str, Tensor]
# (params, buffers, data, step) -> (loss, new buffers).
Loss = Callable[[Tree, Tree, Any, int], tuple[Tensor, Tree]]
# (params, features, data, name of the labels) -> loss.
HeadLoss = Callable[[Tree, Tensor, Any, str], Tensor]
# (params, buffers, data) -> parameters that belong to the episode alone.
Start = Callable[[Tree, Tree, Any], Tree]

_SUPPORT_FEATURES, _QUERY_FEATURES = "features.support", "features.query"


def plain_loss(target: Target, params: Tree, features: Tensor, data: Any, labels: str) -> Tensor:
    return target.loss(head_logits("linear", target, features, params), data[labels])


def losses(network: Network, head_loss: HeadLoss, *, may_split: bool) -> tuple[Loss | Split, Loss]:
    """Return the support loss and the query loss.

    Features that `episode_start` computed are read, not computed again. `may_split`: the same
    parameters make the same features at every step, and the features are not read.
    """

    def support(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        features = params.get(_SUPPORT_FEATURES)
        if features is None:
            masks = data.get("ms")
            features, buffers = network.support(params, buffers, data["xs"], step=step, masks=masks)
        return head_loss(params, features, data, "ys"), buffers

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
    network: Network, target: Target, *, keeps_features: bool, has_prototypes: bool
) -> Start | None:
    """Return what computes the episode's own parameters before the first step, if there are any.

    keeps_features  the features, which no step moves; gradients flow through them
    has_prototypes  the head, at the prototypes of the support's features
    """
    if has_prototypes:
        # Targets without prototype logits refuse here, before any training.
        proto_head(target, torch.zeros(2, 1), torch.ones(2, target.num_prototypes))
    elif not keeps_features:
        return None

    def start(params: Tree, buffers: Tree, data: Any) -> Tree:
        features, _ = network.support(params, buffers, data["xs"])
        own = proto_head(target, features, data["strata"]) if has_prototypes else {}
        if keeps_features:
            own[_SUPPORT_FEATURES] = features
        if keeps_features and "xq" in data:
            statistics, _ = network.statistics(params, buffers, data["xs"])
            own[_QUERY_FEATURES], _ = network.query(
                params, buffers, data["xq"], statistics=statistics
            )
        return own

    return start
