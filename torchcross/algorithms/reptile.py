"""Reptile (Nichol, Achiam and Schulman 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, Unpack, final

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.carried_optimiser import CarriedOptimiser
from torchcross.algorithms._shared.image_gradients import learned_images
from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import (
    HeadStart,
    InnerLoopRecipe,
    InnerOptimiser,
    is_in_body,
)
from torchcross.algorithms.base import Step
from torchcross.algorithms.options import InputOptions, check_option_names
from torchcross.backbones.input_normalisation import MeanAndStd
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.functional import Problem, adapt, merge_buffers
from torchcross.heads import LearnedHeads
from torchcross.targets import MultiClass
from torchcross.task import Task


@final
class Reptile(InnerLoopAlgorithm):
    """phi <- phi + eps (theta_K - phi): the outer gradient is the mean of phi - theta_K.

    theta_K comes from K inner steps on support and query together. With SGD of rate eps as the
    outer optimiser this is the published update. The loss shown is the one before the last inner
    step. A head that is not learned takes no part in the update. `EpisodicOptions` describes
    norm, normalise and features.

    batch          samples that an inner step sees, in passes over the reshuffled samples; None: all
    decays         of the inner Adam; the published one has (0.0, 0.999)
    eps_corrected  the inner Adam is that of TensorFlow
    carry          the state of the inner optimiser goes on from one inner loop to the next, as in
                   the published code, in training alone: adaptation starts from it and leaves it.
                   Then the episodes of a step depend on those before, in their order, so that
                   ranks and `at_once` cannot share a step. It needs `LearnedHeads`
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        steps: int = 5,
        lr: float = 1e-3,
        head: HeadStart = "zero",
        optimiser: InnerOptimiser = "adam",
        weight_decay: float | None = None,
        norm: str = "batch",
        batch: int | None = None,
        decays: tuple[float, float] | None = None,
        eps_corrected: bool = False,
        carry: bool = False,
        **options: Unpack[InputOptions],
    ) -> None:
        check_option_names(Reptile, options, InputOptions)
        recipe = InnerLoopRecipe(
            "Reptile",
            steps,
            lr,
            head,
            optimiser,
            order=1,
            weight_decay=weight_decay,
            decays=decays,
            eps_corrected=eps_corrected,
            batch=batch,
            small_supports="whole",
        )
        super().__init__(backbone, recipe, norm=norm, lanes="loop", **options)
        self.carried: CarriedOptimiser | None = None
        if carry:
            if self.heads is None:
                raise InputError(
                    f"Reptile(carry=True) carries the state of the head's optimiser too, and"
                    f" head={head!r} is made anew for each episode; give head=LearnedHeads(...), or"
                    " take Reptile.as_published(...)."
                )
            params = {
                name: value
                for name, value in self.named_parameters()
                if name.startswith("heads.") or name.removeprefix("backbone.") in self.adapted
            }
            self.carried = CarriedOptimiser(recipe.make_optimiser(), params)

    @classmethod
    def as_published(
        cls,
        backbone: nn.Module,
        *,
        ways: int = 5,
        seed: int = 0,
        features: int | None = None,
        normalise: MeanAndStd | None = None,
    ) -> Self:
        """As its authors ran it on mini-ImageNet with 5 shots (their Table 4).

        Train it on episodes of `ways` classes in any order with 15 images each, support and query
        together, with `FitOptions(steps=100_000, lr=1.0, optimiser="sgd", schedule="linear",
        meta_batch=5)`. Their network is `conv4(32, pooling="flatten", image_size=84, ceil=True,
        bias=True)`. `seed` is that of the head's initial values.
        """
        width = features if features is not None else getattr(backbone, "num_features", None)
        if width is None:
            raise InputError(
                f"the number of features of {type(backbone).__name__} is not known; give features=,"
                " or a backbone with num_features."
            )
        task = Task("episode", MultiClass([f"class {number}" for number in range(ways)]))
        return cls(
            backbone,
            steps=8,
            lr=1e-3,
            head=LearnedHeads([task], width, by="layout", seed=seed),
            batch=10,
            decays=(0.0, 0.999),
            eps_corrected=True,
            carry=True,
            features=width,
            normalise=normalise,
        )

    @property
    def is_sequential(self) -> bool:
        return self.carried is not None

    def training_step(
        self,
        episodes: Sequence[Episode],
        *,
        epoch: int | None = None,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> Step:
        """One inner loop for each episode, from the same parameters.

        The gradient of the surrogate loss is the mean of their phi - theta_K.
        """
        surrogates, losses, traces, buffers = [], [], [], []
        state = None if self.carried is None else self.carried.state()
        for episode, key in zip(episodes, self._keys(episodes, seed, indices), strict=True):
            both = Batch(
                torch.cat([episode.support.x, episode.query.x]),
                torch.cat([episode.support.y, episode.query.y]),
            )
            data = self._data(both, None, episode.task, key.name)
            if learned_images(data):
                raise InputError(
                    f"{key.name}: its images require gradients, and Reptile's training step takes"
                    " none through the inner loop; give images without (`.detach()`), or take"
                    " MAML(order=1), whose gradients reach the images."
                )
            problem, meta = self._ready_problem(
                data, episode.task, key, self.recipe.steps, keep_graph=False
            )
            if state is None:
                end = adapt(problem, meta)
            else:
                names = self._names(episode.task)
                end = adapt(state.begin(problem, names), meta)
                state = state.after(end.optimiser, names, self.recipe.steps)
            start = self.network.state()[0]
            if self.heads is not None:
                start |= self.heads.of(episode.task)
            surrogates.append(_surrogate(start, end.params) / len(episodes))
            losses.append(end.trace[-1] if len(end.trace) else torch.zeros_like(surrogates[-1]))
            traces.append(end.trace)
            buffers.append(end.buffers)
        value = torch.stack(losses)
        surrogate = torch.stack(surrogates).sum()
        # The value of the loss, with the gradient of the surrogate.
        loss = value.mean() + (surrogate - surrogate.detach())
        new_buffers = self._changed_buffers(merge_buffers(buffers))
        if self.carried is not None and state is not None:
            carried = self.carried.buffers_of(state)
            new_buffers |= {f"carried.{name}": value for name, value in carried.items()}
        return Step(loss, value, new_buffers, "reptile", 1, traces=tuple(traces))

    def _with_optimiser_state(self, problem: Problem, task: Task) -> Problem:
        if self.carried is None:
            return problem
        return self.carried.state().begin(problem, self._names(task))

    def _names(self, task: Task) -> dict[str, str]:
        """Return the algorithm's own names of what the inner loop adapts, by its names there."""
        assert self.heads is not None
        own = {id(value): name for name, value in self.named_parameters()}
        names = {name: own[id(value)] for name, value in self.heads.of(task).items()}
        names |= {name: f"backbone.{name}" for name in self.adapted if is_in_body(name)}
        return names

    def protocol(self) -> dict[str, Any]:
        carried = {} if self.carried is None else {"inner optimiser": "carried over"}
        return {**super().protocol(), **carried}


def _surrogate(start: dict[str, Tensor], end: dict[str, Tensor]) -> Tensor:
    """Return a number whose gradient is phi - theta."""
    parts = [
        (value * (value - end[name]).detach()).sum()
        for name, value in start.items()
        if value.requires_grad
    ]
    return torch.stack(parts).sum()
