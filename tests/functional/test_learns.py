"""Sinusoids (Finn et al. 2017, section 5.1), through torchcross.functional alone."""

import math

import pytest
import torch
from torch import nn

from torchcross.functional import Inner, Meta, Network, Problem, adapt, meta_loss, sgd

pytestmark = pytest.mark.slow

STEPS = 2


def sinusoid(seed, shots=10):
    generator = torch.Generator().manual_seed(seed)
    amplitude = 0.5 + 2 * torch.rand((), generator=generator)
    phase = math.pi * torch.rand((), generator=generator)
    x = 10 * torch.rand(2 * shots, 1, generator=generator) - 5
    y = amplitude * torch.sin(x + phase)
    return {"xs": x[:shots], "ys": y[:shots], "xq": x[shots:], "yq": y[shots:]}


def network_of(seed):
    generator = torch.Generator().manual_seed(seed)
    module = nn.Sequential(
        nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
    )
    with torch.no_grad():
        for layer in (module[0], module[2], module[4]):
            layer.weight.copy_(
                torch.randn(layer.weight.shape, generator=generator) / layer.in_features**0.5
            )
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator))
    return Network(module)


def squared_error(network, part):
    def loss(params, buffers, data, step):
        output, buffers = network.support(params, buffers, data[f"x{part}"])
        return (output - data[f"y{part}"]).square().mean(), buffers

    return loss


def query_error(inner, params, rate):
    losses = []
    for seed in range(10_000, 10_060):
        problem = Problem(inner, sinusoid(seed))
        end = adapt(problem, Meta(params, rate))
        losses.append(inner.query(end.params, end.buffers, problem.data, STEPS)[0].item())
    return sum(losses) / len(losses)


@pytest.mark.long
def test_sinusoids_are_learned():
    network = network_of(0)
    inner = Inner(squared_error(network, "s"), squared_error(network, "q"), sgd(), STEPS)
    start, _ = network.state()
    params = {name: value.detach().clone().requires_grad_() for name, value in start.items()}
    plain = {name: value.detach().clone().requires_grad_() for name, value in start.items()}
    meta_step = torch.optim.Adam(params.values(), 3e-3)
    plain_step = torch.optim.Adam(plain.values(), 3e-3)
    for at in range(250):
        problems = [Problem(inner, sinusoid(8 * at + index)) for index in range(8)]
        meta_step.zero_grad()
        meta_loss(problems, Meta(params, 0.02), lanes=8).loss.backward()
        meta_step.step()
        plain_step.zero_grad()
        sum(inner.query(plain, {}, problem.data, 0)[0] for problem in problems).div(8).backward()
        plain_step.step()
    learned, untrained, pretrained = (
        query_error(inner, tree, 0.02) for tree in (params, start, plain)
    )
    assert learned < 0.5 * untrained
    assert learned < 0.7 * pretrained
