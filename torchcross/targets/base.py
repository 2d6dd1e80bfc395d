"""The base of all target types. A fifth type is one new file with a subclass."""

from __future__ import annotations

import reprlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import nan
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from numpy.typing import NDArray
from torch import Tensor

from torchcross.errors import InputError, LabelError, TargetError
from torchcross.metrics import Score
from torchcross.metrics.reasons import NOT_FINITE
from torchcross.metrics.reference_values import CHANCE
from torchcross.targets.checks import (
    as_codes,
    check_codes,
    check_readable_codes,
    check_shapes,
    checked_codes,
    non_finite_rows,
)
from torchcross.targets.classes import (
    MissingValue,
    class_positions,
    first_items,
    normalise_missing,
)
from torchcross.targets.head_layout import HeadLayout
from torchcross.targets.label_coding import LabelCoding
from torchcross.targets.labels import Codes
from torchcross.targets.objective import Objective, Prediction
from torchcross.targets.own_losses import objectives_with
from torchcross.targets.padding import Padding
from torchcross.targets.strata import Strata

MetricFunction = Callable[["Target", Prediction, Tensor], Score]
_PER_CLASS = {"class_weights"}


@dataclass(frozen=True, init=False, repr=False)
class Target(LabelCoding):
    """The type of a label: its classes, its loss and metrics, its head, and what samplers count.

    Immutable, comparable, hashable and picklable. Encoded labels ("codes") are positions in
    `classes` (ordinal: ranks; multi-label: 0 and 1), -1 where the label is missing. `decode` gives
    the raw values back. `missing` declares the raw values that mean "unknown": integers, strings,
    or `float("nan")`, which also covers None.
    """

    kind: ClassVar[str]
    objectives: ClassVar[Mapping[str, Objective]]
    metrics: ClassVar[Mapping[str, MetricFunction]]
    default_metrics: ClassVar[tuple[str, ...]]
    default_loss: ClassVar[str]
    has_fixed_classes: ClassVar[bool] = False
    """Whether no class can be left out."""

    classes: tuple[str, ...]
    values: tuple[int, ...]
    missing: tuple[MissingValue, ...]
    loss_name: str
    loss_options: tuple[tuple[str, Any], ...]

    def check_and_fill(
        self,
        classes: tuple[str, ...],
        values: tuple[int, ...],
        missing: object,
        loss: str | None,
        options: Mapping[str, Any],
    ) -> None:
        """Check what all targets have in common, and fill the fields."""
        name = type(self).__name__
        loss = self.default_loss if loss is None else loss
        allowed = objectives_with(type(self), loss)[loss].options
        if unknown := sorted(set(options) - allowed):
            raise TargetError(
                f"{name} got the unknown options {unknown}; its loss {loss!r} takes"
                f" {sorted(allowed) or 'no options'}"
            )
        normal_missing = normalise_missing(name, missing, values, classes)
        frozen_options = sorted((option, _freeze(value)) for option, value in options.items())
        self._fill(classes, values, normal_missing, loss, tuple(frozen_options))
        self._try_loss()

    def _fill(
        self,
        classes: tuple[str, ...],
        values: tuple[int, ...],
        missing: tuple[MissingValue, ...],
        loss: str,
        options: tuple[tuple[str, Any], ...],
    ) -> None:
        """Write the frozen fields. No other place does."""
        state = (classes, values, missing, loss, options)
        for field, value in zip(fields(self), state, strict=True):
            object.__setattr__(self, field.name, value)

    def _try_loss(self) -> None:
        """Run the loss once on zeros: a bad option raises here, and not in the first step."""
        labels = torch.zeros(1, *self.label_shape, dtype=torch.int64)
        try:
            self.loss(torch.zeros(1, self.num_outputs), labels)
        except (InputError, TypeError, ValueError, OverflowError, RuntimeError) as error:
            options = reprlib.repr(dict(self.loss_options))
            raise TargetError(
                f"{type(self).__name__} cannot use the loss {self.loss_name!r} with {options}:"
                f" {error}"
            ) from error

    # -- labels ------------------------------------------------------------------------------------

    @abstractmethod
    def encode(self, labels: Any, name: str = "labels") -> Codes:
        """Raw labels -> validated codes. `name` stands for the labels in errors."""

    def decode(self, codes: Tensor | Codes) -> NDArray[np.int64]:
        """Codes -> raw label values (ordinal: grades). A missing label has none."""
        array = checked_codes(codes, self)
        if missing := int((array < 0).sum()):
            raise LabelError(
                f"{missing} code(s) are missing (-1) and have no label value; drop them first"
            )
        return np.asarray(self.values, dtype=np.int64)[array]

    @property
    @abstractmethod
    def label_shape(self) -> tuple[int, ...]:
        """Shape of one sample's label: () for one class per sample, (L,) for L answers."""

    @abstractmethod
    def strata(self, codes: Codes) -> Strata:
        """What a sampler may count on."""

    # -- subsets -----------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    @abstractmethod
    def ways(self) -> tuple[int, int]:
        """The fewest and the most classes (labels, grades) that an episode of this target may
        have.
        """

    def positions(self, classes: Iterable[int | str]) -> tuple[int, ...]:
        """Names or positions of classes -> ascending positions: the target keeps its order."""
        return class_positions(classes, self.classes, self)

    def restrict(self, classes: Iterable[int | str]) -> Self:
        """The same target with some of its classes, which keep their names, order and grades."""
        positions = self.positions(classes)
        if len(positions) == self.num_classes:
            return self
        fewest, most = self.ways
        if not fewest <= len(positions) <= most:
            raise TargetError(
                f"{self!r} cannot be restricted to {len(positions)} of its classes; keep {fewest}"
                f" to {most}"
            )
        options = dict(self.loss_options)
        for name in _PER_CLASS & options.keys():
            if options[name] is not None:
                options[name] = tuple(options[name][p] for p in positions)
        names = tuple(self.classes[p] for p in positions)
        values = self.values_at(positions)
        restricted = object.__new__(type(self))
        restricted._fill(names, values, self.missing, self.loss_name, tuple(options.items()))
        return restricted

    @abstractmethod
    def values_at(self, positions: tuple[int, ...]) -> tuple[int, ...]:
        """Label values after a restriction to the classes at `positions`."""

    @abstractmethod
    def relabel(self, codes: Tensor | Codes, classes: Iterable[int | str]) -> NDArray[np.int64]:
        """Codes of this target -> codes of `restrict(classes)`, -1 for classes that it lacks."""

    def with_loss(self, loss: str, **options: Any) -> Self:
        """The same target, trained with another loss."""
        target = object.__new__(type(self))
        target.check_and_fill(self.classes, self.values, self.missing, loss, options)
        return target

    # -- learning ----------------------------------------------------------------------------------

    @property
    def objective(self) -> Objective:
        return self.objectives[self.loss_name]

    @property
    def head(self) -> HeadLayout:
        """Shapes of a linear head's parameters for this target and loss."""
        return self.objective.layout(self.num_classes)

    @property
    def padding(self) -> Padding | None:
        """How to compute this loss as that of more outputs; None where that is not exact."""
        padding = self.objective.padding
        options = dict(self.loss_options)
        return padding if padding is not None and padding.keeps >= options.keys() else None

    @property
    def num_outputs(self) -> int:
        return self.head.outputs

    def loss(
        self, logits: Float[Tensor, "N {self.num_outputs}"], labels: Int64[Tensor, " N *L"]
    ) -> Float[Tensor, ""]:
        """Mean loss over known labels; it works under the transforms of torch.func.

        Labels outside the classes raise an error where their values can be read: on the CPU,
        outside vmap and torch.compile.
        """
        check_readable_codes(labels, len(self.values) - 1, self)
        return self.objective.loss(logits, labels, self, **dict(self.loss_options))

    def predict(self, logits: Float[Tensor, "N {self.num_outputs}"]) -> Prediction:
        """Logits -> probabilities, decisions, and the log-odds that samples are ranked by."""
        if (
            logits.ndim != 2
            or logits.shape[1] != self.num_outputs
            or not logits.is_floating_point()
        ):
            raise InputError(
                f"logits are {logits.dtype} of shape {tuple(logits.shape)}; {self!r} predicts from"
                f" floats of shape (N, {self.num_outputs})"
            )
        objective = self.objective
        return Prediction(
            objective.probabilities(logits), objective.decisions(logits), objective.scores(logits)
        )

    # -- measuring ---------------------------------------------------------------------------------

    def evaluate(
        self,
        prediction: Prediction,
        labels: Int[Tensor, " N *L"] | Int[np.ndarray, " N *L"],
        metrics: Sequence[str] | None = None,
    ) -> dict[str, Score]:
        """Metrics of codes by name, by default `default_metrics`.

        An undefined metric is NaN with its reason. So is every metric where a prediction is not
        finite: decisions on NaN mean nothing.
        """
        if isinstance(metrics, str):
            metrics = (metrics,)
        names = self.default_metrics if metrics is None else tuple(metrics)
        if unknown := [name for name in names if name not in self.metrics]:
            raise InputError(
                f"{type(self).__name__} has no metric {unknown}; choose from {sorted(self.metrics)}"
            )
        codes = as_codes(labels)
        check_shapes(prediction, codes, self)
        check_codes(codes, len(self.values) - 1, self)
        if rows := non_finite_rows(prediction, codes):
            reason = f"the predictions of {rows} of {len(codes)} samples {NOT_FINITE}"
            return dict.fromkeys(names, Score(nan, reason))
        return {name: self.metrics[name](self, prediction, codes) for name in names}

    @property
    def chance_levels(self) -> dict[str, float]:
        """What is expected of decisions drawn uniformly and of random ranks, by metric.

        Metrics whose expected value depends on how frequent the classes are have none.
        """
        return {name: CHANCE[name] for name in self.metrics if name in CHANCE}

    def __repr__(self) -> str:
        arguments = [self._class_list()]
        if self.missing:
            arguments.append(f"missing={list(self.missing)}")
        if self.loss_name != self.default_loss:
            arguments.append(f"loss={self.loss_name!r}")
        arguments += [f"{name}={reprlib.repr(value)}" for name, value in self.loss_options]
        return f"{type(self).__name__}({', '.join(arguments)})"

    def _class_list(self) -> str:
        return f"[{first_items(map(repr, self.classes))}]"


def _freeze(value: Any) -> Any:
    """Options as hashable values: tensors, arrays and lists become (nested) tuples of numbers."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(map(_freeze, value)) if isinstance(value, list | tuple) else value
