"""What all algorithms over episodes share: a pure backbone, checked episodes, predictors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.checked_batch import episode_name, taken, whole_strata
from torchcross.algorithms._shared.input_normalisation import MeanAndStd, Pixels, taking
from torchcross.algorithms._shared.per_step_norm import NormWeights, rows_of
from torchcross.algorithms._shared.predictor_files import spec_of
from torchcross.algorithms.base import Algorithm, Step
from torchcross.algorithms.predictor import Predictor
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.functional import (
    Engine,
    Inner,
    MetaLoss,
    Network,
    Problem,
    merge_buffers,
    meta_loss,
)
from torchcross.functional.loop.lanes import Lanes, lane_width
from torchcross.functional.loop.problem import Meta
from torchcross.heads import learning_key
from torchcross.targets import Target
from torchcross.task import Task

__all__ = ["Episodic", "Place", "Rows", "detached_copies"]

_DROPOUT = nn.modules.dropout._DropoutNd
Tree = dict[str, Tensor]


@dataclass(frozen=True)
class Place:
    """Which episode this is: for error messages, and for what is drawn at random (`number` None:
    nothing was given).
    """

    name: str
    seed: int
    number: int | None

    def numbered(self, what: str) -> int:
        if self.number is None:
            raise InputError(
                f"{self.name} has no plan, and {what} is drawn for the number of an episode; take"
                " episodes from a sampler, or pass indices=[...], one number for each episode."
            )
        return self.number


class Rows(nn.Module):
    """Running statistics for each inner step (policy `per_step`), as buffers of the algorithm."""

    def __init__(self, network: Network, steps: int) -> None:
        super().__init__()
        whole, rows = dict(network.module.named_buffers()), network.state(steps)[1]
        self.slots = {
            name: name.replace(".", "/") for name, value in rows.items() if value is not whole[name]
        }
        for name, slot in self.slots.items():
            self.register_buffer(slot, rows[name])

    def values(self) -> Tree:
        return {name: self.get_buffer(slot) for name, slot in self.slots.items()}


class Episodic(Algorithm, ABC):
    """Abstract: algorithms whose training step is a meta-loss over episodes."""

    def __init__(
        self,
        backbone: nn.Module,
        *,
        norm: str,
        lanes: Lanes,
        normalise: MeanAndStd | None,
        features: int | None,
        steps: int = 0,
        norm_weights: NormWeights = "shared",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.network = Network(backbone, norm=norm)
        self.lanes: Lanes = lanes
        self.pixels = Pixels.before(backbone, normalise)
        self.features: int | None = (
            getattr(backbone, "num_features", None) if features is None else features
        )
        self.rows = Rows(self.network, steps) if self.network.policy.rows else None
        self.affine = rows_of(norm_weights, self.network, steps=steps)
        self._drops = any(
            isinstance(layer, _DROPOUT) and layer.p > 0 for layer in backbone.modules()
        )
        self._widths: dict[tuple[int, ...], int] = {}
        self._inners: dict[Any, Inner] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Inner loops are closures: made when needed, never copied.
        return {**self.__dict__, "_inners": {}}

    # -- for subclasses ----------------------------------------------------------------------------

    @abstractmethod
    def _problem(self, data: Tree, task: Task, place: Place, epoch: int) -> Problem:
        """The episode as a problem, from its checked tensors: xs, ys, strata, and xq, yq where
        there is a query.
        """

    @abstractmethod
    def _shared(self) -> Meta:
        """Parameters, rates and buffers that episodes share."""

    @abstractmethod
    def _engine(self, epoch: int) -> Engine:
        """How the meta-gradient is taken at this epoch."""

    @abstractmethod
    def _epoch(self, epoch: int | None) -> int:
        """The epoch, where one is needed."""

    # -- training ----------------------------------------------------------------------------------

    def training_step(
        self,
        episodes: Sequence[Episode],
        *,
        epoch: int | None = None,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> Step:
        problems, meta, engine = self.problems(episodes, epoch=epoch, seed=seed, indices=indices)
        if lane_width(self.lanes, self._like().device) > 1:
            problems = self._alike(problems, [episode.task.target for episode in episodes])
        return self._step(meta_loss(problems, meta, engine=engine, lanes=self.lanes))

    def _alike(self, problems: list[Problem], targets: list[Target]) -> list[Problem]:
        """The same problems in a form in which more of them can share lanes."""
        return problems

    def problems(
        self,
        episodes: Sequence[Episode],
        *,
        epoch: int | None = None,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> tuple[list[Problem], Meta, Engine]:
        """The episodes in the terms of `torchcross.functional`: what `certify_problem` and
        `estimate` ask for.
        """
        at, places = self._epoch(epoch), self._places(episodes, seed, indices)
        problems = [
            self._problem(
                self._data(episode.support, episode.query, episode.task, place),
                episode.task,
                place,
                at,
            )
            for episode, place in zip(episodes, places, strict=True)
        ]
        return problems, self._shared(), self._engine(at)

    def _step(self, result: MetaLoss) -> Step:
        return Step(
            loss=result.loss,
            losses=result.losses,
            buffers=self._renamed(merge_buffers(result.buffers)),
            engine=result.engine,
            order=result.order,
            groups=result.groups,
            traces=result.traces,
            residuals=result.residuals,
        )

    def _places(
        self, episodes: Sequence[Episode], seed: int, indices: Sequence[int] | None
    ) -> list[Place]:
        if not episodes:
            raise InputError(
                "a training step needs at least one episode; the sequence given is empty."
            )
        if indices is not None and len(indices) != len(episodes):
            raise InputError(
                f"{len(indices)} indices were given for {len(episodes)} episodes; give one for"
                " each."
            )
        numbers: Sequence[int | None] = (
            [None if episode.plan is None else episode.plan.index for episode in episodes]
            if indices is None
            else indices
        )
        return [
            Place(episode_name(episode, position), seed, number)
            for position, (episode, number) in enumerate(zip(episodes, numbers, strict=True))
        ]

    def _data(self, support: Batch, query: Batch | None, task: Task, place: Place) -> Tree:
        like = self._like()
        xs, ys = taken(support, task, place.name, "support", self.pixels, like)
        data = {"xs": xs, "ys": ys, "strata": whole_strata(ys, task, place.name).to(like.dtype)}
        self._check_width(xs, place.name)
        if query is not None:
            data["xq"], data["yq"] = taken(query, task, place.name, "query", self.pixels, like)
        return data

    def _like(self) -> Tensor:
        """A tensor whose dtype and device images are brought to."""
        return next(
            (value for value in self.parameters() if value.is_floating_point()), torch.zeros(())
        )

    @torch.no_grad()
    def _check_width(self, images: Tensor, name: str) -> int:
        """The number of features; the backbone is run once for each shape of images."""
        shape = tuple(images.shape[1:])
        if shape not in self._widths:
            output = self._tried(images, name)
            if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(images):
                found = (
                    tuple(output.shape)
                    if isinstance(output, Tensor)
                    else f"a {type(output).__name__}"
                )
                raise InputError(
                    f"{name}: the backbone {type(self.backbone).__name__} made {found} of"
                    f" {tuple(images.shape)} images; a head needs features (N, D): end it with"
                    " pooling and nn.Flatten()."
                )
            if self.features not in (None, output.shape[1]):
                raise InputError(
                    f"{name}: the backbone {type(self.backbone).__name__} made {output.shape[1]}"
                    f" features of images of shape {shape}, and the head expects {self.features};"
                    " give images of the size it was built for, or the right features=."
                )
            self._widths[shape] = output.shape[1]
        return self._widths[shape]

    def _tried(self, images: Tensor, name: str) -> Any:
        params, buffers = self.network.state()
        buffers = {**buffers, **(self.rows.values() if self.rows is not None else {})}
        with taking(self.backbone, images, name):
            output, _ = self.network.support(params, buffers, images)
        return output

    # -- what algorithms need ----------------------------------------------------------------------

    def _state(self) -> tuple[Tree, Tree]:
        params, buffers = self.network.state()
        params = params if self.affine is None else {**params, **self.affine.values()}
        return params, {**buffers, **(self.rows.values() if self.rows is not None else {})}

    def _renamed(self, buffers: Tree) -> Tree:
        """By the algorithm's own names, and only those with a new value."""
        before, slots = self._state()[1], self.rows.slots if self.rows is not None else {}
        changed = {name: value for name, value in buffers.items() if value is not before[name]}
        return {
            f"rows.{slots[name]}" if name in slots else f"backbone.{name}": value.detach()
            for name, value in changed.items()
        }

    def _learning_key(self, task: Task, *more: Any) -> Any:
        return (learning_key(task.target), *more)

    def _predictor(
        self,
        task: Task,
        data: Tree,
        params: Tree,
        buffers: Tree,
        head: Tree,
        *,
        form: str,
        step: int,
        protocol: Any,
    ) -> Predictor:
        own = dict(self.backbone.named_parameters())
        body = {name: params[name] for name in own}
        with torch.no_grad():
            statistics, buffers = self.network.statistics(body, buffers, data["xs"], step=step)
            kept = dict(self.backbone.named_buffers())
            tensors = {
                "params": body,
                "buffers": {name: buffers[name] for name in kept},
                "statistics": statistics,
                "head": head,
            }
            shared = [*own.values(), *self._state()[1].values(), *self.parameters()]
            tensors = {part: detached_copies(tree, shared) for part, tree in tensors.items()}
        return Predictor(
            self.network,
            task,
            tensors,
            form=form,
            step=step,
            pixels=self.pixels,
            protocol=protocol,
            backbone=spec_of(self.backbone),
        )

    def _common_protocol(self) -> dict[str, Any]:
        weights = "shared" if self.affine is None else "per_step"
        return {
            "norm": self.network.policy.name,
            "norm_weights": weights,
            "dropout": self._drops,
            "pixels": self.pixels.describe(),
        }


def detached_copies(tree: Tree, shared: Sequence[Tensor]) -> Tree:
    """Tensors that share no storage with those that training moves."""
    storages = {value.untyped_storage().data_ptr() for value in shared}
    return {
        name: (
            value.detach().clone()
            if value.untyped_storage().data_ptr() in storages
            else value.detach()
        )
        for name, value in tree.items()
    }
