"""What a metric refuses, with what was given and what was expected."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from torchcross import metrics
from torchcross.errors import InputError
from torchcross.metrics import Score

ABC = ["a", "b", "c"]
INDEX = torch.tensor([0, 1, 2, 0])
P = torch.full((4, 3), 1 / 3)
MULTI = torch.zeros(4, 3, dtype=torch.int64)

CASES: list[tuple[Callable[[], Score], str]] = [
    (lambda: metrics.accuracy(INDEX, INDEX[:3]), "4 predictions and 3 labels"),
    (lambda: metrics.accuracy(P, INDEX), r"decisions have shape \(4, 3\), expected \(N,\)"),
    (
        lambda: metrics.accuracy(INDEX.float(), INDEX),
        "decisions are torch.float32, expected integers",
    ),
    (lambda: metrics.accuracy(INDEX, INDEX.float()), "labels are torch.float32, expected integers"),
    (
        lambda: metrics.accuracy(INDEX - 1, INDEX),
        r"decisions lie in -1..1, expected 0..the last class",
    ),
    (
        lambda: metrics.f1(INDEX, INDEX + 1, ABC),
        r"labels lie in 1..3, expected -1..2, -1 being a missing",
    ),
    (lambda: metrics.f1(INDEX, INDEX - 2, ABC), r"labels lie in -2..0"),
    (lambda: metrics.f1(INDEX + 1, INDEX, ABC), r"f1: decisions lie in 1..3, expected 0..2"),
    (lambda: metrics.balanced_accuracy(INDEX, INDEX, "abc"), "classes is 'abc', expected 3 names"),
    (lambda: metrics.binary_f1(INDEX % 2, INDEX % 2, ABC), "expected 2 names"),
    (lambda: metrics.auroc(P, INDEX, ABC[:2]), "expected 3 names: one per column"),
    (
        lambda: metrics.auroc(P[:, 0], INDEX, ABC),
        r"probabilities have shape \(4,\), expected \(N, C\)",
    ),
    (
        lambda: metrics.auroc(3 * P + 0.5, INDEX, ABC),
        r"lie in 1.5..1.5, expected \[0, 1\]; pass logits",
    ),
    (lambda: metrics.auroc(-P, INDEX, ABC), r"probabilities lie in -0.333333..-0.333333"),
    (
        lambda: metrics.average_precision(MULTI, INDEX, ABC),
        "predictions are torch.int64, expected floating",
    ),
    (lambda: metrics.auroc(P[:3], INDEX, ABC), "3 predictions and 4 labels"),
    (
        lambda: metrics.binary_auroc(P, INDEX % 2, ABC[:2]),
        r"scores are torch.float32 of shape \(4, 3\)",
    ),
    (lambda: metrics.binary_auroc(INDEX, INDEX % 2, ABC[:2]), "scores are torch.int64"),
    (lambda: metrics.binary_auroc(P[:, 0], INDEX, ABC[:2]), r"labels lie in 0..2, expected -1..1"),
    (
        lambda: metrics.binary_average_precision(P[:, 0], INDEX % 2, ABC),
        "the negative and the positive class",
    ),
    (
        lambda: metrics.quadratic_weighted_kappa(INDEX, INDEX, 1),
        "num_ranks is 1, expected at least 2",
    ),
    (
        lambda: metrics.quadratic_weighted_kappa(INDEX, INDEX, 2),
        r"decisions lie in 0..2, expected 0..1",
    ),
    (lambda: metrics.mean_absolute_error(INDEX, INDEX, [0.0, 2.0, 1.0]), "increasing order"),
    (lambda: metrics.mean_absolute_error(INDEX, INDEX, [0.0, 1.0, float("inf")]), "finite grade"),
    (lambda: metrics.mean_absolute_error(INDEX, INDEX, []), r"grades is \[\]"),
    (
        lambda: metrics.mean_absolute_error(INDEX, INDEX, [0.0, 1.0]),
        r"decisions lie in 0..2, expected 0..1",
    ),
    (
        lambda: metrics.auroc(P, INDEX, ABC, scores=P[:, :2]),
        r"scores are torch.float32 of shape \(4, 2\)",
    ),
    (
        lambda: metrics.auroc(P, INDEX, ABC, scores=P.long()),
        r"scores are torch.int64 .* one score per probability",
    ),
    (
        lambda: metrics.multilabel_auroc(P, MULTI, ABC, scores=P[:1]),
        r"scores .* the probabilities' shape \(4, 3\)",
    ),
    (
        lambda: metrics.multilabel_auroc(P, INDEX, ABC),
        r"shape \(4, 3\) and labels \(4,\), expected both",
    ),
    (lambda: metrics.multilabel_auroc(P, MULTI, ABC[:2]), "expected 3 names: one per column"),
    (lambda: metrics.multilabel_auroc(P, MULTI + 2, ABC), r"labels lie in 2..2, expected -1..1"),
    (lambda: metrics.multilabel_average_precision(P + 1, MULTI, ABC), r"expected \[0, 1\]"),
    (
        lambda: metrics.multilabel_f1(P, MULTI, ABC),
        "decisions are torch.float32, expected bools or integers",
    ),
    (
        lambda: metrics.multilabel_f1(MULTI - 1, MULTI, ABC),
        "expected bools or integers of 0 and 1 only",
    ),
    (lambda: metrics.exact_match(MULTI[:, :2], MULTI), r"shape \(4, 2\) and labels \(4, 3\)"),
]


@pytest.mark.parametrize(("call", "message"), CASES)
def test_refused(call: Callable[[], Score], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_rounding_above_one_is_let_pass() -> None:
    p = torch.tensor([[1.0000001, -1e-8], [0.0, 1.0]])
    assert metrics.auroc(p, torch.tensor([0, 1]), ["a", "b"]).value == 1.0
