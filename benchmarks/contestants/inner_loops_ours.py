"""Meta-gradients by `torchcross.functional`, and how fast convolutions can be here. Runs in this
environment.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from benchmarks.functional.workloads import Workload, flops, peak_above
from torchcross.functional import meta_loss

Run = Callable[[], float]
ENGINES = {
    "ours": "reverse",
    "ours, low memory (recompute)": "recompute",
    "ours, low memory (mixed)": "mixed",
    "ours, first order": "first_order",
    "ours, bf16 autocast": "reverse",
}


def run_of(workload: Workload, name: str) -> Run:
    problems, meta = workload.problems()

    def precision() -> AbstractContextManager[Any]:
        return torch.autocast("cpu", dtype=torch.bfloat16) if "bf16" in name else nullcontext()

    def run() -> float:
        for value in workload.params.values():
            value.grad = None
        with precision():
            result = meta_loss(problems, meta, engine=ENGINES[name], lanes="loop")
        result.loss.backward()  # type: ignore[no-untyped-call]
        return result.loss.item()

    return run


def convolutions(workload: Workload) -> dict[str, Callable[[int], list[Any]]]:
    """One forward of each different convolution, channels last and not; the result is its number of
    operations.
    """
    found = {}
    for layer, x in workload.convolutions():
        for layout in (torch.contiguous_format, torch.channels_last):
            kind = "last" if layout is torch.channels_last else "first"
            name = (
                f"convolution {tuple(x.shape[1:])} to {layer.out_channels}, {layer.kernel_size},"
                f" channels {kind}"
            )
            found[name] = _convolving(layer, x, layout)
    return found


def _convolving(
    layer: torch.nn.Conv2d, x: torch.Tensor, layout: torch.memory_format
) -> Callable[[int], list[Any]]:
    inputs, weight = x.to(memory_format=layout), layer.weight.detach().to(memory_format=layout)

    def work(count: int) -> list[Any]:
        with torch.no_grad():
            for _ in range(count):
                torch.nn.functional.conv2d(inputs, weight, None, layer.stride, layer.padding)
        return [flops(layer, x)]

    return work


def contestants(
    inputs: dict[str, np.ndarray[Any, Any]], name: str, tasks: str, what: str
) -> dict[str, Any]:
    torch.set_num_threads(2)
    workload = Workload(name, int(tasks))
    if what == "convolutions":
        return convolutions(workload)

    def work_of(contestant: str) -> Callable[[int], list[Any]]:
        run = run_of(workload, contestant)
        return lambda count: [[run() for _ in range(count)][-1:]]

    return {contestant: work_of(contestant) for contestant in ENGINES}


def main(
    inputs: dict[str, np.ndarray[Any, Any]], name: str, tasks: str, contestant: str
) -> dict[str, Any]:
    """The peak of one meta-batch above a warm-up with a few images."""
    torch.set_num_threads(2)
    small = Workload(name, 1, support=5, query=5)
    small.steps = 1
    warm_up = run_of(small, contestant)
    work = run_of(Workload(name, int(tasks)), contestant)
    return {"peak": np.array(peak_above(warm_up, work))}
