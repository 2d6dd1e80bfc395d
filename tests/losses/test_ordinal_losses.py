"""Values of the ordinal losses: against slow loops of the formulas, and by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from torchcross import losses

LN2 = math.log(2.0)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def slow_softmax(row: np.ndarray) -> np.ndarray:
    e = np.exp(row - row.max())
    return e / e.sum()


def slow_coral(z: np.ndarray, y: np.ndarray) -> float:
    totals = []
    for row, rank in zip(z, y, strict=True):
        if rank == -1:
            continue
        total = 0.0
        for k in range(1, len(row) + 1):
            p = sigmoid(row[k - 1])
            total -= math.log(p) if rank >= k else math.log(1 - p)
        totals.append(total)
    return sum(totals) / len(totals)


def slow_corn(z: np.ndarray, y: np.ndarray) -> float:
    terms = []
    for k in range(1, z.shape[1] + 1):
        for row, rank in zip(z, y, strict=True):
            if rank == -1 or rank < k - 1:
                continue
            p = sigmoid(row[k - 1])
            terms.append(-math.log(p) if rank >= k else -math.log(1 - p))
    return sum(terms) / len(terms)


def slow_cumulative(row: np.ndarray) -> list[float]:
    f, thresholds = row[0], [row[1]]
    for raw in row[2:]:
        thresholds.append(thresholds[-1] + math.log1p(math.exp(raw)))
    at_most = [0.0] + [sigmoid(theta - f) for theta in thresholds] + [1.0]
    return [high - low for low, high in pairwise(at_most)]


def slow_cumulative_link(z: np.ndarray, y: np.ndarray) -> float:
    terms = [
        -math.log(slow_cumulative(row)[rank]) for row, rank in zip(z, y, strict=True) if rank != -1
    ]
    return sum(terms) / len(terms)


def slow_earth_movers(z: np.ndarray, y: np.ndarray, grades: Sequence[float]) -> float:
    totals = []
    for row, rank in zip(z, y, strict=True):
        if rank == -1:
            continue
        p, total = slow_softmax(row), 0.0
        for k in range(len(row) - 1):
            total += (grades[k + 1] - grades[k]) * (p[: k + 1].sum() - float(rank <= k)) ** 2
        totals.append(total)
    return sum(totals) / len(totals)


def slow_soft_labels(z: np.ndarray, y: np.ndarray, grades: Sequence[float], tau: float) -> float:
    totals = []
    for row, rank in zip(z, y, strict=True):
        if rank == -1:
            continue
        q = np.array([math.exp(-abs(grade - grades[rank]) / tau) for grade in grades])
        totals.append(-float((q / q.sum() * np.log(slow_softmax(row))).sum()))
    return sum(totals) / len(totals)


GRADES = (0.0, 1.0, 4.0, 6.0, 8.0, 10.0)


@max_examples(36)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 8), ranks=st.integers(2, 6))
def test_ordinal_losses_are_the_slow_loops(seed: int, rows: int, ranks: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(rows, ranks, generator=generator, dtype=torch.float64)
    y = torch.randint(-1, ranks, (rows,), generator=generator)
    y[0] = ranks - 1
    grades = GRADES[:ranks]
    gaps = np.diff(grades).tolist()
    a, b = z.numpy(), y.numpy()
    assert losses.coral(z[:, 1:], y).item() == pytest.approx(slow_coral(a[:, 1:], b), rel=1e-9)
    assert losses.corn(z[:, 1:], y).item() == pytest.approx(slow_corn(a[:, 1:], b), rel=1e-9)
    assert losses.cumulative_link(z, y).item() == pytest.approx(
        slow_cumulative_link(a, b), rel=1e-6
    )
    emd = losses.earth_movers(z, y, gaps=gaps).item()
    assert emd == pytest.approx(slow_earth_movers(a, b, grades), rel=1e-9, abs=1e-12)
    soft = losses.soft_labels(z, y, grades=grades, tau=1.5).item()
    assert soft == pytest.approx(slow_soft_labels(a, b, grades, 1.5), rel=1e-9)


def test_coral_by_hand() -> None:
    z = torch.zeros(2, 3, dtype=torch.float64)
    assert losses.coral(z, torch.tensor([0, 2])).item() == pytest.approx(3 * LN2)
    z = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)
    assert losses.coral(z, torch.tensor([1])).item() == pytest.approx(math.log(4 / 3) + LN2)


def test_corn_counts_each_item_once_per_threshold_it_reaches() -> None:
    z = torch.tensor([[math.log(3.0), 0.0, 0.0]] * 3, dtype=torch.float64)
    y = torch.tensor([0, 1, 3])
    # y = 0 has one term, y = 1 two, y = 3 three.
    expected = (math.log(4.0) + (math.log(4 / 3) + LN2) + (math.log(4 / 3) + 2 * LN2)) / 6
    assert losses.corn(z, y).item() == pytest.approx(expected)


def test_cumulative_link_by_hand() -> None:
    # Thresholds -1, -1 + ln 2, -1 + 2 ln 2 and f = .5, written as logits.
    z = torch.tensor([[0.5, -1.0, 0.0, 0.0]], dtype=torch.float64)
    edges = [0.0, *(sigmoid(-1.5 + k * LN2) for k in range(3)), 1.0]
    for rank in range(4):
        value = losses.cumulative_link(z, torch.tensor([rank])).item()
        assert value == pytest.approx(-math.log(edges[rank + 1] - edges[rank]))


def test_earth_movers_by_hand() -> None:
    z = torch.tensor([[0.0, math.log(2.0), 0.0]], dtype=torch.float64)  # p = 1/4, 1/2, 1/4
    assert losses.earth_movers(z, torch.tensor([0]), gaps=[1.0, 3.0]).item() == pytest.approx(
        0.75**2 + 3 * 0.25**2
    )
    assert losses.earth_movers(z, torch.tensor([2]), gaps=[1.0, 3.0]).item() == pytest.approx(
        0.25**2 + 3 * 0.75**2
    )


def test_soft_labels_approach_cross_entropy_as_tau_falls() -> None:
    z = torch.tensor([[0.3, -1.0, 2.0], [0.0, 1.0, -1.0]], dtype=torch.float64)
    y = torch.tensor([1, 2])
    value = losses.soft_labels(z, y, grades=[0.0, 1.0, 4.0], tau=1e-3)
    torch.testing.assert_close(value, F.cross_entropy(z, y))


def test_two_ranks_are_binary() -> None:
    z = torch.tensor([[0.3], [-2.0], [1.0]], dtype=torch.float64)
    y = torch.tensor([0, 1, -1])
    binary = losses.binary_cross_entropy(z, y)
    torch.testing.assert_close(losses.coral(z, y), binary)
    torch.testing.assert_close(losses.corn(z, y), binary)
    with_threshold = torch.cat([z, torch.zeros_like(z)], dim=1)
    torch.testing.assert_close(losses.cumulative_link(with_threshold, y), binary)


@pytest.mark.parametrize("loss", ["coral", "earth_movers", "soft_labels", "cross_entropy"])
def test_reversing_the_scale_changes_nothing(loss: str) -> None:
    z = torch.tensor([[0.3, -1.0, 2.0, 0.1], [0.0, 1.0, -1.0, 0.4]], dtype=torch.float64)
    y = torch.tensor([1, 3])
    grades = torch.tensor([0.0, 1.0, 4.0, 6.0], dtype=torch.float64)
    backwards = (10.0 - grades).flip(0)
    if loss == "coral":
        forth, back = losses.coral(z[:, 1:], y), losses.coral(-z[:, 1:].flip(1), 3 - y)
    elif loss == "earth_movers":
        forth = losses.earth_movers(z, y, gaps=grades.diff())
        back = losses.earth_movers(z.flip(1), 3 - y, gaps=backwards.diff())
    elif loss == "soft_labels":
        forth = losses.soft_labels(z, y, grades=grades)
        back = losses.soft_labels(z.flip(1), 3 - y, grades=backwards)
    else:
        forth, back = losses.cross_entropy(z, y), losses.cross_entropy(z.flip(1), 3 - y)
    torch.testing.assert_close(forth, back)
