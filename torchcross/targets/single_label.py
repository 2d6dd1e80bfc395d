"""What binary, multi-class and ordinal targets have in common: one class per sample."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap
from torch.nn import functional as F

from torchcross import metrics
from torchcross.losses import MISSING
from torchcross.targets.base import MetricFunction, Target
from torchcross.targets.checks import checked_codes
from torchcross.targets.classes import first_items
from torchcross.targets.labels import Codes, Legend, encode_single
from torchcross.targets.likelihood import Likelihood
from torchcross.targets.strata import Partition
from torchcross.targets.succession import as_double, log_of, with_missing_classes

METRICS_OF_CLASSES: dict[str, MetricFunction] = {
    "auroc": lambda target, p, y: metrics.auroc(
        p.probabilities, y, target.classes, scores=p.scores
    ),
    "weighted_auroc": lambda target, p, y: metrics.weighted_auroc(
        p.probabilities, y, target.classes, scores=p.scores
    ),
    "average_precision": lambda target, p, y: metrics.average_precision(
        p.probabilities, y, target.classes, scores=p.scores
    ),
    "accuracy": lambda target, p, y: metrics.accuracy(p.decisions, y),
    "balanced_accuracy": lambda target, p, y: metrics.balanced_accuracy(
        p.decisions, y, target.classes
    ),
    "f1": lambda target, p, y: metrics.f1(p.decisions, y, target.classes),
}
"""Metrics that treat all classes alike."""


@dataclass(frozen=True, init=False, repr=False)
class SingleLabelTarget(Target):
    """Abstract: every sample belongs to exactly one class, or its label is missing."""

    def encode(self, labels: Any, name: str = "labels") -> Codes:
        legend = Legend(type(self).__name__, self.values, self.missing, names=self.classes)
        return encode_single(labels, legend, name)

    def strata(self, codes: Codes) -> Partition:
        return Partition(codes, self.num_classes)

    @property
    def label_shape(self) -> tuple[int, ...]:
        return ()

    @property
    def ways(self) -> tuple[int, int]:
        return 2, self.num_classes

    def values_at(self, positions: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.values[p] for p in positions)

    def relabel(self, codes: Tensor | Codes, classes: Iterable[int | str]) -> NDArray[np.int64]:
        positions = self.positions(classes)
        # One entry more: the code -1 reads the last one.
        lookup = np.full(self.num_classes + 1, MISSING, dtype=np.int64)
        lookup[list(positions)] = np.arange(len(positions))
        return lookup[checked_codes(codes, self)]

    def _class_list(self) -> str:
        if self.values == tuple(range(self.num_classes)):
            return super()._class_list()
        pairs = zip(self.values, self.classes, strict=True)
        return f"{{{first_items(f'{value}: {name!r}' for value, name in pairs)}}}"

    @property
    def chance_levels(self) -> dict[str, float]:
        by_classes = dict.fromkeys(("accuracy", "balanced_accuracy"), 1 / self.num_classes)
        return super().chance_levels | by_classes

    def answer_losses(
        self, logits: Float[Tensor, "N {self.num_outputs}"], labels: Int64[Tensor, " N *L"]
    ) -> Float[Tensor, "N 1"]:
        losses: Tensor = vmap(lambda row, code: self.loss(row[None], code[None]))(logits, labels)
        return losses.unsqueeze(1)

    def answer_probabilities(
        self, logits: Float[Tensor, "N {self.num_outputs}"]
    ) -> Float[Tensor, "N 1 {self.num_classes}"]:
        return self.objective.probabilities(logits).unsqueeze(1)

    @property
    def num_prototypes(self) -> int:
        return self.num_classes

    @property
    def prototype_names(self) -> tuple[str | None, ...]:
        return self.classes

    def prototype_strata(
        self, labels: Int64[Tensor, " N *L"]
    ) -> Float[Tensor, "N {self.num_prototypes}"]:
        return one_hot(labels, self.num_classes)

    def prototype_logits(
        self, scores: Float[Tensor, "N {self.num_prototypes}"]
    ) -> Float[Tensor, "N {self.num_outputs}"]:
        return self.objective.from_scores(scores)

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood("softmax", 1, self.num_classes)

    def label_columns(self, codes: Codes) -> NDArray[np.float64]:
        """A column for each class."""
        return columns_of(codes, np.eye(self.num_classes))

    def seen_classes(self, counts: Sequence[int]) -> tuple[int, ...]:
        seen = tuple(place for place, count in enumerate(counts) if count)
        return seen if len(seen) >= self.ways[0] else ()

    def logits_of_all(
        self, logits: Float[Tensor, "N O"], counts: Sequence[int]
    ) -> Float[Tensor, "N {self.num_outputs}"]:
        values, seen = as_double(logits), self.seen_classes(counts)
        log_p = values.new_zeros(len(values), sum(1 for count in counts if count))
        if seen:
            log_p = log_of(self.restrict(seen).objective.probabilities(values))
        return self.objective.from_scores(with_missing_classes(log_p, counts))

    @abstractmethod
    def regression_codes(self) -> Float[Tensor, "{self.num_classes} R"]:
        """The code word that a least-squares head regresses on for each class."""

    def regression_targets(self, labels: Int64[Tensor, " N *L"]) -> Float[Tensor, "N R"]:
        return one_hot(labels, self.num_classes) @ self.regression_codes().to(labels.device)

    def regression_logits(
        self, outputs: Float[Tensor, "N R"]
    ) -> Float[Tensor, "N {self.num_outputs}"]:
        return self.objective.from_scores(
            outputs @ self.regression_codes().to(outputs).transpose(-2, -1)
        )


def one_hot(labels: Int64[Tensor, " N"], num_classes: int) -> Float[Tensor, "N {num_classes}"]:
    """A column of ones and zeros for each class; a missing label is a row of zeros."""
    known = (labels != MISSING).unsqueeze(-1)
    return F.one_hot(labels.clamp(min=0), num_classes) * known.to(torch.get_default_dtype())


def columns_of(codes: Codes, words: NDArray[np.float64]) -> NDArray[np.float64]:
    """The row of `words` of every code; a missing label is a row of NaN."""
    missing = np.full((1, words.shape[1]), np.nan)
    # The code -1 reads the last row.
    columns: NDArray[np.float64] = np.concatenate([words, missing])[codes]
    return columns
