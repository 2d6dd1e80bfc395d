"""Quadratic weighted kappa and the mean absolute error in grades."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from tests.examples import max_examples
from torchcross import metrics

GRADES = (0.0, 1.0, 4.0, 6.0, 8.0, 10.0)


def draw(seed: int, rows: int, ranks: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, ranks, (rows,), generator=generator)
    return torch.randint(0, ranks, (rows,), generator=generator), labels


@max_examples(60)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 20), ranks=st.integers(2, 6))
def test_random_cases_agree_with_scikit_learn(seed: int, rows: int, ranks: int) -> None:
    decisions, labels = draw(seed, rows, ranks)
    known = labels >= 0
    kappa = metrics.quadratic_weighted_kappa(decisions, labels, ranks)
    error = metrics.mean_absolute_error(decisions, labels, GRADES[:ranks])
    truth, decided = labels[known].tolist(), decisions[known].tolist()
    assert error.is_defined == bool(truth)
    assert kappa.is_defined == (len(set(truth) | set(decided)) > 1)
    if kappa.is_defined:
        expected = sk.cohen_kappa_score(truth, decided, labels=range(ranks), weights="quadratic")
        assert kappa.value == pytest.approx(expected, abs=1e-12)
    if error.is_defined:
        expected = sk.mean_absolute_error(
            [GRADES[rank] for rank in truth], [GRADES[rank] for rank in decided]
        )
        assert error.value == pytest.approx(expected, abs=1e-12)


@max_examples(30)
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 40), ranks=st.integers(2, 8))
def test_a_constant_predictor_scores_exactly_zero(seed: int, rows: int, ranks: int) -> None:
    _, labels = draw(seed, rows, ranks)
    labels[:2] = torch.tensor([0, 1])
    for rank in range(ranks):
        score = metrics.quadratic_weighted_kappa(torch.full((rows,), rank), labels, ranks)
        assert score.value == 0.0
        assert score.reason == ""
    assert metrics.quadratic_weighted_kappa(labels.clamp(min=0), labels, ranks).value == 1.0


def test_kappa_by_hand() -> None:
    # O has one item two ranks off: sum(w O) = 4; rows 2, 1, 1 and columns 1, 1, 2: sum(w E) = 1/4
    # sum(w r c).
    score = metrics.quadratic_weighted_kappa(
        torch.tensor([0, 2, 1, 2]), torch.tensor([0, 0, 1, 2]), 3
    )
    by_chance = (2 * 1 * 1 + 2 * 2 * 4 + 1 * 1 * 1 + 1 * 2 * 1 + 1 * 1 * 4 + 1 * 1 * 1) / 4
    assert score.value == pytest.approx(1 - 4 / by_chance)


def test_kappa_of_reversed_ranks_is_the_same() -> None:
    decisions, labels = draw(3, 30, 5)
    backwards = torch.where(labels >= 0, 4 - labels, labels)
    forth = metrics.quadratic_weighted_kappa(decisions, labels, 5)
    assert metrics.quadratic_weighted_kappa(4 - decisions, backwards, 5) == forth


def test_degenerate_kappa() -> None:
    ones = torch.ones(4, dtype=torch.int64)
    score = metrics.quadratic_weighted_kappa(ones, ones, 3)
    assert str(score) == "nan (all decisions and all labels of the query are rank 1)"
    score = metrics.quadratic_weighted_kappa(
        torch.tensor([1, 2, 0, 0]), torch.tensor([2, 2, -1, 2]), 3
    )
    assert str(score) == "0.0 (all labels of the query are rank 2, so kappa is 0 by its formula)"


@pytest.mark.parametrize(
    ("rows", "shown"),
    [(0, "nan (the query is empty)"), (2, "nan (all 2 labels of the query are missing)")],
)
def test_nothing_to_score(rows: int, shown: str) -> None:
    decisions, labels = torch.zeros(rows, dtype=torch.int64), torch.full((rows,), -1)
    assert str(metrics.quadratic_weighted_kappa(decisions, labels, 3)) == shown
    assert str(metrics.mean_absolute_error(decisions, labels, GRADES)) == shown


def test_mean_absolute_error_is_in_grades() -> None:
    score = metrics.mean_absolute_error(torch.tensor([1, 2, 5]), torch.tensor([2, 2, -1]), GRADES)
    assert score.value == 1.5
