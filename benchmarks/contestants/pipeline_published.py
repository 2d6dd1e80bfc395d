"""The main job by the published packages, `torchcross` and `medimeta` 0.0.6. For the peers'
process.
"""

from __future__ import annotations

import copy
import functools
import logging
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torchopt
import torchvision
from medimeta import MedIMeta, MultiPickledMedIMetaTaskDataset
from torch.utils.data import DataLoader, Subset
from torchcross.cd.activations import get_prob_func
from torchcross.cd.metrics import get_auroc_func
from torchcross.data.metadataset import (
    FewShotMetaDataset,
    SubTaskRandomFewShotMetaDataset,
)
from torchcross.models.lightning import CrossDomainMAML, SimpleClassifier
from torchcross.utils.collate_fn import identity, stack

from torchcross.data import Task, TaskDescription, TaskTarget

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
# Of its loader without workers, and of steps per epoch fewer than its logging interval.
warnings.filterwarnings("ignore", module="lightning.*")

Work = Callable[[int], list[Any]]
Inputs = dict[str, np.ndarray[Any, Any]]
FEATURES, SHOTS, QUERIES = 512, 5, 10
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Stack:
    """Every part does its first `count` episodes; what is trained stays for the parts after it."""

    def __init__(self, inputs: Inputs, folder: str, watch: Any = None) -> None:
        self.folder, self.watch = folder, watch
        self.weights = {
            name.partition("/")[2]: torch.from_numpy(value)
            for name, value in inputs.items()
            if name.startswith("weights/")
        }
        with tempfile.TemporaryDirectory() as lists:
            self.training = self._episodes(inputs, "training", (1, QUERIES), Path(lists))
            self.evaluation = self._episodes(inputs, "evaluation", SHOTS, Path(lists))
        self.learner = self._untrained()
        self.parts: dict[str, Work] = {
            "sampling": self.sample,
            "reading": self.read,
            "meta-training": self.train,
            "fine-tuning": self.fine_tune,
            "own adaptation": self.adapt,
        }

    def sample(self, count: int) -> list[Any]:
        """As its script that samples before anything is trained does, without the pickling."""
        sources = self.training.task_sources
        for at, source in enumerate(sources):
            share = count // len(sources) + (at < count % len(sources))
            if share:
                drawn = SubTaskRandomFewShotMetaDataset(source, length=share, output_indices=True)
                assert len(list(drawn)) == share
        drawn = FewShotMetaDataset(
            self.evaluation.task_sources[0], None, SHOTS, QUERIES, length=count, output_indices=True
        )
        return [[len(list(drawn))]]

    def read(self, count: int) -> list[Any]:
        for episodes in (self.training, self.evaluation):
            for task in loader(episodes, count):
                total = float(task[0].query[0].double().sum())
        return [[total]]

    def train(self, count: int) -> list[Any]:
        self.learner = self._untrained()
        trainer = pl.Trainer(max_epochs=1, **QUIET)
        trainer.fit(self.learner, loader(self.training, count))
        return [[trainer.global_step]]

    def fine_tune(self, count: int) -> list[Any]:
        return [
            [
                self._fine_tuned(copy.deepcopy(self.learner.backbone), task)
                for (task,) in loader(self.evaluation, count)
            ]
        ]

    def adapt(self, count: int) -> list[Any]:
        self.learner.eval()
        found = []
        for (task,) in loader(self.evaluation, count):
            # Its inner loop moves the parameters in place and nothing puts them back.
            before = copy.deepcopy(self.learner.state_dict())
            (logits,) = self.learner([task])
            found.append(auroc(task, logits))
            self.learner.load_state_dict(before)
        return [found]

    def _fine_tuned(self, backbone: torch.nn.Module, task: Task) -> float:
        model = SimpleClassifier(
            backbone,
            FEATURES,
            task.description,
            functools.partial(torch.optim.Adam, lr=1e-3),
            expand_input_channels=True,
        )
        support = list(zip(*task.support, strict=True))
        trainer = pl.Trainer(max_epochs=50, **QUIET)
        trainer.fit(model, DataLoader(support, batch_size=len(support)))
        model.eval()
        with torch.no_grad():
            return auroc(task, model(task.query[0]))

    def _untrained(self) -> CrossDomainMAML:
        network = torchvision.models.resnet18()
        network.fc = torch.nn.Identity()
        network.load_state_dict(self.weights)
        return CrossDomainMAML(
            network,
            FEATURES,
            outer_optimizer=functools.partial(torch.optim.Adam, lr=1e-3),
            inner_optimizer=functools.partial(torchopt.MetaSGD, lr=0.1),
            eval_inner_optimizer=functools.partial(torch.optim.SGD, lr=0.1),
            num_inner_steps=4,
            head_init="zero",
        )

    def _episodes(
        self, inputs: Inputs, kind: str, shots: Any, lists: Path
    ) -> MultiPickledMedIMetaTaskDataset:
        """Its dataset of episodes sampled before, over the episodes that were handed in, in their
        order.
        """
        count = len({name.split("/")[1] for name in inputs if name.startswith(f"{kind}/")})
        tasks: dict[tuple[str, str], list[tuple[int, Task]]] = {}
        for number in range(count):
            part = {
                name: inputs[f"{kind}/{number}/{name}"]
                for name in (
                    "dataset",
                    "task",
                    "target",
                    "classes",
                    "support",
                    "support_labels",
                    "query",
                    "query_labels",
                )
            }
            tasks.setdefault((str(part["dataset"]), str(part["task"])), []).append(
                (number, task_of(part))
            )
        collate = stack if self.watch is None else lambda items: self.watch(stack(items))
        shown = shots if isinstance(shots, int) else f"{shots[0]}-{shots[1]}"
        for (dataset, name), found in tasks.items():
            (lists / dataset).mkdir(exist_ok=True)
            file = lists / dataset / f"{name}_{shown}_{QUERIES}_{count}.pkl"
            file.write_bytes(pickle.dumps([task for _, task in found]))
        episodes = MultiPickledMedIMetaTaskDataset(
            str(lists), self.folder, list(tasks), shots, QUERIES, count, collate_fn=collate
        )
        places = [number for found in tasks.values() for number, _ in found]
        return InOrder(episodes, np.argsort(places))


