"""Reversing an ordinal scale reverses its prediction, from a zero head and away from ties.

For cross-entropy, CORAL, the earth mover's distance and soft labels; CORN and cumulative link are
not symmetric.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.targets.tables import draws, random_scores
from torchcross.targets import Ordinal

NAMES = ["none", "mild", "much", "most", "all"]
GRADES = [0, 1, 4, 6, 10]
WEIGHTS = [1.0, 2.0, 0.5, 3.0, 0.25]
SYMMETRIC = {
    "cross-entropy": ("cross_entropy", {}),
    "smoothed": ("cross_entropy", {"smoothing": 0.2}),
    "coral": ("coral", {}),
    "earth mover's": ("earth_movers", {}),
    "soft labels": ("soft_labels", {"tau": 2.0}),
}

symmetric = pytest.mark.parametrize(("loss", "options"), SYMMETRIC.values(), ids=SYMMETRIC.keys())


def reversed_scale(target: Ordinal) -> Ordinal:
    """The same scale read from the other end: grade g becomes -g."""
    by_grade = dict(zip(target.grades, target.classes, strict=True))
    made = Ordinal({-grade: by_grade[grade] for grade in reversed(target.grades)})
    options = dict(target.loss_options)
    if "class_weights" in options:
        options["class_weights"] = options["class_weights"][::-1]
    return made.with_loss(target.loss_name, **options)


def trained_logits(target: Ordinal, features: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
    """Logits of the queries after a few steps of gradient descent from a zero head."""
    head = target.head
    parameters = [
        torch.zeros(head.weight_rows, features.shape[1]).double(),
        torch.zeros(head.biases).double(),
    ]
    for _ in range(10):
        for parameter in parameters:
            parameter.requires_grad_()
        loss = target.loss(head.logits(features, *parameters), labels)
        slopes = torch.autograd.grad(loss, parameters)
        parameters = [
            (value - 0.5 * slope).detach() for value, slope in zip(parameters, slopes, strict=True)
        ]
    return head.logits(queries, *parameters)


@pytest.mark.parametrize(
    ("loss", "options"),
    [*SYMMETRIC.values(), ("cross_entropy", {"class_weights": WEIGHTS, "smoothing": 0.1})],
    ids=[*SYMMETRIC, "weighted"],
)
def test_a_head_trained_on_the_reversed_scale_predicts_the_reverse(
    loss: str, options: dict[str, object]
):
    target = Ordinal(NAMES, GRADES, loss=loss, **options)
    mirror = reversed_scale(target)
    support, queries = (
        torch.randn(count, 6, generator=draws(count)).double() for count in (40, 100)
    )
    labels = torch.randint(0, 5, (40,), generator=draws(1))
    found = target.predict(trained_logits(target, support, labels, queries))
    turned = mirror.predict(trained_logits(mirror, support, 4 - labels, queries))
    assert torch.allclose(turned.probabilities.flip(1), found.probabilities, atol=1e-9)
    assert torch.equal(4 - turned.decisions, found.decisions)
    assert found.decisions.unique().numel() > 1
    raw = mirror.decode(turned.decisions)
    assert (-raw).tolist() == target.decode(found.decisions).tolist()


@symmetric
def test_losses_of_reversed_scores_are_equal(loss, options):
    target = Ordinal(NAMES, GRADES, loss=loss, **options)
    mirror = reversed_scale(target)
    scores = random_scores(20, 5)
    labels = torch.randint(0, 5, (20,), generator=draws(1))
    own = target.loss(target.prototype_logits(scores), labels)
    assert torch.allclose(own, mirror.loss(mirror.prototype_logits(scores.flip(1)), 4 - labels))


@symmetric
def test_regression_reads_the_reversed_scale_in_reverse(loss, options):
    target = Ordinal(NAMES, GRADES, loss=loss, **options)
    mirror = reversed_scale(target)
    labels = torch.arange(5)
    assert torch.equal(
        mirror.regression_targets(4 - labels), -target.regression_targets(labels).flip(1)
    )
    outputs = random_scores(30, 4)
    found = target.predict(target.regression_logits(outputs))
    turned = mirror.predict(mirror.regression_logits(-outputs.flip(1)))
    assert torch.allclose(turned.probabilities.flip(1), found.probabilities)
    assert torch.equal(4 - turned.decisions, found.decisions)


def test_metrics_do_not_see_the_direction_of_the_scale():
    target = Ordinal(NAMES, GRADES)
    mirror = reversed_scale(target)
    scores = random_scores(60, 5)
    labels = torch.randint(0, 5, (60,), generator=draws(1))
    found = target.evaluate(target.predict(scores), labels)
    turned = mirror.evaluate(mirror.predict(scores.flip(1)), 4 - labels)
    assert {name: float(score) for name, score in found.items()} == pytest.approx(
        {name: float(score) for name, score in turned.items()}
    )
