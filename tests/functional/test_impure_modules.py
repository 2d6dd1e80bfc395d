"""What a module reads, keeps or writes past its call is refused by name, or does not reach the next
call.
"""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.functional.plain_module import ENGINES, assert_close, by_hand, problem_of, seeded
from tests.functional.reference import data_of, losses_of
from torchcross.errors import InputError
from torchcross.functional import (
    Inner,
    Meta,
    Network,
    Problem,
    adapt,
    meta_gradient,
    meta_loss,
    sgd,
)


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 2)

    def forward(self, x):
        return checkpoint(
            lambda y: torch.tanh(self.outer(torch.tanh(self.inner(y)))), x, use_reentrant=False
        ).mean((2, 3))


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(36, 4) * 0.1)
        self.all = [self.weight]

    def forward(self, x):
        return torch.tanh(x.flatten(1) @ self.all[0])


class SharedAndListed(Listed):
    """A layer under two names is put back once, too."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two, self.held = self.one, [self.one.weight]
        self.all = []

    def forward(self, x):
        return self.two(self.one(x.flatten(1) @ self.weight)) @ self.held[0]


class Enclosed(nn.Module):
    def __init__(self):
        super().__init__()
        layer = self.layer = nn.Linear(36, 4)
        self.run = lambda x: layer(x.flatten(1))

    def forward(self, x):
        return self.run(x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Checkpointed, "'inner.weight' was used outside the network's call.*checkpointing"),
        (Listed, "'weight' was used outside the network's call"),
        (SharedAndListed, "'one.weight' was used outside the network's call"),
        (Enclosed, "Enclosed reads its own 'layer.weight'"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_tensors_that_get_past_the_call_are_refused(build, message, engine):
    problem, meta = problem_of(seeded(build))
    with pytest.raises(InputError, match=message):
        meta_gradient(problem, meta, engine=engine)
    with pytest.raises(InputError, match=message):
        meta_gradient(problem, meta, engine=engine)
    with pytest.raises(InputError, match=message):
        adapt(problem, meta)


class Clamped(nn.Module):
    """A max-norm that does nothing until a weight is large."""

    def __init__(self, hidden):
        super().__init__()
        self.linear, self.scale, self.hidden = nn.Linear(36, 4), nn.Parameter(torch.ones(4)), hidden

    def forward(self, x):
        with torch.no_grad():
            if float(self.scale.abs().max()) > 2:
                (self.scale.data if self.hidden else self.scale).clamp_(max=2.0)
        return self.linear(x.flatten(1)) * self.scale


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    "call", [meta_gradient, adapt, lambda problem, meta: meta_loss([problem], meta)]
)
@pytest.mark.parametrize("adapted", ["*", "head.*"])
def test_a_late_write_to_a_parameter_is_found(hidden, call, adapted):
    module = seeded(lambda: Clamped(hidden))
    problem, meta = problem_of(module)
    problem = Problem(
        Inner(*losses_of(Network(module)), sgd(), 2, adapted), problem.data, problem.own
    )
    call(problem, meta)
    with torch.no_grad():
        module.scale.fill_(5.0)
    with pytest.raises(InputError, match=r"(writes|wrote) to its parameter 'scale'"):
        call(problem, meta)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("call", [meta_gradient, adapt])
def test_a_write_after_an_inner_step_is_found(hidden, call):
    problem, meta = problem_of(seeded(lambda: Clamped(hidden)))
    with pytest.raises(InputError, match="writes to its parameter 'scale'"):
        call(problem, Meta(meta.params, 300.0))
    assert torch.equal(meta.params["scale"], torch.ones(4, dtype=torch.float64))


class Reassigned(Clamped):
    def forward(self, x):
        if float(self.scale.sum()) > 0:
            self.scale = nn.Parameter(self.scale * 0.9)
        return self.linear(x.flatten(1)) * self.scale


def test_a_replaced_parameter_is_refused():
    with pytest.raises(InputError, match="writes to its parameter 'scale'"):
        meta_gradient(*problem_of(seeded(lambda: Reassigned(hidden=False))))


class Noisy(nn.Module):
    def __init__(self, draw):
        super().__init__()
        self.linear, self.draw = nn.Linear(3, 3), draw

    def forward(self, x):
        return self.linear(x) * (1 + self.draw())


@pytest.mark.parametrize(
    ("draw", "whose"),
    [
        (lambda: np.random.rand(), "numpy's"),  # noqa: NPY002
        (random.random, "Python's"),
        (lambda: torch.rand(()), "torch's"),
    ],
)
def test_generators_are_put_back_and_their_use_refused(draw, whose):
    def states():
        return (
            np.random.get_state()[1:3],  # noqa: NPY002
            random.getstate(),
            torch.random.get_rng_state(),
        )

    network = Network(Noisy(draw))
    before = states()
    with pytest.raises(
        InputError, match=rf"draws from the global random generator in its forward \({whose}\)"
    ):
        network.support(*network.state(), torch.ones(2, 3))
    after = states()
    assert np.array_equal(before[0][0], after[0][0])
    assert (before[0][1], before[1]) == (after[0][1], after[1])
    assert torch.equal(before[2], after[2])


class Cached(nn.Module):
    """Keeps what it computed from its parameters, in evaluation mode, as some attentions do."""

    def __init__(self):
        super().__init__()
        self.linear, self.bias, self.kept = nn.Linear(36, 4), nn.Parameter(torch.ones(4)), {}

    def forward(self, x):
        if self.training:
            return self.linear(x.flatten(1)) + self.bias.square()
        if "square" not in self.kept:
            self.kept["square"] = self.bias.square()
        return self.linear(x.flatten(1)) + self.kept["square"]


def test_what_a_layer_keeps_does_not_reach_the_next_call():
    module = seeded(Cached)
    network, x = Network(module), data_of(0)["xs"]
    params, buffers = network.state()
    for value in (1.0, 5.0):
        given = {**params, "bias": torch.full((4,), value, dtype=torch.float64)}
        expected = F.linear(x.flatten(1), params["linear.weight"], params["linear.bias"]) + value**2
        torch.testing.assert_close(network.support(given, buffers, x)[0], expected)
    assert module.kept == {}
    problem, meta = problem_of(module)
    assert_close(meta_gradient(problem, meta).params, by_hand(module))


class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.last = nn.Linear(36, 4), torch.zeros(4)

    def forward(self, x):
        output = self.linear(x.flatten(1)) + 0.5 * self.last
        self.last = output.mean(0).detach()
        return output


def test_a_state_that_is_no_buffer_is_refused():
    network = Network(seeded(Remembering))
    for _ in range(2):
        with pytest.raises(InputError, match=r"attribute 'last' of layer '' \(Remembering\)"):
            network.support(*network.state(), data_of(0)["xs"])
