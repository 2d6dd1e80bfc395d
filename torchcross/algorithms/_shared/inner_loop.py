"""Algorithms that adapt by gradient steps: heads, losses, problems and predictors from a recipe."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.annealing import checked_epoch, multi_step_weights
from torchcross.algorithms._shared.checked_batch import SeenPart, seen_part
from torchcross.algorithms._shared.draw_key import DrawKey
from torchcross.algorithms._shared.dropout import episode_masks
from torchcross.algorithms._shared.episode_losses import (
    HeadLoss,
    Loss,
    episode_start,
    losses,
    plain_loss,
)
from torchcross.algorithms._shared.episodic import Episodic
from torchcross.algorithms._shared.head_starts import head_from_features, needs_features
from torchcross.algorithms._shared.image_gradients import learned_images, with_image_gradients
from torchcross.algorithms._shared.inner_loop_recipe import HEAD_NAMES, InnerLoopRecipe
from torchcross.algorithms._shared.padded_heads import PRESENT, pad_heads, padded_loss
from torchcross.algorithms._shared.rates import LearnedRates
from torchcross.algorithms._shared.support_views import ROWS, VIEWS, SupportViews, batch_rows
from torchcross.algorithms.options import EpisodicOptions
from torchcross.algorithms.predictor import Predictor
from torchcross.episode import Batch
from torchcross.errors import InputError
from torchcross.functional import Engine, Inner, Meta, Problem, Split, adapt, select
from torchcross.functional.loop.optimisers import Rates
from torchcross.functional.network.parameter_names import Choice
from torchcross.functional.trees import detach
from torchcross.heads import LearnedHeads, kaiming_head, learning_key, seeded_generator, zero_head
from torchcross.targets import Target
from torchcross.targets.succession import missing_classes
from torchcross.task import Task

_RAW = "raw"
Tree = dict[str, Tensor]


class InnerLoopAlgorithm(Episodic, ABC):
    """Abstract: adapts some of backbone and head by gradient steps on the support loss.

    A final class makes a recipe, which has the settings of the inner loop. `EpisodicOptions`
    describes the other options.
    """

    @abstractmethod
    def __init__(
        self, backbone: nn.Module, recipe: InnerLoopRecipe, **options: Unpack[EpisodicOptions]
    ) -> None:
        super().__init__(backbone, options, steps=recipe.steps, norm_weights=recipe.norm_weights)
        self.recipe = recipe
        self.heads = recipe.head if isinstance(recipe.head, LearnedHeads) else None
        params = dict(backbone.named_parameters())
        if clash := params.keys() & set(HEAD_NAMES):
            raise InputError(
                f"the backbone has a parameter called {sorted(clash)[0]!r}, which is the head's"
                " name here; drop its own classifier, or wrap it in a module."
            )
        chosen = select([*params, *HEAD_NAMES], recipe.adapted)
        self.adapted = chosen - _frozen_names(params, recipe.adapted)
        if self.affine is not None:
            self.adapted -= self.affine.names
        self._moves_body = not self.adapted.isdisjoint(params)
        self._moves_head = self.adapted.issuperset(HEAD_NAMES)
        if recipe.head == "zero" and not self._moves_head:
            raise InputError(
                f"{recipe.name} does not adapt the whole head, and a zero head left as it is sends"
                " no gradient to the backbone; use head='kaiming', 'proto' or LearnedHeads."
            )
        self.rates: LearnedRates | None = None
        if recipe.rates != "fixed":
            body = {name: value for name, value in params.items() if name in self.adapted}
            head = tuple(name for name in HEAD_NAMES if name in self.adapted)
            self.rates = LearnedRates(recipe.rates, recipe.lr, body, head, steps=recipe.steps)

    @property
    def _is_steady(self) -> bool:
        """Whether the same parameters make the same features at every step."""
        policy, recipe = self.network.policy, self.recipe
        sees_parts = recipe.batch is not None and policy.support != "stored"
        varies = self.has_training_mode or policy.moves or policy.rows
        return not (varies or sees_parts or recipe.augmentation is not None)

    @property
    def keeps_features(self) -> bool:
        """Whether the features of an episode are computed once."""
        return self._is_steady and not self._moves_body

    # -- problems ----------------------------------------------------------------------------------

    def _checked_epoch(self, epoch: int | None) -> int:
        return checked_epoch(epoch, is_annealed=self.recipe.is_annealed)

    def _engine(self, epoch: int) -> Engine:
        return self.recipe.engine_at(epoch)

    def _meta(self) -> Meta:
        params, buffers = self._state()
        rates = self._fixed_rates() if self.rates is None else self.rates.table()
        return Meta(params, rates, buffers)

    def _fixed_rates(self) -> Rates:
        """Return the rates of an inner loop that learns none."""
        return self.recipe.lr

    def _problem(self, data: Tree, task: Task, key: DrawKey, epoch: int) -> Problem:
        weights = None
        if self.recipe.multi_step is not None:
            weights = multi_step_weights(self.recipe.steps, epoch, self.recipe.multi_step)
        return self._problem_of_steps(data, task, key, self.recipe.steps, weights)

    def _problem_of_steps(
        self,
        data: Tree,
        task: Task,
        key: DrawKey,
        steps: int,
        weights: tuple[float, ...] | None = None,
    ) -> Problem:
        tensors: dict[str, Any] = dict(data)
        if not self.recipe.sees_all:
            tensors |= self._views(tensors, key, steps)
        if self.has_training_mode:
            rows = steps + self.recipe.forwards_after_steps
            seen = {**data, "xs": data["xs"][: self.recipe.batch]}
            tensors |= episode_masks(self.network, self._state(), seen, key, steps=rows)
        inner = self._shared_inner_loop(
            (learning_key(task.target), steps, weights, self.has_training_mode),
            lambda: self._make_inner_loop(task.target, steps, weights),
        )
        return Problem(inner, tensors, self._head(task, data["xs"], key), key.name)

    def _data(self, support: Batch, query: Batch | None, task: Task, name: str) -> Tree:
        data = super()._data(support, query, task, name)
        if self.recipe.augmentation is not None:
            data[_RAW] = support.x
        return data

    def _views(self, tensors: dict[str, Any], key: DrawKey, steps: int) -> dict[str, Any]:
        """Return what says which images each step sees; the images as they are leave `tensors`."""
        views: dict[str, Any] = {}
        images, batch, augmentation = tensors["xs"], self.recipe.batch, self.recipe.augmentation
        if batch is not None and self.recipe.small_supports == "whole":
            batch = batch if batch < len(images) else None
        if batch is not None:
            views[ROWS] = batch_rows(len(images), batch, steps, key, images.device)
        if augmentation is not None:
            if "xs" in learned_images(tensors):
                raise InputError(
                    f"{key.name}: the support images require gradients, and {self.recipe.name}"
                    " augments them, which keeps none; leave augmentation out, or call under"
                    " torch.no_grad()."
                )
            like, normalisation = self._example_parameter(), self.input_normalisation
            views[VIEWS] = SupportViews(
                tensors.pop(_RAW), augmentation, normalisation, like.detach(), key
            )
        return views

    def _make_inner_loop(
        self, target: Target, steps: int, weights: tuple[float, ...] | None
    ) -> Inner:
        head_of = head_from_features(self.recipe.head, target)
        start = episode_start(self.network, head_of, keeps_features=self.keeps_features)
        support, query = self._losses(functools.partial(plain_loss, target))
        return Inner(
            support,
            query,
            self.recipe.scheduled_optimiser(steps),
            steps,
            adapted=self.adapted.__contains__,
            init=start,
            zero_head=HEAD_NAMES if self.recipe.head == "zero" else None,
            query_weights=weights,
        )

    def _losses(self, head_loss: HeadLoss) -> tuple[Loss | Split, Loss]:
        may_split = self._is_steady and not self.keeps_features and self.recipe.sees_all
        return losses(self.network, head_loss, may_split=may_split)

    def _problems_for_lanes(self, problems: list[Problem], targets: list[Target]) -> list[Problem]:
        if self.heads is not None or needs_features(self.recipe.head):
            return problems
        return pad_heads(problems, targets, self._padded_inner_loop)

    def _padded_inner_loop(self, target: Target, outputs: int, inner: Inner) -> Inner:
        key = (
            target.objective.loss,
            target.loss_options,
            outputs,
            inner.steps,
            inner.query_weights,
            self.has_training_mode,
        )

        def make_inner_loop() -> Inner:
            loss_of = padded_loss(target, outputs)

            def head_loss(params: Tree, features: Tensor, data: Any, labels: str) -> Tensor:
                return loss_of(params, features, data[labels], data[PRESENT])

            support, query = self._losses(head_loss)
            return dataclasses.replace(inner, support=support, query=query)

        return self._shared_inner_loop(key, make_inner_loop)

    def _head(self, task: Task, images: Tensor, key: DrawKey) -> Tree:
        """Return where the episode's head starts, unless the inner loop makes it of features."""
        like, width = self._example_parameter(), self._feature_count(images, key.name)
        if self.heads is not None:
            if self.heads.features != width:
                raise InputError(
                    f"{key.name}: the learned heads are for {self.heads.features} features and the"
                    f" backbone makes {width}; make them with the right number."
                )
            return self.heads.of(task)
        if needs_features(self.recipe.head):
            return {}
        kind: dict[str, Any] = {"dtype": like.dtype, "device": like.device}
        if self.recipe.head == "zero":
            return zero_head(task.target, width, **kind)
        generator = seeded_generator(key.seed, "head", key.number_for("a Kaiming head"))
        return kaiming_head(task.target, width, generator=generator, **kind)

    # -- adaptation --------------------------------------------------------------------------------

    def adapt(
        self, support: Batch, task: Task, *, steps: int | None = None, seed: int = 0, index: int = 0
    ) -> Predictor:
        steps = self.recipe.steps if steps is None else steps
        key = DrawKey(f"task {task.name!r}", seed, index)
        protocol = {**self.protocol(), "steps": steps, "seed": seed, "index": index}
        part = seen_part(support, task, key.name)
        if part.counts is not None and self.heads is not None:
            missing = ", ".join(map(repr, missing_classes(task.target, part.counts)))
            raise InputError(
                f"{key.name}: the support set has no sample of {missing}, and the learned heads are"
                " of all classes; sample at least one shot of each, or use head='zero'."
            )
        if not part.has_head:
            return self._constant_predictor(part, protocol)
        data = self._data(part.support, None, part.task, key.name)
        return self._adapted_predictor(task, part, data, key, steps, protocol)

    def _adapted_predictor(
        self,
        task: Task,
        part: SeenPart,
        data: Tree,
        key: DrawKey,
        steps: int,
        protocol: dict[str, Any],
    ) -> Predictor:
        """Return the predictor of `task` after so many steps on the seen part of its support."""
        keep_graph = bool(learned_images(data))
        problem, meta = self._ready_problem(data, part.task, key, steps, keep_graph=keep_graph)
        end = adapt(self._with_optimiser_state(problem, part.task), meta, keep_graph=keep_graph)
        head = {name: end.params[name] for name in HEAD_NAMES}
        return self._episode_predictor(
            task,
            data,
            end.params,
            end.buffers,
            head,
            form="linear",
            step=steps,
            protocol=protocol,
            counts=part.counts,
        )

    def _with_optimiser_state(self, problem: Problem, task: Task) -> Problem:
        """Return the problem with the state that its optimiser begins with; here a fresh one."""
        return problem

    def _ready_problem(
        self, data: Tree, task: Task, key: DrawKey, steps: int, *, keep_graph: bool
    ) -> tuple[Problem, Meta]:
        """Return the problem that adaptation solves, and where it starts."""
        if torch.is_inference_mode_enabled():
            raise InputError(
                "adaptation takes gradients, which torch.inference_mode() forbids; use"
                " torch.no_grad()."
            )
        problem, meta = self._problem_of_steps(data, task, key, steps), self._meta()
        if keep_graph:
            problem = dataclasses.replace(problem, own=detach(problem.own))
            problem = with_image_gradients(problem, self._shared_inner_loop)
            if self.recipe.proximal is not None and problem.inner.init is not None:
                raise InputError(
                    f"{key.name}: the support images require gradients, and"
                    f" {self.recipe.name} keeps near a start that depends on them (head='proto' or"
                    " 'logistic'), which has none; use another head, or call adapt under"
                    " torch.no_grad()."
                )
        if self.recipe.proximal is not None:
            problem = _with_proximal_term(problem, meta, self.adapted, self.recipe.proximal)
        return problem, meta

    def protocol(self) -> dict[str, Any]:
        adapted: str | list[str] = sorted(self.adapted)
        if self._moves_head and len(adapted) == len(HEAD_NAMES) + len(self._state()[0]):
            adapted = "all"
        elif not self._moves_body:
            adapted = "head"
        return {
            **self.recipe.describe(),
            "adapted": adapted,
            "features": "cached" if self.keeps_features else "at each step",
            **self.common_protocol(),
        }


def _frozen_names(params: Mapping[str, Tensor], choice: Choice) -> frozenset[str]:
    """Return the parameters that need no gradient, unless `choice` gives the full name."""
    named: set[str] = set()
    if isinstance(choice, str):
        named = {choice}
    elif not callable(choice):
        named = set(choice)
    return frozenset(name for name, value in params.items() if not value.requires_grad) - named


def _with_proximal_term(
    problem: Problem, meta: Meta, adapted: frozenset[str], strength: float
) -> Problem:
    """Return the problem with strength/2 |theta - phi|^2 added to its support loss."""
    start = {**meta.params, **problem.own}
    inner = problem.inner
    if inner.init is not None:
        with torch.no_grad():
            params = {name: value.detach() for name, value in meta.params.items()}
            start |= inner.init({**params, **problem.own}, meta.buffers, problem.data)
    anchor = {name: value.detach() for name, value in start.items() if name in adapted}

    def support(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        loss, fresh = inner.support(params, buffers, data, step)
        squares = [(params[name] - value).square().sum() for name, value in anchor.items()]
        return loss + 0.5 * strength * torch.stack(squares).sum(), fresh

    return dataclasses.replace(problem, inner=dataclasses.replace(inner, support=support))
