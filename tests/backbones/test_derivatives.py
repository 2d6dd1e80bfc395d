"""Backbones under the functional core: pure calls, second derivatives, lanes."""

import pytest
import torch
from torch import nn
from torch.func import grad, vmap

from tests.backbones.small_backbones import SMALL, images, same, values
from torchcross.functional import Network

SMOOTH = ["conv4", "conv4_group", "resnet18", "bottlenecks_keras", "mobilenet_v2", "small_vit"]


def smooth(module):
    """Kinks taken out, where finite differences mean nothing."""
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.ReLU | nn.ReLU6):
            module.set_submodule(name, nn.Softplus())
        elif isinstance(layer, nn.MaxPool2d):
            module.set_submodule(name, nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding))
    return module


def direction_of(params, seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=generator, dtype=value.dtype) * 0.02
        for name, value in params.items()
    }


def dot(one, other):
    return sum((one[name] * other[name]).sum() for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SMOOTH)
def test_second_derivatives_are_those_of_finite_differences(kind):
    module = smooth(SMALL[kind]().double())
    network = Network(module, norm="batch")
    params, buffers = network.state()
    spread = list(params)[:: max(1, len(params) // 6)]
    x = images(4).double()

    def slope(at, graph):
        """The derivative of a loss along one direction."""
        leaves = {name: value.detach().requires_grad_() for name, value in at.items()}
        features, _ = network.support({**params, **leaves}, buffers, x)
        loss = features.square().mean() + features[0, 0]
        grads = torch.autograd.grad(loss, list(leaves.values()), create_graph=graph)
        return leaves, dot(dict(zip(leaves, grads, strict=True)), first)

    chosen = {name: params[name].detach() for name in spread}
    first, second = direction_of(chosen, 1), direction_of(chosen, 2)
    leaves, value = slope(chosen, True)
    twice = torch.autograd.grad(value, list(leaves.values()))
    exact = dot(dict(zip(leaves, twice, strict=True)), second).item()
    step = 1e-5
    ends = [
        slope({name: chosen[name] + sign * step * second[name] for name in chosen}, False)[1].item()
        for sign in (1, -1)
    ]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(exact, rel=1e-4)
    assert abs(exact) > 1e-9


@pytest.mark.parametrize("kind", ["conv4", "mobilenet_v2", "small_vit"])
def test_lanes_agree_with_the_loop(kind):
    module = SMALL[kind]().double()
    before = values(module)
    network = Network(module, norm="batch")
    params, buffers = network.state()
    lanes = {name: torch.stack([value, value * 1.01]).detach() for name, value in params.items()}
    x = torch.stack([images(seed=1), images(seed=2)]).double()

    def loss(at, inputs):
        return network.support(at, buffers, inputs)[0].square().mean()

    together = vmap(grad(loss))(lanes, x)
    for lane in range(2):
        alone = grad(loss)({name: value[lane] for name, value in lanes.items()}, x[lane])
        for name, value in alone.items():
            torch.testing.assert_close(together[name][lane], value, rtol=1e-9, atol=1e-12)
    assert same(before, values(module))


@pytest.mark.parametrize("kind", ["conv4", "bottlenecks", "mobilenet_v2", "small_vit"])
def test_frozen_norms_make_the_pure_call_the_plain_one(kind):
    module = SMALL[kind]().double().eval()
    network = Network(module, norm="frozen")
    params, buffers = network.state()
    features, _ = network.support(params, buffers, images().double())
    torch.testing.assert_close(features, module(images().double()), rtol=1e-9, atol=1e-12)


# Torch scripts some forward-mode rules on their first use.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("kind", ["conv4", "small_vit"])
def test_forward_over_reverse_works(kind):
    module = SMALL[kind]().double()
    network = Network(module, norm="batch")
    params, buffers = network.state()
    params = {name: value.detach() for name, value in params.items()}

    def loss(at):
        return network.support(at, buffers, images().double())[0].square().mean()

    tangent = direction_of(params, 1)
    _, forward = torch.func.jvp(grad(loss), (params,), (tangent,))
    reverse = grad(lambda at: dot(grad(loss)(at), tangent))(params)
    for name, value in reverse.items():
        torch.testing.assert_close(forward[name], value, rtol=1e-8, atol=1e-10)
