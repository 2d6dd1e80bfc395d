"""Losses of support and query as functions of parameters: what an inner loop differentiates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchcross.functional import Network, Split
from torchcross.heads import head_logits, proto_head
from torchcross.targets import Target

__all__ = ["Start", "cached_features", "losses", "plain_loss", "prototype_start", "start_in_turn"]

Tree = dict[str, Tensor]
Loss = Callable[[Tree, Tree, Any, int], tuple[Tensor, Tree]]
"""(params, buffers, data, step) -> (loss, new buffers)."""
HeadLoss = Callable[[Tree, Tensor, Any, str], Tensor]
"""(params, features, data, name of the labels) -> loss."""
Start = Callable[[Tree, Tree, Any], Tree]
"""(params, buffers, data) -> parameters that belong to the episode alone."""

_SUPPORT_FEATURES, _QUERY_FEATURES = "features.support", "features.query"


def plain_loss(target: Target, params: Tree, features: Tensor, data: Any, labels: str) -> Tensor:
    return target.loss(head_logits("linear", target, features, params), data[labels])


def losses(
    network: Network, head_loss: HeadLoss, *, is_cached: bool, is_steady: bool
) -> tuple[Loss, Loss]:
    """Return the support loss and the query loss.

    is_cached  the features are parameters of the episode, as `cached_features` computes them
    is_steady  the same parameters make the same features at every step
    """
    if is_cached:
        return _cached_losses(head_loss)

    def support(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        masks = data.get("ms")
        features, buffers = network.support(params, buffers, data["xs"], step=step, masks=masks)
        return head_loss(params, features, data, "ys"), buffers

    def query(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        statistics, buffers = network.statistics(params, buffers, data["xs"], step=step)
        features, buffers = network.query(
            params, buffers, data["xq"], statistics=statistics, step=step, masks=data.get("mq")
        )
        return head_loss(params, features, data, "yq"), buffers

    def body(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        return network.support(params, buffers, data["xs"], step=step)

    def top(params: Tree, features: Tensor, data: Any) -> Tensor:
        return head_loss(params, features, data, "ys")

    return (Split(body, top) if is_steady else support), query


def _cached_losses(head_loss: HeadLoss) -> tuple[Loss, Loss]:
    def support(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        return head_loss(params, params[_SUPPORT_FEATURES], data, "ys"), buffers

    def query(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        return head_loss(params, params[_QUERY_FEATURES], data, "yq"), buffers

    return support, query


def cached_features(network: Network) -> Start:
    """Compute the features once, as parameters that no step moves; gradients flow through them."""

    def start(params: Tree, buffers: Tree, data: Any) -> Tree:
        features = {_SUPPORT_FEATURES: network.support(params, buffers, data["xs"])[0]}
        if "xq" in data:
            statistics, _ = network.statistics(params, buffers, data["xs"])
            query, _ = network.query(params, buffers, data["xq"], statistics=statistics)
            features[_QUERY_FEATURES] = query
        return features

    return start


def prototype_start(network: Network, target: Target) -> Start:
    """Start the head at the prototypes of the support's features; refuse targets without them."""
    proto_head(target, torch.zeros(2, 1), torch.ones(2, target.num_prototypes))

    def start(params: Tree, buffers: Tree, data: Any) -> Tree:
        features = params.get(_SUPPORT_FEATURES)
        if features is None:
            features, _ = network.support(params, buffers, data["xs"])
        return proto_head(target, features, data["strata"])

    return start


def start_in_turn(parts: list[Start]) -> Start | None:
    """Run several starts; each sees the parameters of those before it."""
    if not parts:
        return None

    def start(params: Tree, buffers: Tree, data: Any) -> Tree:
        own: Tree = {}
        for part in parts:
            own |= part({**params, **own}, buffers, data)
        return own

    return start
