"""A table over all of torch.nn: each layer is as the plain module in both modes, or refused."""

import copy

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

from tests.functional.torch_layers import EXACT, NO_LAYERS, RANDOM, REFUSED, build
from torchcross.errors import InputError
from torchcross.functional import Network

pytestmark = [
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature"),
    # torch says of its own layers that they are old, or could be faster.
    pytest.mark.filterwarnings("ignore:.NLLLoss2d. has been deprecated"),
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True"),
]


def test_the_table_has_every_layer():
    layers = {
        name
        for name in nn.modules.__all__
        if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    }
    known = {*EXACT, *RANDOM, *REFUSED, *NO_LAYERS}
    assert layers <= known, f"say what becomes of {sorted(layers - known)}"


def _check(name, *, training):
    layer, inputs = build(name)
    plain = copy.deepcopy(layer).train(training)
    network = Network(layer, norm="running" if training else "frozen")
    params, buffers = network.state()
    output, after = network.support(params, buffers, *inputs, masks={} if training else None)
    expected = plain(*inputs)
    for left, right in zip(pytree.tree_leaves(output), pytree.tree_leaves(expected), strict=True):
        torch.testing.assert_close(left, right)
    for at, value in plain.named_buffers():
        torch.testing.assert_close(after[at], value)


@pytest.mark.parametrize("name", [name for name in EXACT if hasattr(nn, name)])
def test_a_layer_is_as_the_plain_module(name):
    _check(name, training=True)
    _check(name, training=False)
    assert Network(build(name)[0]).training_layers == {}


@pytest.mark.parametrize("name", RANDOM)
def test_a_random_layer_is_off_in_evaluation_mode_and_known(name):
    _check(name, training=False)
    assert Network(build(name)[0]).training_layers == {"": name}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_always_draws_is_refused(name):
    layer, inputs = build(name)
    network = Network(layer)
    with pytest.raises(InputError, match=f"{name} draws from the global random generator"):
        network.support(*network.state(), *inputs)
