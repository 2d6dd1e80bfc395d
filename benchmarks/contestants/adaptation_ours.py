"""Adaptation to one support set: by the algorithms here, and by the loop that everybody writes."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.functional.workloads import Params, Workload
from torchcross.algorithms import ANIL, Algorithm, FineTune, LinearProbe
from torchcross.episode import Batch
from torchcross.functional import Inner, Meta, Network, Problem, adam, adapt
from torchcross.targets import MultiClass
from torchcross.task import Task

RATE = 1e-3
Work = Callable[[int], list[Any]]


def contestants(inputs: dict[str, np.ndarray[Any, Any]], steps: str) -> dict[str, Work]:
    """Each returns the support loss where it ends."""
    torch.set_num_threads(2)
    workload, count = Workload("W2", 1), int(steps)
    episode = workload.data[0]
    support, task = Batch(episode["xs"], episode["ys"]), Task("episode", MultiClass(list("abcde")))
    module = workload.module
    algorithms: dict[str, Algorithm] = {
        "ours, FineTune": FineTune(module, steps=count, lr=RATE, head="zero"),
        "ours, ANIL (cached features)": ANIL(module, steps=count, lr=RATE, optimiser="adam"),
        "ours, LinearProbe (cached features)": LinearProbe(module, steps=count, head="zero"),
    }

    def by(algorithm: Algorithm) -> Work:
        def work(count: int) -> list[Any]:
            for _ in range(count):
                predictor = algorithm.adapt(support, task)
            return [[float(F.cross_entropy(predictor.logits(support.x), support.y))]]

        return work

    return {
        "plain torch loop": lambda number: [[plain(workload, count) for _ in range(number)][-1:]],
        **{name: by(algorithm) for name, algorithm in algorithms.items()},
    }


def plain(workload: Workload, steps: int) -> float:
    """A copy of the network, torch's Adam, the support set as one batch; returns the loss where it
    ends.
    """
    head = nn.Linear(workload.width, workload.ways[0])
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    net = nn.Sequential(copy.deepcopy(workload.module), head).train()
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    episode = workload.data[0]
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(net(episode["xs"]), episode["ys"]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        return float(F.cross_entropy(net.eval()(episode["xs"]), episode["ys"]))


class Stopwatch:
    """Time inside of chosen calls."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self(name):
                return call(*args, **kwargs)

        return timed

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - start


def main(inputs: dict[str, np.ndarray[Any, Any]], steps: str) -> dict[str, Any]:
    """Process time of one adaptation of everything: the whole, and the parts inside of torch's
    work.
    """
    torch.set_num_threads(2)
    workload, watch = Workload("W2", 1), Stopwatch()
    network, optimiser = Network(workload.module, norm="running"), adam()

    def support(params: Params, buffers: Params, data: Params, step: int) -> tuple[Tensor, Params]:
        with watch("forward"):
            features, buffers = network.support(params, buffers, data["xs"], step=step)
            logits = F.linear(features, params["head.weight"], params["head.bias"])
            return F.cross_entropy(logits, data["ys"]), buffers

    assert optimiser.move is not None
    timed = dataclasses.replace(optimiser, move=watch.around("optimiser", optimiser.move))
    problem = Problem(
        Inner(support, support, timed, int(steps)), workload.data[0], workload.heads()[0]
    )
    meta = Meta(workload.params, RATE, workload.buffers)
    adapt(problem, meta, steps=2)
    watch.spent.clear()
    with (
        mock.patch("torch.autograd.grad", watch.around("backward", torch.autograd.grad)),
        watch("whole"),
    ):
        adapt(problem, meta)
    return {name: np.array(seconds) for name, seconds in watch.spent.items()}
