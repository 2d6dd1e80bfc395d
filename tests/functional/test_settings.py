"""A module that was changed is seen as it is now; what was adapted before stays as it was."""

import argparse
import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

from tests.algorithms.cases import TARGETS, episode_of
from torchcross.algorithms import ANIL, MAML
from torchcross.errors import InputError
from torchcross.functional import Network

EPISODE = episode_of(TARGETS["multiclass"], size=4)


class Settled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Tanh())
        self.drop = nn.Dropout(0.0)
        self.scale, self.scales = 1.0, [1.0, {"deep": 1.0}]
        self.options = argparse.Namespace(scale=1.0)
        self.activation = torch.tanh

    def forward(self, x):
        scale = self.scale * self.scales[0] * self.scales[1]["deep"] * self.options.scale
        return self.activation(self.drop(self.layers(x).flatten(1)) * scale)


def settled():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Settled().double()


CHANGES = {
    "attribute": lambda module: setattr(module, "scale", 2.0),
    "entry of a list": lambda module: module.scales.__setitem__(0, 2.0),
    "entry of a dictionary in a list": lambda module: module.scales[1].update(deep=2.0),
    "attribute of an object": lambda module: setattr(module.options, "scale", 2.0),
    "activation": lambda module: setattr(module, "activation", torch.relu),
    "layer": lambda module: module.layers.__setitem__(2, nn.Sigmoid()),
    "eps": lambda module: setattr(module.layers[1], "eps", 0.5),
    "hook": lambda module: module.layers[0].register_forward_hook(lambda m, args, out: 2 * out + 1),
    "removed hook": lambda module: module.hook.remove(),
    "forward": lambda module: setattr(module.layers[2], "forward", torch.relu),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_setting_is_seen_at_the_next_call(name):
    module = settled()
    if name == "removed hook":
        module.hook = module.layers[0].register_forward_hook(lambda m, args, out: out.square())
    x = EPISODE.support.x
    maml, network = MAML(module, steps=2), Network(module)
    state = network.state()
    before, _ = network.support(*state, x)
    predictor = maml.adapt(EPISODE.support, EPISODE.task)
    old = predictor(x).probabilities
    CHANGES[name](module)
    after, _ = network.support(*state, x)
    expected = module.train()(x)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, expected, rtol=1e-9, atol=1e-11)
    new = maml.adapt(EPISODE.support, EPISODE.task)(x).probabilities
    fresh = MAML(copy.deepcopy(module), steps=2).adapt(EPISODE.support, EPISODE.task)
    assert torch.equal(new, fresh(x).probabilities)
    assert not torch.equal(new, old)
    # A predictor is of the backbone as it was.
    assert torch.equal(predictor(x).probabilities, old)
    with pytest.raises(InputError, match="Settled was changed after this predictor was made"):
        copy.deepcopy(predictor)


@pytest.mark.parametrize("make", [MAML, ANIL])
def test_a_changed_rate_of_dropout_is_seen(make):
    module = settled()
    learner = make(module, steps=2)
    assert not learner.protocol()["training_mode"]
    losses = [learner.meta_loss([EPISODE])]
    module.drop.p = 0.5
    assert learner.protocol()["training_mode"]
    losses.append(learner.meta_loss([EPISODE]))
    torch.testing.assert_close(losses[1], make(copy.deepcopy(module), steps=2).meta_loss([EPISODE]))
    assert not torch.equal(*losses)
    module.drop.p = 0.0
    assert torch.equal(learner.meta_loss([EPISODE]), losses[0])


def test_modes_and_other_tensors_of_the_same_names_change_nothing():
    module = settled()
    network = Network(module)
    number = network.generation
    module.train().eval()
    module.layers[0].weight = nn.Parameter(module.layers[0].weight.detach() * 2)
    module.float().double()
    module.layers[1].running_mean = module.layers[1].running_mean + 1
    assert network.generation == number
    with torch.no_grad():
        output, _ = network.support(*network.state(), EPISODE.support.x)
        torch.testing.assert_close(output, module.train()(EPISODE.support.x))
    module.layers[0].bias = None
    assert network.generation != number


