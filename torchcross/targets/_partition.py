"""What binary, multi-class and ordinal targets share: one class per sample."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchcross.losses import MISSING
from torchcross.targets._labels import Codes, encode_single
from torchcross.targets.base import Target
from torchcross.targets.strata import Partition


@dataclass(frozen=True, init=False, repr=False)
class SingleLabelTarget(Target):
    """Abstract: every sample belongs to exactly one class, or its label is missing."""

    def encode(self, labels: Any, what: str = "labels") -> Codes:
        return encode_single(labels, type(self).__name__, self.classes, self.values, self.missing, what)

    def strata(self, codes: Codes) -> Partition:
        return Partition(codes, self.num_classes)

    def _example_labels(self) -> Tensor:
        return torch.zeros(1, dtype=torch.int64)

    @property
    def num_prototypes(self) -> int:
        return self.num_classes

    def prototype_strata(self, labels: Tensor) -> Tensor:
        return one_hot(labels, self.num_classes)

    def prototype_logits(self, scores: Tensor) -> Tensor:
        return self.objective.from_scores(scores)

    @abstractmethod
    def regression_codes(self) -> Tensor:
        """(C, R): the code word that a least-squares head regresses on for each class."""

    def regression_targets(self, labels: Tensor) -> Tensor:
        return one_hot(labels, self.num_classes) @ self.regression_codes().to(labels.device)

    def regression_logits(self, outputs: Tensor) -> Tensor:
        codes = self.regression_codes().to(outputs)
        return self.objective.from_scores(outputs @ codes.mT)


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """(N,) codes -> (N, C) floats; a missing label is a row of zeros."""
    known = (labels != MISSING).unsqueeze(-1)
    return F.one_hot(labels.clamp(min=0), num_classes) * known.to(torch.get_default_dtype())
