"""Metrics of multi-label targets: labels are 0 or 1, -1 missing and left out.

Means are over labels, each scored on its own known entries; a label whose score is undefined is
left out and named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int, Int64, Shaped
from torch import Tensor

from torchcross.errors import InputError
from torchcross.metrics.inputs import (
    check_probabilities,
    checked_scores,
    multi_label_entries,
    no_labels_reason,
    non_finite_reason,
)
from torchcross.metrics.ranking import ColumnMetric, areas_under_roc, mean_precisions
from torchcross.metrics.score import Score, average_score, undefined_score


def multilabel_auroc(
    probabilities: Float[Tensor, "N L"],
    labels: Int[Tensor, "N L"],
    classes: Sequence[str],
    *,
    scores: Float[Tensor, "N L"] | None = None,
) -> Score:
    """The mean over labels of the area under the ROC curve.

    A label needs a positive and a negative. Items are ranked by ``scores`` where they are given
    (such as log-odds, which do not saturate), else by their probabilities.

    >>> from torchcross.metrics import multilabel_auroc
    >>> probabilities = torch.tensor([[0.9, 0.4], [0.2, 0.3], [0.7, 0.6]])
    >>> labels = torch.tensor([[1, 0], [0, 1], [1, 1]])
    >>> round(multilabel_auroc(probabilities, labels, ["mass", "nodule"]).value, 3)
    0.75
    """
    return _by_label(
        "multilabel_auroc",
        areas_under_roc,
        probabilities,
        labels,
        classes,
        scores,
        if_none="no label has both a positive and a negative in the query",
    )


def multilabel_average_precision(
    probabilities: Float[Tensor, "N L"],
    labels: Int[Tensor, "N L"],
    classes: Sequence[str],
    *,
    scores: Float[Tensor, "N L"] | None = None,
) -> Score:
    """The mean over labels of ``sum_n (R_n - R_{n-1}) P_n``; a label needs a positive.

    Items are ranked as for ``multilabel_auroc``.

    >>> from torchcross.metrics import multilabel_average_precision
    >>> probabilities = torch.tensor([[0.9, 0.4], [0.2, 0.3], [0.7, 0.6]])
    >>> labels = torch.tensor([[1, 0], [0, 1], [1, 1]])
    >>> round(multilabel_average_precision(probabilities, labels, ["mass", "nodule"]).value, 3)
    0.917
    """
    return _by_label(
        "multilabel_average_precision",
        mean_precisions,
        probabilities,
        labels,
        classes,
        scores,
        if_none="no label has a positive in the query",
    )


def multilabel_f1(
    decisions: Int[Tensor, "N L"] | Bool[Tensor, "N L"],
    labels: Int[Tensor, "N L"],
    classes: Sequence[str],
) -> Score:
    """The mean over labels of ``2 tp / (2 tp + fp + fn)``; a label needs a positive.

    >>> from torchcross.metrics import multilabel_f1
    >>> decisions, labels = torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1, 0], [0, 1]])
    >>> round(multilabel_f1(decisions, labels, ["mass", "nodule"]).value, 3)
    0.833
    """
    return _by_counts(
        "multilabel_f1",
        lambda tp, fp, tn, fn: 2 * tp / (2 * tp + fp + fn) if tp + fn else None,
        decisions,
        labels,
        classes,
        if_none="no label has a positive in the query",
    )


def multilabel_accuracy(
    decisions: Int[Tensor, "N L"] | Bool[Tensor, "N L"],
    labels: Int[Tensor, "N L"],
    classes: Sequence[str],
) -> Score:
    """The mean over labels of the share of right decisions; a label needs a known entry.

    >>> from torchcross.metrics import multilabel_accuracy
    >>> decisions, labels = torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1, 0], [0, 1]])
    >>> round(multilabel_accuracy(decisions, labels, ["mass", "nodule"]).value, 3)
    0.75
    """
    return _by_counts(
        "multilabel_accuracy",
        lambda tp, fp, tn, fn: (tp + tn) / (tp + fp + tn + fn) if tp + fp + tn + fn else None,
        decisions,
        labels,
        classes,
        if_none=no_labels_reason(len(labels)),
    )


def multilabel_balanced_accuracy(
    decisions: Int[Tensor, "N L"] | Bool[Tensor, "N L"],
    labels: Int[Tensor, "N L"],
    classes: Sequence[str],
) -> Score:
    """The mean over labels of ``(tp / (tp + fn) + tn / (tn + fp)) / 2``.

    A label needs a positive and a negative.

    >>> from torchcross.metrics import multilabel_balanced_accuracy
    >>> decisions, labels = torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1, 0], [0, 1]])
    >>> round(multilabel_balanced_accuracy(decisions, labels, ["mass", "nodule"]).value, 3)
    0.75
    """
    return _by_counts(
        "multilabel_balanced_accuracy",
        lambda tp, fp, tn, fn: (
            (tp / (tp + fn) + tn / (tn + fp)) / 2 if tp + fn and tn + fp else None
        ),
        decisions,
        labels,
        classes,
        if_none="no label has both a positive and a negative in the query",
    )


def exact_match(
    decisions: Int[Tensor, "N L"] | Bool[Tensor, "N L"], labels: Int[Tensor, "N L"]
) -> Score:
    """The share of items with every label right, among the items with every label known.

    >>> from torchcross.metrics import exact_match
    >>> exact_match(torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1, 0], [0, 1]])).value
    0.5
    """
    decided, truth, known = multi_label_entries(
        "exact_match", _zeros_and_ones("exact_match", decisions), labels, None
    )
    complete = known.all(dim=1)
    items, total = int(complete.sum()), len(labels)
    if not known.any():
        return undefined_score(no_labels_reason(total))
    if not items:
        return undefined_score(f"each of the {total} items of the query has a missing label")
    right = int((decided == truth).all(dim=1)[complete].sum())
    reason = "" if items == total else f"over the {items} of {total} items without a missing label"
    return Score(right / items, reason)


def _by_label(
    name: str,
    metric: ColumnMetric,
    probabilities: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    scores: Tensor | None,
    if_none: str,
) -> Score:
    p, truth, known = multi_label_entries(name, probabilities, labels, classes)
    check_probabilities(name, p[known])
    ranked = p if scores is None else checked_scores(name, scores, probabilities).detach().cpu()
    reason = (
        no_labels_reason(len(labels))
        if not known.any()
        else non_finite_reason(p[known], "probabilities")
        or non_finite_reason(ranked[known], "scores")
    )
    if reason:
        return undefined_score(reason, over=())
    values = _of_known_entries(metric, ranked, truth == 1, known)
    return average_score(values, classes, "labels", if_none)


def _by_counts(
    name: str,
    score: Callable[[int, int, int, int], float | None],
    decisions: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    if_none: str,
) -> Score:
    decided, truth, known = multi_label_entries(
        name, _zeros_and_ones(name, decisions), labels, classes
    )
    if not known.any():
        return undefined_score(no_labels_reason(len(labels)), over=())
    right, positive = decided == truth, truth == 1
    # Of a missing label (-1) no decision is right, and it is no negative.
    kinds = (right & positive, ~right & (truth == 0), right & ~positive, ~right & positive)
    counts = zip(*(kind.sum(0).tolist() for kind in kinds), strict=True)
    return average_score([score(*each) for each in counts], classes, "labels", if_none)


def _of_known_entries(
    metric: ColumnMetric,
    ranked: Float[Tensor, "N L"],
    positive: Bool[Tensor, "N L"],
    known: Bool[Tensor, "N L"],
) -> list[float | None]:
    if known.all():
        return metric(ranked, positive)
    columns = zip(ranked.T, positive.T, known.T, strict=True)
    return [
        value
        for column, hits, mask in columns
        for value in metric(column[mask].unsqueeze(1), hits[mask].unsqueeze(1))
    ]


def _zeros_and_ones(name: str, decisions: Shaped[Tensor, "*S"]) -> Int64[Tensor, "*S"]:
    """Decisions of 0 and 1 (or bools) as int64."""
    decisions = decisions.detach().cpu()
    if decisions.is_floating_point() or not bool(((decisions == 0) | (decisions == 1)).all()):
        raise InputError(
            f"{name}: decisions are {decisions.dtype}, expected bools or integers of 0 and 1 only;"
            " compare the probabilities with a threshold first"
        )
    return decisions.to(torch.int64)
