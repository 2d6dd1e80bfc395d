"""Plain training of a backbone with a head for each task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.backbone_learner import BackboneLearner
from torchcross.algorithms._shared.checked_batch import checked_tensors
from torchcross.algorithms._shared.draw_key import DrawKey, draw_keys
from torchcross.algorithms._shared.dropout import episode_masks
from torchcross.algorithms.base import Labelled, Pretraining, Step
from torchcross.algorithms.options import PretrainingOptions, check_option_names
from torchcross.algorithms.predictor import Predictor
from torchcross.errors import InputError
from torchcross.functional import merge_buffers
from torchcross.heads import LearnedHeads, head_logits
from torchcross.task import Task

Tree = dict[str, Tensor]


class HeadPerTask(BackboneLearner, Pretraining, ABC):
    """Abstract: one learned linear head per task.

    BatchNorm uses the batch's statistics in training and running ones after. `PretrainingOptions`
    describes the options.
    """

    def __init__(
        self, backbone: nn.Module, tasks: Iterable[Task], **options: Unpack[PretrainingOptions]
    ) -> None:
        check_option_names(type(self), options, PretrainingOptions)
        super().__init__(
            backbone,
            norm="running",
            normalise=options.get("normalise"),
            features=options.get("features"),
        )
        if self.features is None:
            raise InputError(
                f"the number of features of {type(backbone).__name__} is not known; give features=,"
                " or a backbone with num_features."
            )
        self.tasks = tuple(tasks)
        self.heads = LearnedHeads(
            self.tasks,
            self.features,
            seed=options.get("seed", 0),
            start=options.get("head", "kaiming"),
        )

    @abstractmethod
    def _loss_factor(self, task: Task, key: DrawKey) -> float:
        """Return how much the loss of this batch of a task counts."""

    def training_step(
        self, batches: Sequence[Labelled], *, seed: int = 0, indices: Sequence[int] | None = None
    ) -> Step:
        losses, weighted, buffers = [], [], []
        names = [f"a batch of task {item.task.name!r}" for item in batches]
        keys = draw_keys("batch", batches, names, seed, indices)
        for item, key in zip(batches, keys, strict=True):
            loss, new_buffers = self._loss_of(item, key)
            weighted.append(loss * self._loss_factor(item.task, key))
            losses.append(loss.detach())
            buffers.append(new_buffers)
        return Step(
            loss=torch.stack(weighted).mean(),
            losses=torch.stack(losses),
            buffers=self._changed_buffers(merge_buffers(buffers)),
            engine="backward",
            order=1,
        )

    def _heads_protocol(self) -> dict[str, Any]:
        # Trainings of earlier versions, all from Kaiming heads, say nothing of them.
        return {} if self.heads.start == "kaiming" else {"heads": self.heads.start}

    def _loss_of(self, item: Labelled, key: DrawKey) -> tuple[Tensor, Tree]:
        """Return the loss of a batch, and the buffers after it."""
        task, name = self._known_task(item.task), key.name
        state = self._state()
        like = self._example_parameter()
        subject = f"{name}: the training set"
        images, labels = checked_tensors(item.batch, task, subject, self.input_normalisation, like)
        masks = None
        if self.has_training_mode:
            masks = episode_masks(self.network, state, {"xs": images}, key)["ms"]
        features, buffers = self.network.support(*state, images, masks=masks)
        if features.ndim != 2 or features.shape[1] != self.heads.features:
            raise InputError(
                f"{name}: the backbone {type(self.backbone).__name__} made features of shape"
                f" {tuple(features.shape)} of images of shape {tuple(images.shape)}, and the heads"
                f" expect (N, {self.heads.features}); give images of the size it was built for, or"
                " the right features=."
            )
        logits = head_logits("linear", task.target, features, self.heads.of(task))
        return self._loss_of_logits(task, logits, labels), buffers

    def _loss_of_logits(self, task: Task, logits: Tensor, labels: Tensor) -> Tensor:
        return task.target.loss(logits, labels)

    def _known_task(self, task: Task) -> Task:
        """Return the task of this name that the heads were made for."""
        for known in self.tasks:
            if (known.domain, known.name) == (task.domain, task.name):
                if known.classes != task.classes:
                    raise InputError(
                        f"task {task.name!r} comes with the classes {list(task.classes)} and its"
                        f" head was made for {list(known.classes)}; give whole tasks to"
                        " pre-training, not episodes' subsets."
                    )
                return known
        names = ", ".join(repr(known.name) for known in self.tasks)
        raise InputError(
            f"there is no head for the task {task.name!r} of the domain {task.domain!r}; there are"
            f" {names}."
        )

    def predictor(self, task: Task) -> Predictor:
        task = self._known_task(task)
        params, buffers = self._state()
        tensors = {
            "params": params,
            "buffers": buffers,
            "statistics": {},
            "head": self.heads.of(task),
        }
        return self._make_predictor(
            task, tensors, form="linear", step=0, protocol=self.protocol(), image_shape=None
        )
