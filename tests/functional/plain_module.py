"""The meta-gradient of any module by torch's own tape, and the problem that engines are given."""

import torch
import torch.nn.functional as F
from torch.func import functional_call

from tests.functional.reference import data_of, head_of, losses_of
from torchcross.functional import Inner, Meta, Network, Problem, sgd

ENGINES = ["reverse", "recompute", "mixed"]


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return build().double()


def problem_of(module, steps=3, norm="batch", seed=0):
    network = Network(module, norm=norm)
    params, buffers = network.state(steps)
    support, query = losses_of(network)
    inner = Inner(support, query, sgd(), steps)
    return Problem(inner, data_of(seed), head_of()), Meta(params, 0.3, buffers)


def by_hand(module, steps=3, seed=0):
    """The meta-gradient by torch's own tape and the module itself, in training mode."""
    data, head = data_of(seed), head_of()
    module.train()
    shared = dict(module.named_parameters())

    def loss(params, x, y):
        own = {name: params[name] for name in shared}
        features = functional_call(module, own, (x,))
        return F.cross_entropy(F.linear(features, params["head.weight"], params["head.bias"]), y)

    params = {**shared, **head}
    params = {
        name: value if value.requires_grad else value.requires_grad_()
        for name, value in params.items()
    }
    for _ in range(steps):
        grads = torch.autograd.grad(
            loss(params, data["xs"], data["ys"]), list(params.values()), create_graph=True
        )
        params = {
            name: value - 0.3 * grad
            for (name, value), grad in zip(params.items(), grads, strict=True)
        }
    return dict(
        zip(
            shared,
            torch.autograd.grad(loss(params, data["xq"], data["yq"]), list(shared.values())),
            strict=True,
        )
    )


def assert_close(left, right):
    for name, value in right.items():

        def with_name(text, name=name):
            return f"{name}: {text}"

        torch.testing.assert_close(left[name], value, rtol=1e-9, atol=1e-11, msg=with_name)
