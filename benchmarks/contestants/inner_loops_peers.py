"""Meta-gradients by other libraries and by the plain loop. Runs in the peers' environment."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def _load_workloads() -> Any:
    """The file alone: this process must not see the repository's package of one peer's name."""
    path = Path(__file__).parents[1] / "functional" / "workloads.py"
    spec = importlib.util.spec_from_file_location("workloads", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["workloads"] = module
    spec.loader.exec_module(module)
    return module


workloads = _load_workloads()
Run = Callable[[], float]


class Nets:
    """The backbone of a workload as one module, with a zero head for each task."""

    def __init__(self, workload: Any) -> None:
        self.workload = workload
        self.backbone: nn.Module = workload.module

    def fresh(self) -> list[tuple[nn.Sequential, dict[str, Tensor]]]:
        """(net, data) of each task; gradients are let go."""
        self.backbone.zero_grad(set_to_none=True)
        return [
            (self._net(ways), data)
            for ways, data in zip(self.workload.ways, self.workload.data, strict=True)
        ]

    def _net(self, ways: int) -> nn.Sequential:
        head = nn.Linear(self.workload.width, ways, device=self.workload.device)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return nn.Sequential(self.backbone, head)

    def share(self, logits: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = self.workload.loss(logits, labels) / len(self.workload.data)
        return loss


def of_higher(workload: Any, order: int) -> Run:
    higher: Any = importlib.import_module("higher")
    nets = Nets(workload)

    def run() -> float:
        total = 0.0
        for net, data in nets.fresh():
            inner = torch.optim.SGD(net.parameters(), lr=workloads.RATE)
            with higher.innerloop_ctx(
                net, inner, copy_initial_weights=False, track_higher_grads=order == 2
            ) as (
                functional,
                steps,
            ):
                for _ in range(workload.steps):
                    steps.step(workload.loss(functional(data["xs"]), data["ys"]))
                loss = nets.share(functional(data["xq"]), data["yq"])
                total += loss.item()
                if order == 2:
                    loss.backward()  # type: ignore[no-untyped-call]
                else:
                    accumulate(net, torch.autograd.grad(loss, list(functional.parameters())))
        return total

    return run


def accumulate(net: nn.Module, grads: tuple[Tensor, ...]) -> None:
    for value, grad in zip(net.parameters(), grads, strict=True):
        value.grad = grad if value.grad is None else value.grad.add_(grad)


def of_learn2learn(workload: Any, order: int) -> Run:
    algorithms: Any = importlib.import_module("learn2learn.algorithms")
    nets = Nets(workload)

    def run() -> float:
        total = 0.0
        for net, data in nets.fresh():
            learner = algorithms.MAML(net, lr=workloads.RATE, first_order=order == 1).clone()
            for _ in range(workload.steps):
                learner.adapt(workload.loss(learner(data["xs"]), data["ys"]))
            loss = nets.share(learner(data["xq"]), data["yq"])
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    return run


def of_torchopt(workload: Any, order: int) -> Run:
    """As in its MAML example: one backward for the meta-batch."""
    torchopt: Any = importlib.import_module("torchopt")
    nets = Nets(workload)

    def run() -> float:
        losses = []
        for net, data in nets.fresh():
            inner = torchopt.MetaSGD(net, lr=workloads.RATE)
            start = torchopt.extract_state_dict(net, by="reference", detach_buffers=True)
            for _ in range(workload.steps):
                inner.step(workload.loss(net(data["xs"]), data["ys"]))
            losses.append(nets.share(net(data["xq"]), data["yq"]))
            torchopt.recover_state_dict(net, start)
        total = torch.stack(losses).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total.item()

    return run


def of_torchcross(workload: Any, order: int) -> Run:
    data: Any = importlib.import_module("torchcross.data")
    models: Any = importlib.import_module("torchcross.models")
    torchopt: Any = importlib.import_module("torchopt")
    targets = {
        1: data.TaskTarget.BINARY_CLASSIFICATION,
        14: data.TaskTarget.MULTILABEL_CLASSIFICATION,
    }
    model = models.CrossDomainMAML(
        workload.module,
        workload.width,
        lambda net: torchopt.MetaSGD(net, lr=workloads.RATE),
        None,
        num_inner_steps=workload.steps,
        head_init="zero",
    )
    # It would make three channels of one; the network of W1 takes one.
    model.input_module = nn.Identity()

    def described(ways: int) -> Any:
        target = targets.get(ways, data.TaskTarget.MULTICLASS_CLASSIFICATION)
        return data.TaskDescription(target, {number: str(number) for number in range(ways)})

    tasks = [
        data.Task((each["xs"], each["ys"]), (each["xq"], each["yq"]), described(ways))
        for each, ways in zip(workload.data, workload.ways, strict=True)
    ]

    def run() -> float:
        model.zero_grad(set_to_none=True)
        pairs = zip(model(tasks), workload.data, strict=True)
        total = torch.stack([workload.loss(logits, each["yq"]) for logits, each in pairs]).mean()
        total.backward()  # type: ignore[no-untyped-call]
        return total.item()

    return run


def of_the_plain_loop(workload: Any, order: int) -> Run:
    return lambda: float(workload.plain(order))


LIBRARIES: dict[str, Callable[[Any, int], Run]] = {
    "higher": of_higher,
    "learn2learn": of_learn2learn,
    "torchopt": of_torchopt,
    "torchcross 0.0.6": of_torchcross,
    "plain loop": of_the_plain_loop,
}
WITH_FIRST_ORDER = ("higher", "learn2learn", "plain loop")


def contestants(
    inputs: dict[str, np.ndarray[Any, Any]], name: str, tasks: str, library: str
) -> dict[str, Any]:
    """Each returns its loss: all must have done the same."""
    torch.set_num_threads(2)
    chosen = list(LIBRARIES) if library == "all" else [library]
    cases = [(each, 2) for each in chosen] + [
        (each, 1) for each in chosen if each in WITH_FIRST_ORDER
    ]

    def work_of(each: str, order: int) -> Callable[[int], list[Any]]:
        run = LIBRARIES[each](workloads.Workload(name, int(tasks)), order)
        return lambda count: [[run() for _ in range(count)][-1:]]

    return {
        each if order == 2 else f"{each}, first order": work_of(each, order)
        for each, order in cases
    }


def main(
    inputs: dict[str, np.ndarray[Any, Any]], name: str, tasks: str, library: str
) -> dict[str, Any]:
    """The peak of one meta-batch above a warm-up with a few images."""
    torch.set_num_threads(2)
    small = workloads.Workload(name, 1, support=5, query=5)
    small.steps = 1
    warm_up = LIBRARIES[library](small, 2)
    work = LIBRARIES[library](workloads.Workload(name, int(tasks)), 2)
    return {"peak": np.array(workloads.peak_above(warm_up, work))}
