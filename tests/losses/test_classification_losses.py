"""Values of the classification losses: against torch's own, slow loops of the formulas, and by
hand.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from torchcross import losses


def draw(seed: int, rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(rows, columns, generator=generator, dtype=torch.float64)


def draw_labels(seed: int, low: int, high: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed + 1))


def slow_binary(z: np.ndarray, y: np.ndarray, weights: np.ndarray, smoothing: float) -> float:
    """Entry by entry over (N, L), with (L, 2) weights; the formula of two-class cross-entropy."""
    top = bottom = 0.0
    for i, label in np.ndindex(*z.shape):
        if y[i, label] == -1:
            continue
        p = 1 / (1 + math.exp(-z[i, label]))
        cost = (-math.log(1 - p), -math.log(p))
        own, other = int(y[i, label]), 1 - int(y[i, label])
        top += (1 - smoothing / 2) * weights[label, own] * cost[own]
        top += smoothing / 2 * weights[label, other] * cost[other]
        bottom += weights[label, own]
    return top / bottom


def slow_focal(z: np.ndarray, y: np.ndarray, gamma: float, alpha: float | None) -> float:
    terms = []
    for i, label in np.ndindex(*z.shape):
        if y[i, label] == -1:
            continue
        p = 1 / (1 + math.exp(-z[i, label]))
        own = p if y[i, label] == 1 else 1 - p
        weight = 1.0 if alpha is None else (alpha if y[i, label] == 1 else 1 - alpha)
        terms.append(weight * (1 - own) ** gamma * -math.log(own))
    return sum(terms) / len(terms)


@max_examples(30)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 12),
    classes=st.integers(1, 6),
    smoothing=st.sampled_from([0.0, 0.1, 0.9]),
    weighted=st.booleans(),
)
def test_cross_entropy_is_torchs(
    seed: int, rows: int, classes: int, smoothing: float, weighted: bool
) -> None:
    z, y = draw(seed, rows, classes), draw_labels(seed, -1, classes, (rows,))
    y[0] = 0
    weights = torch.linspace(0.5, 2.0, classes, dtype=torch.float64) if weighted else None
    expected = F.cross_entropy(z, y, weight=weights, ignore_index=-1, label_smoothing=smoothing)
    listed = weights.tolist() if weights is not None else None
    torch.testing.assert_close(
        losses.cross_entropy(z, y, class_weights=listed, smoothing=smoothing), expected
    )
    torch.testing.assert_close(
        losses.cross_entropy(z, y, class_weights=weights, smoothing=smoothing), expected
    )


def test_cross_entropy_by_hand() -> None:
    z = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([1, 0])
    assert losses.cross_entropy(z, y).item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)
    weighted = losses.cross_entropy(z, y, class_weights=[1.0, 3.0]).item()
    assert weighted == pytest.approx((3 * math.log(4 / 3) + math.log(2)) / 4)


def test_a_class_of_weight_zero_is_left_out() -> None:
    z, y = draw(0, 6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    without = losses.cross_entropy(z[y != 2], y[y != 2])
    torch.testing.assert_close(losses.cross_entropy(z, y, class_weights=[1.0, 1.0, 0.0]), without)
    only = y == 2
    assert losses.cross_entropy(z[only], y[only], class_weights=[1.0, 1.0, 0.0]).item() == 0.0


@max_examples(24)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 12), smoothing=st.sampled_from([0.0, 0.2]))
def test_binary_cross_entropy_is_the_slow_loop_and_two_columns(
    seed: int, rows: int, smoothing: float
) -> None:
    z, y = draw(seed, rows, 1), draw_labels(seed, -1, 2, (rows,))
    y[0] = 1
    weights = [0.7, 2.5]
    value = losses.binary_cross_entropy(z, y, class_weights=weights, smoothing=smoothing)
    slow = slow_binary(z.numpy(), y.numpy()[:, None], np.array([weights]), smoothing)
    assert value.item() == pytest.approx(slow, rel=1e-9)
    columns = torch.cat([torch.zeros_like(z), z], dim=1)
    torch.testing.assert_close(
        value, losses.cross_entropy(columns, y, class_weights=weights, smoothing=smoothing)
    )


def test_binary_cross_entropy_is_torchs() -> None:
    z, y = draw(3, 20, 1), draw_labels(3, 0, 2, (20,))
    expected = F.binary_cross_entropy_with_logits(z.squeeze(1), y.double())
    torch.testing.assert_close(losses.binary_cross_entropy(z, y), expected)


@max_examples(24)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 8),
    width=st.integers(1, 4),
    smoothing=st.sampled_from([0.0, 0.2]),
)
def test_multilabel_cross_entropy_is_the_slow_loop(
    seed: int, rows: int, width: int, smoothing: float
) -> None:
    z, y = draw(seed, rows, width), draw_labels(seed, -1, 2, (rows, width))
    y[0, 0] = 0
    weights = np.linspace(0.5, 2.0, 2 * width).reshape(width, 2)
    value = losses.multilabel_binary_cross_entropy(
        z, y, class_weights=weights.tolist(), smoothing=smoothing
    )
    assert value.item() == pytest.approx(
        slow_binary(z.numpy(), y.numpy(), weights, smoothing), rel=1e-9
    )


def test_multilabel_cross_entropy_is_torchs() -> None:
    z, y = draw(4, 9, 5), draw_labels(4, 0, 2, (9, 5))
    torch.testing.assert_close(
        losses.multilabel_binary_cross_entropy(z, y),
        F.binary_cross_entropy_with_logits(z, y.double()),
    )


@max_examples(24)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 8),
    gamma=st.sampled_from([0.0, 0.5, 2.0, 5.0]),
    alpha=st.sampled_from([None, 0.0, 0.3, 1.0]),
)
def test_focal_is_the_slow_loop(seed: int, rows: int, gamma: float, alpha: float | None) -> None:
    z, y = draw(seed, rows, 3), draw_labels(seed, -1, 2, (rows, 3))
    y[0] = 1
    slow = slow_focal(z.numpy(), y.numpy(), gamma, alpha)
    assert losses.multilabel_focal(z, y, gamma=gamma, alpha=alpha).item() == pytest.approx(
        slow, rel=1e-9
    )
    first = slow_focal(z.numpy()[:, :1], y.numpy()[:, :1], gamma, alpha)
    value = losses.binary_focal(z[:, :1], y[:, 0], gamma=gamma, alpha=alpha)
    assert value.item() == pytest.approx(first, rel=1e-9)


def test_focal_by_hand() -> None:
    z = torch.tensor([[math.log(3.0)], [0.0]], dtype=torch.float64)
    y = torch.tensor([1, 0])
    expected = (0.0625 * math.log(4 / 3) + 0.25 * math.log(2)) / 2
    assert losses.binary_focal(z, y).item() == pytest.approx(expected)
    expected = (0.75 * 0.0625 * math.log(4 / 3) + 0.25 * 0.25 * math.log(2)) / 2
    assert losses.binary_focal(z, y, alpha=0.75).item() == pytest.approx(expected)
    torch.testing.assert_close(
        losses.binary_focal(z, y, gamma=0.0), losses.binary_cross_entropy(z, y)
    )
