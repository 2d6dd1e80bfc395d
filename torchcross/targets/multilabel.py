"""Several yes/no answers per sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from torchcross import losses, metrics
from torchcross.errors import TargetError
from torchcross.targets.base import Target
from torchcross.targets.checks import checked_codes
from torchcross.targets.classes import normalise_classes
from torchcross.targets.labels import Codes, Legend, encode_multi
from torchcross.targets.likelihood import Likelihood
from torchcross.targets.objective import Objective
from torchcross.targets.objective_parts import WithoutTarget, identity, output_per_class
from torchcross.targets.padding import UNKNOWN_LABELS
from torchcross.targets.strata import Cover
from torchcross.targets.succession import as_double, log_odds_of_labels


def _probabilities(logits: Float[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    return torch.sigmoid(logits)


def _decisions(logits: Float[Tensor, "N L"]) -> Int64[Tensor, "N L"]:
    return (logits > 0).long()


def _objective(loss: Callable[..., Tensor], *options: str) -> Objective:
    return Objective(
        loss=WithoutTarget(loss),
        layout=output_per_class,
        probabilities=_probabilities,
        decisions=_decisions,
        from_scores=identity,
        options=frozenset(options),
        log_odds=identity,
        padding=UNKNOWN_LABELS,
    )


@final
@dataclass(frozen=True, init=False, repr=False)
class MultiLabel(Target):
    """`MultiLabel(["cyst", "edema", ...])`: labels are zeros and ones (N, L), a column per name.

    >>> from torchcross.targets import MultiLabel
    >>> target = MultiLabel(["mass", "nodule"])
    >>> target.predict(torch.tensor([[2.0, -1.0], [1.0, 3.0]])).decisions
    tensor([[1, 0],
            [1, 1]])
    """

    kind = "multilabel"
    default_loss = "binary_cross_entropy"
    objectives = {
        "binary_cross_entropy": _objective(
            losses.multilabel_binary_cross_entropy, "class_weights", "smoothing"
        ),
        "focal": _objective(losses.multilabel_focal, "gamma", "alpha"),
    }
    metrics = {
        "auroc": lambda target, p, y: metrics.multilabel_auroc(
            p.probabilities, y, target.classes, scores=p.scores
        ),
        "average_precision": lambda target, p, y: metrics.multilabel_average_precision(
            p.probabilities, y, target.classes, scores=p.scores
        ),
        "accuracy": lambda target, p, y: metrics.multilabel_accuracy(
            p.decisions, y, target.classes
        ),
        "balanced_accuracy": lambda target, p, y: metrics.multilabel_balanced_accuracy(
            p.decisions, y, target.classes
        ),
        "f1": lambda target, p, y: metrics.multilabel_f1(p.decisions, y, target.classes),
        "exact_match": lambda target, p, y: metrics.exact_match(p.decisions, y),
    }
    default_metrics = ("auroc", "average_precision", "accuracy", "balanced_accuracy", "f1")

    def __init__(
        self,
        classes: Sequence[str] | Mapping[int, str],
        *,
        missing: object = (),
        loss: str | None = None,
        **loss_options: Any,
    ) -> None:
        names, columns = normalise_classes("MultiLabel", classes, fewest=1)
        if columns != tuple(range(len(names))):
            raise TargetError(
                f"MultiLabel got {classes!r} for its labels; the keys of a mapping are the columns"
                f" of the label array, 0..{len(names) - 1} in this order, or pass a list of names"
            )
        self.check_and_fill(names, (0, 1), missing, loss, loss_options)

    def encode(self, labels: Any, name: str = "labels") -> Codes:
        legend = Legend("MultiLabel", self.values, self.missing, columns=self.classes)
        return encode_multi(labels, legend, name)

    def strata(self, codes: Codes) -> Cover:
        return Cover(codes)

    @property
    def label_shape(self) -> tuple[int, ...]:
        return (self.num_classes,)

    @property
    def ways(self) -> tuple[int, int]:
        return 1, self.num_classes

    def values_at(self, positions: tuple[int, ...]) -> tuple[int, ...]:
        return self.values

    def relabel(self, codes: Tensor | Codes, classes: Iterable[int | str]) -> NDArray[np.int64]:
        return np.take(checked_codes(codes, self), self.positions(classes), axis=1)

    @property
    def chance_levels(self) -> dict[str, float]:
        by_labels = dict.fromkeys(("accuracy", "balanced_accuracy"), 0.5)
        return super().chance_levels | by_labels | {"exact_match": 0.5**self.num_classes}

    def answer_losses(
        self, logits: Float[Tensor, "N {self.num_outputs}"], labels: Int64[Tensor, " N *L"]
    ) -> Float[Tensor, "N {self.num_classes}"]:
        def loss_of_one(logit: Tensor, answer: Tensor) -> Tensor:
            one = (logit.reshape(1, 1), answer.reshape(1, 1))
            return self.objective.loss(*one, self, **dict(self.loss_options))

        losses: Tensor = vmap(vmap(loss_of_one))(logits, labels)
        return losses

    def answer_probabilities(
        self, logits: Float[Tensor, "N {self.num_outputs}"]
    ) -> Float[Tensor, "N {self.num_classes} 2"]:
        return torch.stack([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=-1)

    @property
    def num_prototypes(self) -> int:
        return 2 * self.num_classes

    @property
    def prototype_names(self) -> tuple[str | None, ...]:
        return (*(None for _ in self.classes), *self.classes)

    def prototype_strata(
        self, labels: Int64[Tensor, " N *L"]
    ) -> Float[Tensor, "N {self.num_prototypes}"]:
        """L columns of the samples without each label, then L of the samples with it."""
        return torch.cat([labels == 0, labels == 1], dim=-1).to(torch.get_default_dtype())

    def prototype_logits(
        self, scores: Float[Tensor, "N {self.num_prototypes}"]
    ) -> Float[Tensor, "N {self.num_outputs}"]:
        absent, present = scores.chunk(2, dim=-1)
        return self.objective.from_scores(present - absent)

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood("cumulative", self.num_classes, 2)

    def label_columns(self, codes: Codes) -> NDArray[np.float64]:
        """A column for each label."""
        columns = np.asarray(codes, dtype=np.float64)
        columns[columns < 0] = np.nan
        return columns

    def regression_targets(self, labels: Int64[Tensor, " N *L"]) -> Float[Tensor, "N R"]:
        """+1 with the label, -1 without, 0 where unknown."""
        dtype = torch.get_default_dtype()
        return (labels == 1).to(dtype) - (labels == 0).to(dtype)

    def regression_logits(
        self, outputs: Float[Tensor, "N R"]
    ) -> Float[Tensor, "N {self.num_outputs}"]:
        return self.objective.from_scores(2 * outputs)

    def seen_classes(self, counts: Sequence[int]) -> tuple[int, ...]:
        without, having = counts[: self.num_classes], counts[self.num_classes :]
        pairs = zip(without, having, strict=True)
        return tuple(place for place, pair in enumerate(pairs) if all(pair))

    def logits_of_all(
        self, logits: Float[Tensor, "N O"], counts: Sequence[int]
    ) -> Float[Tensor, "N {self.num_outputs}"]:
        without, having = counts[: self.num_classes], counts[self.num_classes :]
        return self.objective.from_scores(log_odds_of_labels(as_double(logits), without, having))
