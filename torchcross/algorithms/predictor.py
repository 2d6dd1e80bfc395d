"""What adaptation hands back: images -> probabilities, decisions and class names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared import predictor_files
from torchcross.algorithms._shared.input_normalisation import Pixels, taking
from torchcross.errors import InputError
from torchcross.functional import Network
from torchcross.heads import head_logits
from torchcross.targets import Prediction, Target
from torchcross.task import Task

__all__ = ["NamedPrediction", "Predictor", "load_predictor"]


@final
@dataclass(frozen=True, eq=False)
class NamedPrediction:
    """`probabilities` (N, C) and `decisions` (N,) or (N, L) as in `Prediction`, with the names of
    the C classes.

    `scores` are the log-odds that samples are ranked by.
    """

    probabilities: Tensor
    decisions: Tensor
    classes: tuple[str, ...]
    scores: Tensor | None = None

    @property
    def names(self) -> list[str] | list[list[str]]:
        """The class decided for each sample, or the labels that each sample has."""
        if self.decisions.ndim == 1:
            return [self.classes[code] for code in self.decisions.tolist()]
        return [
            [name for name, there in zip(self.classes, row, strict=True) if there]
            for row in self.decisions.tolist()
        ]

    @property
    def plain(self) -> Prediction:
        """For `target.evaluate`."""
        return Prediction(self.probabilities, self.decisions, self.scores)


@final
class Predictor:
    """A pure function of images. It owns its tensors: training on, or adapting again, does not
    change it.

    Under the BatchNorm policy `batch` what it says of an image depends on the images beside it
    (transductive).
    """

    def __init__(
        self,
        network: Network,
        task: Task,
        tensors: Mapping[str, dict[str, Tensor]],
        *,
        form: str,
        step: int,
        pixels: Pixels,
        protocol: dict[str, Any],
        backbone: Any,
    ) -> None:
        self.task = task
        self.protocol = protocol
        self._network = network
        self._tensors = {part: dict(tensors[part]) for part in predictor_files.PARTS}
        self._form = form
        self._step = step
        self._pixels = pixels
        self._backbone = backbone

    @property
    def target(self) -> Target:
        return self.task.target

    @property
    def classes(self) -> tuple[str, ...]:
        return self.task.classes

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """(N, D) features of the adapted backbone."""
        params = self._tensors["params"]
        like = next(iter(params.values())) if params else next(iter(self._tensors["head"].values()))
        if not len(images):
            raise InputError("the predictor got no images; give at least one.")
        ready = self._pixels(images, "the batch of images", like)
        with taking(self._network.module, ready, f"the predictor of {self.task.name!r}"):
            features, _ = self._network.query(
                params,
                self._tensors["buffers"],
                ready,
                statistics=self._tensors["statistics"],
                step=self._step,
            )
        result: Tensor = features
        return result

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """(N, outputs) logits of the target's loss."""
        features, head = self.features(images), self._tensors["head"]
        if features.shape[1] != (width := predictor_files.head_width(self._form, head)):
            raise InputError(
                f"the backbone makes {features.shape[1]} features and the head takes {width}; give"
                " images of the size it was adapted to, or load the predictor with its own"
                " backbone."
            )
        return head_logits(self._form, self.target, features, head)

    def __call__(self, images: Tensor) -> NamedPrediction:
        with torch.no_grad():
            prediction = self.target.predict(self.logits(images))
        return NamedPrediction(
            prediction.probabilities, prediction.decisions, self.classes, prediction.scores
        )

    def to(self, device: torch.device | str) -> Predictor:
        """The same predictor elsewhere."""
        moved = {
            part: {name: value.to(device) for name, value in tree.items()}
            for part, tree in self._tensors.items()
        }
        return Predictor(
            self._network,
            self.task,
            moved,
            form=self._form,
            step=self._step,
            pixels=self._pixels,
            protocol=self.protocol,
            backbone=self._backbone,
        )

    def save(self, path: str | Path) -> None:
        """Write everything to one safetensors file, whole or not at all; `load_predictor` predicts
        the same bits.
        """
        predictor_files.write(
            Path(path),
            self._tensors,
            {
                "task": predictor_files.task_record(self.task),
                "protocol": self.protocol,
                "form": self._form,
                "step": self._step,
                "norm": self._network.policy.name,
                "fast": self._network.fast,
                "pixels": self._pixels.describe(),
                "backbone": self._backbone,
            },
        )

    def __repr__(self) -> str:
        algorithm = self.protocol.get("algorithm", "?")
        return (
            f"Predictor({self.task.name!r}, classes={list(self.classes)}, algorithm={algorithm!r})"
        )


def load_predictor(path: str | Path, backbone: nn.Module | None = None) -> Predictor:
    """Read a saved predictor. `backbone` is a module like the one it was made with, where the file
    does not name one of the library's own; its weights do not matter, only its shape.
    """
    path = Path(path)
    tensors, record = predictor_files.read(path)
    module = predictor_files.backbone_for(path, record, backbone)
    network = Network(module, norm=record["norm"], fast=record["fast"])
    predictor_files.check_fit(path, module, tensors, rows=network.policy.rows, step=record["step"])
    task = predictor_files.task_from(record["task"])
    predictor_files.check_head(path, record["form"], task.target, tensors)
    return Predictor(
        network,
        task,
        tensors,
        form=record["form"],
        step=record["step"],
        pixels=predictor_files.pixels_from(path, record),
        protocol=record["protocol"],
        backbone=record["backbone"],
    )
