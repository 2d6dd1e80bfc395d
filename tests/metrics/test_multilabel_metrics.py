"""Metrics of multi-label targets: against scikit-learn label by label, by hand, and where
undefined.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from tests.examples import max_examples
from torchcross import metrics
from torchcross.metrics import Score

NAMES = ["edema", "mass", "nodule", "hernia"]
Values = list[float | None]


def draw(seed: int, rows: int, width: int, rare: bool) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(rows, width, generator=generator, dtype=torch.float64)
    labels = (torch.rand(rows, width, generator=generator) < (0.15 if rare else 0.5)).long()
    labels[torch.rand(rows, width, generator=generator) < 0.2] = -1
    return (8 * p).round() / 8, labels


def by_label(
    p: torch.Tensor, labels: torch.Tensor, value: Callable[[np.ndarray, np.ndarray], float | None]
) -> Values:
    columns = zip(p.numpy().T, labels.numpy().T, strict=True)
    return [value(truth[truth >= 0], column[truth >= 0]) for column, truth in columns]


def agrees(score: Score, values: Values) -> None:
    defined = [value for value in values if value is not None]
    assert score.over == tuple(
        name for name, v in zip(NAMES, values, strict=False) if v is not None
    )
    assert score.is_defined == bool(defined)
    if not defined:
        return
    assert score.value == pytest.approx(np.mean(defined), abs=1e-6)
    assert bool(score.reason) == (len(defined) < len(values))
    for name, value in zip(NAMES, values, strict=False):
        assert (repr(name) in score.reason) == (value is None)


def both_kinds(truth: np.ndarray) -> bool:
    return 0 < truth.sum() < len(truth)


@pytest.mark.slow
@max_examples(48)
@given(
    seed=st.integers(0, 10**6), rows=st.integers(1, 15), width=st.integers(1, 4), rare=st.booleans()
)
def test_every_metric_agrees_with_scikit_learn(
    seed: int, rows: int, width: int, rare: bool
) -> None:
    p, labels = draw(seed, rows, width, rare)
    decisions = (p > 0.5).long()
    names = NAMES[:width]
    areas = by_label(p, labels, lambda y, s: sk.roc_auc_score(y, s) if both_kinds(y) else None)
    agrees(metrics.multilabel_auroc(p, labels, names), areas)
    precisions = by_label(
        p, labels, lambda y, s: sk.average_precision_score(y, s) if y.any() else None
    )
    agrees(metrics.multilabel_average_precision(p, labels, names), precisions)
    f1 = by_label(decisions, labels, lambda y, d: sk.f1_score(y, d) if y.any() else None)
    agrees(metrics.multilabel_f1(decisions, labels, names), f1)
    right = by_label(decisions, labels, lambda y, d: sk.accuracy_score(y, d) if len(y) else None)
    agrees(metrics.multilabel_accuracy(decisions, labels, names), right)
    balanced = by_label(
        decisions, labels, lambda y, d: sk.balanced_accuracy_score(y, d) if both_kinds(y) else None
    )
    agrees(metrics.multilabel_balanced_accuracy(decisions, labels, names), balanced)
    complete = (labels >= 0).all(dim=1)
    match = metrics.exact_match(decisions, labels)
    assert match.is_defined == bool(complete.any())
    if match.is_defined:
        # scikit-learn takes one column of 0 and 1 for a binary problem, with the same value.
        expected = sk.accuracy_score(labels[complete].numpy(), decisions[complete].numpy())
        assert match.value == expected


def test_bools_are_decisions() -> None:
    labels = torch.tensor([[1, 0], [0, 1], [1, 1]])
    right = labels.bool()
    assert metrics.exact_match(right, labels) == Score(1.0)
    assert metrics.multilabel_f1(right, labels, NAMES[:2]) == Score(1.0, "", ("edema", "mass"))


def test_missing_labels() -> None:
    labels = torch.tensor([[1, -1], [0, 1], [-1, -1], [1, 0]])
    decisions = torch.tensor([[1, 0], [0, 1], [0, 0], [0, 0]])
    assert metrics.multilabel_accuracy(decisions, labels, NAMES[:2]).value == pytest.approx(
        (2 / 3 + 1) / 2
    )
    match = metrics.exact_match(decisions, labels)
    assert str(match) == "0.5 (over the 2 of 4 items without a missing label)"
    none = metrics.exact_match(decisions[:1], labels[:1])
    assert str(none) == "nan (each of the 1 items of the query has a missing label)"


def test_labels_that_cannot_be_scored_are_named() -> None:
    labels = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 0, 1]])
    p = torch.tensor([[0.9, 0.1, 0.9], [0.1, 0.2, 0.8], [0.8, 0.3, 0.7]])
    decisions = p > 0.5
    area = metrics.multilabel_auroc(p, labels, NAMES[:3])
    assert area == Score(1.0, "mean of 1 of 3 labels; undefined for 'mass', 'nodule'", ("edema",))
    precision = metrics.multilabel_average_precision(p, labels, NAMES[:3])
    assert precision == Score(
        1.0, "mean of 2 of 3 labels; undefined for 'mass'", ("edema", "nodule")
    )
    f1 = metrics.multilabel_f1(decisions, labels, NAMES[:3])
    assert f1 == Score(1.0, "mean of 2 of 3 labels; undefined for 'mass'", ("edema", "nodule"))
    assert metrics.multilabel_accuracy(decisions, labels, NAMES[:3]).value == 1.0
    balanced = metrics.multilabel_balanced_accuracy(decisions, labels, NAMES[:3])
    assert balanced == Score(
        1.0, "mean of 1 of 3 labels; undefined for 'mass', 'nodule'", ("edema",)
    )


def test_no_label_can_be_scored() -> None:
    labels, p = torch.zeros(3, 2, dtype=torch.int64), torch.full((3, 2), 0.2)
    names = NAMES[:2]
    no_pair = "nan (no label has both a positive and a negative in the query)"
    assert str(metrics.multilabel_auroc(p, labels, names)) == no_pair
    assert str(metrics.multilabel_balanced_accuracy(p > 0.5, labels, names)) == no_pair
    precision = metrics.multilabel_average_precision(p, labels, names)
    assert str(precision) == "nan (no label has a positive in the query)"
    for decided in (p > 0.5, p < 0.5):
        assert (
            str(metrics.multilabel_f1(decided, labels, names))
            == "nan (no label has a positive in the query)"
        )


@pytest.mark.parametrize("metric", [metrics.multilabel_auroc, metrics.multilabel_average_precision])
def test_scores_rank_where_probabilities_tie(metric: Callable[..., Score]) -> None:
    p, labels = torch.ones(3, 1), torch.tensor([[0], [1], [-1]])
    scores = torch.tensor([[20.0], [25.0], [float("nan")]])
    assert metric(p, labels, NAMES[:1], scores=scores).value == 1.0
    assert metric(p, labels, NAMES[:1]).value == 0.5
    assert (
        str(metric(p, labels.abs(), NAMES[:1], scores=scores))
        == "nan (1 of 3 scores are not finite)"
    )


METRICS: dict[str, Callable[[torch.Tensor, torch.Tensor], Score]] = {
    "auroc": lambda p, y: metrics.multilabel_auroc(p, y, NAMES[:2]),
    "average_precision": lambda p, y: metrics.multilabel_average_precision(p, y, NAMES[:2]),
    "f1": lambda p, y: metrics.multilabel_f1(p > 0.5, y, NAMES[:2]),
    "accuracy": lambda p, y: metrics.multilabel_accuracy(p > 0.5, y, NAMES[:2]),
    "balanced_accuracy": lambda p, y: metrics.multilabel_balanced_accuracy(p > 0.5, y, NAMES[:2]),
    "exact_match": lambda p, y: metrics.exact_match(p > 0.5, y),
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_nothing_to_score(metric: Callable[[torch.Tensor, torch.Tensor], Score]) -> None:
    empty = metric(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.int64))
    assert str(empty) == "nan (the query is empty)"
    missing = metric(torch.zeros(3, 2), torch.full((3, 2), -1))
    assert str(missing) == "nan (all 3 labels of the query are missing)"


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_non_finite_probabilities(name: str) -> None:
    p = torch.tensor([[0.9, float("nan")], [0.1, 0.2], [0.5, 0.7]])
    labels = torch.tensor([[1, 0], [0, 0], [0, 1]])
    assert str(METRICS[name](p, labels)) == "nan (1 of 6 probabilities are not finite)"
    labels[0, 1] = -1
    assert METRICS[name](p, labels).value == 1.0


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_permuting_labels_changes_nothing(
    metric: Callable[[torch.Tensor, torch.Tensor], Score],
) -> None:
    p, labels = draw(5, 12, 2, rare=False)
    assert metric(p.flip(1), labels.flip(1)).value == metric(p, labels).value
