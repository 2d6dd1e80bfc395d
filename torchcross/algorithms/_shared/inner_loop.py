"""Algorithms that adapt by gradient steps: heads, losses, problems and predictors from a recipe."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.annealing import epoch_of, multi_step_weights
from torchcross.algorithms._shared.episodic import Episodic, Place
from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.padded_heads import PRESENT, padded_alike, padded_loss
from torchcross.algorithms._shared.per_step_norm import NormWeights
from torchcross.algorithms._shared.rates import LearnedRates
from torchcross.algorithms._shared.recipe import HEAD_NAMES, Recipe
from torchcross.algorithms.predictor import Predictor
from torchcross.episode import Batch
from torchcross.errors import InputError
from torchcross.functional import (
    Adapted,
    Engine,
    Inner,
    Meta,
    Network,
    Problem,
    Split,
    adapt,
    select,
)
from torchcross.functional.loop.lanes import Lanes
from torchcross.functional.network.network import Choice
from torchcross.heads import (
    BIAS,
    WEIGHT,
    LearnedHeads,
    head_logits,
    kaiming_head,
    proto_head,
    seeded,
    zero_head,
)
from torchcross.targets import Target
from torchcross.task import Task

__all__ = ["InnerLoopAlgorithm"]

Tree = dict[str, Tensor]
Loss = Callable[[Tree, Tree, Any, int], tuple[Tensor, Tree]]
Top = Callable[[Tree, Tensor, Any, str], Tensor]
"""(params, features, data, name of the labels) -> loss."""

_SUPPORT, _QUERY = 0, 1
_CACHED = {"support": "features.support", "query": "features.query"}


class InnerLoopAlgorithm(Episodic, ABC):
    """Abstract: adapts some of backbone and head by gradient steps on the support loss. A recipe
    says how.
    """

    def __init__(
        self,
        backbone: nn.Module,
        recipe: Recipe,
        *,
        norm: str = "batch",
        lanes: Lanes = "auto",
        normalise: MeanAndStd | None = None,
        features: int | None = None,
        norm_weights: NormWeights = "shared",
    ) -> None:
        super().__init__(
            backbone,
            norm=norm,
            lanes=lanes,
            normalise=normalise,
            features=features,
            steps=recipe.steps,
            norm_weights=norm_weights,
        )
        self.recipe = recipe
        self.heads = recipe.head if isinstance(recipe.head, LearnedHeads) else None
        names = dict(backbone.named_parameters())
        if clash := names.keys() & {WEIGHT, BIAS}:
            raise InputError(
                f"the backbone has a parameter called {sorted(clash)[0]!r}, which is the head's"
                " name here; drop its own classifier, or wrap it in a module."
            )
        left = frozenset() if self.affine is None else self.affine.names
        self.adapted = (
            select([*names, WEIGHT, BIAS], recipe.adapted) - left - _frozen(names, recipe.adapted)
        )
        self._moves_body = any(name in names for name in self.adapted)
        self._moves_head = {WEIGHT, BIAS} <= self.adapted
        if recipe.head == "zero" and not self._moves_head:
            raise InputError(
                f"{recipe.name} does not adapt the whole head, and a zero head left as it is sends"
                " no gradient to the backbone; use head='kaiming', 'proto' or LearnedHeads."
            )
        policy = self.network.policy
        self._steady = not (self._drops or policy.moves or policy.rows)
        self.cached = self._steady and not self._moves_body
        self.rates = _learned_rates(
            recipe, {name: value for name, value in names.items() if name in self.adapted}, self
        )

    # -- problems ----------------------------------------------------------------------------------

    def _epoch(self, epoch: int | None) -> int:
        return epoch_of(epoch, self.recipe.annealed)

    def _engine(self, epoch: int) -> Engine:
        return self.recipe.engine_at(epoch)

    def _shared(self) -> Meta:
        params, buffers = self._state()
        rates = self.recipe.lr if self.rates is None else self.rates.table()
        return Meta(params, rates, buffers)

    def _problem(self, data: Tree, task: Task, place: Place, epoch: int) -> Problem:
        weights = None
        if self.recipe.multi_step is not None:
            weights = multi_step_weights(self.recipe.steps, epoch, self.recipe.multi_step)
        return self._with_steps(data, task, place, self.recipe.steps, weights)

    def _with_steps(
        self,
        data: Tree,
        task: Task,
        place: Place,
        steps: int,
        weights: tuple[float, ...] | None = None,
    ) -> Problem:
        if self._drops:
            data = {**data, **self._masks(data, place, steps)}
        key = self._learning_key(task, steps, weights)
        if key not in self._inners:
            self._inners[key] = self._inner(task.target, steps, weights)
        return Problem(self._inners[key], data, self._head(task, data, place), place.name)

    def _alike(self, problems: list[Problem], targets: list[Target]) -> list[Problem]:
        if self.heads is not None or self.recipe.head == "proto":
            return problems
        return padded_alike(problems, targets, self._padded_inner)

    def _padded_inner(self, target: Target, outputs: int, inner: Inner) -> Inner:
        key = (
            target.objective.loss,
            target.loss_options,
            outputs,
            inner.steps,
            inner.query_weights,
        )
        if key not in self._inners:
            loss_of = padded_loss(target, outputs)

            def from_data(params: Tree, features: Tensor, data: Any, labels: str) -> Tensor:
                return loss_of(params, features, data[labels], data[PRESENT])

            support, query = _losses(
                self.network, from_data, cached=self.cached, steady=self._steady
            )
            self._inners[key] = dataclasses.replace(inner, support=support, query=query)
        return self._inners[key]

    def _inner(self, target: Target, steps: int, weights: tuple[float, ...] | None) -> Inner:
        parts = [_cached_features(self.network)] if self.cached else []
        if self.recipe.head == "proto":
            proto_head(target, torch.zeros(2, 1), torch.ones(2, target.num_prototypes))
            parts.append(_prototype_start(self.network, target))
        loss_of = functools.partial(_plain_loss, target)
        support, query = _losses(self.network, loss_of, cached=self.cached, steady=self._steady)
        return Inner(
            support,
            query,
            self.recipe.make_optimiser(),
            steps,
            adapted=self.adapted.__contains__,
            init=_all_of(parts) if parts else None,
            zero_head=HEAD_NAMES if self.recipe.head == "zero" else None,
            query_weights=weights,
        )

    def _head(self, task: Task, data: Tree, place: Place) -> Tree:
        like, width = self._like(), self._check_width(data["xs"], place.name)
        if self.heads is not None:
            if self.heads.features != width:
                raise InputError(
                    f"{place.name}: the learned heads are for {self.heads.features} features and"
                    f" the backbone makes {width}; make them with the right number."
                )
            return self.heads.of(task)
        if self.recipe.head == "proto":
            return {}
        if self.recipe.head == "zero":
            return zero_head(task.target, width, dtype=like.dtype, device=like.device)
        generator = seeded(place.seed, "head", place.numbered("a Kaiming head"))
        return kaiming_head(
            task.target, width, generator=generator, dtype=like.dtype, device=like.device
        )

    def _masks(self, data: Tree, place: Place, steps: int) -> dict[str, Any]:
        params, buffers = self._state()
        number = place.numbered("dropout")
        masks: dict[str, Any] = {
            "ms": self.network.masks(
                params,
                buffers,
                data["xs"],
                seed=place.seed,
                episode=number,
                part=_SUPPORT,
                rows=max(steps, 1),
            )
        }
        if "xq" in data:
            masks["mq"] = self.network.masks(
                params, buffers, data["xq"], seed=place.seed, episode=number, part=_QUERY
            )
        return masks

    # -- adaptation --------------------------------------------------------------------------------

    def adapt(
        self, support: Batch, task: Task, *, steps: int | None = None, seed: int = 0, index: int = 0
    ) -> Predictor:
        place = Place(f"task {task.name!r}", seed, index)
        data = self._data(support, None, task, place)
        end, taken = self._adapted(data, task, place, steps)
        head = {name: end.params[name] for name in (WEIGHT, BIAS)}
        told = {**self.protocol(), "steps": taken, "seed": seed, "index": index}
        return self._predictor(
            task, data, end.params, end.buffers, head, form="linear", step=taken, protocol=told
        )

    def _adapted(
        self, data: Tree, task: Task, place: Place, steps: int | None
    ) -> tuple[Adapted, int]:
        if torch.is_inference_mode_enabled():
            raise InputError(
                "adaptation takes gradients, which torch.inference_mode() forbids; use"
                " torch.no_grad()."
            )
        steps = self.recipe.steps if steps is None else steps
        problem, meta = self._with_steps(data, task, place, steps), self._shared()
        if self.recipe.proximal is not None:
            problem = _proximal(problem, meta, self.adapted, self.recipe.proximal)
        return adapt(problem, meta), steps

    def protocol(self) -> dict[str, Any]:
        adapted = (
            "all"
            if self._moves_head and len(self.adapted) == 2 + len(self._state()[0])
            else ("head" if not self._moves_body else sorted(self.adapted))
        )
        features = "cached" if self.cached else "at each step"
        return {
            **self.recipe.describe(),
            "adapted": adapted,
            "features": features,
            **self._common_protocol(),
        }


def _frozen(params: Mapping[str, Tensor], choice: Choice) -> frozenset[str]:
    """What its owner has frozen, save where `choice` gives the full name."""
    named: set[str] = (
        set() if callable(choice) else {choice} if isinstance(choice, str) else set(choice)
    )
    return frozenset(name for name, value in params.items() if not value.requires_grad) - named


def _learned_rates(
    recipe: Recipe, body: dict[str, Tensor], owner: InnerLoopAlgorithm
) -> LearnedRates | None:
    if recipe.rates == "fixed":
        return None
    own = tuple(name for name in (WEIGHT, BIAS) if name in owner.adapted)
    return LearnedRates(recipe.rates, recipe.lr, body, own, steps=recipe.steps)


def _plain_loss(target: Target, params: Tree, features: Tensor, data: Any, labels: str) -> Tensor:
    return target.loss(head_logits("linear", target, features, params), data[labels])


def _losses(network: Network, loss_of: Top, *, cached: bool, steady: bool) -> tuple[Loss, Loss]:
    """`steady`: the same parameters make the same features at every step."""

    def support(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        features, buffers = network.support(
            params, buffers, data["xs"], step=step, masks=data.get("ms")
        )
        return loss_of(params, features, data, "ys"), buffers

    def query(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        statistics, buffers = network.statistics(params, buffers, data["xs"], step=step)
        features, buffers = network.query(
            params, buffers, data["xq"], statistics=statistics, step=step, masks=data.get("mq")
        )
        return loss_of(params, features, data, "yq"), buffers

    def cached_support(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        return loss_of(params, params[_CACHED["support"]], data, "ys"), buffers

    def cached_query(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        return loss_of(params, params[_CACHED["query"]], data, "yq"), buffers

    def body(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        return network.support(params, buffers, data["xs"], step=step)

    def top(params: Tree, features: Tensor, data: Any) -> Tensor:
        return loss_of(params, features, data, "ys")

    if cached:
        return cached_support, cached_query
    return (Split(body, top) if steady else support), query


def _cached_features(network: Network) -> Callable[[Tree, Tree, Any], Tree]:
    """Features as the episode's own, fixed parameters: computed once, and gradients flow through
    them.
    """

    def init(params: Tree, buffers: Tree, data: Any) -> Tree:
        found = {_CACHED["support"]: network.support(params, buffers, data["xs"])[0]}
        if "xq" in data:
            statistics, _ = network.statistics(params, buffers, data["xs"])
            found[_CACHED["query"]] = network.query(
                params, buffers, data["xq"], statistics=statistics
            )[0]
        return found

    return init


def _prototype_start(network: Network, target: Target) -> Callable[[Tree, Tree, Any], Tree]:
    def init(params: Tree, buffers: Tree, data: Any) -> Tree:
        cached = params.get(_CACHED["support"])
        features = network.support(params, buffers, data["xs"])[0] if cached is None else cached
        return proto_head(target, features, data["strata"])

    return init


def _all_of(parts: list[Callable[[Tree, Tree, Any], Tree]]) -> Callable[[Tree, Tree, Any], Tree]:
    def init(params: Tree, buffers: Tree, data: Any) -> Tree:
        found: Tree = {}
        for part in parts:
            found = {**found, **part({**params, **found}, buffers, data)}
        return found

    return init


def _proximal(problem: Problem, meta: Meta, adapted: frozenset[str], strength: float) -> Problem:
    """The same problem with strength/2 |theta - phi|^2 added to its support loss."""
    anchor = {
        name: value.detach()
        for name, value in {**meta.params, **problem.own}.items()
        if name in adapted
    }
    plain, init = problem.inner.support, problem.inner.init
    if init is not None:
        with torch.no_grad():
            start = init(
                {name: value.detach() for name, value in meta.params.items()},
                meta.buffers,
                problem.data,
            )
        anchor |= {name: value for name, value in start.items() if name in adapted}

    def support(params: Tree, buffers: Tree, data: Any, step: int) -> tuple[Tensor, Tree]:
        loss, fresh = plain(params, buffers, data, step)
        apart = torch.stack(
            [(params[name] - value).square().sum() for name, value in anchor.items()]
        ).sum()
        return loss + 0.5 * strength * apart, fresh

    return dataclasses.replace(problem, inner=dataclasses.replace(problem.inner, support=support))
