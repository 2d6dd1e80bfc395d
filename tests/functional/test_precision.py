"""Float32 with the channels last, mixed precision, and the exchange of ReLU and max-pooling."""

import pytest
import torch
from torch import nn

from tests.functional.reference import data_of, head_of, losses_of
from torchcross.functional import Inner, Meta, Network, Problem, meta_gradient, sgd


class Smooth(nn.Module):
    """Wide images first, wide weights last: both memory layouts of the convolutions."""

    def __init__(self):
        super().__init__()
        widths = [(1, 8, 1), (8, 16, 2), (16, 96, 2), (96, 4, 1)]
        layers = []
        for inside, outside, stride in widths:
            layers += [nn.Conv2d(inside, outside, 3, stride, 1), nn.BatchNorm2d(outside), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for value in self.parameters():
                if value.dim() > 1:
                    value.copy_(
                        torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5
                    )

    def forward(self, x):
        return self.layers(x).mean((2, 3))


def problem_of(network, dtype, steps=2):
    params, buffers = network.state(steps)

    def cast(tree):
        return {
            name: value.to(dtype) if value.is_floating_point() else value
            for name, value in tree.items()
        }

    inner = Inner(*losses_of(network), sgd(), steps)
    return Problem(inner, cast(data_of(0, size=12)), cast(head_of())), Meta(
        cast(params), 0.05, cast(buffers)
    )


def flat(result):
    return torch.cat(
        [value.double().flatten() for value in {**result.params, **result.own}.values()]
    )


def gap(left, right):
    return float((flat(left) - flat(right)).norm() / flat(right).norm())


@pytest.mark.parametrize("policy", ["batch", "support", "frozen"])
@pytest.mark.parametrize("engine", ["reverse", "recompute", "mixed"])
def test_float32_is_float64_rounded(engine, policy):
    network = Network(Smooth(), norm=policy)
    exact = meta_gradient(*problem_of(network, torch.float64), engine=engine)
    rounded = meta_gradient(*problem_of(network, torch.float32), engine=engine)
    assert gap(rounded, exact) < 2e-5


def test_bfloat16_autocast_is_near():
    network = Network(Smooth())
    exact = meta_gradient(*problem_of(network, torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = meta_gradient(*problem_of(network, torch.float32))
    assert all(value.dtype == torch.float32 for value in mixed.params.values())
    assert 1e-5 < gap(mixed, exact) < 0.1


class Pooled(nn.Sequential):
    def __init__(self, block):
        super().__init__(
            block, nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(100, 4)
        )
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for value in self.parameters():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.4)
        self.double()


def block(sequence):
    parts = [nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*parts) if sequence else Kept(*parts)


class Kept(nn.Sequential):
    """A sequence of one's own, which may do anything: its parts stay in their order."""

    def forward(self, x):
        for part in self:
            x = part(x)
        return x


@pytest.mark.parametrize("engine", ["reverse", "mixed"])
def test_pooling_before_the_relu_changes_nothing(engine):
    results = []
    for sequence in (True, False):
        problem, meta = problem_of(Network(Pooled(block(sequence))), torch.float64, steps=3)
        results.append(meta_gradient(problem, meta, engine=engine))
    torch.testing.assert_close(results[0].trace, results[1].trace, rtol=1e-12, atol=0)
    assert gap(*results) < 1e-12
    assert "forward" in vars(Network(Pooled(block(True)))._copies.take(training=False).module[0])
    without = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2))
    assert "forward" in vars(Network(without)._copies.take(training=False).module)
    assert "forward" not in vars(Network(Kept(*without))._copies.take(training=False).module)
