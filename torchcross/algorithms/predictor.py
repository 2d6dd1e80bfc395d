"""What adaptation returns: images -> probabilities, decisions and class names."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared import predictor_checks, predictor_files
from torchcross.algorithms._shared.input_normalisation import explain_refused_images
from torchcross.algorithms._shared.predictor_files import PredictorRecord
from torchcross.errors import InputError
from torchcross.functional import Network
from torchcross.heads import head_logits
from torchcross.targets import Prediction, Target


@final
@dataclass(frozen=True, eq=False)
class NamedPrediction:
    """`probabilities` (N, C) and `decisions` (N,) or (N, L) as in `Prediction`, with class names.

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
    """A pure function of images, made by `adapt` or `load_predictor`.

    It owns its tensors: further training or another adaptation does not change it. Under the
    BatchNorm policy `batch`, the prediction of an image depends on the images beside it
    (transductive).
    """

    def __init__(
        self, network: Network, record: PredictorRecord, tensors: Mapping[str, dict[str, Tensor]]
    ) -> None:
        self.task = record.task
        self.protocol = record.protocol
        # As it is now: a predictor does not change with the backbone that it was made of.
        self._network = network.snapshot()
        self._record = record
        self._tensors = {part: dict(tensors[part]) for part in predictor_files.PARTS}

    @property
    def target(self) -> Target:
        return self.task.target

    @property
    def classes(self) -> tuple[str, ...]:
        return self.task.classes

    @property
    def tensors(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Its tensors by name, in the parts `params`, `buffers`, `statistics` and `head`."""
        return self._tensors

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """(N, D) features of the adapted backbone."""
        if not len(images):
            raise InputError("the predictor got no images; give at least one.")
        params = self._tensors["params"]
        like = next(iter((params or self._tensors["head"]).values()))
        ready = self._record.pixels(images, "the batch of images", like)
        name = f"the predictor of {self.task.name!r}"
        with explain_refused_images(self._network.module, ready, name):
            features, _ = self._network.query(
                params,
                self._tensors["buffers"],
                ready,
                statistics=self._tensors["statistics"],
                step=self._record.step,
            )
        result: Tensor = features
        return result

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """(N, outputs) logits of the target's loss."""
        features, head, form = self.features(images), self._tensors["head"], self._record.form
        width = predictor_checks.head_width(form, head)
        if features.shape[1] != width:
            raise InputError(
                f"the backbone makes {features.shape[1]} features and the head takes {width}; give"
                " images of the size it was adapted to, or load the predictor with its own"
                " backbone."
            )
        return head_logits(form, self.target, features, head)

    def __call__(self, images: Tensor) -> NamedPrediction:
        with torch.no_grad():
            prediction = self.target.predict(self.logits(images))
        return NamedPrediction(
            prediction.probabilities, prediction.decisions, self.classes, prediction.scores
        )

    def to(self, device: torch.device | str) -> Predictor:
        """The same predictor on another device."""
        moved = copy.copy(self)
        moved._tensors = {
            part: {name: value.to(device) for name, value in tree.items()}
            for part, tree in self._tensors.items()
        }
        return moved

    def save(self, path: str | Path) -> None:
        """Write everything to one safetensors file, whole or not at all.

        `load_predictor` reads a predictor that predicts the same bits.
        """
        predictor_files.write(Path(path), self._record, self._tensors)

    def __repr__(self) -> str:
        algorithm = self.protocol.get("algorithm", "?")
        return (
            f"Predictor({self.task.name!r}, classes={list(self.classes)}, algorithm={algorithm!r})"
        )


def load_predictor(path: str | Path, backbone: nn.Module | None = None) -> Predictor:
    """Read a saved predictor.

    If the file does not name a backbone of the library, give a module like the one it was made
    with. Only its shape matters, not its weights.
    """
    path = Path(path)
    record, tensors = predictor_files.read(path)
    module = predictor_files.backbone_for(path, record, backbone)
    network = Network(module, norm=record.norm, fast=record.fast)
    has_rows = network.policy.rows
    predictor_checks.check_tensors(path, module, tensors, has_rows=has_rows, step=record.step)
    predictor_checks.check_head(path, record, tensors)
    return Predictor(network, record, tensors)
