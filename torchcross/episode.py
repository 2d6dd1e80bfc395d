"""What an algorithm sees: a support set to learn from and a query set to be judged on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Protocol

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from torchcross._kit.episode_sheet import episode_sheet
from torchcross._kit.picture_sheet import PictureSheet
from torchcross._kit.pixels import as_pixels
from torchcross.errors import InputError
from torchcross.plan import EpisodePlan
from torchcross.targets.answer_names import answer_names, answer_texts
from torchcross.targets.succession import missing_classes, support_counts
from torchcross.task import Task

__all__ = ["Batch", "Episode"]


class _Decided(Protocol):
    """A prediction, such as `NamedPrediction`."""

    @property
    def decisions(self) -> Tensor: ...


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Images `x` and labels `y`: a class code each, or L answers each for multi-label.

    Missing labels are -1.
    """

    x: Shaped[Tensor, "N ..."]
    y: Int[Tensor, " N *L"]

    def __post_init__(self) -> None:
        if not all(isinstance(part, Tensor) and part.ndim for part in (self.x, self.y)):
            raise InputError(
                f"a Batch got images of type {type(self.x).__name__} and labels of type"
                f" {type(self.y).__name__}; give two tensors, one row per sample"
            )
        if len(self.x) != len(self.y):
            raise InputError(
                f"a Batch got {len(self.x)} images and {len(self.y)} labels; give one label per"
                " image"
            )

    def __len__(self) -> int:
        return len(self.x)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with other images."""
        return replace(self, x=change(self.x))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        return Batch(
            self.x.to(device, non_blocking=non_blocking),
            self.y.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Batch:
        return Batch(self.x.pin_memory(), self.y.pin_memory())

    def __repr__(self) -> str:
        return f"Batch(x={_shape(self.x)}, y={_shape(self.y)})"


@dataclass(frozen=True, eq=False, slots=True)
class Episode:
    """A support and a query of one task.

    `task` has only the episode's classes, and `y` counts within them; `plan` says which samples of
    which source these are.
    """

    support: Batch
    query: Batch
    task: Task
    plan: EpisodePlan | None = None

    @property
    def missing_classes(self) -> tuple[str, ...]:
        """Names of the classes of which the support has no sample.

        Of labels: those that it has not both with and without. Without a support there are none.
        """
        if not len(self.support):
            return ()
        target = self.task.target
        return missing_classes(target, support_counts(target, self.support.y))

    def map(self, change: Callable[[Tensor], Tensor]) -> Episode:
        """The same episode with `change` applied to support and query images, each as one batch."""
        return replace(self, support=self.support.map(change), query=self.query.map(change))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Episode:
        return replace(
            self,
            support=self.support.to(device, non_blocking=non_blocking),
            query=self.query.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Episode:
        return replace(self, support=self.support.pin_memory(), query=self.query.pin_memory())

    def show(
        self,
        prediction: _Decided | None = None,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> PictureSheet:
        """A picture of the episode by class, with the right and wrong answers of a prediction.

        A notebook shows it; `.save("episode.svg")` writes a file. Give the `mean` and `std` that
        the images are normalised by.
        """
        target, truth = self.task.target, self.query.y.cpu()
        answers = None
        if prediction is not None:
            decisions = prediction.decisions.detach().cpu()
            if decisions.shape != truth.shape:
                raise InputError(
                    f"the query of {self.task.name!r} has labels of shape {tuple(truth.shape)}, and"
                    f" the prediction {tuple(decisions.shape)}; give the prediction of this query"
                )
            answers = answer_texts(target, decisions, truth if truth.ndim > 1 else None)
        support, query = as_pixels([self.support.x, self.query.x], mean, std)
        return episode_sheet(
            self.task.name,
            target.classes,
            support,
            answer_names(target, self.support.y.cpu()),
            query,
            answer_names(target, truth),
            answers,
        )

    def _repr_html_(self) -> str:
        can_be_drawn = all(
            part.x.ndim == 4 and part.x.shape[1] in (1, 3) for part in (self.support, self.query)
        )
        return self.show().svg if can_be_drawn else f"<p>{escape(repr(self))}</p>"

    def __repr__(self) -> str:
        classes = list(self.task.classes)
        return (
            f"Episode({self.task.name!r}, classes={classes}, support={self.support},"
            f" query={self.query})"
        )


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
