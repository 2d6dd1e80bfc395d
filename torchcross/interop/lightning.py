"""An algorithm as a Lightning module, for those who train with Lightning. It is imported only here,
when asked for.
"""

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

__all__ = ["lightning_module"]

MakeOptimiser = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


def lightning_module(
    algorithm: Algorithm | Pretraining, optimiser: MakeOptimiser | None = None
) -> Any:
    """A `LightningModule` whose batches are lists of episodes (or of labelled batches, for
    pre-training).

    It logs `train_loss` and `val_loss`, and writes new buffer values after each training batch,
    which algorithms never do themselves. The algorithm is its attribute `algorithm`. Without an
    optimiser: Adam at 1e-3.
    """
    make: MakeOptimiser = _adam if optimiser is None else optimiser
    return _kind(_lightning().LightningModule)(algorithm, make)


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


def _kind(base: Any) -> Any:
    """The class, made when Lightning is there to give its base."""

    class AlgorithmModule(base):  # type: ignore[misc]
        """Training by Lightning's loop; gradients, episodes and predictors as everywhere else."""

        def __init__(self, algorithm: Algorithm | Pretraining, make: MakeOptimiser) -> None:
            super().__init__()
            self.algorithm = algorithm
            self._make = make
            self._fresh: dict[str, Tensor] = {}

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return self._make(self.algorithm.parameters())

        def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
            step = _step(self.algorithm, batch, self.current_epoch)
            self._fresh = step.buffers
            self.log("train_loss", step.loss.detach(), batch_size=len(batch))
            return step.loss

        def on_train_batch_end(self, *_: Any) -> None:
            with torch.no_grad():
                for name, value in self._fresh.items():
                    self.algorithm.get_buffer(name).copy_(value)
            self._fresh = {}

        def validation_step(self, batch: Sequence[Any], batch_idx: int) -> None:
            # Inference mode, which Lightning validates in, has no gradients for the inner loop.
            with torch.inference_mode(False), torch.no_grad():
                step = _step(
                    self.algorithm, [_outside_inference(item) for item in batch], self.current_epoch
                )
            self.log("val_loss", step.loss, batch_size=len(batch))

    return AlgorithmModule


def _outside_inference(item: Any) -> Any:
    """An episode read in inference mode cannot be adapted to; a copy of it can."""
    if not isinstance(item, Episode):
        return item
    support, query = (Batch(part.x.clone(), part.y.clone()) for part in (item.support, item.query))
    return replace(item, support=support, query=query)


def _step(algorithm: Algorithm | Pretraining, batch: Sequence[Any], epoch: int) -> Step:
    if isinstance(algorithm, Pretraining):
        return algorithm.training_step(batch)
    return algorithm.training_step(batch, epoch=epoch)
