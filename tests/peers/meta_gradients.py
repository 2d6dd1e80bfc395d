"""Meta-gradients of two peers on one small network; runs in the peers' environment.

The peers get the network with its head in one module, as they want it.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE = 0.1
WAYS = 3
WIDTH = 12
IMAGES = (1, 8, 8)

Params = dict[str, Tensor]
Arrays = dict[str, np.ndarray[Any, Any]]


class Case(NamedTuple):
    """`normed`: with BatchNorm, on batch statistics; `head`: `given` or `zero`."""

    normed: bool
    steps: int
    order: int
    head: str

    def __str__(self) -> str:
        return f"{'normed' if self.normed else 'bare'}-{self.steps}-order{self.order}-{self.head}"


CASES = [
    Case(*parts) for parts in itertools.product((True, False), (1, 3, 5), (1, 2), ("given", "zero"))
]


def backbone(*, normed: bool) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU and pooling, twice."""
    layers: list[nn.Module] = []
    for inside, outside in ((IMAGES[0], 4), (4, WIDTH // 4)):
        layers += [
            nn.Conv2d(inside, outside, 3, padding=1),
            *([nn.BatchNorm2d(outside)] if normed else []),
        ]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten()).double()


def with_head(case: Case, inputs: Arrays) -> nn.Sequential:
    """The network of a case at its initial values: parameters `0.*` of the backbone, `1.*` of the
    head.
    """
    net = nn.Sequential(backbone(normed=case.normed), nn.Linear(WIDTH, WAYS).double())
    values = {name: torch.as_tensor(inputs[name]) for name, _ in net.named_parameters()}
    if case.head == "zero":
        values = {
            name: torch.zeros_like(value) if name.startswith("1.") else value
            for name, value in values.items()
        }
    net.load_state_dict(values, strict=False)
    return net.train()


def by_higher(case: Case, net: nn.Module, data: Params) -> tuple[Tensor, list[Tensor]]:
    higher: Any = importlib.import_module("higher")
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE)
    constant = (lambda grads: [grad.detach() for grad in grads]) if case.order == 1 else None
    with higher.innerloop_ctx(net, optimiser, copy_initial_weights=False) as (functional, steps):
        for _ in range(case.steps):
            steps.step(F.cross_entropy(functional(data["xs"]), data["ys"]), grad_callback=constant)
        loss = F.cross_entropy(functional(data["xq"]), data["yq"])
        return loss, list(torch.autograd.grad(loss, list(net.parameters())))


def by_learn2learn(case: Case, net: nn.Module, data: Params) -> tuple[Tensor, list[Tensor]]:
    algorithms: Any = importlib.import_module("learn2learn.algorithms")
    learner = algorithms.MAML(net, lr=RATE, first_order=case.order == 1).clone()
    for _ in range(case.steps):
        learner.adapt(F.cross_entropy(learner(data["xs"]), data["ys"]))
    loss = F.cross_entropy(learner(data["xq"]), data["yq"])
    return loss, list(torch.autograd.grad(loss, list(net.parameters())))


PEERS = {"higher": by_higher, "learn2learn": by_learn2learn}


def main(inputs: Arrays) -> Arrays:
    """Gradients as `peer/case/parameter`, query losses as `peer/case/loss`."""
    torch.set_num_threads(1)
    return {key: value.detach().numpy() for key, value in _results(inputs)}


def _results(inputs: Arrays) -> Iterator[tuple[str, Tensor]]:
    data = {name: torch.as_tensor(inputs[name]) for name in ("xs", "ys", "xq", "yq")}
    for case, (peer, meta_gradient) in itertools.product(CASES, PEERS.items()):
        net = with_head(case, inputs)
        loss, grads = meta_gradient(case, net, data)
        yield f"{peer}/{case}/loss", loss
        for (name, _), grad in zip(net.named_parameters(), grads, strict=True):
            yield f"{peer}/{case}/{name}", grad
