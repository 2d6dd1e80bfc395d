"""This library's sampler, one plan at a time and in batches. Runs in this repository's
environment.
"""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import torchcross as tx
from torchcross.data import LabelSource
from torchcross.targets import MultiClass, MultiLabel

Plan = tuple[Any, Any, Any, Any]
BATCH = 256


def contestants(
    inputs: dict[str, np.ndarray], kind: str, *args: str
) -> dict[str, Callable[[int], Plan]]:
    if kind == "sizes":
        return by_size([int(size) for size in args])
    sampler = sampler_over(inputs["labels"], *map(int, args))
    return {
        # A sampler may draw ahead where episodes are asked for in order; in a scattered order every
        # plan stands alone.
        "ours, sampler[i], scattered": one_by_one(sampler, scattered),
        "ours, sampler[i], in order": one_by_one(sampler, itertools.count),
        f"ours, sampler.batch of {BATCH}": in_batches(sampler),
    }


def by_size(sizes: list[int]) -> dict[str, Callable[[int], Plan]]:
    samplers = {size: sampler_over(random_labels(size), 5, 5, 10) for size in sizes}
    single = {
        f"{size:,}, sampler[i], scattered": one_by_one(sampler, scattered)
        for size, sampler in samplers.items()
    }
    batched = {
        f"{size:,}, sampler.batch": in_batches(sampler) for size, sampler in samplers.items()
    }
    return single | batched


def sampler_over(labels: np.ndarray, ways: int, shots: int, queries: int) -> tx.EpisodeSampler:
    several = labels.ndim == 2
    names = [f"c{c}" for c in range(labels.shape[1] if several else 10)]
    target = MultiLabel(names) if several else MultiClass(names)
    source = LabelSource(labels, tx.Task("benchmark", target))
    return tx.EpisodeSampler(source, ways=ways, shots=shots, queries=queries, seed=0)


def random_labels(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 10, size)


def scattered() -> Iterator[int]:
    """Numbers below 2^31, none twice before all were there: a full-period linear congruential
    generator.
    """
    number = 0
    while True:
        yield number
        number = (1103515245 * number + 12345) % 2**31


def one_by_one(
    sampler: tx.EpisodeSampler, order: Callable[[], Iterator[int]]
) -> Callable[[int], Plan]:
    # Every round goes on where the last one ended, so no plan is asked for twice.
    numbers = order()

    def work(count: int) -> Plan:
        for number in itertools.islice(numbers, count):
            last = taken(sampler[number])
        return last

    return work


def in_batches(sampler: tx.EpisodeSampler) -> Callable[[int], Plan]:
    begin = 0

    def work(count: int) -> Plan:
        nonlocal begin
        end = begin + count
        for start in range(begin, end, BATCH):
            # Every plan is taken out of its batch, and every part out of its plan.
            for plan in sampler.batch(range(start, min(start + BATCH, end))):
                last = taken(plan)
        begin = end
        return last

    return work


def taken(plan: tx.EpisodePlan) -> Plan:
    return plan.support, plan.support_labels, plan.query, plan.query_labels


def main(inputs: dict[str, np.ndarray], kind: str, *args: str) -> dict[str, Any]:
    measurements = {"setup": measure_setup, "stream": measure_stream, "supports": support_sizes}
    return measurements[kind](inputs, *map(int, args))


def measure_setup(_: dict[str, np.ndarray], size: int) -> dict[str, Any]:
    """Seconds and peak memory of going from an array of labels to the first plan."""
    # What is imported on first use is no part of the data's cost.
    taken(sampler_over(random_labels(1000), 5, 5, 10)[0])
    labels = random_labels(size)
    before = status("VmRSS")
    start = time.perf_counter()
    sampler = sampler_over(labels, 5, 5, 10)
    taken(sampler[0])
    seconds = time.perf_counter() - start
    peak, after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, status("VmRSS")
    return {
        "seconds": seconds,
        "labels": labels.nbytes,
        "peak": peak - before,
        "kept": after - before,
    }


def measure_stream(inputs: dict[str, np.ndarray], count: int) -> dict[str, Any]:
    """Resident memory at the start, in the middle and at the end of a stream of plans."""
    sampler = sampler_over(inputs["labels"], 5, 5, 10)
    for plan in sampler.stream(0, 10_000):
        taken(plan)
    begin, memory = time.perf_counter(), [status("VmRSS")]
    for first in (0, count // 2):
        for plan in sampler.stream(first, first + count // 2):
            taken(plan)
        memory.append(status("VmRSS"))
    return {"memory": memory, "seconds": time.perf_counter() - begin}


def support_sizes(inputs: dict[str, np.ndarray], shots: int, count: int) -> dict[str, Any]:
    labels = inputs["labels"]
    sampler = sampler_over(labels, labels.shape[1], shots, shots)
    return {"sizes": [len(plan.support) for plan in sampler.batch(range(count))]}


def status(field: str) -> int:
    """A line of the kernel's account of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise LookupError(f"/proc/self/status has no {field}")
