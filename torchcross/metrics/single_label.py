"""Metrics of single-label targets: binary (two classes), multi-class, ordinal.

Labels are class indices, -1 is missing and left out. ``classes`` are the names, in the order of the
indices; messages use them.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from torchcross.metrics.ranking import ColumnMetric, areas_under_roc, mean_precisions
from torchcross.metrics.score import Score, average_score, undefined_score


def accuracy(decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"]) -> Score:
    """The share of decisions that are right.

    >>> from torchcross.metrics import accuracy
    >>> round(accuracy(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0])).value, 3)
    0.667
    """
    decided, truth = decided_rows("accuracy", decisions, labels, None)
    if not len(truth):
        return undefined_score(no_labels_reason(len(labels)))
    return Score(int((decided == truth).sum()) / len(truth))


def balanced_accuracy(
    decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """The mean, over the classes that are present, of the share of their items decided rightly.

    >>> from torchcross.metrics import balanced_accuracy
    >>> decisions, labels = torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0])
    >>> round(balanced_accuracy(decisions, labels, ["disc", "star"]).value, 3)
    0.75
    """
    counts = confusion("balanced_accuracy", decisions, labels, len(classes), classes)
    present = counts.sum(dim=1)
    return average_score(
        _ratios(counts.diagonal(), present), classes, "classes", no_labels_reason(len(labels))
    )


def f1(decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]) -> Score:
    """The mean over classes of ``2 tp / (2 tp + fp + fn)``.

    A class that no label names is left out, whatever was predicted.

    >>> from torchcross.metrics import f1
    >>> round(f1(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), ["disc", "star"]).value, 3)
    0.667
    """
    values = _f1_by_class(confusion("f1", decisions, labels, len(classes), classes))
    return average_score(values, classes, "classes", no_labels_reason(len(labels)))


def binary_f1(
    decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """``2 tp / (2 tp + fp + fn)`` of the second class, the positive one; it needs a positive.

    >>> from torchcross.metrics import binary_f1
    >>> round(binary_f1(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), ["no", "yes"]).value, 3)
    0.667
    """
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

    >>> from torchcross.metrics import auroc
    >>> classes = ["disc", "square", "star"]
    >>> p = torch.tensor([[0.5, 0.2, 0.3], [0.2, 0.7, 0.1], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
    >>> round(auroc(p, torch.tensor([0, 1, 2, 2]), classes).value, 3)
    0.806
    """
    return _one_against_rest("auroc", areas_under_roc, probabilities, labels, classes, scores)


def weighted_auroc(
    probabilities: Float[Tensor, "N C"],
    labels: Int[Tensor, " N"],
    classes: Sequence[str],
    *,
    scores: Float[Tensor, "N C"] | None = None,
) -> Score:
    """As `auroc`, each class counted by its share of the items: scikit-learn's "weighted".

    >>> from torchcross.metrics import weighted_auroc
    >>> classes = ["disc", "square", "star"]
    >>> p = torch.tensor([[0.5, 0.2, 0.3], [0.2, 0.7, 0.1], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
    >>> round(weighted_auroc(p, torch.tensor([0, 1, 2, 2]), classes).value, 3)
    0.792
    """
    macro = auroc(probabilities, labels, classes, scores=scores)
    if not macro.is_defined or not macro.over:
        return macro
    ranked = (probabilities if scores is None else scores).detach().cpu()[labels.cpu() >= 0]
    truth = labels.detach().cpu()[labels.cpu() >= 0]
    areas = areas_under_roc(ranked, truth.unsqueeze(1) == torch.arange(len(classes)))
    values = {n: area for n, area in zip(classes, areas, strict=True) if n in macro.over}
    shares = {name: int((truth == classes.index(name)).sum()) for name in values}
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

    >>> from torchcross.metrics import average_precision
    >>> classes = ["disc", "square", "star"]
    >>> p = torch.tensor([[0.5, 0.2, 0.3], [0.2, 0.7, 0.1], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
    >>> round(average_precision(p, torch.tensor([0, 1, 2, 2]), classes).value, 3)
    0.778
    """
    return _one_against_rest(
        "average_precision", mean_precisions, probabilities, labels, classes, scores
    )


def binary_auroc(
    scores: Float[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """The area under the ROC curve of scores, any finite numbers that are higher for positives.

    >>> from torchcross.metrics import binary_auroc
    >>> scores = torch.tensor([0.9, 0.8, 0.3, 0.1])
    >>> binary_auroc(scores, torch.tensor([1, 0, 1, 0]), ["no", "yes"]).value
    0.75
    >>> binary_auroc(scores, torch.tensor([1, 1, 1, 1]), ["no", "yes"])
    Score(value=nan, reason="only one class in the query: 'yes'", over=None)
    """
    return _rank_binary("binary_auroc", areas_under_roc, scores, labels, classes)


def binary_average_precision(
    scores: Float[Tensor, " N"], labels: Int[Tensor, " N"], classes: Sequence[str]
) -> Score:
    """``sum_n (R_n - R_{n-1}) P_n`` of scores, any finite numbers that are higher for positives.

    >>> from torchcross.metrics import binary_average_precision
    >>> scores = torch.tensor([0.9, 0.8, 0.3, 0.1])
    >>> round(binary_average_precision(scores, torch.tensor([1, 0, 1, 0]), ["no", "yes"]).value, 3)
    0.833
    """
    return _rank_binary("binary_average_precision", mean_precisions, scores, labels, classes)


def confusion(
    name: str,
    decisions: Int[Tensor, " N"],
    labels: Int[Tensor, " N"],
    count: int,
    classes: Sequence[str] | None = None,
) -> Int64[Tensor, "{count} {count}"]:
    """How many known items of class i (row) were decided to be j (column), exactly."""
    if classes is not None:
        check_classes(name, classes, count, "one per class")
    decided, truth = decided_rows(name, decisions, labels, count)
    counts: Tensor = torch.bincount(truth * count + decided, minlength=count * count)
    return counts.view(count, count)


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
    metric: ColumnMetric,
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
    values = metric(ranked, truth.unsqueeze(1) == torch.arange(len(classes)))
    if_none = "" if any(value is not None for value in values) else _only_one_class(truth, classes)
    return average_score(values, classes, "classes", if_none)


def _rank_binary(
    name: str,
    metric: ColumnMetric,
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
    (value,) = metric(scores.unsqueeze(1), (truth == 1).unsqueeze(1))
    return undefined_score(_only_one_class(truth, classes)) if value is None else Score(value)


def _only_one_class(truth: Int64[Tensor, " M"], classes: Sequence[str]) -> str:
    names = ", ".join(repr(classes[index]) for index in torch.unique(truth).tolist())
    return f"only one class in the query: {names}"
