"""The loss of a meta-batch, ready for `.backward()`, with one episode's graph alive at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from torchcross.errors import InputError, TorchcrossError
from torchcross.functional.loop.engines import Engine, engine_named
from torchcross.functional.loop.engines.loss_only import LossOnly
from torchcross.functional.loop.lanes import Lanes, gradients, lane_groups
from torchcross.functional.loop.problem import Meta, Problem
from torchcross.functional.loop.unroll import MetaGradient
from torchcross.functional.network.purity import untouched
from torchcross.functional.trees import Buffers, Params


@dataclass(frozen=True)
class MetaLoss:
    """The weighted mean of the query losses, and what the episodes handed back, in their order.

    loss      a scalar with a gradient to every parameter, rate and own tensor that requires one;
              one backward
    losses    of the episodes, detached
    buffers   new values, episode by episode (`merge_buffers` makes one of them), and the very
              tensors given where there is none; nothing was changed
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
    """The mean query loss (or `weights` times the losses), each episode's gradient finished on the
    way.
    """
    if not problems:
        raise InputError("meta_loss needs at least one episode; the sequence given is empty.")
    shares = (
        [1.0 / len(problems)] * len(problems) if weights is None else [float(w) for w in weights]
    )
    if len(shares) != len(problems):
        raise InputError(
            f"{len(shares)} weights were given for {len(problems)} episodes; give one for each."
        )
    learned = _learned(problems, meta)
    chosen = engine_named(engine) if learned and torch.is_grad_enabled() else LossOnly()
    device = next(iter(meta.params.values())).device if meta.params else torch.device("cpu")
    groups = lane_groups(problems, lanes, device)
    totals = {key: torch.zeros_like(value) for key, value in learned.items()}
    results: list[MetaGradient | None] = [None] * len(problems)
    with untouched(meta.params):
        for index, result in gradients(problems, groups, meta, chosen):
            _gather(totals, result, index, shares[index])
            results[index] = _light(result)
            del result  # or its gradients would live on beside those of the next episode
    done = [result for result in results if result is not None]
    residuals = [result.residual for result in done if result.residual is not None]
    losses = torch.stack([result.loss for result in done])
    value = torch.stack([loss * share for loss, share in zip(losses, shares, strict=True)]).sum()
    if learned and torch.is_grad_enabled():
        value = cast(Tensor, _HandBack.apply(value, list(totals.values()), *learned.values()))  # type: ignore[no-untyped-call]
    return MetaLoss(
        loss=value,
        losses=losses,
        buffers=tuple(result.buffers for result in done),
        traces=tuple(result.trace for result in done),
        groups=tuple(groups),
        engine=chosen.name,
        order=chosen.order,
        residuals=torch.stack(residuals) if residuals else None,
    )


_Key = tuple[str, int, str]


def _learned(problems: Sequence[Problem], meta: Meta) -> dict[_Key, Tensor]:
    """Every tensor that wants a gradient, by where it stands."""
    rates = meta.rates if isinstance(meta.rates, Mapping) else {"*": meta.rates}
    found: dict[_Key, Tensor] = {("params", 0, name): value for name, value in meta.params.items()}
    found |= {("rates", 0, name): rate for name, rate in rates.items() if isinstance(rate, Tensor)}
    for index, problem in enumerate(problems):
        found |= {("own", index, name): value for name, value in problem.own.items()}
    return {key: value for key, value in found.items() if value.requires_grad}


def _gather(totals: dict[_Key, Tensor], result: MetaGradient, index: int, share: float) -> None:
    parts: tuple[tuple[str, int, Params], ...] = (
        ("params", 0, result.params),
        ("rates", 0, result.rates),
        ("own", index, result.own),
    )
    for kind, at, grads in parts:
        for name, grad in grads.items():
            if (kind, at, name) in totals:
                totals[kind, at, name].add_(grad, alpha=share)


def _light(result: MetaGradient) -> MetaGradient:
    """Without its gradients: they are in the totals already."""
    return MetaGradient(
        loss=result.loss,
        params={},
        own={},
        rates={},
        buffers=result.buffers,
        trace=result.trace,
        residual=result.residual,
        engine=result.engine,
        order=result.order,
    )


class _HandBack(torch.autograd.Function):
    """A value whose gradients are known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, grads: list[Tensor], *inputs: Tensor) -> Tensor:
        ctx.grads = grads
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.grads is None:
            raise TorchcrossError(
                "a second backward through the same meta_loss: its gradients were handed back once"
                " and let go; call meta_loss again."
            )
        if torch.is_grad_enabled():
            raise TorchcrossError(
                "meta_loss has no further derivative; call backward without create_graph."
            )
        grads, ctx.grads = ctx.grads, None
        scale = cotangents[0]
        return None, None, *(grad.mul_(scale) for grad in grads)
