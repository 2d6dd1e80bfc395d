"""The two workloads that measure inner loops, and the plain loop that users write.

W1: Conv4-64, 28x28 grey, 5-way 5-shot, 15 queries a class, 5 inner steps.
W2: ResNet-18, 3x64x64, tasks with 5, 3, 1 and 14 outputs, 25 support and 50 query images, 4 inner
steps. Both: BatchNorm on batch statistics, zero heads, rate 0.1, float32.

Needs torch alone, except `Workload.problems`: the peers' processes load this file too.
"""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from torchcross.functional import Meta, Problem

RATE = 0.1
Params = dict[str, Tensor]


def conv4(channels: int = 64) -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    for at in range(4):
        layers += [
            nn.Conv2d(1 if at == 0 else channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers, nn.Flatten()), channels


class Block(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample: nn.Module | None = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(y)
        return out


def resnet18(channels: int = 64) -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = [
        nn.Conv2d(3, channels, 7, 2, 3, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    width = channels
    for factor, stride in ((1, 1), (2, 2), (4, 2), (8, 2)):
        outside = factor * channels
        layers += [Block(width, outside, stride), Block(outside, outside, 1)]
        width = outside
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), width


class Workload:
    """A network, its initial values and a meta-batch of episodes: the same in every process.

    `alike` gives all tasks of W2 five outputs, so that they can share lanes.
    """

    def __init__(
        self,
        name: str,
        tasks: int | None = None,
        *,
        support: int = 25,
        query: int | None = None,
        channels: int = 64,
        alike: bool = False,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(0)
        self.name = name
        if name == "W1":
            self.module, self.width = conv4(channels)
            self.steps, self.ways = 5, [5] * (tasks or 4)
            data = [self._data(ways, support, query or 75, 1, 28) for ways in self.ways]
        else:
            self.module, self.width = resnet18(channels)
            self.steps = 4
            self.ways = [5] * (tasks or 4) if alike else [5, 3, 1, 14][: tasks or 4]
            data = [self._data(ways, support, query or 50, 3, 64) for ways in self.ways]
        self.device = torch.device(device)
        self.data = [{name: value.to(self.device) for name, value in each.items()} for each in data]
        self.module.to(self.device).train()
        self.params: Params = {
            name: value.detach().clone().requires_grad_()
            for name, value in self.module.named_parameters()
        }
        self.buffers: Params = {name: value.clone() for name, value in self.module.named_buffers()}

    @staticmethod
    def _data(ways: int, support: int, query: int, channels: int, size: int) -> Params:
        def labels(count: int) -> Tensor:
            if ways in (1, 14):
                return torch.randint(0, 2, (count, ways)).float()
            return torch.arange(count) % ways

        return {
            "xs": torch.randn(support, channels, size, size),
            "ys": labels(support),
            "xq": torch.randn(query, channels, size, size),
            "yq": labels(query),
        }

    @staticmethod
    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        if labels.is_floating_point():
            return F.binary_cross_entropy_with_logits(logits, labels)
        return F.cross_entropy(logits, labels)

    def heads(self, dtype: torch.dtype = torch.float32) -> list[Params]:
        shapes = [{"head.weight": (ways, self.width), "head.bias": (ways,)} for ways in self.ways]
        return [
            {
                name: torch.zeros(shape, dtype=dtype, device=self.device)
                for name, shape in each.items()
            }
            for each in shapes
        ]

    def problems(
        self, steps: int | None = None, *, dtype: torch.dtype = torch.float32
    ) -> tuple[list[Problem], Meta]:
        """The meta-batch in the terms of `torchcross.functional`."""
        from torchcross.functional import Inner, Meta, Network, Problem, Split, sgd

        network = Network(self.module)

        def body(params: Params, buffers: Params, data: Params, step: int) -> tuple[Tensor, Params]:
            features, buffers = network.support(params, buffers, data["xs"], step=step)
            return features, buffers

        def top(params: Params, features: Tensor, data: Params) -> Tensor:
            return self.loss(
                F.linear(features, params["head.weight"], params["head.bias"]), data["ys"]
            )

        def query(
            params: Params, buffers: Params, data: Params, step: int
        ) -> tuple[Tensor, Params]:
            features, buffers = network.query(params, buffers, data["xq"], statistics={}, step=step)
            logits = F.linear(features, params["head.weight"], params["head.bias"])
            return self.loss(logits, data["yq"]), buffers

        def cast(tree: Params) -> Params:
            # Nothing is copied where nothing changes: gradients are to arrive at `self.params`.
            return {
                name: value.to(dtype) if value.is_floating_point() else value
                for name, value in tree.items()
            }

        inner = Inner(Split(body, top), query, sgd(), steps or self.steps, zero_head="head.*")
        problems = [
            Problem(inner, cast(data), own)
            for data, own in zip(self.data, self.heads(dtype), strict=True)
        ]
        return problems, Meta(cast(self.params), RATE, cast(self.buffers))

    def plain(self, order: int = 2) -> float:
        """The plain loop: functional_call, autograd.grad, and a backward for each task."""
        for value in self.params.values():
            value.grad = None
        total = 0.0
        for data, head in zip(self.data, self.heads(), strict=True):
            adapted = {
                **self.params,
                **{name: value.requires_grad_() for name, value in head.items()},
            }
            for _ in range(self.steps):
                loss = self.loss(self._logits(adapted, data["xs"]), data["ys"])
                grads = torch.autograd.grad(loss, list(adapted.values()), create_graph=order == 2)
                adapted = {
                    name: value - RATE * grad
                    for (name, value), grad in zip(adapted.items(), grads, strict=True)
                }
            loss = self.loss(self._logits(adapted, data["xq"]), data["yq"]) / len(self.data)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    def _logits(self, params: Params, x: Tensor) -> Tensor:
        body = {name: value for name, value in params.items() if name in self.params}
        buffers = {name: value.clone() for name, value in self.buffers.items()}
        features = torch.func.functional_call(self.module, {**body, **buffers}, (x,))
        return F.linear(features, params["head.weight"], params["head.bias"])

    def convolutions(self) -> list[tuple[nn.Conv2d, Tensor]]:
        """Every convolution, with its input for the query images of one episode."""
        calls: list[tuple[nn.Conv2d, Tensor]] = []

        def note(layer: nn.Module, inputs: tuple[Tensor, ...], _: object) -> None:
            assert isinstance(layer, nn.Conv2d)
            calls.append((layer, inputs[0].clone()))

        layers = [layer for layer in self.module.modules() if isinstance(layer, nn.Conv2d)]
        handles = [layer.register_forward_hook(note) for layer in layers]
        with torch.no_grad():
            self.module(self.data[0]["xq"])
        for handle in handles:
            handle.remove()
        self.module.load_state_dict(self.buffers, strict=False)
        return calls

    def units(self, order: int = 2, *, zero_head: bool = False) -> int:
        """Convolution passes over images that a meta-batch needs at least.

        A forward is 1, a backward 2, and backward through forward and backward 6. Where a zero
        head's first step is known to leave the backbone alone, that step needs a forward, and a
        backward of what the head's update saw.
        """
        whole, forward_and_backward = (9, 3) if order == 2 else (3, 1)
        first = forward_and_backward if zero_head else whole
        support = first + (self.steps - 1) * whole
        return sum(len(data["xs"]) * support + len(data["xq"]) * 3 for data in self.data)


def flops(layer: nn.Conv2d, x: Tensor) -> int:
    """Of one forward: two for each multiplication."""
    height, width = (
        (size + 2 * int(layer.padding[at]) - layer.kernel_size[at]) // layer.stride[at] + 1
        for at, size in enumerate(x.shape[2:])
    )
    return 2 * len(x) * height * width * layer.weight.numel()


def peak_above(warm_up: Callable[[], object], work: Callable[[], object]) -> int:
    """The most bytes that the process held during `work`, above a warm-up. Linux alone."""
    warm_up()
    watch = Watch()
    watch.start()
    work()
    return watch.peak()


class Watch:
    """The growth of the process's memory since `start`, or since call number `first`.

    A call returns its argument, so that a watch can stand where images pass.
    """

    def __init__(self, first: int = 0) -> None:
        self._calls, self._first, self._before = 0, first, 0

    def __call__(self, value: Any) -> Any:
        self._calls += 1
        if self._calls == self._first:
            self.start()
        return value

    def start(self) -> None:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        self._before = _process_bytes("RSS")
        Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int:
        return _process_bytes("HWM") - self._before


def _process_bytes(kind: str) -> int:
    match = re.search(rf"Vm{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if match is None:
        raise RuntimeError(
            "this system does not report the memory of a process; measure memory on Linux."
        )
    return int(match[1]) * 1024
