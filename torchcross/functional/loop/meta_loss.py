"""The loss of a meta-batch, ready for `.backward()`, with one episode's graph alive at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from torchcross.errors import InputError, TorchcrossError
from torchcross.functional.loop.engines import Engine, engine_named
from torchcross.functional.loop.engines.loss_only import LossOnly
from torchcross.functional.loop.lanes import (
    Lanes,
    check_outside,
    lane_groups,
    meta_gradients_in_lanes,
)
from torchcross.functional.loop.meta_gradient import MetaGradient, meta_gradient
from torchcross.functional.loop.problem import Meta, Problem
from torchcross.functional.network.purity import refuse_writes
from torchcross.functional.trees import Buffers


@dataclass(frozen=True)
class MetaLoss:
    """The weighted mean of the query losses, and the results of the episodes, in their order.

    loss      a scalar with a gradient to every parameter, rate and own tensor that requires one;
              one backward
    losses    of the episodes, detached
    buffers   new values, episode by episode (`merge_buffers` makes one of them); where a buffer did
              not change, the very tensor of `meta.buffers`
    traces    support losses and the query loss of each episode
    groups    which episodes ran together in lanes
    residuals relative residuals of conjugate gradients, one for each episode, of engine `implicit`
    """

    loss: Tensor
    losses: Tensor
    buffers: tuple[Buffers, ...]
    traces: tuple[Tensor, ...]
    groups: tuple[tuple[int, ...], ...]
    engine: str
    order: int
    residuals: Tensor | None = None


def meta_loss(
    problems: Sequence[Problem],
    meta: Meta,
    *,
    engine: str | Engine = "reverse",
    lanes: Lanes = "auto",
    weights: Sequence[float] | None = None,
) -> MetaLoss:
    """Return the mean query loss (or the sum of `weights` times the losses).

    The gradient of each episode is computed here, one episode after the other: `.backward()` only
    hands it back, so that no two graphs are alive at once.
    """
    shares = _checked_weights(problems, weights)
    learned = _learned_tensors(problems, meta) if torch.is_grad_enabled() else {}
    engine = engine_named(engine)
    if not learned:
        engine = LossOnly(of=engine)
    device = next(iter(meta.params.values())).device if meta.params else torch.device("cpu")
    groups = lane_groups(problems, lanes, device)
    totals = {key: torch.zeros_like(value) for key, value in learned.items()}
    results: dict[int, MetaGradient] = {}

    def add(index: int, result: MetaGradient) -> None:
        _add_gradients(totals, result, index, shares[index])
        # Without its gradients, or they would live on beside those of the next episode.
        results[index] = dataclasses.replace(result, params={}, rates={}, own={})

    with refuse_writes(meta.params):
        firsts = [problems[group[0]] for group in groups if len(group) > 1]
        for problem in {id(first.inner): first for first in firsts}.values():
            check_outside(problem, meta, engine)
        for group in groups:
            if len(group) == 1:
                add(group[0], meta_gradient(problems[group[0]], meta, engine=engine))
                continue
            members = [problems[index] for index in group]
            for index, result in zip(
                group, meta_gradients_in_lanes(members, meta, engine), strict=True
            ):
                add(index, result)
    done = [results[index] for index in range(len(problems))]
    losses = torch.stack([result.loss for result in done])
    loss = torch.stack([loss * share for loss, share in zip(losses, shares, strict=True)]).sum()
    if learned:
        grads = list(totals.values())
        loss = cast(Tensor, _KnownGradient.apply(loss, grads, *learned.values()))  # type: ignore[no-untyped-call]
    residuals = [result.residual for result in done if result.residual is not None]
    return MetaLoss(
        loss=loss,
        losses=losses,
        buffers=tuple(result.buffers for result in done),
        traces=tuple(result.trace for result in done),
        groups=tuple(groups),
        engine=engine.name,
        order=engine.order,
        residuals=torch.stack(residuals) if residuals else None,
    )


def _checked_weights(
    problems: Sequence[Problem], weights: Sequence[float] | None
) -> Sequence[float]:
    if not problems:
        raise InputError("meta_loss needs at least one episode; the sequence given is empty.")
    if weights is None:
        return [1.0 / len(problems)] * len(problems)
    if len(weights) != len(problems):
        raise InputError(
            f"{len(weights)} weights were given for {len(problems)} episodes; give one for each."
        )
    return [float(weight) for weight in weights]


_Key = tuple[str, int, str]
"""(field of a MetaGradient, episode or 0 for all, name): which tensor a gradient belongs to."""


def _learned_tensors(problems: Sequence[Problem], meta: Meta) -> dict[_Key, Tensor]:
    """Every tensor that requires a gradient."""
    rates = meta.rates if isinstance(meta.rates, Mapping) else {"*": meta.rates}
    tensors: dict[_Key, Any] = {("params", 0, name): value for name, value in meta.params.items()}
    tensors |= {("rates", 0, name): rate for name, rate in rates.items()}
    for index, problem in enumerate(problems):
        tensors |= {("own", index, name): value for name, value in problem.own.items()}
    return {
        key: value
        for key, value in tensors.items()
        if isinstance(value, Tensor) and value.requires_grad
    }


def _add_gradients(
    totals: dict[_Key, Tensor], result: MetaGradient, index: int, share: float
) -> None:
    parts = {("params", 0): result.params, ("rates", 0): result.rates, ("own", index): result.own}
    for place, grads in parts.items():
        for name, grad in grads.items():
            if (*place, name) in totals:
                totals[(*place, name)].add_(grad, alpha=share)


class _KnownGradient(torch.autograd.Function):
    """A value whose gradients are known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, grads: list[Tensor], *inputs: Tensor) -> Tensor:
        ctx.grads = grads
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.grads is None:
            raise TorchcrossError(
                "a second backward through the same meta_loss: the first one handed its gradients"
                " back and freed them; call meta_loss again."
            )
        if torch.is_grad_enabled():
            raise TorchcrossError(
                "meta_loss has no further derivative; call backward without create_graph."
            )
        # Scaled in place: no second copy of the gradients of all parameters.
        grads, ctx.grads = ctx.grads, None
        scale = cotangents[0]
        return None, None, *(grad.mul_(scale) for grad in grads)
