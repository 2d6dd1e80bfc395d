"""What comes in is looked at once, here; errors name the episode and the sample."""

from __future__ import annotations

import torch
from torch import Tensor

from torchcross.algorithms._shared.input_normalisation import Pixels
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError, LabelError
from torchcross.targets import MISSING
from torchcross.task import Task

__all__ = ["episode_name", "taken", "whole_strata"]


def episode_name(episode: Episode, position: int) -> str:
    if episode.plan is None:
        return f"episode at position {position} ({episode.task.name!r})"
    return f"episode {episode.plan.index} of {episode.plan.source!r}"


def taken(
    batch: Batch, task: Task, name: str, part: str, pixels: Pixels, like: Tensor
) -> tuple[Tensor, Tensor]:
    """(images as the backbone gets them, labels), checked."""
    what = f"{name}: the {part} set"
    if not len(batch):
        raise InputError(f"{what} is empty; give at least one sample.")
    _check_labels(batch.y, task, what)
    if batch.y.device != like.device:
        raise InputError(
            f"{what} has labels on {batch.y.device} and the model is on {like.device}; move it with"
            " .to(...)."
        )
    images = pixels(batch.x, what, like)
    _check_finite(images, what)
    return images, batch.y.long()


def _check_labels(labels: Tensor, task: Task, what: str) -> None:
    target, highest = task.target, len(task.target.values) - 1
    if (
        labels.is_floating_point()
        or labels.dtype == torch.bool
        or labels.shape[1:] != target.label_shape
    ):
        shape = ", ".join(["N", *map(str, target.label_shape)])
        raise LabelError(
            f"{what} has labels {labels.dtype} of shape {tuple(labels.shape)}; {target!r} expects"
            f" integer codes ({shape}). Raw labels are encoded first: target.encode(labels)."
        )
    low, high = (int(end) for end in labels.aminmax())
    if low < MISSING or high > highest:
        outside = ((labels < MISSING) | (labels > highest)).reshape(len(labels), -1).any(1)
        raise LabelError(
            f"{what} has labels in {low}..{high}, at sample {int(outside.nonzero()[0])} for the"
            f" first time; {target!r} has the codes 0..{highest}, and -1 for missing. Raw labels"
            " are encoded first: target.encode(labels)."
        )


def _check_finite(images: Tensor, what: str) -> None:
    if bool(torch.isfinite(images.sum())):
        return
    # A sum of finite numbers may overflow; only the images themselves tell.
    broken = ~torch.isfinite(images).reshape(len(images), -1).all(1)
    if bool(broken.any()):
        raise InputError(
            f"{what} has NaN or infinite pixels in {int(broken.sum())} of {len(images)} images,"
            f" first in image {int(broken.nonzero()[0])}; repair or drop them."
        )


def whole_strata(labels: Tensor, task: Task, name: str) -> Tensor:
    """The prototype strata (N, P) of a support set, none of them empty."""
    target = task.target
    strata = target.prototype_strata(labels)
    counts = strata.sum(0).tolist()
    if min(counts) > 0:
        return strata
    empty = [at for at, count in enumerate(counts) if not count]
    classes = dict.fromkeys(target.classes[at % target.num_classes] for at in empty)
    answers = (
        ""
        if not target.label_shape
        else " (every label needs samples with it and samples without it)"
    )
    raise InputError(
        f"{name}: the support set has no sample that stands for"
        f" {', '.join(map(repr, classes))}{answers}; sample at least one shot of each, or restrict"
        " the task to the classes that are there: task.restrict(...)."
    )