def test_tensors_that_become_shared_are_seen():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network = Network(module)
    assert len(network.state()[0]) == 4
    module[1].weight = module[0].weight
    params, _ = network.state()
    x = torch.ones(3, 2)
    assert sorted(params) == ["0.bias", "0.weight", "1.bias"]
    torch.testing.assert_close(network.support(params, {}, x)[0], module(x))


def test_parameters_that_an_algorithm_was_not_made_for_are_refused():
    module = settled()
    maml = MAML(module, steps=1)
    module.extra = nn.Linear(2, 2).double()
    message = r"backbone Settled are not those that MAML was made for \('extra.bias' is new\)"
    with pytest.raises(InputError, match=message):
        maml.adapt(EPISODE.support, EPISODE.task)


def test_a_large_collection_is_looked_at_by_its_length():
    module = settled()
    module.vocabulary = list(range(5000))
    network = Network(module)
    number = network.generation
    module.vocabulary[7] = -1
    assert network.generation == number
    module.vocabulary.append(1)
    assert network.generation != number


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor

    def scaled(self, x):
        return x * self.factor


class Linked(Slotted):
    __slots__ = "other"


class Holds(nn.Module):
    """Multiplies by a number that something in an attribute holds."""

    def __init__(self, holder, read):
        super().__init__()
        self.layer, self.holder, self.read = nn.Linear(3, 2), holder, read

    def forward(self, x):
        return self.layer(x) * self.read(self.holder)


def linked():
    one, two = Linked(1.0), Linked(1.0)
    one.other, two.other = two, one
    return one


HOLDERS = {
    "slots": (lambda: Slotted(1.0), lambda it: it.factor, lambda it: setattr(it, "factor", 2.0)),
    "slots in a circle": (
        linked,
        lambda it: it.other.factor,
        lambda it: setattr(it.other, "factor", 2.0),
    ),
    "method of an object": (
        lambda: Slotted(1.0).scaled,
        lambda it: it(1.0),
        lambda it: setattr(it.__self__, "factor", 2.0),
    ),
    "partial": (
        lambda: functools.partial(dict, factor=1.0),
        lambda it: it()["factor"],
        lambda it: it.keywords.update(factor=2.0),
    ),
    "array": (lambda: np.ones(1), lambda it: float(it[0]), lambda it: it.fill(2.0)),
    "tensor": (lambda: torch.ones(1), lambda it: it, lambda it: it.fill_(2.0)),
    "layer in a list": (
        lambda: [nn.LeakyReLU(1.0)],
        lambda it: it[0].negative_slope,
        lambda it: setattr(it[0], "negative_slope", 2.0),
    ),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_what_an_attribute_holds_is_looked_at(name):
    make, read, change = HOLDERS[name]
    module = Holds(make(), read)
    network, x = Network(module), torch.ones(4, 3)
    number = network.generation
    before, _ = network.support(*network.state(), x)
    assert network.generation == number
    change(module.holder)
    after, _ = network.support(*network.state(), x)
    torch.testing.assert_close(after, 2 * before)
    torch.testing.assert_close(after, module(x))


def test_another_class_of_a_layer_is_seen():
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    network, x = Network(module), torch.ones(4, 3)
    network.support(*network.state(), x)
    module[1].__class__ = nn.Tanh
    torch.testing.assert_close(network.support(*network.state(), x)[0], module(x))


def test_steps_of_an_optimiser_are_no_change_of_a_list_of_parameters():
    module = nn.Sequential(nn.Linear(3, 2))
    module.together = [module[0].weight, module[0]]
    network = Network(module)
    number = network.generation
    with torch.no_grad():
        module[0].weight.add_(1.0)
    assert network.generation == number
