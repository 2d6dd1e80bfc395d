"""Metrics of single-label targets: binary (two classes), multi-class, ordinal.

Labels are class indices, -1 is missing and left out. ``classes`` are the names, in the order of the
indices; messages use them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from torchcross.errors import InputError
from torchcross.metrics.inputs import (
    beside,
    check_classes,
    check_probabilities,
    count_non_finite,
    indices,
    known_rows,
    nothing_known,
)
from torchcross.metrics.ranking import area_under_roc, mean_precision
from torchcross.metrics.score import Score, average, undefined

__all__ = [
    "accuracy",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "binary_auroc",
    "binary_average_precision",
    "binary_f1",
    "confusion",
    "f1",
]


def accuracy(decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"]) -> Score:
    """The share of decisions that are right."""
    decisions, known = known_rows(
        "accuracy", indices("accuracy", "decisions", decisions, 0), labels, None
    )
    if not len(known):
        return undefined(nothing_known(len(labels)))
    return Score(int((decisions == known).sum()) / len(known))


def balanced_accuracy(
    decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """The mean over the classes that are present of the share of their items decided rightly."""
    counts = confusion("balanced_accuracy", decisions, labels, len(classes), classes)
    present = counts.sum(dim=1)
    return average(
        _ratios(counts.diagonal(), present), classes, "classes", nothing_known(len(labels))
    )


def f1(decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]) -> Score:
    """The mean over classes of ``2 tp / (2 tp + fp + fn)``.

    A class that no label names is left out, whatever was predicted.
    """
    values = _f1_by_class(confusion("f1", decisions, labels, len(classes), classes))
    return average(values, classes, "classes", nothing_known(len(labels)))


def binary_f1(
    decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """``2 tp / (2 tp + fp + fn)`` of the positive class, the second of two; undefined without a
    positive.
    """
    counts = confusion("binary_f1", decisions, labels, 2, classes)
    if not counts.sum():
        return undefined(nothing_known(len(labels)))
    value = _f1_by_class(counts)[1]
    if value is None:
        return undefined(f"only one class in the query: {classes[0]!r}")
    return Score(value)


def auroc(
    probabilities: Float[Tensor, "N C"],
    labels: Int[Tensor, " N"],
    classes: Sequence[str],
    *,
    scores: Float[Tensor, "N C"] | None = None,
) -> Score:
    """The mean over classes of the area under the ROC curve of one class against the rest.

    A class that is absent, or that all items belong to, is left out of the mean. Items are ranked
    by ``scores`` where they are given (log-odds, say, which do not saturate), else by their
    probabilities.
    """
    return _one_against_rest("auroc", area_under_roc, probabilities, labels, classes, scores)


def average_precision(
    probabilities: Float[Tensor, "N C"],
    labels: Int[Tensor, " N"],
    classes: Sequence[str],
    *,
    scores: Float[Tensor, "N C"] | None = None,
) -> Score:
    """The mean over classes of ``sum_n (R_n - R_{n-1}) P_n``, one class against the rest.

    A class that is absent is left out of the mean. Items are ranked as for ``auroc``.
    """
    return _one_against_rest(
        "average_precision", mean_precision, probabilities, labels, classes, scores
    )


def binary_auroc(
    scores: Float[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """The area under the ROC curve of scores, any finite numbers that are higher for positives."""
    scores, positive, why_not = _binary("binary_auroc", scores, labels, classes)
    if why_not:
        return undefined(why_not)
    value = area_under_roc(scores, positive)
    return undefined(_only_one_class(positive.long(), classes)) if value is None else Score(value)


def binary_average_precision(
    scores: Float[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """``sum_n (R_n - R_{n-1}) P_n`` of scores, any finite numbers that are higher for positives."""
    scores, positive, why_not = _binary("binary_average_precision", scores, labels, classes)
    if why_not:
        return undefined(why_not)
    value = mean_precision(scores, positive)
    return undefined(_only_one_class(positive.long(), classes)) if value is None else Score(value)


def confusion(
    name: str,
    decisions: Int[Tensor, " N"],
    labels: Int[Tensor, " N"],
    count: int,
    classes: Sequence[str] | None = None,
) -> Int64[Tensor, "{count} {count}"]:
    """How many known items of class i (row) were decided to be j (column), exactly."""
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    if classes is not None:
        check_classes(name, classes, count, "one per class")
    decided = indices(name, "decisions", decisions, 0, count)
    decided, known = known_rows(name, decided, labels, count)
    counts: Tensor = multiclass_confusion_matrix(
        decided, known, num_classes=count, validate_args=False
    )
    return counts


def _ratios(
    numerators: Int64[Tensor, " C"], denominators: Int64[Tensor, " C"]
) -> list[float | None]:
    pairs = zip(numerators.tolist(), denominators.tolist(), strict=True)
    return [top / bottom if bottom else None for top, bottom in pairs]


def _f1_by_class(counts: Int64[Tensor, "C C"]) -> list[float | None]:
    """F1 of every class that is present."""
    present = counts.sum(dim=1)
    # 2 tp + fp + fn is how often the class is present plus how often it is predicted.
    return _ratios(2 * counts.diagonal(), torch.where(present > 0, present + counts.sum(dim=0), 0))


def _one_against_rest(
    name: str,
    metric: Callable[[Tensor, Tensor], float | None],
    probabilities: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    scores: Tensor | None,
) -> Score:
    if probabilities.dim() != 2:
        shape = tuple(probabilities.shape)
        raise InputError(
            f"{name}: probabilities have shape {shape}, expected (N, C); give one row per item"
        )
    check_classes(name, classes, probabilities.shape[1], "one per column of the probabilities")
    p, known = known_rows(name, probabilities, labels, len(classes))
    check_probabilities(name, p)
    ranked = (
        p
        if scores is None
        else known_rows(name, beside(name, scores, probabilities), labels, None)[0]
    )
    why_not = "" if len(known) else nothing_known(len(labels))
    why_not = why_not or count_non_finite(p, "probabilities") or count_non_finite(ranked, "scores")
    if why_not:
        return undefined(why_not, over=())
    values = [metric(ranked[:, column], known == column) for column in range(len(classes))]
    return average(values, classes, "classes", _only_one_class(known, classes))


def _binary(
    name: str, scores: Tensor, labels: Tensor, classes: Sequence[str]
) -> tuple[Float[Tensor, " M"], Bool[Tensor, " M"], str]:
    """The known scores, which are positives, and why they cannot be scored, if so."""
    check_classes(name, classes, 2, "the negative and the positive class")
    if scores.dim() != 1 or not scores.is_floating_point():
        raise InputError(
            f"{name}: scores are {scores.dtype} of shape {tuple(scores.shape)}, expected floats"
            " (N,); give one score per item"
        )
    scores, known = known_rows(name, scores, labels, 2)
    why_not = "" if len(known) else nothing_known(len(labels))
    return scores, known == 1, why_not or count_non_finite(scores, "scores")


def _only_one_class(known: Int64[Tensor, " M"], classes: Sequence[str]) -> str:
    present = torch.unique(known).tolist()
    return "only one class in the query: " + ", ".join(repr(classes[index]) for index in present)
