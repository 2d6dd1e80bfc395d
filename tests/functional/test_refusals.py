"""Modules that an engine cannot differentiate are refused, and unchanged buffers come back."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.functional.reference import data_of, head_of, losses_of
from tests.functional.test_meta_loss import batch, leaf
from torchcross.errors import InputError
from torchcross.functional import (
    Implicit,
    Inner,
    Meta,
    Network,
    Problem,
    adapt,
    meta_loss,
    momentum,
    sgd,
)

EXACT_IN_REVERSE = ("reverse", "recompute", "implicit")


class Sine(torch.autograd.Function):
    """A sine whose backward is constant to torch, so that its second derivative is 0."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return torch.sin(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * torch.cos(x)


class Features(nn.Module):
    def __init__(self, between):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.between = between

    def forward(self, x):
        return self.between(self.conv(x)).mean((2, 3))


class Average(nn.Module):
    """Keeps a moving average; in place twice in one line, where no lane can broadcast."""

    def __init__(self, *, in_place):
        super().__init__()
        self.in_place = in_place
        self.register_buffer("mean", torch.zeros(4, dtype=torch.float64))

    def forward(self, x):
        now = x.mean((0, 2, 3))
        if self.in_place:
            self.mean.mul_(0.9).add_(0.1 * now)
        else:
            self.mean = 0.9 * self.mean + 0.1 * now
        return torch.tanh(x) - self.mean.view(1, -1, 1, 1)


def episodes(module, *, steps=3, norm="batch", count=2):
    network = Network(module.double(), norm=norm)
    inner = Inner(*losses_of(network), sgd(), steps)
    params, buffers = network.state(steps)
    problems = [
        Problem(inner, data_of(seed), head_of(seed=seed), name=f"episode {seed} of 'toys'")
        for seed in range(count)
    ]
    return problems, Meta({name: leaf(value) for name, value in params.items()}, 0.1, buffers)


@pytest.mark.parametrize("lanes", ["loop", 2])
@pytest.mark.parametrize("engine", EXACT_IN_REVERSE)
def test_once_differentiable_functions(engine, lanes):
    problems, meta = episodes(Features(Sine.apply))
    with pytest.raises(
        InputError, match=r"episode 0 of 'toys'.*without a second derivative.*once_differentiable"
    ):
        meta_loss(problems, meta, engine=engine, lanes=lanes)
    assert torch.isfinite(meta_loss(problems, meta, engine="first_order", lanes=lanes).loss)


@pytest.mark.parametrize("engine", EXACT_IN_REVERSE)
def test_once_differentiable_functions_that_the_inner_loop_does_not_see(engine):
    """Where the head alone moves, the body is differentiated once: nothing is lost, and nothing
    refused.
    """
    problems, meta = episodes(Features(Sine.apply))
    inner = dataclasses.replace(problems[0].inner, adapted="head.*")
    own = [dataclasses.replace(problem, inner=inner) for problem in problems]
    plain, _ = episodes(Features(torch.sin))
    inner = dataclasses.replace(plain[0].inner, adapted="head.*")
    same = [dataclasses.replace(problem, inner=inner) for problem in plain]
    for lanes in ("loop", 2):
        found = torch.autograd.grad(
            meta_loss(own, meta, engine=engine, lanes=lanes).loss, list(meta.params.values())
        )
        expected = torch.autograd.grad(
            meta_loss(same, meta, engine=engine, lanes=lanes).loss, list(meta.params.values())
        )
        for left, right in zip(found, expected, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimiser", [sgd(), momentum()])
def test_nothing_is_adapted(optimiser):
    problems, meta = batch(1)
    inner = dataclasses.replace(problems[0].inner, adapted=lambda name: False, optimiser=optimiser)
    problem, meta = (
        dataclasses.replace(problems[0], inner=inner),
        dataclasses.replace(meta, rates=0.1),
    )
    end = adapt(problem, meta)
    assert all(torch.equal(end.params[name], value) for name, value in meta.params.items())
    assert len(end.trace) == inner.steps
    result = meta_loss([problem], meta, engine=Implicit())
    torch.testing.assert_close(result.loss, meta_loss([problem], meta).loss)


@pytest.mark.parametrize("engine", ["reverse", "recompute", "mixed", "first_order", "implicit"])
@pytest.mark.parametrize("lanes", ["loop", 2])
def test_only_buffers_that_changed_are_new(engine, lanes):
    problems, meta = batch(2)
    for result in meta_loss(problems, meta, engine=engine, lanes=lanes).buffers:
        assert all(value is meta.buffers[name] for name, value in result.items())
    problems, meta = batch(2, policy="running")
    for result in meta_loss(problems, meta, engine=engine, lanes=lanes).buffers:
        assert all(value is not meta.buffers[name] for name, value in result.items())
    problems, meta = episodes(Features(Average(in_place=False)))
    for result in meta_loss(problems, meta, engine=engine, lanes=lanes).buffers:
        assert result["between.mean"] is not meta.buffers["between.mean"]


OTHER = "Use engine 'reverse' with lanes='loop'"


def _rechecked(x):
    return checkpoint(torch.tanh, x, use_reentrant=False)


@pytest.mark.parametrize(
    ("module", "options", "reason", "remedy"),
    [
        (
            lambda: Features(Sine.apply),
            {"engine": "mixed"},
            "without a forward-mode derivative",
            OTHER,
        ),
        (
            lambda: Features(Average(in_place=True)),
            {"lanes": 2},
            "in place to a tensor that all lanes share",
            OTHER,
        ),
        (
            lambda: Features(_rechecked),
            {"lanes": 2},
            "runs again in its own backward",
            "Turn checkpointing off",
        ),
    ],
)
def test_what_torch_cannot_do_is_said_by_episode_and_with_a_remedy(module, options, reason, remedy):
    problems, meta = episodes(module())
    with pytest.raises(InputError, match=rf"episode 0 of 'toys'.*{reason}.*{remedy}"):
        meta_loss(problems, meta, **options)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_scripted_modules_are_refused():
    scripted = torch.jit.script(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    )
    with pytest.raises(
        InputError, match=r"episode 0 of 'toys'.*scripted.*the module that was scripted"
    ):
        meta_loss(*episodes(scripted))


def test_other_errors_stay_what_they_are():
    problems, meta = batch(1)

    def broken(params, buffers, data, step):
        return (params["head.weight"] - torch.zeros(7, 7)).sum(), buffers

    inner = dataclasses.replace(problems[0].inner, support=broken)
    with pytest.raises(RuntimeError, match="must match the size"):
        meta_loss([dataclasses.replace(problems[0], inner=inner)], meta)
