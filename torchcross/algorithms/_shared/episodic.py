"""What all algorithms over episodes share: checked episodes, problems, a training step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.backbone_learner import BackboneLearner
from torchcross.algorithms._shared.checked_batch import (
    SeenPart,
    checked_strata,
    checked_tensors,
    episode_name,
)
from torchcross.algorithms._shared.draw_key import DrawKey, draw_keys
from torchcross.algorithms._shared.image_gradients import learned_images, with_image_gradients
from torchcross.algorithms._shared.per_step_norm import NormWeights
from torchcross.algorithms.base import Algorithm, Step
from torchcross.algorithms.options import EpisodicOptions, check_option_names
from torchcross.algorithms.predictor import Predictor
from torchcross.backbones.input_normalisation import explain_refused_images
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.functional import Engine, Inner, Problem, merge_buffers, meta_loss
from torchcross.functional.loop.lanes import Lanes, lane_width
from torchcross.functional.loop.problem import Meta
from torchcross.heads import CONSTANT
from torchcross.targets import Target
from torchcross.task import Task

Tree = dict[str, Tensor]


class Episodic(BackboneLearner, Algorithm, ABC):
    """Abstract: algorithms whose training step is a meta-loss over episodes."""

    def __init__(
        self,
        backbone: nn.Module,
        options: EpisodicOptions,
        *,
        steps: int = 0,
        norm_weights: NormWeights = "shared",
    ) -> None:
        check_option_names(type(self), options, EpisodicOptions)
        super().__init__(
            backbone,
            norm=options.get("norm", "batch"),
            normalise=options.get("normalise"),
            features=options.get("features"),
            steps=steps,
            norm_weights=norm_weights,
        )
        self.lanes: Lanes = options.get("lanes", "auto")
        self._feature_counts: dict[tuple[int, tuple[int, ...]], int] = {}
        self._inner_loops: dict[Any, Inner] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Inner loops are closures, which cannot be copied; they are made again when needed.
        return {**self.__dict__, "_inner_loops": {}}

    def _shared_inner_loop(self, key: Any, make: Callable[[], Inner]) -> Inner:
        """Return the inner loop of this key, made at the first call.

        Lanes share inner loops by identity, so equal ones must be one object, in all threads.
        """
        if key not in self._inner_loops:
            self._inner_loops.setdefault(key, make())
        return self._inner_loops[key]

    # -- for subclasses ----------------------------------------------------------------------------

    @abstractmethod
    def _problem(self, data: Tree, task: Task, key: DrawKey, epoch: int) -> Problem:
        """Return the episode as a problem.

        `data` has the checked tensors xs, ys and strata of the support, and xq, yq of the query.
        """

    @abstractmethod
    def _meta(self) -> Meta:
        """Return the parameters, rates and buffers that episodes share."""

    @abstractmethod
    def _engine(self, epoch: int) -> Engine:
        """Return the engine that computes the meta-gradient at this epoch."""

    @abstractmethod
    def _checked_epoch(self, epoch: int | None) -> int:
        """Return the epoch; 0 where none is needed."""

    def _problems_for_lanes(self, problems: list[Problem], targets: list[Target]) -> list[Problem]:
        """Return the same problems in a form in which more of them can share lanes."""
        return problems

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
        if lane_width(self.lanes, self._example_parameter().device) > 1:
            targets = [episode.task.target for episode in episodes]
            problems = self._problems_for_lanes(problems, targets)
        problems = [with_image_gradients(item, self._shared_inner_loop) for item in problems]
        result = meta_loss(problems, meta, engine=engine, lanes=self.lanes)
        return Step(
            loss=result.loss,
            losses=result.losses,
            buffers=self._changed_buffers(merge_buffers(result.buffers)),
            engine=result.engine,
            order=result.order,
            groups=result.groups,
            traces=result.traces,
            residuals=result.residuals,
        )

    def problems(
        self,
        episodes: Sequence[Episode],
        *,
        epoch: int | None = None,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> tuple[list[Problem], Meta, Engine]:
        """The episodes as problems of `torchcross.functional`, what they share, and the engine."""
        epoch = self._checked_epoch(epoch)
        problems = []
        for episode, key in zip(episodes, self._keys(episodes, seed, indices), strict=True):
            data = self._data(episode.support, episode.query, episode.task, key.name)
            problems.append(self._problem(data, episode.task, key, epoch))
        return problems, self._meta(), self._engine(epoch)

    def _keys(
        self, episodes: Sequence[Episode], seed: int, indices: Sequence[int] | None
    ) -> list[DrawKey]:
        names = [episode_name(episode, position) for position, episode in enumerate(episodes)]
        return draw_keys("episode", episodes, names, seed, indices)

    def _data(self, support: Batch, query: Batch | None, task: Task, name: str) -> Tree:
        """Return the checked tensors of an episode: xs, ys, strata, and xq, yq of a query."""
        like, normalisation = self._example_parameter(), self.input_normalisation
        xs, ys = checked_tensors(support, task, f"{name}: the support set", normalisation, like)
        data = {"xs": xs, "ys": ys, "strata": checked_strata(ys, task, name).to(like.dtype)}
        self._feature_count(xs, name)
        if query is not None:
            data["xq"], data["yq"] = checked_tensors(
                query, task, f"{name}: the query set", normalisation, like
            )
        return data

    def _checked_images(self, batch: Batch, task: Task, name: str, side: str) -> Tensor:
        """Return the images of a side of an episode as the backbone gets them."""
        like, normalisation = self._example_parameter(), self.input_normalisation
        images, _ = checked_tensors(batch, task, f"{name}: the {side} set", normalisation, like)
        self._feature_count(images, name)
        return images

    @torch.no_grad()
    def _feature_count(self, images: Tensor, name: str) -> int:
        """Return the number of features; the backbone runs once for each shape of images."""
        shape = tuple(images.shape[1:])
        key = self.network.generation, shape
        if key in self._feature_counts:
            return self._feature_counts[key]
        with explain_refused_images(self.backbone, images, name):
            output, _ = self.network.support(*self._state(), images)
        kind = type(self.backbone).__name__
        if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(images):
            actual = f"a {type(output).__name__}"
            if isinstance(output, Tensor):
                actual = str(tuple(output.shape))
            raise InputError(
                f"{name}: the backbone {kind} made {actual} of {tuple(images.shape)} images; a head"
                " needs features (N, D): end it with pooling and nn.Flatten()."
            )
        if not output.shape[1]:
            raise InputError(
                f"{name}: the backbone {kind} made no feature of {tuple(images.shape)} images:"
                f" {tuple(output.shape)}; a head needs at least one."
            )
        if self.features not in (None, output.shape[1]):
            raise InputError(
                f"{name}: the backbone {kind} made {output.shape[1]} features of images of shape"
                f" {shape}, and the head expects {self.features}; give images of the size it was"
                " built for, or the right features=."
            )
        self._feature_counts[key] = output.shape[1]
        return self._feature_counts[key]

    # -- predictors --------------------------------------------------------------------------------

    def _episode_predictor(
        self,
        task: Task,
        data: Tree,
        params: Tree,
        buffers: Tree,
        head: Tree,
        *,
        form: str,
        step: int,
        protocol: dict[str, Any],
        counts: tuple[int, ...] | None = None,
    ) -> Predictor:
        """Return the predictor of `task`; `counts` are those of a support without every class."""
        keep_graph = bool(learned_images(data))
        return self._make_predictor(
            task,
            self._adapted_tensors(data, params, buffers, head, step=step),
            form=form,
            step=step,
            protocol=protocol,
            keep_graph=keep_graph,
            image_shape=tuple(data["xs"].shape[1:]),
            counts=counts,
        )

    def _constant_predictor(self, part: SeenPart, protocol: dict[str, Any]) -> Predictor:
        """Return the predictor of a support set that no head can be fitted to."""
        name = f"task {part.task.name!r}"
        images = self._checked_images(part.support, part.task, name, "support")
        return self._episode_predictor(
            part.task,
            {"xs": images.detach()},
            *self._state(),
            # Without a number, but of the dtype and on the device that images are moved to.
            {"head.nothing": images.new_zeros(0)},
            form=CONSTANT,
            step=0,
            protocol={**protocol, "constant": True},
            counts=part.counts,
        )

    def _adapted_tensors(
        self, data: Tree, params: Tree, buffers: Tree, head: Tree, *, step: int
    ) -> dict[str, Tree]:
        """Return the tensors of a predictor by their parts."""
        body = {name: params[name] for name, _ in self.backbone.named_parameters()}
        body = {name: value if value.grad_fn else value.detach() for name, value in body.items()}
        with torch.set_grad_enabled(bool(learned_images(data))):
            statistics, buffers = self.network.statistics(body, buffers, data["xs"], step=step)
        return {
            "params": body,
            "buffers": {name: buffers[name] for name, _ in self.backbone.named_buffers()},
            "statistics": statistics,
            "head": head,
        }

    def common_protocol(self) -> dict[str, Any]:
        norm_weights = "shared" if self.affine is None else "per_step"
        return {**super().common_protocol(), "norm_weights": norm_weights}
