"""Plain training of a backbone with a head for each task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.checked_batch import taken
from torchcross.algorithms._shared.input_normalisation import MeanAndStd, Pixels
from torchcross.algorithms._shared.predictor_files import spec_of
from torchcross.algorithms.base import Labelled, Pretraining, Step
from torchcross.algorithms.predictor import Predictor
from torchcross.errors import InputError
from torchcross.functional import Network, merge_buffers
from torchcross.heads import LearnedHeads, head_logits
from torchcross.task import Task

__all__ = ["HeadPerTask"]

Tree = dict[str, Tensor]


class HeadPerTask(Pretraining, ABC):
    """Abstract: one learned linear head per task, BatchNorm with its own statistics in training and
    running ones after.
    """

    def __init__(
        self,
        backbone: nn.Module,
        tasks: Iterable[Task],
        *,
        features: int | None,
        seed: int,
        normalise: MeanAndStd | None,
        norm: str = "running",
    ) -> None:
        super().__init__()
        width = getattr(backbone, "num_features", None) if features is None else features
        if width is None:
            raise InputError(
                f"the number of features of {type(backbone).__name__} is not known; give features=,"
                " or a backbone with num_features."
            )
        self.backbone = backbone
        self.tasks = tuple(tasks)
        self.heads = LearnedHeads(self.tasks, width, seed=seed)
        self.network = Network(backbone, norm=norm)
        self.pixels = Pixels.before(backbone, normalise)
        self._drops = any(
            isinstance(layer, nn.modules.dropout._DropoutNd) and layer.p > 0
            for layer in backbone.modules()
        )

    def training_step(
        self, batches: Sequence[Labelled], *, seed: int = 0, indices: Sequence[int] | None = None
    ) -> Step:
        if not batches:
            raise InputError(
                "a training step needs at least one batch; the sequence given is empty."
            )
        if indices is not None and len(indices) != len(batches):
            raise InputError(
                f"{len(indices)} indices were given for {len(batches)} batches; give one for each."
            )
        losses, values, buffers = [], [], []
        for place, item in enumerate(batches):
            loss, fresh = self._loss(item, seed, None if indices is None else indices[place])
            losses.append(loss * self._factor(item.task))
            values.append(loss.detach())
            buffers.append(fresh)
        before = self.network.state()[1]
        merged = {
            name: value
            for name, value in merge_buffers(buffers).items()
            if value is not before[name]
        }
        return Step(
            loss=torch.stack(losses).mean(),
            losses=torch.stack(values),
            buffers={f"backbone.{name}": value.detach() for name, value in merged.items()},
            engine="backward",
            order=1,
        )

    def _loss(self, item: Labelled, seed: int, index: int | None) -> tuple[Tensor, Tree]:
        task, name = self._own(item.task), f"a batch of task {item.task.name!r}"
        params, buffers = self.network.state()
        x, y = taken(item.batch, task, name, "training", self.pixels, next(iter(params.values())))
        masks = self._masks(item, params, buffers, x, seed, index)
        features, fresh = self.network.support(params, buffers, x, masks=masks)
        if features.ndim != 2 or features.shape[1] != self.heads.features:
            raise InputError(
                f"{name}: the backbone {type(self.backbone).__name__} made features of shape"
                f" {tuple(features.shape)} of images of shape {tuple(x.shape)}, and the heads"
                f" expect (N, {self.heads.features}); give images of the size it was built for, or"
                " the right features=."
            )
        return (
            task.target.loss(head_logits("linear", task.target, features, self.heads.of(task)), y),
            fresh,
        )

    def _masks(
        self, item: Labelled, params: Tree, buffers: Tree, x: Tensor, seed: int, index: int | None
    ) -> Any:
        if not self._drops:
            return None
        number = getattr(getattr(item, "plan", None), "index", None) if index is None else index
        if number is None:
            raise InputError(
                "dropout is drawn for the number of a batch, and these have no plan; pass"
                " indices=[...], one for each batch."
            )
        return self.network.masks(params, buffers, x, seed=seed, episode=number, part=0)

    def _own(self, task: Task) -> Task:
        """The task as it was named when the heads were made."""
        for known in self.tasks:
            if (known.domain, known.name) == (task.domain, task.name):
                if known.classes != task.classes:
                    raise InputError(
                        f"task {task.name!r} comes with the classes {list(task.classes)} and its"
                        f" head was made for {list(known.classes)}; give whole tasks to"
                        " pre-training, not episodes' subsets."
                    )
                return known
        named = ", ".join(repr(known.name) for known in self.tasks)
        raise InputError(
            f"there is no head for the task {task.name!r} of the domain {task.domain!r}; there are"
            f" {named}."
        )

    @abstractmethod
    def _factor(self, task: Task) -> float:
        """How much a task's loss counts."""

    @torch.no_grad()
    def predictor(self, task: Task) -> Predictor:
        own = self._own(task)
        params, buffers = self.network.state()
        tensors = {
            "params": params,
            "buffers": buffers,
            "statistics": {},
            "head": self.heads.of(own),
        }
        return Predictor(
            self.network,
            own,
            {
                part: {name: value.detach().clone() for name, value in tree.items()}
                for part, tree in tensors.items()
            },
            form="linear",
            step=0,
            pixels=self.pixels,
            protocol=self.protocol(),
            backbone=spec_of(self.backbone),
        )

    def _common_protocol(self) -> dict[str, Any]:
        return {
            "norm": self.network.policy.name,
            "dropout": self._drops,
            "pixels": self.pixels.describe(),
        }
