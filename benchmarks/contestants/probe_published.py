"""The published linear probe of an episode: a `SimpleClassifier` on features that are there, and a
Lightning trainer. For the peers' process.
"""

from __future__ import annotations

import functools
import importlib
import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

RATE = 1e-4


def contestants(
    inputs: dict[str, np.ndarray[Any, Any]], steps: str
) -> dict[str, Callable[[int], list[Any]]]:
    """One episode after the other; returns the logits of the last one's query."""
    torch.set_num_threads(1)
    data: Any = importlib.import_module("torchcross.data")
    lightning: Any = importlib.import_module("torchcross.models.lightning")
    trainers: Any = importlib.import_module("lightning.pytorch")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    # Of its loader without workers, and of steps per epoch fewer than its logging interval.
    warnings.filterwarnings("ignore", module="lightning.*")
    supports, labels, queries = (
        torch.from_numpy(inputs[name]) for name in ("supports", "labels", "queries")
    )
    classes = {at: str(at) for at in range(int(labels.max()) + 1)}
    described = data.TaskDescription(data.TaskTarget.MULTICLASS_CLASSIFICATION, classes)

    def logits(episode: int) -> list[float]:
        model = lightning.SimpleClassifier(
            nn.Identity(),
            supports.shape[-1],
            described,
            functools.partial(torch.optim.Adam, lr=RATE),
            expand_input_channels=False,
        )
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        trainer = trainers.Trainer(
            max_epochs=int(steps),
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        support = TensorDataset(supports[episode], labels[episode])
        trainer.fit(model, DataLoader(support, batch_size=len(support)))
        model.eval()
        with torch.no_grad():
            flat: list[float] = model(queries[episode]).flatten().tolist()
        return flat

    def work(count: int) -> list[Any]:
        return [logits(at % len(supports)) for at in range(count)][-1]

    return {"published probe, multi-class": work}
