"""The main job by this library. Runs in this environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.functional.workloads import Watch
from benchmarks.pipeline.job import (
    INNER_LR,
    INNER_STEPS,
    OUTER_LR,
    TUNING_LR,
    TUNING_STEPS,
    Job,
    network,
)
from torchcross.algorithms import MAML, Algorithm, FineTune
from torchcross.data import Episodes, EpisodeSampler
from torchcross.episode import Episode
from torchcross.evaluation import evaluate
from torchcross.training import FitOptions, fit

Work = Callable[[int], list[Any]]


class Stack:
    """Every part does its first `count` episodes; what is trained stays for the parts after it."""

    def __init__(self, folder: str, memory: str, watch: Watch | None = None) -> None:
        self.job = Job.of(folder)
        self.memory: Any = memory
        self.watch = watch
        self.learner = self._untrained()
        self.parts: dict[str, Work] = {
            "sampling": self.sample,
            "reading": self.read,
            "meta-training": self.train,
            "fine-tuning": self.fine_tune,
            "own adaptation": self.adapt,
        }

    def sample(self, count: int) -> list[Any]:
        for sampler in (self.job.training, self.job.evaluation):
            plans = sampler.batch(range(count))
        return [[len(plans)]]

    def read(self, count: int) -> list[Any]:
        for sampler in (self.job.training, self.job.evaluation):
            for episode in self._episodes(sampler, count):
                total = float(episode.query.x.double().sum())
        return [[total]]

    def train(self, count: int) -> list[Any]:
        self.learner = self._untrained()
        options = FitOptions(steps=count, meta_batch=1, lr=OUTER_LR)
        result = fit(self.learner, self.job.training, options, transform=self.watch, progress=False)
        return [[result.steps]]

    def fine_tune(self, count: int) -> list[Any]:
        return self._scores(
            FineTune(self.learner.backbone, steps=TUNING_STEPS, lr=TUNING_LR), count
        )

    def adapt(self, count: int) -> list[Any]:
        return self._scores(self.learner, count)

    def _scores(self, how: Algorithm, count: int) -> list[Any]:
        episodes = self._episodes(self.job.evaluation, count)
        return [
            [
                row.value
                for row in evaluate(how, episodes, run="job", algorithm="ours", metrics=("auroc",))
            ]
        ]

    def _episodes(self, sampler: EpisodeSampler, count: int) -> Iterator[Episode]:
        read = Episodes(sampler, transform=self.watch)
        return (read[number] for number in range(count))

    def _untrained(self) -> MAML:
        return MAML(network(), steps=INNER_STEPS, lr=INNER_LR, head="zero", memory=self.memory)


def contestants(
    inputs: dict[str, np.ndarray[Any, Any]], folder: str, threads: str, memory: str
) -> dict[str, Work]:
    torch.set_num_threads(int(threads))
    return Stack(folder, memory).parts


def main(
    inputs: dict[str, np.ndarray[Any, Any]],
    folder: str,
    threads: str,
    memory: str,
    part: str,
    warm_up: str,
    count: str,
) -> dict[str, Any]:
    """The peak of a part's episodes above what the process held after `warm_up` of them."""
    torch.set_num_threads(int(threads))
    watch = Watch(2 * int(warm_up) + 1)
    Stack(folder, memory, watch).parts[part](int(count))
    return {"peak": np.array(watch.peak())}
