"""What every target type answers. A fifth type is one new file that answers the same questions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross.errors import InputError, LabelError, TargetError
from torchcross.losses import MISSING
from torchcross.metrics import Score
from torchcross.targets._labels import Codes, MissingValue, normalise_missing
from torchcross.targets.head import HeadLayout
from torchcross.targets.strata import Strata

__all__ = ["Objective", "Prediction", "Target"]


@dataclass(frozen=True)
class Prediction:
    """What a predictor says of N samples.

    `probabilities` is (N, C), one column per class (binary: two) or per label; `decisions` is (N,) class positions, or
    (N, L) zeros and ones for multi-label.
    """

    probabilities: Tensor
    decisions: Tensor


@dataclass(frozen=True)
class Objective:
    """One way to train a head: the loss, the head's layout, and the way from logits to probabilities and decisions.

    `loss` is called as `loss(logits, labels, target, **options)`. `from_scores` turns one score per class, or per label
    (higher is likelier, a softmax or sigmoid of it is the probability), into logits that mean the same under this
    objective, so that prototype and ridge heads work with every loss.
    """

    loss: Callable[..., Tensor]
    layout: Callable[[int], HeadLayout]
    probabilities: Callable[[Tensor], Tensor]
    decisions: Callable[[Tensor], Tensor]
    from_scores: Callable[[Tensor], Tensor]
    options: frozenset[str] = frozenset()


MetricFunction = Callable[["Target", Prediction, Tensor], Score]


@dataclass(frozen=True, init=False)
class Target(ABC):
    """The type of a label: its classes, what a head predicts, which loss and metrics, and what a sampler may count.

    Immutable, comparable, hashable and picklable. Encoded labels ("codes") are positions in `classes` (for an ordinal
    target: ranks), -1 where the label is missing; `decode` gives the raw values back.
    """

    kind: ClassVar[str]
    objectives: ClassVar[Mapping[str, Objective]]
    metrics: ClassVar[Mapping[str, MetricFunction]]
    default_metrics: ClassVar[tuple[str, ...]]
    default_loss: ClassVar[str]

    classes: tuple[str, ...]
    values: tuple[int, ...]
    missing: tuple[MissingValue, ...]
    loss_name: str
    loss_options: tuple[tuple[str, Any], ...] = field(default=())

    def _set(
        self, classes: tuple[str, ...], values: tuple[int, ...], missing: object, loss: str | None, options: Mapping[str, Any]
    ) -> None:
        """Fills the frozen fields; the only place that does."""
        loss = self.default_loss if loss is None else loss
        if loss not in self.objectives:
            raise TargetError(f"{type(self).__name__} has no loss {loss!r}; choose one of {sorted(self.objectives)}")
        allowed = self.objectives[loss].options
        if unknown := sorted(set(options) - allowed):
            raise TargetError(f"the loss {loss!r} of {type(self).__name__} takes no option {unknown}; it takes {sorted(allowed)}")
        frozen = {
            "classes": classes,
            "values": values,
            "missing": normalise_missing(type(self).__name__, missing, values, classes),
            "loss_name": loss,
            "loss_options": tuple(sorted((name, _freeze(value)) for name, value in options.items())),
        }
        for name, value in frozen.items():
            object.__setattr__(self, name, value)
        self._try_loss()

    def _try_loss(self) -> None:
        """Runs the loss once on zeros, so that a bad option speaks when the target is made, not in the first step."""
        try:
            self.loss(torch.zeros(1, self.num_outputs), torch.zeros_like(self._example_labels()))
        except (InputError, TypeError, ValueError, RuntimeError) as error:
            given = dict(self.loss_options)
            raise TargetError(f"{type(self).__name__} cannot use the loss {self.loss_name!r} with {given}: {error}") from error

    # -- labels ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def encode(self, labels: Any, what: str = "labels") -> Codes:
        """Raw labels -> validated codes; an error names what was found where. `what` names the array in errors."""

    def decode(self, codes: Tensor | Codes) -> NDArray[np.int64]:
        """Codes -> raw label values (grades for an ordinal target). Missing codes cannot be decoded."""
        array = np.asarray(codes)
        if (array < 0).any():
            raise LabelError(f"{int((array < 0).sum())} code(s) are missing (-1) and have no label value; drop them first")
        return np.asarray(self._decode_values(), dtype=np.int64)[array]

    def _decode_values(self) -> tuple[int, ...]:
        return self.values

    @abstractmethod
    def _example_labels(self) -> Tensor:
        """Labels of one sample, any valid one."""

    @abstractmethod
    def strata(self, codes: Codes) -> Strata:
        """What a sampler may count on."""

    # -- subsets --------------------------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    @abstractmethod
    def ways(self) -> tuple[int, int]:
        """The fewest and the most classes (labels, grades) that an episode of this target may have."""

    def positions(self, classes: Iterable[int | str]) -> tuple[int, ...]:
        """Names or positions of classes -> ascending positions; the target's order always survives."""
        found = []
        for item in classes:
            if isinstance(item, str) and item in self.classes:
                found.append(self.classes.index(item))
            elif isinstance(item, int | np.integer) and not isinstance(item, bool) and 0 <= item < self.num_classes:
                found.append(int(item))
            else:
                raise TargetError(f"{item!r} is not a class of {self!r}; give names or positions 0..{self.num_classes - 1}")
        if len(set(found)) < len(found):
            raise TargetError(f"classes {list(classes)} name a class twice")
        return tuple(sorted(found))

    def restrict(self, classes: Iterable[int | str]) -> Self:
        """The same target with some of its classes: names, order and grades stay."""
        positions = self.positions(tuple(classes))
        if positions == tuple(range(self.num_classes)):
            return self
        fewest, most = self.ways
        if not fewest <= len(positions) <= most:
            raise TargetError(f"{self!r} cannot be restricted to {len(positions)} of its classes; it allows {fewest} to {most}")
        return self._remade(positions, self.loss_name, self._options_for(positions))

    def relabel(self, codes: Codes, classes: Sequence[int]) -> NDArray[np.int64]:
        """Codes of this target -> codes of its restriction to the positions `classes`; -1 for every other class."""
        lookup = np.full(self.num_classes + 1, MISSING, dtype=np.int64)
        lookup[np.asarray(classes)] = np.arange(len(classes))
        return lookup[codes]

    def with_loss(self, loss: str, **options: Any) -> Self:
        """The same target, trained with another loss."""
        return self._remade(tuple(range(self.num_classes)), loss, options)

    @abstractmethod
    def _remade(self, positions: tuple[int, ...], loss: str, options: Mapping[str, Any]) -> Self:
        """This target with the classes at `positions` and the given loss."""

    def _options_for(self, positions: tuple[int, ...]) -> dict[str, Any]:
        """Loss options after a restriction: what stands per class is cut down to the classes that stay."""
        per_class = {"class_weights"}
        return {
            name: tuple(value[p] for p in positions) if name in per_class and value is not None else value
            for name, value in self.loss_options
        }

    # -- learning -------------------------------------------------------------------------------------------------

    @property
    def objective(self) -> Objective:
        return self.objectives[self.loss_name]

    @property
    def head(self) -> HeadLayout:
        """Shapes of a linear head's parameters for this target and loss."""
        return self.objective.layout(self.num_classes)

    @property
    def num_outputs(self) -> int:
        return self.head.outputs

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss over known labels; usable under torch.func transforms."""
        return self.objective.loss(logits, labels, self, **dict(self.loss_options))

    def predict(self, logits: Tensor) -> Prediction:
        """(N, num_outputs) logits -> probabilities and decisions."""
        if logits.ndim != 2 or logits.shape[1] != self.num_outputs:
            raise InputError(
                f"logits have shape {tuple(logits.shape)}; {self!r} with loss {self.loss_name!r} predicts from (N, {self.num_outputs})"
            )
        return Prediction(self.objective.probabilities(logits), self.objective.decisions(logits))

    @property
    @abstractmethod
    def num_prototypes(self) -> int:
        """How many prototypes describe a support set."""

    @abstractmethod
    def prototype_strata(self, labels: Tensor) -> Tensor:
        """(N, num_prototypes) zeros and ones: which samples each prototype is the mean of."""

    @abstractmethod
    def prototype_logits(self, scores: Tensor) -> Tensor:
        """One score per prototype (e.g. minus squared distance) -> logits of this target's loss."""

    @abstractmethod
    def regression_targets(self, labels: Tensor) -> Tensor:
        """What a least-squares head regresses on: (N, R) floats, 0 where missing."""

    @abstractmethod
    def regression_logits(self, outputs: Tensor) -> Tensor:
        """(N, R) outputs of a least-squares head -> logits of this target's loss."""

    # -- measuring ------------------------------------------------------------------------------------------------

    def evaluate(self, prediction: Prediction, labels: Tensor, metrics: Sequence[str] | None = None) -> dict[str, Score]:
        """Metrics by name (default: `default_metrics`); what is undefined is NaN with its reason."""
        names = self.default_metrics if metrics is None else tuple(metrics)
        if unknown := [name for name in names if name not in self.metrics]:
            raise InputError(f"{type(self).__name__} has no metric {unknown}; choose from {sorted(self.metrics)}")
        if len(prediction.decisions) != len(labels):
            raise InputError(f"{len(prediction.decisions)} predictions against {len(labels)} labels; give one each")
        return {name: self.metrics[name](self, prediction, labels) for name in names}

    def __repr__(self) -> str:
        shown = ", ".join(repr(name) for name in self.classes[:6]) + (", ..." if self.num_classes > 6 else "")
        loss = "" if self.loss_name == self.default_loss and not self.loss_options else f", loss={self.loss_name!r}"
        return f"{type(self).__name__}([{shown}]{loss})"


def _freeze(value: Any) -> Any:
    """Options as hashable values: tensors, arrays and lists become (nested) tuples of numbers."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return tuple(_freeze(item) for item in value) if isinstance(value, list | tuple) else value
