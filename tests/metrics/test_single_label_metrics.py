"""Metrics of binary and multi-class targets: against scikit-learn, by hand, and where they are
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
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from tests.examples import max_examples
from torchcross import metrics
from torchcross.metrics import Score
from torchcross.metrics.ranking import areas_under_roc, mean_precisions

NAMES = ["disc", "square", "star", "ring", "moon"]
PAIR = ["benign", "malignant"]


def draw(
    seed: int, rows: int, classes: int, coarse: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probabilities (with many ties if coarse), decisions and labels, some of them missing."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.softmax(
        2 * torch.randn(rows, classes, generator=generator, dtype=torch.float64), dim=1
    )
    if coarse:
        p = (4 * p).round() / 4
    labels = torch.randint(-1, classes, (rows,), generator=generator)
    return p, p.argmax(dim=1), labels


episodes = given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 25),
    classes=st.integers(2, 5),
    coarse=st.booleans(),
)
few = max_examples(48)


def agrees(score: Score, values: list[float | None], names: list[str]) -> None:
    """The score is the mean of the values that are not None and names the others."""
    defined = [value for value in values if value is not None]
    assert score.over == tuple(
        name for name, v in zip(names, values, strict=False) if v is not None
    )
    assert score.is_defined == bool(defined)
    if defined:
        assert score.value == pytest.approx(np.mean(defined), abs=1e-6)
        assert bool(score.reason) == (len(defined) < len(values))
    for name, value in zip(names, values, strict=False):
        if value is None and defined:
            assert repr(name) in score.reason


@pytest.mark.slow
@few
@episodes
def test_auroc_and_average_precision(seed: int, rows: int, classes: int, coarse: bool) -> None:
    p, _, labels = draw(seed, rows, classes, coarse)
    known, q = labels[labels >= 0].numpy(), p[labels >= 0].numpy()
    areas: list[float | None] = []
    precisions: list[float | None] = []
    for c in range(classes):
        truth = known == c
        areas.append(sk.roc_auc_score(truth, q[:, c]) if 0 < truth.sum() < len(truth) else None)
        precisions.append(sk.average_precision_score(truth, q[:, c]) if truth.any() else None)
    agrees(metrics.auroc(p, labels, NAMES[:classes]), areas, NAMES)
    agrees(metrics.average_precision(p, labels, NAMES[:classes]), precisions, NAMES)


@pytest.mark.slow
@few
@episodes
def test_decisions(seed: int, rows: int, classes: int, coarse: bool) -> None:
    _, decisions, labels = draw(seed, rows, classes, coarse)
    names = NAMES[:classes]
    truth, decided = labels[labels >= 0].numpy(), decisions[labels >= 0].numpy()
    if not len(truth):
        assert not metrics.accuracy(decisions, labels).is_defined
        assert not metrics.balanced_accuracy(decisions, labels, names).is_defined
        assert not metrics.f1(decisions, labels, names).is_defined
        return
    assert metrics.accuracy(decisions, labels).value == sk.accuracy_score(truth, decided)
    recalls = sk.recall_score(
        truth, decided, labels=range(classes), average=None, zero_division=np.nan
    )
    listed = [None if np.isnan(recall) else float(recall) for recall in recalls]
    agrees(metrics.balanced_accuracy(decisions, labels, names), listed, NAMES)
    present = sorted(set(truth.tolist()))
    scores = dict(
        zip(
            present,
            sk.f1_score(truth, decided, labels=present, average=None, zero_division=0.0),
            strict=True,
        )
    )
    agrees(metrics.f1(decisions, labels, names), [scores.get(c) for c in range(classes)], NAMES)


@pytest.mark.slow
@few
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 25), coarse=st.booleans())
def test_binary(seed: int, rows: int, coarse: bool) -> None:
    p, decisions, labels = draw(seed, rows, 2, coarse)
    scores = p[:, 1].logit(eps=1e-9)
    truth, s, decided = (x[labels >= 0].numpy() for x in (labels, scores, decisions))
    area = metrics.binary_auroc(scores, labels, PAIR)
    precision = metrics.binary_average_precision(scores, labels, PAIR)
    f1 = metrics.binary_f1(decisions, labels, PAIR)
    assert area.is_defined == (0 < truth.sum() < len(truth))
    assert precision.is_defined == bool(truth.any())
    assert f1.is_defined == bool(truth.any())
    if area.is_defined:
        assert area.value == pytest.approx(sk.roc_auc_score(truth, s), abs=1e-12)
    if precision.is_defined:
        assert precision.value == pytest.approx(sk.average_precision_score(truth, s), abs=1e-6)
    if f1.is_defined:
        assert f1.value == sk.f1_score(truth, decided, zero_division=0.0)


def test_perfect_predictions_on_two_of_three_classes() -> None:
    """A published library counted the absent class as 0 and scored this 0.667."""
    labels = torch.tensor([0, 0, 1, 1])
    p = torch.tensor([[0.8, 0.1, 0.1], [0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.2, 0.7, 0.1]])
    for metric in (metrics.auroc, metrics.average_precision):
        score = metric(p, labels, NAMES[:3])
        assert score == Score(
            1.0, "mean of 2 of 3 classes; undefined for 'star'", ("disc", "square")
        )
    decisions = p.argmax(dim=1)
    for metric in (metrics.balanced_accuracy, metrics.f1):
        score = metric(decisions, labels, NAMES[:3])
        assert score == Score(
            1.0, "mean of 2 of 3 classes; undefined for 'star'", ("disc", "square")
        )


@pytest.mark.parametrize("decided", [[0, 2, 1], [0, 1, 1]])
def test_the_labels_alone_say_which_classes_f1_is_over(decided: list[int]) -> None:
    score = metrics.f1(torch.tensor(decided), torch.tensor([0, 0, 1]), NAMES[:3])
    assert score.value == pytest.approx((2 / 3 + (1.0 if 2 in decided else 2 / 3)) / 2)
    assert score.over == ("disc", "square")
    assert score.reason == "mean of 2 of 3 classes; undefined for 'star'"


def test_only_one_class() -> None:
    labels, p = torch.tensor([1, -1, 1]), torch.full((3, 3), 1 / 3)
    score = metrics.auroc(p, labels, NAMES[:3])
    assert str(score) == "nan (only one class in the query: 'square')"
    assert score.over == ()
    assert metrics.average_precision(p, labels, NAMES[:3]).value == 1.0
    binary = metrics.binary_auroc(p[:, 0], torch.tensor([0, 0, 0]), PAIR)
    assert str(binary) == "nan (only one class in the query: 'benign')"
    binary = metrics.binary_average_precision(p[:, 0], torch.tensor([0, 0, -1]), PAIR)
    assert str(binary) == "nan (only one class in the query: 'benign')"
    assert metrics.binary_average_precision(p[:, 0], torch.tensor([1, 1, 1]), PAIR).value == 1.0
    for decided in (torch.zeros(3, dtype=torch.int64), torch.tensor([0, 1, 1])):
        f1 = metrics.binary_f1(decided, torch.tensor([0, 0, -1]), PAIR)
        assert str(f1) == "nan (only one class in the query: 'benign')"


NOTHING: dict[str, Callable[[int, torch.Tensor], Score]] = {
    "accuracy": lambda n, y: metrics.accuracy(torch.zeros(n, dtype=torch.int64), y),
    "balanced_accuracy": lambda n, y: metrics.balanced_accuracy(
        torch.zeros(n, dtype=torch.int64), y, PAIR
    ),
    "f1": lambda n, y: metrics.f1(torch.zeros(n, dtype=torch.int64), y, PAIR),
    "binary_f1": lambda n, y: metrics.binary_f1(torch.zeros(n, dtype=torch.int64), y, PAIR),
    "auroc": lambda n, y: metrics.auroc(torch.zeros(n, 2), y, PAIR),
    "average_precision": lambda n, y: metrics.average_precision(torch.zeros(n, 2), y, PAIR),
    "binary_auroc": lambda n, y: metrics.binary_auroc(torch.zeros(n), y, PAIR),
    "binary_average_precision": lambda n, y: metrics.binary_average_precision(
        torch.zeros(n), y, PAIR
    ),
}


@pytest.mark.parametrize("metric", NOTHING.values(), ids=NOTHING.keys())
def test_nothing_to_score(metric: Callable[[int, torch.Tensor], Score]) -> None:
    assert str(metric(0, torch.zeros(0, dtype=torch.int64))) == "nan (the query is empty)"
    score = metric(3, torch.full((3,), -1))
    assert str(score) == "nan (all 3 labels of the query are missing)"


@pytest.mark.parametrize("metric", [metrics.auroc, metrics.average_precision])
def test_non_finite_probabilities(metric: Callable[..., Score]) -> None:
    p = torch.tensor([[0.5, 0.5], [float("nan"), 0.1], [0.2, float("inf")], [0.3, 0.7]])
    labels = torch.tensor([0, 1, 1, 0])
    assert str(metric(p, labels, PAIR)) == "nan (2 of 8 probabilities are not finite)"
    # What stands beside a missing label does not matter.
    assert metric(p, torch.tensor([0, -1, -1, 1]), PAIR).value == 1.0


@pytest.mark.parametrize("metric", [metrics.binary_auroc, metrics.binary_average_precision])
def test_non_finite_scores(metric: Callable[..., Score]) -> None:
    scores = torch.tensor([0.5, float("nan"), 0.7])
    assert (
        str(metric(scores, torch.tensor([0, 1, 1]), PAIR)) == "nan (1 of 3 scores are not finite)"
    )
    assert metric(scores, torch.tensor([0, -1, 1]), PAIR).value == 1.0


def test_scores_are_ranked_not_squashed() -> None:
    """A float32 sigmoid would tie the scores above 17, and those below -104."""
    scores = torch.tensor([40.0, 30.0, -200.0, -300.0])
    assert metrics.binary_auroc(scores, torch.tensor([1, 0, 1, 0]), PAIR).value == 0.75
    assert metrics.binary_auroc(scores, torch.tensor([0, 1, 0, 1]), PAIR).value == 0.25
    tiny = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64) * 1e-20
    assert metrics.binary_auroc(tiny, torch.tensor([0, 0, 1, 1]), PAIR).value == 1.0
    assert metrics.binary_auroc(torch.zeros(4), torch.tensor([0, 0, 1, 1]), PAIR).value == 0.5


@pytest.mark.parametrize("metric", [metrics.auroc, metrics.average_precision])
def test_scores_rank_where_probabilities_tie(metric: Callable[..., Score]) -> None:
    p, labels = torch.tensor([[0.0, 1.0]]).expand(4, 2), torch.tensor([0, 1, -1, 0])
    scores = torch.tensor([[-20.0, 20.0], [-25.0, 25.0], [torch.nan, torch.nan], [-18.0, 18.0]])
    assert metric(p, labels, PAIR, scores=scores).value == 1.0
    assert metric(p, labels, PAIR).value < 1.0
    labels = torch.tensor([0, 1, 1, 0])
    assert str(metric(p, labels, PAIR, scores=scores)) == "nan (2 of 8 scores are not finite)"


@pytest.mark.parametrize("positives", [1, 3, 7, 11, 19])
@pytest.mark.parametrize("negatives", [1, 6, 13, 17])
def test_auroc_is_exact(positives: int, negatives: int) -> None:
    """In float32, as torchmetrics counts, one in seven of such queries misses 1."""
    labels = torch.cat([torch.zeros(negatives), torch.ones(positives)]).long()
    scores = torch.arange(len(labels), dtype=torch.float32)
    assert metrics.binary_auroc(scores, labels, PAIR).value == 1.0
    assert metrics.binary_auroc(-scores, labels, PAIR).value == 0.0
    scores[0] = 100.0
    pairs = positives * negatives
    assert metrics.binary_auroc(scores, labels, PAIR).value == (pairs - positives) / pairs


def test_average_precision_stays_within_its_bounds() -> None:
    """In float32 the sum of a perfect ranking can come out a little above 1."""
    for positives in (1, 5, 25, 26, 40, 43, 49):
        labels = torch.cat([torch.zeros(3), torch.ones(positives)]).long()
        value = metrics.binary_average_precision(torch.arange(3.0 + positives), labels, PAIR).value
        assert 1 - 1e-6 < value <= 1.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_any_precision(dtype: torch.dtype) -> None:
    p = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], dtype=dtype)
    labels = torch.tensor([0, 1, 1], dtype=torch.int32)
    assert metrics.auroc(p, labels, PAIR).value == 1.0
    assert metrics.binary_average_precision(p[:, 1], labels, PAIR).value == 1.0


def test_predictions_that_carry_gradients() -> None:
    p = torch.softmax(torch.randn(4, 2, requires_grad=True), dim=1)
    assert metrics.auroc(p, torch.tensor([0, 1, 0, 1]), PAIR).is_defined


@few
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 60), coarse=st.booleans())
def test_ranking_has_the_bits_of_torchmetrics(seed: int, rows: int, coarse: bool) -> None:
    """Average precision to the bit; the area as the whole number of half pairs that it is."""
    p, _, labels = draw(seed, rows, 3, coarse)
    for column in range(3):
        positive = labels == column
        if not positive.any() or positive.all():
            continue
        ranks = torch.unique(p[:, column], return_inverse=True)[1].double() / rows
        area, precision = (
            theirs(ranks, positive.long()).item()
            for theirs in (binary_auroc, binary_average_precision)
        )
        both = p[:, column : column + 1], positive.unsqueeze(1)
        pairs = 2 * int(positive.sum()) * int((~positive).sum())
        assert areas_under_roc(*both) == [round(area * pairs) / pairs]
        assert mean_precisions(*both) == [min(precision, 1.0)]
