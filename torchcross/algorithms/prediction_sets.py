"""Prediction sets: classes that hold the truth with a chosen probability (conformal prediction)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final, get_args

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from torchcross._kit.argument_checks import check_choice, checked_number
from torchcross.algorithms._shared.checked_batch import refuse_single_samples
from torchcross.algorithms.logistic_regression import LogisticRegression
from torchcross.episode import Batch
from torchcross.errors import InputError
from torchcross.heads import conformal_sets, seeded_generator
from torchcross.task import Task

SetMethod: TypeAlias = Literal["leave-one-out", "split"]


@final
@dataclass(frozen=True, eq=False)
class PredictionSets:
    """The classes that may be the true one of each image.

    members     (N, C) for one class an image; (N, L, 2) for labels: whether "absent" and whether
                "present" is in the set of each label
    level       the coverage that was asked for, of each label
    guaranteed  the coverage that is guaranteed, on average over supports and images, where support
                and images are exchangeable
    """

    members: Bool[Tensor, "N *L C"]
    classes: tuple[str, ...]
    level: float
    guaranteed: float

    @property
    def sizes(self) -> Int64[Tensor, " N *L"]:
        return self.members.sum(-1)

    def covers(self, labels: Int64[Tensor, " N *L"]) -> Bool[Tensor, " N *L"]:
        """Whether the set of each image has its label; a missing label is in none."""
        inside = self.members.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return inside & (labels >= 0)


@torch.no_grad()
def prediction_sets(
    algorithm: LogisticRegression,
    support: Batch,
    task: Task,
    images: Tensor,
    *,
    level: float = 0.9,
    method: SetMethod = "leave-one-out",
    seed: int = 0,
) -> PredictionSets:
    """Sets that have the true class of an image with probability `level`, from a support set.

    "leave-one-out"  every sample is left out once. The guarantee is 2 x level - 1; what is seen is
                     near `level`
    "split"          half of each class, chosen by `seed`, fits the head, and the other half sets
                     the size of the sets. The guarantee is `level`; the sets are larger

    Sets of a small support are large: with fewer than level / (1 - level) samples to compare with,
    every class is in every set. The guarantee holds where support and images are drawn alike. A
    support with as many samples of each class is so drawn only if images are too. A temperature of
    the algorithm plays no part. Each class needs two samples.
    """
    check_choice("method", method, get_args(SetMethod))
    if checked_number("level", level, above=0) >= 1:
        raise InputError(f"level={level} is not below 1; give a share, such as 0.9.")
    codes = task.target.likelihood.codes(support.y.long())
    refuse_single_samples(codes, task, "prediction_sets")
    features, queries = algorithm.features_of(support, task, images)
    held_out = None
    if method == "split":
        held_out = _halves(codes, seed)
    members = conformal_sets(
        task.target.likelihood,
        features,
        codes,
        queries,
        torch.tensor(algorithm.C, dtype=torch.float64),
        level=level,
        held_out=held_out,
        unit_length=algorithm.unit_length,
    )
    by_image = members.movedim(0, 1)
    if not task.target.label_shape:
        by_image = by_image.squeeze(1)
    guaranteed = level if method == "split" else max(0.0, 2 * level - 1)
    return PredictionSets(by_image, task.classes, level, guaranteed)


def _halves(codes: Int64[Tensor, "A N"], seed: int) -> Bool[Tensor, "A N"]:
    """For each answer, half of the samples of each class: the smaller half of an odd number."""
    generator = seeded_generator(seed, "halves of a support set")
    held_out = torch.zeros(codes.shape, dtype=torch.bool)
    for row, answer in zip(held_out, codes.cpu(), strict=True):
        for code in answer.unique().tolist():
            places = (answer == code).nonzero().flatten()
            order = torch.randperm(len(places), generator=generator)
            row[places[order[: len(places) // 2]]] = True
    return held_out
