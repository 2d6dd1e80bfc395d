"""Which parameters an inner loop moves: the head's two by name, and no frozen one."""

import pytest
import torch
from torch import nn

from tests.algorithms.cases import TARGETS, Net, episode_of
from torchcross.algorithms import ANIL, BOIL, IMAML, MAML, FineTune, LinearProbe, MetaSGD, Reptile
from torchcross.heads import BIAS, WEIGHT

EPISODE = episode_of(TARGETS["multiclass"])


class OwnHead(nn.Module):
    """A backbone with a part that is called `head`, and a parameter of its own right in it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.head = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 5))
        self.head.register_parameter("gain", nn.Parameter(torch.ones(())))
        self.double()

    def forward(self, x):
        return self.head.gain * self.head(torch.tanh(self.conv(x)).mean((2, 3)))


def moved(algorithm):
    before = {name: value.clone() for name, value in algorithm.backbone.named_parameters()}
    end = algorithm.adapt(EPISODE.support, EPISODE.task)
    return {
        name
        for name, value in before.items()
        if not torch.equal(end.tensors["params"][name], value)
    }


@pytest.mark.parametrize("make", [ANIL, LinearProbe])
def test_the_head_alone_is_the_head_alone(make):
    algorithm = make(OwnHead(), steps=2).double()
    assert algorithm.adapted == {WEIGHT, BIAS}
    assert moved(algorithm) == set()
    assert (algorithm.protocol()["adapted"], algorithm.protocol()["features"]) == ("head", "cached")


def test_the_body_alone_is_all_of_the_body():
    algorithm = BOIL(OwnHead(), steps=2).double()
    names = {name for name, _ in OwnHead().named_parameters()}
    assert algorithm.adapted == names
    assert moved(algorithm) == names


def test_a_zero_head_is_the_episodes_own():
    algorithm = MAML(OwnHead(), steps=2).double()
    assert moved(algorithm) == set(dict(OwnHead().named_parameters()))
    algorithm.meta_loss([EPISODE]).backward()
    assert algorithm.backbone.head.gain.grad.abs() > 0


def test_rates_of_a_backbones_own_head_are_its_own():
    algorithm = MAML(OwnHead(), steps=2, rates="per_layer_step").double()
    table = algorithm.rates.table()
    assert table["head.gain"] is not table[WEIGHT]
    assert table[WEIGHT] is table[BIAS]
    algorithm.meta_loss([EPISODE], epoch=0).backward()


@pytest.mark.parametrize("make", [MAML, MetaSGD, BOIL, IMAML, Reptile, FineTune])
def test_frozen_parameters_are_left_alone(make):
    net = Net()
    net.conv1.requires_grad_(False)
    algorithm = make(net, steps=2, norm="frozen").double()
    assert moved(algorithm) == {
        name for name, _ in net.named_parameters() if not name.startswith("conv1")
    }
    assert "conv1.weight" not in algorithm.protocol()["adapted"]


def test_a_frozen_backbone_leaves_the_head():
    algorithm = FineTune(Net().requires_grad_(False), steps=2).double()
    assert moved(algorithm) == set()
    assert algorithm.protocol()["adapted"] == "head"


def test_a_frozen_parameter_that_is_named_in_full_is_adapted():
    net = Net()
    net.conv1.requires_grad_(False)
    algorithm = MAML(
        net, steps=2, norm="frozen", adapted=["conv1.weight", "conv2.*", "head.*"]
    ).double()
    assert moved(algorithm) == {"conv1.weight", "conv2.weight", "conv2.bias"}


def test_nothing_need_be_adapted():
    algorithm = MAML(Net(), steps=2, head="kaiming", adapted=lambda name: False).double()
    assert moved(algorithm) == set()
