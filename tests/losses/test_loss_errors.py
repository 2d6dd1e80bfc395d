"""Wrong shapes and options are refused, with what was given and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from torchcross import losses
from torchcross.errors import InputError

ONE, TWO = torch.zeros(4, 1), torch.zeros(4, 2)
THREE = torch.zeros(4, 3)
LABELS = torch.zeros(4, dtype=torch.int64)
MULTI = torch.zeros(4, 3, dtype=torch.int64)
emd = partial(losses.earth_movers, gaps=[1.0, 2.0])
soft = partial(losses.soft_labels, grades=[0.0, 1.0, 4.0])
Loss = Callable[[Tensor, Tensor], Tensor]

SHAPES: list[tuple[Loss, Tensor, Tensor, str]] = [
    (losses.cross_entropy, torch.zeros(4), LABELS, r"cross_entropy: logits have shape \(4,\)"),
    (losses.cross_entropy, THREE, LABELS[:3], r"labels have shape \(3,\), expected \(4,\)"),
    (losses.cross_entropy, THREE, MULTI, r"labels have shape \(4, 3\), expected \(4,\)"),
    (losses.cross_entropy, THREE, LABELS.int(), r"labels are torch.int32, expected torch.int64"),
    (losses.cross_entropy, THREE, LABELS.float(), r"call labels.long\(\)"),
    (
        losses.cross_entropy,
        THREE.long(),
        LABELS,
        r"logits are torch.int64, expected floating point",
    ),
    (losses.binary_cross_entropy, TWO, LABELS, r"logits have shape \(4, 2\), expected \(N, 1\)"),
    (losses.binary_cross_entropy, torch.zeros(4), LABELS, r"expected \(N, 1\)"),
    (losses.binary_focal, TWO, LABELS, r"binary_focal: logits have shape \(4, 2\)"),
    (losses.multilabel_binary_cross_entropy, THREE, LABELS, r"expected \(4, 3\)"),
    (
        losses.multilabel_focal,
        THREE,
        MULTI[:, :2],
        r"labels have shape \(4, 2\), expected \(4, 3\)",
    ),
    (losses.coral, torch.zeros(4, 0), LABELS, r"expected \(N, K-1\) with K-1 >= 1"),
    (losses.corn, torch.zeros(4, 0), LABELS, r"expected \(N, K-1\) with K-1 >= 1"),
    (losses.cumulative_link, ONE, LABELS, r"expected \(N, K\) with K >= 2"),
    (emd, ONE, LABELS, r"earth_movers: logits have shape \(4, 1\)"),
    (soft, ONE, LABELS, r"soft_labels: logits have shape \(4, 1\)"),
]


@pytest.mark.parametrize(("loss", "logits", "labels", "message"), SHAPES)
def test_wrong_shapes_and_types(loss: Loss, logits: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        loss(logits, labels)


NAN, INF = float("nan"), float("inf")
OPTIONS: list[tuple[Callable[[], Tensor], str]] = [
    (
        lambda: losses.cross_entropy(THREE, LABELS, smoothing=1.0),
        r"smoothing is 1.0, expected 0 <= ",
    ),
    (lambda: losses.cross_entropy(THREE, LABELS, smoothing=-0.1), r"smoothing is -0.1"),
    (lambda: losses.binary_cross_entropy(ONE, LABELS, smoothing=NAN), r"smoothing is nan"),
    (lambda: losses.multilabel_binary_cross_entropy(THREE, MULTI, smoothing=2), r"smoothing is 2"),
    (
        lambda: losses.cross_entropy(THREE, LABELS, class_weights=[1.0, 1.0]),
        r"shape \(2,\), expected \(3,\)",
    ),
    (lambda: losses.cross_entropy(THREE, LABELS, class_weights=torch.ones(4)), r"expected \(3,\)"),
    (
        lambda: losses.cross_entropy(THREE, LABELS, class_weights=[1.0, -1.0, 1.0]),
        r"weight >= 0 per class",
    ),
    (lambda: losses.cross_entropy(THREE, LABELS, class_weights=[1.0, NAN, 1.0]), r"finite weight"),
    (
        lambda: losses.binary_cross_entropy(ONE, LABELS, class_weights=[1.0]),
        r"pair \(negative, positive\)",
    ),
    (
        lambda: losses.binary_cross_entropy(ONE, LABELS, class_weights=[1.0, INF]),
        r"finite weights >= 0",
    ),
    (
        lambda: losses.multilabel_binary_cross_entropy(THREE, MULTI, class_weights=torch.ones(3)),
        r"shape \(3,\), expected \(3, 2\)",
    ),
    (
        lambda: losses.multilabel_binary_cross_entropy(
            THREE, MULTI, class_weights=[[1.0, 1.0], [1.0]]
        ),
        r"class_weights is .* expected one pair",
    ),
    (
        lambda: losses.binary_focal(ONE, LABELS, gamma=-1.0),
        r"gamma is -1.0, expected a finite gamma >= 0",
    ),
    (lambda: losses.multilabel_focal(THREE, MULTI, gamma=INF), r"gamma is inf"),
    (lambda: losses.binary_focal(ONE, LABELS, alpha=1.5), r"alpha is 1.5"),
    (lambda: losses.multilabel_focal(THREE, MULTI, alpha=-0.5), r"alpha is -0.5"),
    (lambda: losses.earth_movers(THREE, LABELS, gaps=[1.0]), r"expected \(2,\); give K - 1 = 2"),
    (lambda: losses.earth_movers(THREE, LABELS, gaps=[1.0, 0.0]), r"differences > 0"),
    (lambda: losses.earth_movers(THREE, LABELS, gaps=[1.0, INF]), r"finite differences"),
    (lambda: losses.soft_labels(THREE, LABELS, grades=[0.0, 1.0]), r"expected \(3,\); give K = 3"),
    (
        lambda: losses.soft_labels(THREE, LABELS, grades=[0.0, 2.0, 1.0]),
        r"strictly increasing order",
    ),
    (lambda: losses.soft_labels(THREE, LABELS, grades=[0.0, 1.0, 2.0], tau=0.0), r"tau is 0.0"),
    (lambda: losses.soft_labels(THREE, LABELS, grades=[0.0, 1.0, 2.0], tau=NAN), r"tau is nan"),
    (lambda: losses.softmax(torch.zeros(3)), r"softmax: logits have shape \(3,\)"),
    (lambda: losses.coral_probabilities(torch.zeros(3)), r"coral_probabilities: logits have shape"),
    (
        lambda: losses.corn_probabilities(torch.zeros(3, 0)),
        r"corn_probabilities: logits have shape",
    ),
    (lambda: losses.cumulative_link_probabilities(ONE), r"expected \(N, K\) with K >= 2"),
    (lambda: losses.coral_decision(torch.zeros(3)), r"coral_decision: logits have shape"),
    (lambda: losses.corn_decision(LABELS.unsqueeze(1)), r"corn_decision: logits are torch.int64"),
]


@pytest.mark.parametrize(("call", "message"), OPTIONS)
def test_wrong_options(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_errors_are_raised_inside_transforms_too() -> None:
    with pytest.raises(InputError, match=r"labels have shape \(2,\), expected \(3,\)"):
        vmap(grad(losses.cross_entropy))(torch.zeros(5, 3, 2), torch.zeros(5, 2, dtype=torch.int64))


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.cumulative_link, soft])
@pytest.mark.parametrize("label", [3, -2])
def test_a_label_outside_the_classes_does_not_pass_for_another(loss: Loss, label: int) -> None:
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        loss(THREE, torch.full((4,), label))
