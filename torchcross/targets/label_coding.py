"""What heads, algorithms and scores ask a target: how labels become numbers, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from torchcross.targets.labels import Codes
from torchcross.targets.likelihood import Likelihood


class LabelCoding(ABC):
    """The part of a target that heads are written with, once for all target types."""

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """How many logits the target's loss takes."""

    @abstractmethod
    def answer_losses(
        self, logits: Float[Tensor, "N {self.num_outputs}"], labels: Int64[Tensor, " N *L"]
    ) -> Float[Tensor, "N A"]:
        """The loss of each answer of each sample alone, 0 where it is missing."""

    @abstractmethod
    def answer_probabilities(
        self, logits: Float[Tensor, "N {self.num_outputs}"]
    ) -> Float[Tensor, "N A C"]:
        """The probability of each class of each answer; answers are independent of each other."""

    @property
    @abstractmethod
    def num_prototypes(self) -> int:
        """How many prototypes describe a support set."""

    @property
    @abstractmethod
    def prototype_names(self) -> tuple[str | None, ...]:
        """The class that each prototype stands for; None: for samples that lack a label."""

    @abstractmethod
    def prototype_strata(
        self, labels: Int64[Tensor, " N *L"]
    ) -> Float[Tensor, "N {self.num_prototypes}"]:
        """Zeros and ones: which samples each prototype is the mean of."""

    @abstractmethod
    def prototype_logits(
        self, scores: Float[Tensor, "N {self.num_prototypes}"]
    ) -> Float[Tensor, "N {self.num_outputs}"]:
        """One score per prototype (e.g. minus squared distance) -> logits of this target's loss."""

    @abstractmethod
    def regression_targets(self, labels: Int64[Tensor, " N *L"]) -> Float[Tensor, "N R"]:
        """What a least-squares head regresses on, 0 where the label is missing."""

    @abstractmethod
    def regression_logits(
        self, outputs: Float[Tensor, "N R"]
    ) -> Float[Tensor, "N {self.num_outputs}"]:
        """Outputs of a least-squares head -> logits of this target's loss."""

    @abstractmethod
    def label_columns(self, codes: Codes) -> NDArray[np.float64]:
        """Columns (N, R) of zeros and ones that say what a label is, NaN where it is missing.

        Scores of a source regress them on its features.
        """

    @property
    @abstractmethod
    def likelihood(self) -> Likelihood:
        """The convex likelihood that a converged linear head maximises."""

    # -- supports without a class: see `torchcross.targets.succession` -----------------------------

    @abstractmethod
    def seen_classes(self, counts: Sequence[int]) -> tuple[int, ...]:
        """The classes that a head can be fitted to; none where the support set has too few."""

    @abstractmethod
    def logits_of_all(self, logits: Float[Tensor, "N O"], counts: Sequence[int]) -> Tensor:
        """Logits of `restrict(seen_classes(counts))`, or no column -> of all classes, float64."""
