"""A backbone that draws in training mode, and its meta-gradient by torch's own tape."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from tests.functional.reference import data_of, head_of
from torchcross.functional import Inner, Meta, Problem, sgd

STEPS, RATE = 2, 0.3


class Backbone(nn.Module):
    def __init__(self, between):
        super().__init__()
        self.conv, self.between, self.last = nn.Conv2d(1, 4, 3), between, nn.Conv2d(4, 4, 2)

    def forward(self, x):
        x = torch.tanh(self.conv(x))
        return torch.tanh(self.last(x + self.between(x))).mean((2, 3))


class Given(nn.Module):
    """The plain layer's own formula, with numbers from a list in place of draws."""

    def __init__(self, formula):
        super().__init__()
        self.formula, self.numbers = formula, []

    def forward(self, x):
        return self.formula(x, *[number.to(x.dtype) for number in self.numbers])


def losses_in_training(network):
    def loss(params, buffers, data, step, part, row):
        features, buffers = network.support(
            params, buffers, data[f"x{part}"], step=row, masks=data[f"m{part}"]
        )
        logits = F.linear(features, params["head.weight"], params["head.bias"])
        return F.cross_entropy(logits, data[f"y{part}"]), buffers

    def support(params, buffers, data, step):
        return loss(params, buffers, data, step, "s", step)

    def query(params, buffers, data, step):
        return loss(params, buffers, data, step, "q", 0)

    return support, query


def problem_of(network, episode, inner=None):
    params, buffers = network.state()
    data = dict(data_of(episode))
    for part, (number, rows) in {"s": (0, STEPS), "q": (1, 1)}.items():
        images = data[f"x{part}"]
        data[f"m{part}"] = network.masks(
            params, buffers, images, seed=5, episode=episode, part=number, rows=rows
        )
    support, query = losses_in_training(network)
    inner = inner or Inner(support, query, sgd(), STEPS)
    return Problem(inner, data, head_of(), f"episode {episode}"), Meta(params, RATE, buffers)


def by_hand(module, given, data):
    """The meta-gradient by torch's own tape, with the same numbers."""
    shared = {name: value.detach().requires_grad_() for name, value in module.named_parameters()}
    params = {**shared, **head_of()}
    params = {name: value.requires_grad_() for name, value in params.items()}

    def loss(params, part, row):
        given.numbers = [value[row] for value in data[f"m{part}"].values()]
        features = functional_call(
            module, {name: params[name] for name in shared}, data[f"x{part}"]
        )
        logits = F.linear(features, params["head.weight"], params["head.bias"])
        return F.cross_entropy(logits, data[f"y{part}"])

    for step in range(STEPS):
        value = loss(params, "s", step)
        grads = torch.autograd.grad(value, list(params.values()), create_graph=True)
        moved = zip(params.items(), grads, strict=True)
        params = {name: value - RATE * grad for (name, value), grad in moved}
    grads = torch.autograd.grad(loss(params, "q", 0), list(shared.values()))
    return dict(zip(shared, grads, strict=True))


def assert_same(left, right):
    for name, value in right.items():
        torch.testing.assert_close(left[name], value, rtol=1e-9, atol=1e-11)
