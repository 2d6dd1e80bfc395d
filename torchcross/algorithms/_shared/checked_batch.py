"""Images and labels are checked once, here; errors name the episode and the sample."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.backbones.input_normalisation import InputNormalisation, check_finite
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError, LabelError, SmallSupportError
from torchcross.targets import MISSING
from torchcross.targets.succession import support_counts
from torchcross.task import Task


def episode_name(episode: Episode, position: int) -> str:
    if episode.plan is None:
        return f"episode at position {position} ({episode.task.name!r})"
    return f"episode {episode.plan.index} of {episode.plan.source!r}"


def checked_tensors(
    batch: Batch, task: Task, subject: str, normalisation: InputNormalisation, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the images as the backbone gets them, and the labels; `subject` names the batch."""
    if not len(batch):
        raise InputError(f"{subject} is empty; give at least one sample.")
    _check_labels(batch.y, task, subject)
    if batch.y.device != like.device:
        raise InputError(
            f"{subject} has labels on {batch.y.device} and the model is on {like.device}; move it"
            " with .to(...)."
        )
    images = normalisation(batch.x, subject, like)
    check_finite(images, subject)
    return images, batch.y.long()


def _check_labels(labels: Tensor, task: Task, subject: str) -> None:
    target, highest = task.target, len(task.target.values) - 1
    is_integer = not (labels.is_floating_point() or labels.dtype == torch.bool)
    if not is_integer or labels.shape[1:] != target.label_shape:
        shape = ", ".join(["N", *map(str, target.label_shape)])
        raise LabelError(
            f"{subject} has labels {labels.dtype} of shape {tuple(labels.shape)}; {target!r}"
            f" expects integer codes ({shape}). Encode raw labels first: target.encode(labels)."
        )
    low, high = (int(end) for end in labels.aminmax())
    if low < MISSING or high > highest:
        outside = ((labels < MISSING) | (labels > highest)).reshape(len(labels), -1).any(1)
        raise LabelError(
            f"{subject} has labels in {low}..{high}, at sample {int(outside.nonzero()[0])} for the"
            f" first time; {target!r} has the codes 0..{highest}, and -1 for missing. Encode raw"
            " labels first: target.encode(labels)."
        )


def refuse_single_samples(codes: Tensor, task: Task, purpose: str) -> None:
    """Raise where leaving one sample out would leave none of a class; codes are (answers, N)."""
    for code in range(task.target.likelihood.classes):
        fewest = int((codes == code).sum(1).min())
        if fewest < 2:
            raise SmallSupportError(
                f"task {task.name!r}: {purpose} needs two samples of each class (two with each"
                f" label, and two without), and there are {fewest} of class {code}; sample more"
                " shots."
            )


@dataclass(frozen=True, eq=False)
class SeenPart:
    """What a support set can teach: the task of the classes that it has, and labels of that task.

    counts    of the support set where it has not every class; None where it has
    has_head  whether a head can be fitted at all; if not, `task` is the whole one
    """

    support: Batch
    task: Task
    counts: tuple[int, ...] | None = None
    has_head: bool = True


def seen_part(support: Batch, task: Task, name: str) -> SeenPart:
    """The part of a task that its support set can teach; the whole where no class is missing."""
    if not len(support):
        return SeenPart(support, task)
    _check_labels(support.y, task, f"{name}: the support set")
    target, labels = task.target, support.y.long()
    counts = support_counts(target, labels)
    if all(counts):
        return SeenPart(support, task)
    seen = target.seen_classes(counts)
    if not seen:
        return SeenPart(support, task, counts, has_head=False)
    codes = torch.from_numpy(target.relabel(labels, seen)).to(labels.device)
    return SeenPart(Batch(support.x, codes), task.restrict(seen), counts)


def checked_strata(labels: Tensor, task: Task, name: str) -> Tensor:
    """Return the prototype strata (N, P) of a support set; each must have a sample."""
    target = task.target
    strata = target.prototype_strata(labels)
    counts = strata.sum(0).tolist()
    if min(counts) > 0:
        return strata
    empty = [at for at, count in enumerate(counts) if not count]
    classes = dict.fromkeys(target.classes[at % target.num_classes] for at in empty)
    hint = ""
    if target.label_shape:
        hint = " (every label needs samples with it and samples without it)"
    raise InputError(
        f"{name}: the support set has no sample that stands for"
        f" {', '.join(map(repr, classes))}{hint}; sample at least one shot of each, or restrict"
        " the task to the classes that are there: task.restrict(...)."
    )
