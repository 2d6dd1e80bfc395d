"""Algorithms whose head begins with texts: they predict without a support set too."""

from __future__ import annotations

from abc import ABC
from typing import Any, Unpack

from torch import Tensor, nn

from torchcross.algorithms._shared.checked_batch import checked_tensors, episode_name
from torchcross.algorithms._shared.closed_form import ClosedForm
from torchcross.algorithms.options import LaneOptions
from torchcross.algorithms.predictor import Predictor
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.heads import TEXT_FORM, text_head
from torchcross.task import Task
from torchcross.text import TaskTexts, Texts, TextVectors

Tree = dict[str, Tensor]


class TextForm(ClosedForm, ABC):
    """Abstract: `_fit` gets the texts of the task's prototypes in its data, as "texts".

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

    def _own_parameters(self) -> Tree:
        return {}

    def _text_data(self, task: Task) -> Tree:
        device = self._example_parameter().device
        texts = self.texts.prototypes(task)
        # Apple's GPUs have no float64; heads of them are computed on the CPU.
        return {"texts": texts if device.type == "mps" else texts.to(device)}

    def _label_data(self, data: Tree, task: Task) -> Tree:
        return {"codes": task.target.likelihood.codes(data["ys"]), **self._text_data(task)}

    def _zero_shot_head(self, task: Task) -> Tree:
        like = self._example_parameter()
        return text_head(self._text_data(task)["texts"], self.texts.scale, like)

    def adapt(
        self, support: Batch, task: Task, *, steps: int | None = None, seed: int = 0, index: int = 0
    ) -> Predictor:
        if len(support):
            return super().adapt(support, task, steps=steps, seed=seed, index=index)
        if steps:
            raise InputError(f"{type(self).__name__} takes no inner steps; leave steps out.")
        params, buffers = self._state()
        return self._episode_predictor(
            task,
            {"xs": support.x},
            params,
            buffers,
            self._zero_shot_head(task),
            form=self.form,
            step=0,
            protocol=self.protocol(),
        )

    def _feature_count(self, images: Tensor, name: str) -> int:
        count = super()._feature_count(images, name)
        self._check_width(count)
        return count

    def _features_of(
        self, episode: Episode, at: int, params: Tree, buffers: Tree
    ) -> tuple[Tensor, Tree, Tensor]:
        if len(episode.support):
            return super()._features_of(episode, at, params, buffers)
        name, task = f"{episode_name(episode, at)}: the query set", episode.task
        like, normalisation = self._example_parameter(), self.input_normalisation
        images, _ = checked_tensors(episode.query, task, name, normalisation, like)
        query, _ = self.network.query(params, buffers, images, statistics={})
        codes = task.target.likelihood.codes(episode.support.y)
        return query[:0], {"codes": codes, **self._text_data(task)}, query

    def _text_protocol(self) -> dict[str, Any]:
        about = {"origin": self.texts.origin, "scale": float(self.texts.scale)}
        return {"texts": {**about, "sha256": self.texts.digest}, "steps": 0}
