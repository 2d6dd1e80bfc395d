"""`recompute` and `mixed` where the update is p - rate g: in place, and steps taken twice."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.functional.reference import assert_close, head_of
from tests.functional.test_engines import POLICIES, episode, expected
from torchcross.errors import InputError
from torchcross.functional import (
    Inner,
    Meta,
    Mixed,
    Network,
    Problem,
    Recompute,
    meta_gradient,
    sgd,
)
from torchcross.functional.trees import side_by_side

LEAN = (Recompute, Mixed)
RATE = 0.3


def with_plain_rate(problem, meta, engine):
    return meta_gradient(problem, Meta(meta.params, RATE, meta.buffers), engine=engine)


@pytest.mark.slow
@pytest.mark.parametrize("engine", LEAN)
@pytest.mark.parametrize("every", [1, 2, 3, 9])
@pytest.mark.parametrize("weights", [None, (0.2, 0.0, 0.5, 0.1, 0.2)])
@pytest.mark.parametrize("policy", ["batch", "running", "per_step"])
def test_any_number_of_kept_steps(engine, every, weights, policy):
    problem, meta = episode(policy=policy, weights=weights, steps=5)
    loss, params, _ = expected(problem, meta, policy=policy)
    found = with_plain_rate(problem, meta, engine(every=every))
    torch.testing.assert_close(found.loss, loss, rtol=1e-9, atol=0)
    assert_close({**found.params, **found.own}, params)


@pytest.mark.parametrize("engine", LEAN)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("adapted", ["head.*", ("conv*", "norm*"), ("norm*", "head.weight")])
def test_partial_adaptation(engine, policy, adapted):
    problem, meta = episode(policy=policy, adapted=adapted)
    _, params, _ = expected(problem, meta, policy=policy)
    found = with_plain_rate(problem, meta, engine())
    assert_close({**found.params, **found.own}, params)


@pytest.mark.parametrize("engine", LEAN)
@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam"])
def test_zero_heads(engine, every, kind):
    problem, meta = episode(kind=kind, steps=4)
    problem = dataclasses.replace(problem, own=head_of(zero=True))
    meta = Meta(meta.params, 0.05 if kind == "adam" else RATE, meta.buffers)
    exact = meta_gradient(problem, meta)
    stated = dataclasses.replace(
        problem, inner=dataclasses.replace(problem.inner, zero_head="head.*")
    )
    found = meta_gradient(stated, meta, engine=engine(every=every))
    assert_close(found.params, exact.params, 1e-9)


class Used(nn.Module):
    """One weight used twice, one only beside its own copy without a gradient, and one not at
    all.
    """

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shapes = {"twice": (4, 4), "beside": (4,), "unused": (3,)}
        for name, shape in shapes.items():
            setattr(
                self,
                name,
                nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)),
            )

    def forward(self, x):
        hidden = torch.tanh(x @ self.twice) * self.beside
        return (
            torch.tanh(hidden @ self.twice.t()) * self.beside.detach() + self.beside.sum() * hidden
        )


def used(rate):
    network = Network(Used())
    params, buffers = network.state()
    generator = torch.Generator().manual_seed(1)
    data = {
        "x": torch.randn(6, 4, generator=generator, dtype=torch.float64),
        "y": torch.arange(6) % 4,
    }

    def loss(params, buffers, data, step):
        output, buffers = network.support(params, buffers, data["x"], step=step)
        return (
            F.cross_entropy(output, data["y"]) + (params["twice"] * params["twice"].t()).sum() / 50,
            buffers,
        )

    return Problem(Inner(loss, loss, sgd(), 4), data), Meta(params, rate, buffers)


@pytest.mark.parametrize("engine", LEAN)
@pytest.mark.parametrize("rate", [0.2, 0.0, -0.1])
def test_parameters_used_twice_or_never(engine, rate):
    problem, meta = used(rate)
    exact, found = meta_gradient(problem, meta), meta_gradient(problem, meta, engine=engine())
    assert_close(found.params, exact.params)
    assert not found.params["unused"].any()


@pytest.mark.parametrize("engine", LEAN)
def test_a_gradient_that_is_somebody_elses_tensor_is_not_written_to(engine):
    """The gradient of a dot product is the other side of it."""
    other = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)

    class Dot(torch.autograd.Function):
        @staticmethod
        def forward(ctx, weight):
            return weight.sum() * 0 + (weight * other).sum()

        @staticmethod
        def backward(ctx, grad):
            return other if bool(grad == 1) else grad * other

        @staticmethod
        def jvp(ctx, tangent):
            return (tangent * other).sum()

    def loss(params, buffers, data, step):
        return Dot.apply(params["weight"]) + params["weight"].square().sum(), buffers

    problem = Problem(Inner(loss, loss, sgd(), 2), other)
    meta = Meta({"weight": torch.ones(3, dtype=torch.float64)}, 0.1)
    found = meta_gradient(problem, meta, engine=engine())
    assert other.tolist() == [1.0, 2.0, 3.0]
    # Weights shrink by 0.8 in a step, and d query = other + 2 weights.
    last = (torch.ones(3, dtype=torch.float64) * 0.8 - 0.1 * other) * 0.8 - 0.1 * other
    torch.testing.assert_close(found.params["weight"], 0.64 * (other + 2 * last))


@pytest.mark.parametrize("engine", LEAN)
@pytest.mark.parametrize("turned", [False, True])
def test_a_direction_is_read_until_the_pass_is_over(engine, turned):
    """Of a product, one factor's second derivative is there before the other's direction is
    read.
    """

    def loss(params, buffers, data, step):
        left, right = (params["b"], params["a"]) if turned else (params["a"], params["b"])
        return (left * right * data).sum(), buffers

    at = {
        name: torch.arange(1.0, 4.0, dtype=torch.float64) * sign
        for name, sign in (("a", 1), ("b", -2))
    }
    problem = Problem(
        Inner(loss, loss, sgd(), 3), torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    )
    exact, found = (
        meta_gradient(problem, Meta(at, 0.1), engine=one) for one in ("reverse", engine())
    )
    assert_close(found.params, exact.params)


@pytest.mark.parametrize("engine", LEAN)
def test_every_is_a_number_of_steps(engine):
    for wrong in (0, -1, 1.5):
        with pytest.raises(InputError, match="whole number of 1 or more"):
            engine(every=wrong)


def test_side_by_side():
    like = {
        "weight": torch.ones(3, 5),
        "scalar": torch.ones(()),
        "none": torch.ones(0, 2),
        "double": torch.ones(7, dtype=torch.float64),
        "bias": torch.ones(3),
    }
    room = side_by_side(like)
    assert {name: (value.shape, value.dtype) for name, value in room.items()} == {
        name: (value.shape, value.dtype) for name, value in like.items()
    }
    for at, value in enumerate(room.values()):
        assert not value.any()
        value.fill_(at + 1)
    assert [value.unique().tolist() for value in room.values()] == [[1], [2], [], [4], [5]]
    pieces = {
        value.untyped_storage().data_ptr() for name, value in room.items() if name != "double"
    }
    assert len(pieces) == 1
    assert all(
        value.data_ptr() % 64 == room["weight"].data_ptr() % 64
        for value in (room["scalar"], room["bias"])
    )
