"""Checks of the inputs of metrics, and the removal of missing labels.

Inputs may have any shape. The tensors that these functions return are on the CPU, detached and in
range.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from torchcross._kit.missing_labels import MISSING
from torchcross.errors import InputError
from torchcross.metrics.reasons import NOT_FINITE

_PROBABILITY_SLACK = 1e-6


def check_classes(name: str, classes: Sequence[str], count: int, expected: str) -> None:
    """One name per class."""
    if isinstance(classes, str) or len(classes) != count:
        raise InputError(f"{name}: classes is {classes!r}, expected {count} names: {expected}")


def decided_rows(
    name: str, decisions: Tensor, labels: Tensor, count: int | None
) -> tuple[Int64[Tensor, " M"], Int64[Tensor, " M"]]:
    """The decisions for the rows with a label, and their labels; both are class indices."""
    return known_rows(name, _class_indices(name, "decisions", decisions, 0, count), labels, count)


def known_rows(
    name: str, values: Tensor, labels: Tensor, count: int | None
) -> tuple[Shaped[Tensor, " M *C"], Int64[Tensor, " M"]]:
    """The rows of ``values`` with a label, and their labels."""
    labels = _class_indices(name, "labels", labels, MISSING, count)
    if len(values) != len(labels):
        raise InputError(
            f"{name}: {len(values)} predictions and {len(labels)} labels were given; give one label"
            " per row"
        )
    known = labels != MISSING
    return values.detach().cpu()[known], labels[known]


def multi_label_entries(
    name: str, values: Tensor, labels: Tensor, classes: Sequence[str] | None
) -> tuple[Shaped[Tensor, "N L"], Int64[Tensor, "N L"], Bool[Tensor, "N L"]]:
    """``values``, labels in {-1, 0, 1}, and where the labels are known."""
    if labels.dim() != 2 or labels.shape != values.shape:
        raise InputError(
            f"{name}: predictions have shape {tuple(values.shape)} and labels"
            f" {tuple(labels.shape)}, expected both (N, L); give one column per label"
        )
    if classes is not None:
        check_classes(name, classes, labels.shape[1], "one per column")
    labels = _integers(name, "labels", labels, MISSING, 2)
    return values.detach().cpu(), labels, labels != MISSING


def _class_indices(
    name: str, role: str, codes: Tensor, lowest: int, count: int | None
) -> Int64[Tensor, " N"]:
    """Integers (or bools) in [lowest, count), as int64; ``role`` names them in errors."""
    if codes.dim() != 1:
        raise InputError(f"{name}: {role} have shape {tuple(codes.shape)}, expected (N,)")
    return _integers(name, role, codes, lowest, count)


def _integers(name: str, role: str, codes: Tensor, lowest: int, count: int | None) -> Tensor:
    if codes.is_floating_point() or codes.is_complex():
        raise InputError(f"{name}: {role} are {codes.dtype}, expected integers; encode them first")
    integers = codes.detach().cpu().long()
    if integers.numel():
        low, high = int(integers.min()), int(integers.max())
        if low < lowest or (count is not None and high >= count):
            top = "the last class" if count is None else count - 1
            missing = ", -1 being a missing label" if lowest == MISSING else ""
            raise InputError(
                f"{name}: {role} lie in {low}..{high}, expected {lowest}..{top}{missing};"
                " encode them with the target that names the classes"
            )
    return integers


def check_probabilities(name: str, probabilities: Tensor) -> None:
    """Floating-point numbers, the finite ones in [0, 1]."""
    if not probabilities.is_floating_point():
        raise InputError(
            f"{name}: predictions are {probabilities.dtype}, expected floating point; call .float()"
        )
    finite = probabilities[probabilities.isfinite()]
    if not finite.numel():
        return
    low, high = float(finite.min()), float(finite.max())
    if low < -_PROBABILITY_SLACK or high > 1 + _PROBABILITY_SLACK:
        raise InputError(
            f"{name}: probabilities lie in {low:.6g}..{high:.6g}, expected [0, 1];"
            " pass logits through the target's link first"
        )


def checked_scores(name: str, scores: Tensor, probabilities: Tensor) -> Tensor:
    """The scores, floating point and one for each probability."""
    if scores.shape != probabilities.shape or not scores.is_floating_point():
        raise InputError(
            f"{name}: scores are {scores.dtype} of shape {tuple(scores.shape)}, expected floats of"
            f" the probabilities' shape {tuple(probabilities.shape)}; give one score per"
            " probability, or none"
        )
    return scores


def non_finite_reason(numbers: Tensor, role: str) -> str:
    """How many of the numbers are not finite; empty if all are."""
    count = int((~numbers.isfinite()).sum())
    return f"{count} of {numbers.numel()} {role} {NOT_FINITE}" if count else ""


def no_labels_reason(rows: int) -> str:
    """Why there is nothing to score."""
    return f"all {rows} labels of the query are missing" if rows else "the query is empty"