class InOrder(Subset[Any]):
    @property
    def task_sources(self) -> list[MedIMeta]:
        return self.dataset.task_sources


def task_of(part: dict[str, Any]) -> Task:
    target = TaskTarget[str(part["target"])]
    binary = target is TaskTarget.BINARY_CLASSIFICATION

    def samples(kind: str) -> list[tuple[int, torch.Tensor]]:
        labels = torch.from_numpy(part[f"{kind}_labels"])
        return list(zip(part[kind].tolist(), labels[:, None] if binary else labels, strict=True))

    classes = dict(enumerate(part["classes"].tolist()))
    return Task(samples("support"), samples("query"), TaskDescription(target, classes))


def loader(episodes: Any, count: int) -> Iterator[list[Task]] | DataLoader[Any]:
    return DataLoader(Subset(episodes, range(count)), batch_size=1, collate_fn=identity)


def auroc(task: Task, logits: torch.Tensor) -> float:
    kind = task.description.task_target
    score = get_auroc_func(kind, task.description.classes, torch.device("cpu"))
    return float(score(get_prob_func(kind)(logits.detach()), task.query[1]))


def contestants(inputs: Inputs, folder: str, threads: str) -> dict[str, Work]:
    torch.set_num_threads(int(threads))
    return Stack(inputs, folder).parts


def main(
    inputs: Inputs, folder: str, threads: str, part: str, warm_up: str, count: str
) -> dict[str, Any]:
    """The peak of a part's episodes above what the process held after `warm_up` of them."""
    torch.set_num_threads(int(threads))
    path = Path(__file__).parents[1] / "functional" / "workloads.py"
    spec = util.spec_from_file_location("workloads", path)
    assert spec is not None
    assert spec.loader is not None
    # The file alone: this process must not see the repository's package of the peer's name.
    workloads = util.module_from_spec(spec)
    sys.modules["workloads"] = workloads
    spec.loader.exec_module(workloads)
    watch = workloads.Watch(2 * int(warm_up) + 1)
    Stack(inputs, folder, watch).parts[part](int(count))
    return {"peak": np.array(watch.peak())}
