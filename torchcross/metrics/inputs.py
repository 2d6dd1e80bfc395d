"""Checks of what a metric is given, and the removal of missing labels.

What comes in may have any shape; whatever goes on from here is on the CPU, detached, known and in
range.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from torchcross._kit.missing_labels import MISSING
from torchcross.errors import InputError

__all__ = [
    "beside",
    "check_classes",
    "check_probabilities",
    "count_non_finite",
    "indices",
    "known_rows",
    "multi_label_pair",
    "nothing_known",
]

_PROBABILITY_SLACK = 1e-6


def check_classes(name: str, classes: Sequence[str], count: int, what: str) -> None:
    """One name per class."""
    if isinstance(classes, str) or len(classes) != count:
        raise InputError(f"{name}: classes is {classes!r}, expected {count} names: {what}")


def indices(
    name: str, what: str, given: Tensor, lowest: int, count: int | None = None
) -> Int64[Tensor, " N"]:
    """Integers (or bools) in [lowest, count), as int64 on the CPU."""
    if given.dim() != 1:
        raise InputError(f"{name}: {what} have shape {tuple(given.shape)}, expected (N,)")
    return _integers(name, what, given, lowest, count)


def known_rows(
    name: str, values: Tensor, labels: Tensor, count: int | None
) -> tuple[Shaped[Tensor, " M *C"], Int64[Tensor, " M"]]:
    """The rows of ``values`` with a label, and their labels."""
    labels = indices(name, "labels", labels, MISSING, count)
    if len(values) != len(labels):
        raise InputError(
            f"{name}: {len(values)} predictions and {len(labels)} labels were given; give one label"
            " per row"
        )
    known = labels != MISSING
    return values.detach().cpu()[known], labels[known]


def multi_label_pair(
    name: str, values: Tensor, labels: Tensor, classes: Sequence[str] | None
) -> tuple[Shaped[Tensor, "N L"], Int64[Tensor, "N L"], Bool[Tensor, "N L"]]:
    """``values``, labels in {-1, 0, 1}, and where these are known."""
    if labels.dim() != 2 or labels.shape != values.shape:
        raise InputError(
            f"{name}: predictions have shape {tuple(values.shape)} and labels"
            f" {tuple(labels.shape)}, expected both (N, L); give one column per label"
        )
    if classes is not None:
        check_classes(name, classes, labels.shape[1], "one per column")
    labels = _integers(name, "labels", labels, MISSING, 2)
    return values.detach().cpu(), labels, labels != MISSING


def _integers(name: str, what: str, given: Tensor, lowest: int, count: int | None) -> Tensor:
    if given.is_floating_point() or given.is_complex():
        raise InputError(f"{name}: {what} are {given.dtype}, expected integers; encode them first")
    integers = given.detach().cpu().long()
    if integers.numel():
        low, high = int(integers.min()), int(integers.max())
        if low < lowest or (count is not None and high >= count):
            top = f"{count - 1}" if count is not None else "the last class"
            missing = ", -1 being a missing label" if lowest == MISSING else ""
            raise InputError(
                f"{name}: {what} lie in {low}..{high}, expected {lowest}..{top}{missing}; "
                "encode them with the target that names the classes"
            )
    return integers


def check_probabilities(name: str, given: Tensor) -> None:
    """Floating-point numbers in [0, 1], where they are finite at all."""
    if not given.is_floating_point():
        raise InputError(
            f"{name}: predictions are {given.dtype}, expected floating point; call .float()"
        )
    finite = given[given.isfinite()]
    low, high = (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 1.0)
    if low < -_PROBABILITY_SLACK or high > 1 + _PROBABILITY_SLACK:
        raise InputError(
            f"{name}: probabilities lie in {low:.6g}..{high:.6g}, expected [0, 1]; "
            "pass logits through the target's link first"
        )


def beside(name: str, scores: Tensor, probabilities: Tensor) -> Tensor:
    """The scores, floating point and one for each probability."""
    if scores.shape != probabilities.shape or not scores.is_floating_point():
        raise InputError(
            f"{name}: scores are {scores.dtype} of shape {tuple(scores.shape)}, expected floats of"
            f" the probabilities' shape {tuple(probabilities.shape)}; give one score per"
            " probability, or none"
        )
    return scores


def count_non_finite(given: Tensor, what: str) -> str:
    """How many of the numbers are not finite, as a reason; empty if all are."""
    bad = given.numel() - int(given.isfinite().sum())
    return f"{bad} of {given.numel()} {what} are not finite" if bad else ""


def nothing_known(rows: int) -> str:
    """Why there is nothing to score."""
    return f"all {rows} labels of the query are missing" if rows else "the query is empty"
