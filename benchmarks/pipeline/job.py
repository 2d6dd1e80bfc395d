"""The job itself, the same for both: which files, which episodes in which order, from which
weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import torchcross as tx
from medimeta_adapter import MedIMeta
from medimeta_adapter.synthetic import generate
from torchcross.data import EpisodeSampler, TaskSource
from torchcross.errors import InfeasibleError

Arrays = dict[str, NDArray[np.generic]]
TARGET, PIXELS, SHOTS = "oct", 64, 5
INNER_STEPS, INNER_LR, OUTER_LR = 4, 0.1, 1e-3
TUNING_STEPS, TUNING_LR = 50, 1e-3
EPISODES: dict[str, Any] = {"ways": (2, None), "shots": (1, 10), "queries": 10, "min_samples": 40}
_PUBLISHED = {
    "binary": "BINARY_CLASSIFICATION",
    "multiclass": "MULTICLASS_CLASSIFICATION",
    "multilabel": "MULTILABEL_CLASSIFICATION",
    "ordinal": "ORDINAL_REGRESSION",
}


@dataclass(frozen=True)
class Job:
    """mm-MAML's episodes of the sources that have enough samples for them, and 5-shot ones of the
    target.
    """

    training: EpisodeSampler
    evaluation: EpisodeSampler

    @staticmethod
    def of(folder: str | Path) -> Job:
        meta = MedIMeta(folder)
        sources, target = meta.leave_one_domain_out(TARGET, channels=3, pixels="float")
        return Job(
            EpisodeSampler([source for source in sources if _feasible(source)], **EPISODES, seed=0),
            EpisodeSampler(target, shots=SHOTS, queries=10, min_samples=50, seed=0),
        )

    def arrays(self, trainings: int, evaluations: int) -> Arrays:
        """Episodes and weights for a process that knows nothing of this library."""
        found: Arrays = {
            f"weights/{name}": value.numpy() for name, value in network().state_dict().items()
        }
        for kind, sampler, count in (
            ("training", self.training, trainings),
            ("evaluation", self.evaluation, evaluations),
        ):
            for number in range(count):
                plan = sampler[number]
                task = sampler.source(plan.source).task
                dataset, _, name = task.name.partition("/")
                names = task.target.classes
                found |= {
                    f"{kind}/{number}/{part}": np.asarray(value)
                    for part, value in {
                        "dataset": dataset,
                        "task": name,
                        "target": _PUBLISHED[task.target.kind],
                        "classes": [names[code] for code in plan.classes],
                        "support": plan.support,
                        "support_labels": plan.support_labels,
                        "query": plan.query,
                        "query_labels": plan.query_labels,
                    }.items()
                }
        return found


def network() -> torch.nn.Module:
    return tx.backbones.resnet18(seed=0)


def make_files(folder: Path) -> None:
    generate(folder, scale="small", size=PIXELS, workers=2, resume=True)


def _feasible(source: TaskSource) -> bool:
    try:
        EpisodeSampler(source, **EPISODES)
    except InfeasibleError:
        return False
    return True
