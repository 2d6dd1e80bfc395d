"""Checks of shapes, dtypes and options. They read no values, so they work under ``torch.func``.

The inputs may have any shape, so their annotation is a plain ``Tensor``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from torchcross.errors import InputError

Numbers: TypeAlias = Sequence[float] | Tensor


def check_columns(
    name: str, logits: Tensor, columns: str, fewest: int, exactly: bool = False
) -> None:
    """Floating-point logits of shape (N, columns)."""
    if not logits.is_floating_point():
        raise InputError(
            f"{name}: logits are {logits.dtype}, expected floating point; call logits.float()"
        )
    shape = tuple(logits.shape)
    if len(shape) != 2 or shape[1] < fewest or (exactly and shape[1] != fewest):
        width = f"(N, {columns})" if exactly else f"(N, {columns}) with {columns} >= {fewest}"
        raise InputError(
            f"{name}: logits have shape {shape}, expected {width}; give one row of logits per"
            " sample"
        )


def check_single_label(
    name: str, logits: Tensor, labels: Tensor, columns: str, fewest: int, exactly: bool = False
) -> None:
    """Logits (N, columns) with class indices (N,)."""
    check_columns(name, logits, columns, fewest, exactly)
    _check_labels(name, labels, (logits.shape[0],), "one class index per row of the logits")


def check_multi_label(name: str, logits: Tensor, labels: Tensor) -> None:
    """Logits (N, L) with labels (N, L)."""
    check_columns(name, logits, "L", 1)
    _check_labels(name, labels, tuple(logits.shape), "one 0, 1 or -1 (missing) per logit")


def _check_labels(name: str, labels: Tensor, shape: tuple[int, ...], expected: str) -> None:
    if labels.dtype != torch.int64:
        raise InputError(
            f"{name}: labels are {labels.dtype}, expected torch.int64; call labels.long()"
        )
    if tuple(labels.shape) != shape:
        raise InputError(
            f"{name}: labels have shape {tuple(labels.shape)}, expected {shape}; give {expected}"
        )


def check_option(name: str, option: str, value: float | None) -> None:
    is_valid, expected = _OPTIONS[option]
    if not is_valid(value):
        raise InputError(f"{name}: {option} is {value}, expected {expected}")


_OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "smoothing": (lambda value: 0.0 <= value < 1.0, "0 <= smoothing < 1; 0 turns it off"),
    "gamma": (
        lambda value: 0.0 <= value < math.inf,
        "a finite gamma >= 0; 0 gives plain cross-entropy",
    ),
    "alpha": (
        lambda value: value is None or 0.0 <= value <= 1.0,
        "the weight of the positive class in [0, 1]; None weighs both classes by 1",
    ),
    "tau": (
        lambda value: 0.0 < value < math.inf,
        "a finite tau > 0, in the unit of the grades; a small one approaches plain cross-entropy",
    ),
}


def weight_tensor(
    name: str,
    weights: Numbers | Sequence[Sequence[float]],
    shape: tuple[int, ...],
    expected: str,
    like: Tensor,
) -> Tensor:
    """Class weights, of the dtype and on the device of ``like``."""
    numbers = _numbers(
        f"{name}: class_weights", weights, shape, expected, lambda numbers: (numbers >= 0).all()
    )
    return numbers.to(like)


def gap_tensor(name: str, gaps: Numbers, ranks: int, like: Tensor) -> Float[Tensor, " {ranks-1}"]:
    """The differences between neighbouring grades, as above."""
    expected = f"K - 1 = {ranks - 1} finite differences > 0 between neighbouring grades"
    numbers = _numbers(
        f"{name}: gaps", gaps, (ranks - 1,), expected, lambda numbers: (numbers > 0).all()
    )
    return numbers.to(like)


def grade_tensor(name: str, grades: Numbers, ranks: int, like: Tensor) -> Float[Tensor, " {ranks}"]:
    """The grades of the ranks, as above."""
    expected = f"K = {ranks} finite grades in strictly increasing order, one per rank"
    numbers = _numbers(
        f"{name}: grades", grades, (ranks,), expected, lambda numbers: (numbers.diff() > 0).all()
    )
    return numbers.to(like)


def _numbers(
    option: str,
    values: object,
    shape: tuple[int, ...],
    expected: str,
    are_valid: Callable[[Tensor], Tensor],
) -> Tensor:
    """The numbers as a tensor. Of a tensor only the shape is checked.

    To read the values of a tensor would stop a transform of ``torch.func``.
    """
    if isinstance(values, Tensor):
        numbers = values
    else:
        try:
            numbers = torch.as_tensor(values, dtype=torch.float64, device="cpu")
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{option} is {values!r}, expected {expected}") from error
    if tuple(numbers.shape) != shape:
        raise InputError(
            f"{option} has shape {tuple(numbers.shape)}, expected {shape}; give {expected}"
        )
    if numbers is not values and not (bool(numbers.isfinite().all()) and are_valid(numbers)):
        raise InputError(f"{option} is {values!r}; give {expected}")
    return numbers
