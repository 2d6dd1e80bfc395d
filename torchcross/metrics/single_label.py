"""Metrics of single-label targets: binary (two classes), multi-class, ordinal.

Labels are class indices, -1 is missing and left out. ``classes`` are the names, in the order of the
indices; messages use them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from torchcross.errors import InputError
from torchcross.metrics.inputs import (
    check_classes,
    check_probabilities,
    checked_scores,
    decided_rows,
    known_rows,
    no_labels_reason,
    non_finite_reason,
)
from torchcross.metrics.ranking import area_under_roc, mean_precision
from torchcross.metrics.score import Score, average_score, undefined_score


def accuracy(decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"]) -> Score:
    """The share of decisions that are right."""
    decided, truth = decided_rows("accuracy", decisions, labels, None)
    if not len(truth):
        return undefined_score(no_labels_reason(len(labels)))
    return Score(int((decided == truth).sum()) / len(truth))


def balanced_accuracy(
    decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """The mean, over the classes that are present, of the share of their items decided rightly."""
    counts = confusion("balanced_accuracy", decisions, labels, len(classes), classes)
    present = counts.sum(dim=1)
    return average_score(
        _ratios(counts.diagonal(), present), classes, "classes", no_labels_reason(len(labels))
    )


def f1(decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]) -> Score:
    """The mean over classes of ``2 tp / (2 tp + fp + fn)``.

    A class that no label names is left out, whatever was predicted.
    """
    values = _f1_by_class(confusion("f1", decisions, labels, len(classes), classes))
    return average_score(values, classes, "classes", no_labels_reason(len(labels)))


def binary_f1(
    decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """``2 tp / (2 tp + fp + fn)`` of the second class, the positive one; it needs a positive."""
    counts = confusion("binary_f1", decisions, labels, 2, classes)
    if not counts.sum():
        return undefined_score(no_labels_reason(len(labels)))
    value = _f1_by_class(counts)[1]
    if value is None:
        return undefined_score(f"only one class in the query: {classes[0]!r}")
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
    by ``scores`` where they are given (such as log-odds, which do not saturate), else by their
    probabilities.
    """
    return _one_against_rest("auroc", area_under_roc, probabilities, labels, classes, scores)


def weighted_auroc(
    probabilities: Float[Tensor, "N C"],
    labels: Int[Tensor, " N"],
    classes: Sequence[str],
    *,
    scores: Float[Tensor, "N C"] | None = None,
) -> Score:
    """As `auroc`, each class counted by its share of the items: scikit-learn's "weighted"."""
    macro = auroc(probabilities, labels, classes, scores=scores)
    if not macro.is_defined or not macro.over:
        return macro
    ranked = probabilities if scores is None else scores
    values = {
        name: area_under_roc(ranked[labels >= 0, code], labels[labels >= 0] == code)
        for code, name in enumerate(classes)
        if name in macro.over
    }
    shares = {name: int((labels == classes.index(name)).sum()) for name in values}
    total = sum(share * (values[name] or 0.0) for name, share in shares.items())
    return Score(total / sum(shares.values()), macro.reason, macro.over)


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
    return _rank_binary("binary_auroc", area_under_roc, scores, labels, classes)


def binary_average_precision(
    scores: Float[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """``sum_n (R_n - R_{n-1}) P_n`` of scores, any finite numbers that are higher for positives."""
    return _rank_binary("binary_average_precision", mean_precision, scores, labels, classes)


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
    decided, truth = decided_rows(name, decisions, labels, count)
    counts: Tensor = multiclass_confusion_matrix(
        decided, truth, num_classes=count, validate_args=False
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
    p, truth = known_rows(name, probabilities, labels, len(classes))
    check_probabilities(name, p)
    ranked = p
    if scores is not None:
        ranked, _ = known_rows(name, checked_scores(name, scores, probabilities), labels, None)
    reason = (
        no_labels_reason(len(labels))
        if not len(truth)
        else non_finite_reason(p, "probabilities") or non_finite_reason(ranked, "scores")
    )
    if reason:
        return undefined_score(reason, over=())
    values = [metric(ranked[:, column], truth == column) for column in range(len(classes))]
    return average_score(values, classes, "classes", _only_one_class(truth, classes))


def _rank_binary(
    name: str,
    metric: Callable[[Tensor, Tensor], float | None],
    scores: Tensor,
    labels: Tensor,
    classes: Sequence[str],
) -> Score:
    check_classes(name, classes, 2, "the negative and the positive class")
    if scores.dim() != 1 or not scores.is_floating_point():
        raise InputError(
            f"{name}: scores are {scores.dtype} of shape {tuple(scores.shape)}, expected floats"
            " (N,); give one score per item"
        )
    scores, truth = known_rows(name, scores, labels, 2)
    if not len(truth):
        return undefined_score(no_labels_reason(len(labels)))
    if reason := non_finite_reason(scores, "scores"):
        return undefined_score(reason)
    value = metric(scores, truth == 1)
    return undefined_score(_only_one_class(truth, classes)) if value is None else Score(value)


def _only_one_class(truth: Int64[Tensor, " M"], classes: Sequence[str]) -> str:
    names = ", ".join(repr(classes[index]) for index in torch.unique(truth).tolist())
    return f"only one class in the query: {names}"
