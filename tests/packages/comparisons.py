"""A model in the library against the plain module and plain loops of torch, in float64."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from torchcross.functional import (
    Inner,
    Meta,
    Network,
    Problem,
    adapt,
    meta_gradient,
    partition,
    sgd,
)

SUPPORT, QUERY, STEPS, RATE = 4, 3, 1, 0.002
SEED, EPISODE = 5, 11
# BatchNorm over a few pixels divides by tiny variances, which makes much of a last digit.
TOLERANCE = 1e-5


class Replay:
    """Gives a plain module in training mode the numbers of a network, call by call."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._masks: list[Tensor] = []
        self._row = 0
        # torch's has no second derivative, so that the plain loop would have none either.
        patch.setattr(F, "hardsigmoid", lambda x, inplace=False: (x + 3).clamp(0, 6) / 6)
        patch.setattr(F, "dropout", self.dropout)
        patch.setattr(F, "scaled_dot_product_attention", self.attention)
        patch.setattr(torch, "rand", self.rand)
        patch.setattr(torch.Tensor, "bernoulli_", lambda place, p: place.copy_(self._take(place)))

    def start(self, masks: dict[str, Tensor], row: int) -> None:
        self._masks, self._row = list(masks.values()), row

    def is_used_up(self) -> bool:
        return not self._masks

    def _take(self, like: Tensor) -> Tensor:
        mask = self._masks.pop(0)[self._row]
        assert mask.shape == like.shape
        return mask.to(like.dtype)

    def rand(self, *shape: Any, dtype: Any = None, device: Any = None) -> Tensor:
        return self._take(torch.empty(*shape, dtype=dtype))

    def dropout(
        self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        return x * self._take(x) / (1 - p) if training and p else x

    def attention(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        assert not is_causal
        assert not enable_gqa
        scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
        scores = scores if attn_mask is None else scores + attn_mask
        return self.dropout(torch.softmax(scores, -1), dropout_p, dropout_p > 0) @ v


class Trial:
    """One episode for one model."""

    def __init__(self, backbone: nn.Module, side: int, norm: str) -> None:
        self.module = backbone.double()
        self.network = Network(self.module, norm=norm)
        generator = torch.Generator().manual_seed(EPISODE)

        def numbers(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, dtype=torch.float64)

        data: dict[str, Any] = {"xs": numbers(SUPPORT, 3, side, side)}
        data |= {"xq": numbers(QUERY, 3, side, side), "ys": torch.tensor([0, 1, 0, 1])}
        data["yq"] = torch.tensor([1, 0, 1])
        params, self.buffers = self.network.state()
        for part, (number, rows) in {"s": (0, STEPS), "q": (1, 1)}.items():
            data[f"m{part}"] = self.network.masks(
                params,
                self.buffers,
                data[f"x{part}"],
                seed=SEED,
                episode=EPISODE,
                part=number,
                rows=rows,
            )
        self.data = data
        features: Any = self.module.num_features
        self.params = {**params, "head.weight": (numbers(2, features) - 0.5) / features**0.5}
        inner = Inner(self._support_loss, self._query_loss, sgd(), STEPS)
        self.problem = Problem(inner, data, {}, "the episode")

    def _support_loss(self, params: Any, buffers: Any, data: Any, step: int) -> Any:
        features, buffers = self.network.support(
            params, buffers, data["xs"], step=step, masks=data["ms"]
        )
        return F.cross_entropy(features @ params["head.weight"].T, data["ys"]), buffers

    def _query_loss(self, params: Any, buffers: Any, data: Any, step: int) -> Any:
        features, buffers = self.network.query(
            params, buffers, data["xq"], statistics={}, masks=data["mq"]
        )
        return F.cross_entropy(features @ params["head.weight"].T, data["yq"]), buffers

    def plain_loss(
        self, module: nn.Module, params: Any, part: str, row: int, replay: Replay
    ) -> Any:
        """The loss of the plain module in training mode, with the numbers of the network."""
        replay.start(self.data[f"m{part}"], row)
        own, head = partition(params, lambda name: name != "head.weight")
        features = functional_call(module, own, (self.data[f"x{part}"],))
        assert replay.is_used_up()
        return F.cross_entropy(features @ head["head.weight"].T, self.data[f"y{part}"])


def features_are_those_of_the_plain_module(trial: Trial) -> None:
    with torch.no_grad():
        output, _ = trial.network.query(*trial.network.state(), trial.data["xq"], statistics={})
        assert_same(output, copy.deepcopy(trial.module).eval()(trial.data["xq"]))


def fine_tuning_is_the_plain_loop(trial: Trial) -> None:
    """Under policy `running`: parameters, running statistics, and features in evaluation mode."""
    meta = Meta(trial.params, RATE, trial.buffers)
    end = adapt(trial.problem, meta)
    module = copy.deepcopy(trial.module).train()
    params = {name: value.detach().clone().requires_grad_() for name, value in trial.params.items()}
    with pytest.MonkeyPatch.context() as patch:
        replay = Replay(patch)
        for step in range(STEPS):
            loss = trial.plain_loss(module, params, "s", step, replay)
            grads = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
            for value, grad in zip(params.values(), grads, strict=True):
                if grad is not None:
                    value.data.sub_(RATE * grad)
    for name, value in params.items():
        assert_same(end.params[name], value, like=params)
    buffers = {name: value.double() for name, value in module.named_buffers()}
    for name, value in buffers.items():
        assert_same(end.buffers[name].double(), value, like=buffers)
    own, _ = partition(params, lambda name: name != "head.weight")
    with torch.no_grad():
        output, _ = trial.network.query(end.params, end.buffers, trial.data["xq"], statistics={})
        assert_same(output, functional_call(module.eval(), own, (trial.data["xq"],)))


def the_meta_gradient_is_that_of_the_plain_loop(trial: Trial) -> None:
    """Under policy `batch`, where every forward is in training mode."""
    found = meta_gradient(trial.problem, Meta(trial.params, RATE, trial.buffers)).params
    module = copy.deepcopy(trial.module).train()
    start = {name: value.detach().clone().requires_grad_() for name, value in trial.params.items()}
    params = dict(start)
    with pytest.MonkeyPatch.context() as patch:
        replay = Replay(patch)
        for step in range(STEPS):
            loss = trial.plain_loss(module, params, "s", step, replay)
            grads = torch.autograd.grad(
                loss,
                list(params.values()),
                create_graph=True,
                materialize_grads=True,
                allow_unused=True,
            )
            moved = zip(params.items(), grads, strict=True)
            params = {name: value - RATE * grad for (name, value), grad in moved}
        query = trial.plain_loss(module, params, "q", 0, replay)
    expected = torch.autograd.grad(
        query, list(start.values()), materialize_grads=True, allow_unused=True
    )
    scale = dict(zip(start, expected, strict=True))
    for name, value in scale.items():
        assert_same(found[name], value, like=scale)


def assert_same(left: Tensor, right: Tensor, like: dict[str, Tensor] | None = None) -> None:
    """Within the tolerance of the largest norm among `like`, or of its own."""
    assert left.shape == right.shape
    sizes = [float(value.detach().norm()) for value in (like or {"": right}).values()]
    gap = float((left - right).detach().norm())
    assert gap <= TOLERANCE * max(sizes), f"{gap} of {max(sizes)}"
