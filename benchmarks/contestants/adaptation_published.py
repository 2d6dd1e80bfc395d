"""The published way to adapt to a support set: a `SimpleClassifier` and a Lightning trainer. For
the peers' process.
"""

from __future__ import annotations

import copy
import functools
import importlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset


def _load_workloads() -> Any:
    """The file alone: this process must not see the repository's package of the peer's name."""
    path = Path(__file__).parents[1] / "functional" / "workloads.py"
    spec = importlib.util.spec_from_file_location("workloads", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["workloads"] = module
    spec.loader.exec_module(module)
    return module


def contestants(
    inputs: dict[str, np.ndarray[Any, Any]], steps: str
) -> dict[str, Callable[[int], list[Any]]]:
    torch.set_num_threads(2)
    data: Any = importlib.import_module("torchcross.data")
    lightning: Any = importlib.import_module("torchcross.models.lightning")
    trainers: Any = importlib.import_module("lightning.pytorch")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    # Of its loader without workers, and of steps per epoch fewer than its logging interval.
    warnings.filterwarnings("ignore", module="lightning.*")
    workload = _load_workloads().Workload("W2", 1)
    episode = workload.data[0]
    support = TensorDataset(episode["xs"], episode["ys"])
    described = data.TaskDescription(
        data.TaskTarget.MULTICLASS_CLASSIFICATION, {at: str(at) for at in range(5)}
    )

    def adapted() -> float:
        model = lightning.SimpleClassifier(
            copy.deepcopy(workload.module),
            workload.width,
            described,
            functools.partial(torch.optim.Adam, lr=1e-3),
            expand_input_channels=False,
        )
        trainer = trainers.Trainer(
            max_epochs=int(steps),
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, DataLoader(support, batch_size=len(support)))
        model.eval()
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(model(episode["xs"]), episode["ys"]))

    return {
        "torchcross 0.0.6, Lightning trainer": lambda count: [
            [adapted() for _ in range(count)][-1:]
        ]
    }
