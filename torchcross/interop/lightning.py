"""An algorithm as a Lightning module. Lightning is imported here alone, when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from torchcross.algorithms import Algorithm, Pretraining, Step
from torchcross.episode import Batch, Episode
from torchcross.errors import MissingExtraError

MakeOptimiser = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


def lightning_module(
    algorithm: Algorithm | Pretraining, optimiser: MakeOptimiser | None = None
) -> Any:
    """A `LightningModule` whose batches are lists of episodes, or of labelled batches.

    Labelled batches are for pre-training. The module logs `train_loss` and `val_loss`, and writes
    new buffer values after each training batch, which algorithms never do themselves. The algorithm
    is its attribute `algorithm`. The default optimiser is Adam at 1e-3.
    """
    return _module_class(_lightning().LightningModule)(algorithm, optimiser or _adam)


def _lightning() -> Any:
    for name in ("lightning", "pytorch_lightning"):
        try:
            return import_module(name)
        except ImportError:
            continue
    raise MissingExtraError(
        "lightning_module needs Lightning, which is not installed; run: pip install"
        " 'torchcross-fewshot[lightning]'"
    )


def _adam(parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, 1e-3)


def _module_class(base: Any) -> Any:
    """Return the class of the modules, whose base only an installed Lightning has."""

    class AlgorithmModule(base):  # type: ignore[misc]
        """Lightning's loop; gradients, episodes and predictors are those of the algorithm."""

        def __init__(self, algorithm: Algorithm | Pretraining, optimiser: MakeOptimiser) -> None:
            super().__init__()
            self.algorithm = algorithm
            self._make_optimiser = optimiser
            self._new_buffers: dict[str, Tensor] = {}

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return self._make_optimiser(self.algorithm.parameters())

        def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
            step = _training_step(self.algorithm, batch, self.current_epoch)
            self._new_buffers = step.buffers
            self.log("train_loss", step.loss.detach(), batch_size=len(batch))
            return step.loss

        def on_train_batch_end(self, *_: Any) -> None:
            with torch.no_grad():
                for name, value in self._new_buffers.items():
                    self.algorithm.get_buffer(name).copy_(value)
            self._new_buffers = {}

        def validation_step(self, batch: Sequence[Any], batch_idx: int) -> None:
            # Lightning validates in inference mode, where the inner loop gets no gradients.
            with torch.inference_mode(False), torch.no_grad():
                copies = [_outside_inference(item) for item in batch]
                step = _training_step(self.algorithm, copies, self.current_epoch)
            self.log("val_loss", step.loss, batch_size=len(batch))

    return AlgorithmModule


def _outside_inference(item: Any) -> Any:
    """Return a copy of an episode: one that was read in inference mode allows no adaptation."""
    if not isinstance(item, Episode):
        return item
    support, query = (Batch(part.x.clone(), part.y.clone()) for part in (item.support, item.query))
    return replace(item, support=support, query=query)


def _training_step(algorithm: Algorithm | Pretraining, batch: Sequence[Any], epoch: int) -> Step:
    if isinstance(algorithm, Pretraining):
        return algorithm.training_step(batch)
    return algorithm.training_step(batch, epoch=epoch)
