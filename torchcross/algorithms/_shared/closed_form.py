"""Algorithms whose head is a closed form of the support's features: no inner steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.episodic import Episodic, Place
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms.predictor import Predictor
from torchcross.episode import Batch
from torchcross.errors import InputError
from torchcross.functional import Engine, Inner, Meta, Network, Problem, Reverse, sgd
from torchcross.functional.loop.lanes import Lanes
from torchcross.heads import head_logits
from torchcross.task import Task

__all__ = ["ClosedForm", "Fit"]

Tree = dict[str, Tensor]
Fit = Callable[[Tensor, Tree, Tree], Tree]
"""(support features, the algorithm's own parameters, data) -> the head's tensors."""

_OWN = "head."


class ClosedForm(Episodic, ABC):
    """Abstract: names a form of head, a fit, and learned parameters of its own."""

    form: str

    def __init__(
        self,
        backbone: nn.Module,
        *,
        norm: str,
        lanes: Lanes,
        normalise: MeanAndStd | None,
        features: int | None,
    ) -> None:
        if norm in ("running", "per_step"):
            raise InputError(
                f"{type(self).__name__} takes no inner steps, so BatchNorm policy {norm!r} has no"
                " support forward to take statistics from; use 'batch', 'support' or 'frozen'."
            )
        super().__init__(backbone, norm=norm, lanes=lanes, normalise=normalise, features=features)

    @abstractmethod
    def _fit(self) -> Fit:
        """How the head comes from the support."""

    @abstractmethod
    def _own(self) -> Tree:
        """Learned parameters beside the backbone's, by names that start with `head.`."""

    @abstractmethod
    def _extra(self, data: Tree, task: Task) -> Tree:
        """What the fit needs of the labels."""

    def _epoch(self, epoch: int | None) -> int:
        return 0

    def _engine(self, epoch: int) -> Engine:
        return Reverse()

    def _shared(self) -> Meta:
        params, buffers = self._state()
        return Meta({**params, **self._own()}, 0.0, buffers)

    def _problem(self, data: Tree, task: Task, place: Place, epoch: int) -> Problem:
        key = self._learning_key(task)
        if key not in self._inners:
            self._inners[key] = self._inner(task)
        return Problem(
            self._inners[key],
            {**data, **self._extra(data, task), **self._masks(data, place)},
            {},
            place.name,
        )

    def _masks(self, data: Tree, place: Place) -> dict[str, Any]:
        if not self._drops or "xq" not in data:
            return {}
        (params, buffers), number = self._state(), place.numbered("dropout")
        parts = {"ms": ("xs", 0), "mq": ("xq", 1)}
        return {
            key: self.network.masks(
                params, buffers, data[images], seed=place.seed, episode=number, part=part
            )
            for key, (images, part) in parts.items()
        }

    def _inner(self, task: Task) -> Inner:
        network, fit, form, target = self.network, self._fit(), self.form, task.target

        def query(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
            head, _ = _head_of(network, fit, params, buffers, data)
            statistics, _ = network.statistics(params, buffers, data["xs"])
            features, _ = network.query(
                params, buffers, data["xq"], statistics=statistics, masks=data.get("mq")
            )
            return target.loss(head_logits(form, target, features, head), data["yq"]), buffers

        # Without steps the support loss is never asked for.
        return Inner(query, query, sgd(), 0, adapted=_none)

    def adapt(
        self, support: Batch, task: Task, *, steps: int | None = None, seed: int = 0, index: int = 0
    ) -> Predictor:
        if steps:
            raise InputError(f"{type(self).__name__} takes no inner steps; leave steps out.")
        place = Place(f"task {task.name!r}", seed, index)
        data = self._data(support, None, task, place)
        data = {**data, **self._extra(data, task)}
        params, buffers = self._state()
        with torch.no_grad():
            head, _ = _head_of(self.network, self._fit(), {**params, **self._own()}, buffers, data)
        return self._predictor(
            task, data, params, buffers, head, form=self.form, step=0, protocol=self.protocol()
        )


def _none(name: str) -> bool:
    return False


def _head_of(
    network: Network, fit: Fit, params: Tree, buffers: Tree, data: Any
) -> tuple[Tree, Tree]:
    features, buffers = network.support(params, buffers, data["xs"], masks=data.get("ms"))
    own = {name: value for name, value in params.items() if name.startswith(_OWN)}
    return fit(features, own, data), buffers
