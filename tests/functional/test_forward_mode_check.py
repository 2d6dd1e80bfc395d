"""Engine `mixed` refuses what forward mode gets wrong, names it, and passes the rest."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.functional.reference import data_of, head_of, losses_of
from torchcross import backbones
from torchcross.errors import InputError
from torchcross.functional import (
    Inner,
    Meta,
    Network,
    Problem,
    Split,
    meta_gradient,
    meta_loss,
    sgd,
)
from torchcross.functional.loop.derivatives import Autograd


def _gram(x: Tensor) -> Tensor:
    few = x.flatten(2)[:, :, :16]
    return few @ few.transpose(1, 2) / 16 + torch.eye(x.shape[1], dtype=x.dtype)


def _scaled(x: Tensor, scale: Tensor) -> Tensor:
    return x * scale.view(-1, 1, 1, 1)


class _WrongTangent(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * ctx.saved_tensors[0].cos()

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return 1.05 * tangents[0] * ctx.saved_tensors[0].cos()


class _NoTangent(_WrongTangent):
    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return torch.full_like(tangents[0], torch.nan)


class Quiet(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            scale = x.square().mean().sqrt()
        return x / scale


class Solve(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.solve(_gram(x), x.flatten(2)).view_as(x)


class Det(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _scaled(x, torch.linalg.det(_gram(x)))


class Slogdet(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _scaled(x, torch.linalg.slogdet(_gram(x))[1])


class Logdet(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _scaled(x, torch.logdet(_gram(x)))


class WrongTangent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _WrongTangent.apply(x)


WRONG = (Quiet, Solve, Det, Slogdet, Logdet, WrongTangent)


class Features(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.body = nn.Sequential(nn.Tanh(), nn.BatchNorm2d(4), layer)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for value in self.conv.parameters():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.conv(x)).mean((2, 3))


def _cast(tree: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in tree.items()
    }


def problem_of(
    module: nn.Module, dtype: torch.dtype = torch.float64, *, zero: bool = False
) -> tuple[Problem, Meta]:
    network = Network(module.to(dtype))
    params, buffers = network.state()
    inner = Inner(*losses_of(network), sgd(), 2, zero_head="head.*" if zero else None)
    own = _cast(head_of(zero=zero), dtype)
    return Problem(inner, _cast(data_of(0), dtype), own), Meta(params, 0.1, buffers)


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layer", WRONG)
def test_a_layer_that_forward_mode_gets_wrong(
    layer: type[nn.Module], dtype: torch.dtype, zero: bool
) -> None:
    problem, meta = problem_of(Features(layer()), dtype, zero=zero)
    with pytest.raises(
        InputError, match=rf"layer 'body.2' \({layer.__name__}\).*Use engine 'recompute'"
    ):
        meta_gradient(problem, meta, engine="mixed")
    assert torch.isfinite(meta_gradient(problem, meta, engine="recompute").loss)


def test_lanes_are_checked_too() -> None:
    problem, meta = problem_of(Features(Det()))
    meta.params["conv.weight"].requires_grad_()
    with pytest.raises(InputError, match=r"layer 'body.2' \(Det\)"):
        meta_loss([problem, problem], meta, engine="mixed", lanes=2)


def test_a_body_that_the_inner_loop_does_not_move_is_no_matter() -> None:
    problem, meta = problem_of(Features(Det()))
    inner = Inner(problem.inner.support, problem.inner.query, sgd(), 2, adapted="head.*")
    found, expected = (
        meta_gradient(Problem(inner, problem.data, problem.own), meta, engine=engine)
        for engine in ("mixed", "reverse")
    )
    for name, value in expected.params.items():
        torch.testing.assert_close(found.params[name], value, rtol=1e-9, atol=1e-12)


def _volume(params: dict[str, Tensor], features: Tensor, data: dict[str, Tensor]) -> Tensor:
    spread = features.T @ features + torch.eye(4, dtype=features.dtype)
    logits = features @ params["head.weight"].T
    return torch.linalg.slogdet(spread)[1] * 0.1 + logits.square().mean()


def test_a_loss_above_the_network() -> None:
    problem, meta = problem_of(Features(nn.Tanh()))
    body = problem.inner.support

    def features(params, buffers, data, step):  # type: ignore[no-untyped-def]
        network = Network(Features(nn.Tanh()).double())
        return network.support(params, buffers, data["xs"], step=step)

    inner = Inner(Split(features, _volume), problem.inner.query, sgd(), 2)
    with pytest.raises(InputError, match="the second derivative of the support loss"):
        meta_gradient(Problem(inner, problem.data, problem.own), meta, engine="mixed")
    inner = Inner(body, problem.inner.query, sgd(), 2)
    meta_gradient(Problem(inner, problem.data, problem.own), meta, engine="mixed")


def test_a_loss_without_a_network() -> None:
    def loss(params, buffers, data, step):  # type: ignore[no-untyped-def]
        return torch.linalg.det(data + torch.diag(params["x"])), buffers

    inner, data = Inner(loss, loss, sgd(), 1), torch.eye(3, dtype=torch.float64) + 0.2
    start = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64)
    with pytest.raises(InputError, match="the second derivative of the support loss"):
        meta_gradient(Problem(inner, data), Meta({"x": start}), engine="mixed")


def test_a_product_that_is_no_number_after_one_that_is() -> None:
    def loss(params, buffers, data, step):  # type: ignore[no-untyped-def]
        return (params["x"].square() + _NoTangent.apply(params["y"]).square()).sum(), buffers

    start = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64)
    problem, meta = Problem(Inner(loss, loss, sgd(), 1), {}), Meta({"x": start, "y": start})
    with pytest.raises(InputError, match="the second derivative of the support loss"):
        meta_gradient(problem, meta, engine="mixed")


def test_the_check_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, meta = problem_of(Features(nn.Tanh()))
    products = []
    original = Autograd.gradient_along

    def count(*arguments: Any, **options: Any) -> Any:
        products.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(Autograd, "gradient_along", count)
    counts = []
    for _ in range(3):
        meta_gradient(problem, meta, engine="mixed")
        counts.append(len(products))
        products.clear()
    # One for the network and one for the loss above it, beside one for each step.
    assert counts == [4, 2, 2]


@pytest.mark.long
@pytest.mark.parametrize(
    "make",
    [
        lambda: backbones.conv4(8, in_channels=1),
        lambda: backbones.small_vit(image_size=16, in_channels=1, width=12, depth=1, heads=2),
        lambda: backbones.resnet18(in_channels=1),
        lambda: backbones.mobilenet_v2(in_channels=1),
    ],
    ids=["conv4", "small_vit", "resnet18", "mobilenet_v2"],
)
def test_backbones_of_the_library_pass(make: Any) -> None:
    from torchcross.algorithms import MAML
    from torchcross.algorithms.checks.sample_episodes import make_sample_episodes

    learner = MAML(make(), steps=1, engine="mixed")
    problems, meta, engine = learner.problems(make_sample_episodes(learner)[1:2], indices=[0])
    assert torch.isfinite(meta_gradient(problems[0], meta, engine=engine).loss)
