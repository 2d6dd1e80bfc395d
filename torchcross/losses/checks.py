"""Checks of what is static: shapes, dtypes and options. They work under ``torch.func`` as well.

What they judge may have any shape, so it comes as a plain ``Tensor``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from torchcross.errors import InputError

__all__ = [
    "Numbers",
    "check_alpha",
    "check_columns",
    "check_gamma",
    "check_multi_label",
    "check_single_label",
    "check_smoothing",
    "check_tau",
    "gap_tensor",
    "grade_tensor",
    "weight_tensor",
]

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
    fits = len(shape) == 2 and (shape[1] == fewest if exactly else shape[1] >= fewest)
    if not fits:
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


def _check_labels(name: str, labels: Tensor, shape: tuple[int, ...], what: str) -> None:
    if labels.dtype != torch.int64:
        raise InputError(
            f"{name}: labels are {labels.dtype}, expected torch.int64; call labels.long()"
        )
    if tuple(labels.shape) != shape:
        raise InputError(
            f"{name}: labels have shape {tuple(labels.shape)}, expected {shape}; give {what}"
        )


def check_smoothing(name: str, smoothing: float) -> None:
    if not 0.0 <= smoothing < 1.0:
        raise InputError(
            f"{name}: smoothing is {smoothing}, expected 0 <= smoothing < 1; 0 turns it off"
        )


def check_gamma(name: str, gamma: float) -> None:
    if not 0.0 <= gamma < math.inf:
        raise InputError(
            f"{name}: gamma is {gamma}, expected a finite gamma >= 0; 0 gives plain cross-entropy"
        )


def check_alpha(name: str, alpha: float | None) -> None:
    if alpha is not None and not 0.0 <= alpha <= 1.0:
        raise InputError(
            f"{name}: alpha is {alpha}, expected the weight of the positive class in [0, 1]; "
            "None weighs both classes by 1"
        )


def check_tau(name: str, tau: float) -> None:
    if not 0.0 < tau < math.inf:
        raise InputError(
            f"{name}: tau is {tau}, expected a finite tau > 0, in the unit of the grades; "
            "a small one approaches plain cross-entropy"
        )


def weight_tensor(
    name: str,
    given: Numbers | Sequence[Sequence[float]],
    shape: tuple[int, ...],
    what: str,
    like: Tensor,
) -> Tensor:
    """Class weights, beside the logits."""
    numbers = _numbers(f"{name}: class_weights", given, shape, what, _are_weights)
    return numbers.to(like)


def gap_tensor(name: str, given: Numbers, ranks: int, like: Tensor) -> Float[Tensor, " {ranks-1}"]:
    """The differences between neighbouring grades, beside the logits."""
    what = f"K - 1 = {ranks - 1} finite differences > 0 between neighbouring grades"
    return _numbers(f"{name}: gaps", given, (ranks - 1,), what, _are_gaps).to(like)


def grade_tensor(name: str, given: Numbers, ranks: int, like: Tensor) -> Float[Tensor, " {ranks}"]:
    """The grades of the ranks, beside the logits."""
    what = f"K = {ranks} finite grades in strictly increasing order, one per rank"
    return _numbers(f"{name}: grades", given, (ranks,), what, _are_grades).to(like)


def _are_weights(numbers: Tensor) -> bool:
    return bool((numbers >= 0).all())


def _are_gaps(numbers: Tensor) -> bool:
    return bool((numbers > 0).all())


def _are_grades(numbers: Tensor) -> bool:
    return all(low < high for low, high in pairwise(numbers.tolist()))


def _numbers(
    option: str, given: object, shape: tuple[int, ...], what: str, valid: Callable[[Tensor], bool]
) -> Tensor:
    """The numbers as a tensor. Of a tensor only the shape is checked: reading it would stop a
    transform.
    """
    if isinstance(given, Tensor):
        numbers = given
    else:
        try:
            numbers = torch.as_tensor(given, dtype=torch.float64, device="cpu")
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{option} is {given!r}, expected {what}") from error
    if tuple(numbers.shape) != shape:
        raise InputError(
            f"{option} has shape {tuple(numbers.shape)}, expected {shape}; give {what}"
        )
    if not isinstance(given, Tensor) and not (bool(numbers.isfinite().all()) and valid(numbers)):
        raise InputError(f"{option} is {given!r}; give {what}")
    return numbers
