"""Algorithms whose head is a closed form of the support's features: no inner steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, Unpack

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.checked_batch import SeenPart, episode_name, seen_part
from torchcross.algorithms._shared.draw_key import DrawKey
from torchcross.algorithms._shared.dropout import episode_masks
from torchcross.algorithms._shared.episodic import Episodic
from torchcross.algorithms._shared.image_gradients import learned_images
from torchcross.algorithms.options import EpisodicOptions
from torchcross.algorithms.predictor import Predictor
from torchcross.backbones.vectors import VectorsNet
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.functional import Engine, Inner, Meta, Network, Problem, Reverse, sgd
from torchcross.functional.trees import detach
from torchcross.heads import CONSTANT, head_logits, learning_key, pad_rows
from torchcross.targets import Prediction, Target
from torchcross.task import Task

Tree = dict[str, Tensor]
# (support features, the algorithm's own parameters, data) -> the head's tensors.
Fit = Callable[[Tensor, Tree, Tree], Tree]

_OWN = "head."
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, eq=False)
class EpisodeFeatures:
    """The features of an episode's support and query, and what the fit needs of the labels.

    `target` is that of the whole task, `seen` the part that the support set can teach.
    """

    target: Target
    seen: SeenPart
    support: Tensor
    labels: Tree
    query: Tensor


class ClosedForm(Episodic, ABC):
    """Abstract: a form of head, a fit, and learned parameters of its own.

    `EpisodicOptions` describes the options.
    """

    form: str

    def __init__(self, backbone: nn.Module, **options: Unpack[EpisodicOptions]) -> None:
        norm = options.get("norm", "batch")
        if norm in ("running", "per_step"):
            raise InputError(
                f"{type(self).__name__} takes no inner steps, so BatchNorm policy {norm!r} has no"
                " support forward to take statistics from; use 'batch', 'support' or 'frozen'."
            )
        super().__init__(backbone, options)

    @abstractmethod
    def head_fit(self, target: Target) -> Fit:
        """Return how the head comes from the support of a task with this target."""

    @abstractmethod
    def own_parameters(self) -> Tree:
        """Return learned parameters beside the backbone's; their names start with `head.`."""

    def label_data(self, data: Tree, task: Task) -> Tree:
        """Return what the fit needs of the labels, beside what `data` has."""
        return {}

    def _checked_epoch(self, epoch: int | None) -> int:
        return 0

    def _engine(self, epoch: int) -> Engine:
        return Reverse()

    def _meta(self) -> Meta:
        params, buffers = self._state()
        return Meta({**params, **self.own_parameters()}, 0.0, buffers)

    def _problem(self, data: Tree, task: Task, key: DrawKey, epoch: int) -> Problem:
        key_of_inner = learning_key(task.target)
        inner = self._shared_inner_loop(key_of_inner, lambda: self._make_inner_loop(task))
        tensors: dict[str, Any] = {**data, **self.label_data(data, task)}
        if self.has_training_mode:
            tensors |= episode_masks(self.network, self._state(), data, key)
        return Problem(inner, tensors, {}, key.name)

    def _make_inner_loop(self, task: Task) -> Inner:
        target = task.target
        network, fit, form = self.network, self.head_fit(target), self.form

        def query(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
            head, buffers = _fitted_head(network, fit, params, buffers, data)
            statistics, _ = network.statistics(params, buffers, data["xs"])
            features, buffers = network.query(
                params, buffers, data["xq"], statistics=statistics, masks=data.get("mq")
            )
            return target.loss(head_logits(form, target, features, head), data["yq"]), buffers

        # Without steps nothing asks for the support loss.
        return Inner(query, query, sgd(), 0, adapted=lambda name: False)

    def adapt(
        self, support: Batch, task: Task, *, steps: int | None = None, seed: int = 0, index: int = 0
    ) -> Predictor:
        if steps:
            raise InputError(f"{type(self).__name__} takes no inner steps; leave steps out.")
        name = f"task {task.name!r}"
        part = seen_part(support, task, name)
        if not part.has_head:
            return self._constant_predictor(part, self.protocol())
        data = self._data(part.support, None, part.task, name)
        params, buffers = self._state()
        own = detach({**params, **self.own_parameters()})
        remark, protocol = self.remark(part.support, part.task), self.protocol()
        with torch.set_grad_enabled(bool(learned_images(data))):
            label_data = self.label_data(data, part.task)
            whole = {**data, **label_data}
            head, _ = _fitted_head(
                self.network, self.head_fit(part.task.target), own, buffers, whole
            )
        return self._episode_predictor(
            task,
            data,
            params,
            buffers,
            head,
            form=self.form,
            step=0,
            protocol={**protocol, "remark": remark} if remark else protocol,
            counts=part.counts,
        )

    @property
    def predicts_at_once(self) -> bool:
        """Whether features are stored vectors, so that `predict_batch` is what takes time."""
        return isinstance(self.backbone, VectorsNet)

    @torch.no_grad()
    def predict_batch(self, episodes: Iterable[Episode]) -> list[Prediction]:
        """What `adapt` predicts for the query of each episode, up to rounding; no predictors.

        Episodes of one shape are solved at once where that is faster; what is predicted for one
        does not depend on the others, to the bit. Memory holds features, and the images of one
        episode at a time where `episodes` makes them when they are asked for.
        """
        params, buffers = self._state()
        own = {**params, **self.own_parameters()}
        parts = [
            self._features_of(episode, at, own, buffers) for at, episode in enumerate(episodes)
        ]
        logits: dict[int, Tensor] = {}
        for members in _places(map(_shape_of, parts)).values():
            each = self._query_logits([parts[at] for at in members], own)
            logits |= dict(zip(members, each, strict=True))
        predictions: dict[int, Prediction] = {}
        kinds = ((part.target, logits[at].dtype) for at, part in enumerate(parts))
        for (target, _), members in _places(kinds).items():
            together = target.predict(pad_rows(torch.cat([logits[at] for at in members])))
            sizes = [len(logits[at]) for at in members]
            *pieces, _ = together.split([*sizes, len(together.decisions) - sum(sizes)])
            predictions |= dict(zip(members, pieces, strict=True))
        return [predictions[at] for at in range(len(parts))]

    def _query_logits(self, parts: Sequence[EpisodeFeatures], own: Tree) -> Iterable[Tensor]:
        """Return the logits of each query; all are of one shape, and of heads of one target."""
        first = parts[0]
        if not first.seen.has_head:
            return [
                head_logits(CONSTANT, part.target, part.query, {}, part.seen.counts)
                for part in parts
            ]
        supports, labels, queries = zip(
            *((part.support, part.labels, part.query) for part in parts), strict=True
        )
        target = first.seen.task.target
        logits = self._logits_of_many(target, supports, own, labels, queries)
        return [
            rows if part.seen.counts is None else part.target.logits_of_all(rows, part.seen.counts)
            for part, rows in zip(parts, torch.split(logits, len(first.query)), strict=True)
        ]

    def _features_of(
        self, episode: Episode, at: int, params: Tree, buffers: Tree
    ) -> EpisodeFeatures:
        """Return the features of support and query, and what the fit needs of the labels."""
        name, network, labels = episode_name(episode, at), self.network, Tree()
        seen = seen_part(episode.support, episode.task, name)
        if seen.has_head:
            data = self._data(seen.support, None, seen.task, name)
            labels = {"strata": data["strata"], **self.label_data(data, seen.task)}
        else:
            data = {"xs": self._checked_images(seen.support, seen.task, name, "support")}
        support = data["xs"]
        query = self._checked_images(episode.query, episode.task, name, "query")
        if not self.predicts_at_once:
            support, moved = network.support(params, buffers, data["xs"])
            statistics, moved = network.statistics(params, moved, data["xs"])
            query, _ = network.query(params, moved, query, statistics=statistics)
        return EpisodeFeatures(episode.task.target, seen, support, labels, query)

    def _logits_of_many(
        self,
        target: Target,
        supports: Sequence[Tensor],
        own: Tree,
        data: Sequence[Tree],
        queries: Sequence[Tensor],
    ) -> Tensor:
        """Return the logits of all queries, one after the other; all supports have one shape."""
        fit = self.head_fit(target)
        logits = [
            head_logits(self.form, target, query, fit(support, own, labels))
            for support, labels, query in zip(supports, data, queries, strict=True)
        ]
        return torch.cat(logits)


def _shape_of(part: EpisodeFeatures) -> tuple[Hashable, ...]:
    """The same for episodes that can be solved at once."""
    seen = part.seen
    return (seen.task.target, seen.has_head, part.support.shape, part.query.shape, part.query.dtype)


def _fitted_head(
    network: Network, fit: Fit, params: Tree, buffers: Tree, data: Any
) -> tuple[Tree, Tree]:
    """Return the head's tensors, and the buffers after the support's forward."""
    features, buffers = network.support(params, buffers, data["xs"], masks=data.get("ms"))
    own = {name: value for name, value in params.items() if name.startswith(_OWN)}
    return fit(features, own, data), buffers


def _places(keys: Iterable[_Key]) -> dict[_Key, list[int]]:
    """Where each key stands, by key."""
    places: dict[_Key, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return places
