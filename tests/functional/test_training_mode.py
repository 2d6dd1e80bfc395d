"""In training mode a network does what the plain module does after `train()`, given its draws."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.functional.plain_module import ENGINES, seeded
from tests.functional.reference import data_of
from tests.functional.training_mode import (
    STEPS,
    Backbone,
    Given,
    assert_same,
    by_hand,
    losses_in_training,
    problem_of,
)
from torchcross.functional import Inner, Network, meta_gradient, meta_loss, sgd


class StochasticDepth(nn.Module):
    """As torchvision's: `torch.empty(...).bernoulli_`, for each image or for the batch."""

    def __init__(self, rate, mode):
        super().__init__()
        self.rate, self.mode = rate, mode

    def forward(self, x):
        if not self.training:
            return x
        rows = len(x) if self.mode == "row" else 1
        noise = torch.empty([rows] + [1] * (x.dim() - 1), dtype=x.dtype, device=x.device)
        return x * noise.bernoulli_(1 - self.rate).div_(1 - self.rate)


class DropPath(nn.Module):
    """As timm's: `x.new_empty(...).bernoulli_`."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if self.rate == 0.0 or not self.training:
            return x
        noise = x.new_empty((len(x),) + (1,) * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * noise.div_(1 - self.rate)


class Floored(nn.Module):
    """As in older code: the floor of uniform numbers, and noise that is added."""

    def forward(self, x):
        if not self.training:
            return x
        kept = torch.floor(0.6 + torch.rand(len(x), 1, 1, 1, dtype=x.dtype, device=x.device))
        return x * kept / 0.6 + 0.1 * torch.randn_like(x)


class Functional(nn.Module):
    def forward(self, x):
        x = F.dropout2d(F.dropout(x, 0.4, self.training), 0.3, training=self.training)
        return F.rrelu(x, 0.1, 0.4, training=self.training)


def scale_paths(x, keep):
    return x * keep / 0.6


def functional_by_hand(x, keep, channels, slopes):
    x = x * keep / 0.6 * channels / 0.7
    return torch.where(x > 0, x, x * (0.1 + 0.3 * slopes))


CASES = {
    "depth-row": (lambda: StochasticDepth(0.4, "row"), scale_paths),
    "depth-batch": (lambda: StochasticDepth(0.4, "batch"), scale_paths),
    "drop-path": (lambda: DropPath(0.4), scale_paths),
    "floored": (
        Floored,
        lambda x, uniform, noise: x * torch.floor(0.6 + uniform) / 0.6 + 0.1 * noise,
    ),
    "functional": (Functional, functional_by_hand),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_meta_gradient_is_that_of_the_plain_loop_with_the_same_draws(case, engine):
    build, formula = CASES[case]
    network = Network(seeded(lambda: Backbone(build())))
    problem, meta = problem_of(network, 7)
    given = Given(formula)
    expected = by_hand(seeded(lambda: Backbone(given)), given, problem.data)
    state = torch.random.get_rng_state()
    assert_same(meta_gradient(problem, meta, engine=engine).params, expected)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("case", CASES)
def test_draws_belong_to_the_episode_whatever_runs_beside_it(case):
    network = Network(seeded(lambda: Backbone(CASES[case][0]())))
    inner = Inner(*losses_in_training(network), sgd(), STEPS)
    problems = [problem_of(network, episode, inner)[0] for episode in (3, 4, 5)]
    _, meta = problem_of(network, 3)
    alone = [float(meta_loss([problem], meta).losses[0]) for problem in problems]
    assert len(set(alone)) == 3
    together = meta_loss(problems[::-1], meta, lanes=3)
    torch.testing.assert_close(together.losses, torch.tensor(alone[::-1], dtype=torch.float64))
    again = problem_of(network, 4)[0].data
    for part in ("ms", "mq"):
        assert all(
            torch.equal(problems[1].data[part][key], again[part][key]) for key in again[part]
        )


@pytest.mark.parametrize("case", CASES)
def test_predictions_are_in_evaluation_mode(case):
    module = seeded(lambda: Backbone(CASES[case][0]()))
    network, x = Network(module), data_of(0)["xs"]
    output, _ = network.support(*network.state(), x)
    torch.testing.assert_close(output, module.eval()(x))
