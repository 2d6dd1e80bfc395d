"""One training over ranks: the time of a step and the bytes between ranks, on this machine.

W1: Conv4-64, 28x28 grey, 5-way 5-shot, 15 queries a class, 5 inner steps, second order, by `fit`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from torchcross.algorithms import MAML
from torchcross.backbones import conv4
from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.training import Feed, FitOptions, Machine, TorchMachine, fit, run_on_ranks

_DEVICES = Path("/proc/net/dev")


@dataclass(frozen=True)
class Setting:
    """So many processes with so many threads each."""

    ranks: int
    threads: int

    def __str__(self) -> str:
        return f"{self.ranks} x {self.threads} thread{'s' if self.threads > 1 else ''}"


ONE, TWO = Setting(1, 2), Setting(2, 1)


@dataclass(frozen=True)
class StepCost:
    """What a step costs, as medians over steps.

    seconds     of the clock
    cpu         seconds of a rank's own time, over all its threads: what else runs distorts it less
    sent        bytes that a rank hands over to be summed
    wire        bytes through the loopback device, of all ranks
    parameters  bytes of the parameters
    """

    seconds: float
    cpu: float
    sent: float
    wire: float
    parameters: int


class CountingMachine(Machine):
    """A machine that counts the bytes that it sums."""

    def __init__(self) -> None:
        self._inner = TorchMachine()
        self.device, self.precision = self._inner.device, self._inner.precision
        self.rank, self.ranks = self._inner.rank, self._inner.ranks
        self.sent = 0

    def autocast(self) -> AbstractContextManager[Any]:
        return self._inner.autocast()

    def sum(self, values: Tensor) -> Tensor:
        self.sent += values.nbytes
        return self._inner.sum(values)


class Marked(Feed):
    """Episodes that are read before training, which notes where its steps begin."""

    def __init__(self, meta_batch: int, size: int, machine: CountingMachine) -> None:
        source = toys.multiclass(2000, size=size)
        sampler = EpisodeSampler(source, ways=5, shots=5, queries=15)
        self._episodes = [Episodes(sampler)[number] for number in range(meta_batch)]
        self._machine = machine
        self.marks: list[tuple[float, float, int, int]] = []

    def read(self, start: int, stop: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        for number in range(start + rank, stop, ranks):
            place = number % len(self._episodes)
            if place == rank:
                self.mark()
            yield self._episodes[place]

    def mark(self) -> None:
        """A step begins here, and the one before ends."""
        sent, wire = self._machine.sent, loopback_bytes()
        self.marks.append((time.perf_counter(), time.process_time(), sent, wire))

    def fingerprint(self, count: int) -> str:
        return str(count)


def loopback_bytes() -> int:
    """The bytes that went through the loopback device; 0 where the system does not say."""
    if not _DEVICES.exists():
        return 0
    lines = _DEVICES.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.strip().startswith("lo:")), 0)


def step_cost(meta_batch: int, steps: int, size: int) -> StepCost:
    """Of W1 on this rank, after one step that warms up."""
    machine = CountingMachine()
    feed = Marked(meta_batch, size, machine)
    algorithm = MAML(conv4(64, in_channels=1), steps=5)
    fit(algorithm, feed, FitOptions(steps=steps + 1, meta_batch=meta_batch), machine=machine)
    feed.mark()
    costs = [
        [after - before for before, after in zip(*marks, strict=True)]
        for marks in list(pairwise(feed.marks))[1:]
    ]
    medians = [statistics.median(each) for each in zip(*costs, strict=True)]
    parameters = sum(value.nbytes for value in algorithm.parameters())
    return StepCost(*medians, parameters)


def compare(meta_batch: int, steps: int, size: int, rounds: int) -> dict[str, list[StepCost]]:
    """Both settings in turn, in new processes each time."""
    found: dict[str, list[StepCost]] = {str(ONE): [], str(TWO): []}
    for _ in range(rounds):
        for setting in (ONE, TWO):
            cost = run_on_ranks(
                step_cost, meta_batch, steps, size, ranks=setting.ranks, threads=setting.threads
            )
            found[str(setting)].append(cost)
    return found
