"""Algorithms whose head begins with texts: they predict without a support set too."""

from __future__ import annotations

from abc import ABC
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.checked_batch import SeenPart, checked_tensors, episode_name
from torchcross.algorithms._shared.closed_form import ClosedForm, EpisodeFeatures
from torchcross.algorithms._shared.image_gradients import learned_images
from torchcross.algorithms.options import LaneOptions
from torchcross.algorithms.predictor import Predictor
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.functional.trees import detach
from torchcross.heads import TEXT_FORM, text_head
from torchcross.task import Task
from torchcross.text import TaskTexts, Texts, TextVectors

Tree = dict[str, Tensor]


class TextForm(ClosedForm, ABC):
    """Abstract: `head_fit` gets the texts of the task's prototypes in its data, as "texts".

    An empty support set gives the head of zero-shot prediction.
    """

    form = TEXT_FORM

    def __init__(self, backbone: nn.Module, texts: Texts, **options: Unpack[LaneOptions]) -> None:
        kind = type(self).__name__
        if not isinstance(texts, TextVectors | TaskTexts):
            raise InputError(
                f"{kind} got {type(texts).__name__} as texts; give TextVectors, such as"
                " text_vectors(text_tower(address), class_prompts(task))."
            )
        super().__init__(backbone, norm="frozen", **options)
        self.texts = texts
        if self.features is not None:
            self._check_width(self.features)

    def _check_width(self, features: int) -> None:
        if features != self.texts.width:
            raise InputError(
                f"the backbone {type(self.backbone).__name__} makes {features} features, and the"
                f" text vectors ({self.texts.origin}) have {self.texts.width} numbers; take both"
                " from one model: an open_clip backbone with pooling='projected', and its texts."
            )

    def own_parameters(self) -> Tree:
        return {}

    def _text_data(self, task: Task) -> Tree:
        device = self._example_parameter().device
        texts = self.texts.prototypes(task)
        # Apple's GPUs have no float64; heads of them are computed on the CPU.
        return {"texts": texts if device.type == "mps" else texts.to(device)}

    def label_data(self, data: Tree, task: Task) -> Tree:
        return {"codes": task.target.likelihood.codes(data["ys"]), **self._text_data(task)}

    def _zero_shot_head(self, task: Task) -> Tree:
        like = self._example_parameter()
        return text_head(self._text_data(task)["texts"], self.texts.scale, like)

    def adapt(
        self, support: Batch, task: Task, *, steps: int | None = None, seed: int = 0, index: int = 0
    ) -> Predictor:
        if steps:
            raise InputError(f"{type(self).__name__} takes no inner steps; leave steps out.")
        name, (params, buffers) = f"task {task.name!r}", self._state()
        data: Tree = {"xs": support.x}
        head = self._zero_shot_head(task)
        if len(support):
            data = self._support_data(support, task, name)
            with torch.set_grad_enabled(bool(learned_images(data))):
                features, buffers = self.network.support(detach(params), buffers, data["xs"])
                head = self.head_fit(task.target)(features, {}, self.label_data(data, task))
        return self._episode_predictor(
            task,
            data,
            params,
            buffers,
            head,
            form=self.form,
            step=0,
            protocol=self.protocol(),
        )

    def _support_data(self, support: Batch, task: Task, name: str) -> Tree:
        """Return the checked images and labels; texts stand for a class without a sample too."""
        like, normalisation = self._example_parameter(), self.input_normalisation
        images, labels = checked_tensors(
            support, task, f"{name}: the support set", normalisation, like
        )
        self._feature_count(images, name)
        return {"xs": images, "ys": labels}

    def _feature_count(self, images: Tensor, name: str) -> int:
        count = super()._feature_count(images, name)
        self._check_width(count)
        return count

    def _features_of(
        self, episode: Episode, at: int, params: Tree, buffers: Tree
    ) -> EpisodeFeatures:
        name, support, task = episode_name(episode, at), episode.support, episode.task
        images = self._checked_images(episode.query, task, name, "query")
        query, _ = self.network.query(params, buffers, images, statistics={})
        features, labels = query[:0], support.y.long()
        if len(support):
            data = self._support_data(support, task, name)
            features, _ = self.network.support(params, buffers, data["xs"])
            labels = data["ys"]
        whole = SeenPart(support, task)
        label_data = self.label_data({"ys": labels}, task)
        return EpisodeFeatures(task.target, whole, features, label_data, query)

    def _text_protocol(self) -> dict[str, Any]:
        about = {"origin": self.texts.origin, "scale": float(self.texts.scale)}
        return {"texts": {**about, "sha256": self.texts.digest}, "steps": 0}
