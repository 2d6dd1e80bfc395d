"""Prototypes and least squares: one score per class or label, which means the same under every
loss.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.func import grad, vmap

from tests.targets.tables import TARGETS, random_labels, random_scores
from torchcross.targets import MISSING, MultiLabel, Target

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
SINGLE = {name: target for name, target in TARGETS.items() if target.label_shape == ()}
every_single_label_target = pytest.mark.parametrize("target", SINGLE.values(), ids=SINGLE.keys())
MEDIANS = {"coral", "corn"}


@every_single_label_target
@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0, 100.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_mean_their_softmax_under_every_loss(target: Target, scale, dtype):
    scores = random_scores(60, target.num_classes, scale=scale).to(dtype)
    prediction = target.predict(target.objective.from_scores(scores))
    assert torch.allclose(
        prediction.probabilities, scores.softmax(dim=1), atol=32 * torch.finfo(dtype).eps
    )
    expected = scores.softmax(dim=1)
    decided = prediction.decisions
    if target.loss_name in MEDIANS:
        at_least = expected.flip(1).cumsum(1).flip(1)[:, 1:]
        clear = (at_least - 0.5).abs().min(dim=1).values > 1e-5
        assert torch.equal(decided[clear], (at_least > 0.5).sum(dim=1)[clear])
    else:
        top = expected.topk(2, dim=1).values
        clear = top[:, 0] - top[:, 1] > 1e-5
        assert torch.equal(decided[clear], expected.argmax(dim=1)[clear])


@pytest.mark.parametrize(
    "target", [target for target in SINGLE.values() if target.loss_name != "coral"], ids=repr
)
@given(data=st.data())
def test_rare_ranks_keep_their_probability(target: Target, data):
    """Also far below the rounding of the others, except under CORAL, where it is a difference of
    two logits.
    """
    score = st.floats(-60, 60)
    row = data.draw(st.lists(score, min_size=target.num_classes, max_size=target.num_classes))
    scores = torch.tensor([row], dtype=torch.float64)
    p = target.predict(target.objective.from_scores(scores)).probabilities
    assert torch.allclose(p, scores.softmax(dim=1), rtol=1e-6, atol=0.0)


@pytest.mark.slow
@every_target
def test_scores_become_logits_under_function_transforms(target: Target):
    scores = random_scores(12, target.num_prototypes).reshape(3, 4, -1)
    labels = random_labels(target, 12).reshape(3, 4, *target.label_shape)

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        return target.loss(target.prototype_logits(scores), labels)

    each = torch.stack([grad(loss)(*pair) for pair in zip(scores, labels, strict=True)])
    assert each.isfinite().all()
    assert (each != 0).any()
    assert torch.allclose(vmap(grad(loss))(scores, labels), each)
    first = scores[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda scores: loss(scores, labels[0]), first, fast_mode=True)
    assert torch.autograd.gradgradcheck(
        lambda scores: loss(scores, labels[0]), first, fast_mode=True
    )


@every_target
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores_are_read(target: Target, dtype):
    scores = random_scores(20, target.num_prototypes).to(dtype)
    exact = target.predict(target.prototype_logits(scores.double())).probabilities
    found = target.predict(target.prototype_logits(scores)).probabilities
    assert torch.allclose(found.double(), exact, atol=16 * torch.finfo(dtype).eps)


@every_target
def test_prototypes_are_means_over_their_strata(target: Target):
    labels = random_labels(target, 30, missing=True)
    strata = target.prototype_strata(labels)
    assert strata.shape == (30, target.num_prototypes)
    assert strata.is_floating_point()
    if target.label_shape == ():
        assert torch.equal(
            strata, torch.stack([labels == c for c in range(target.num_classes)], dim=1).float()
        )
    else:
        absent, present = strata.chunk(2, dim=1)
        assert torch.equal(absent, (labels == 0).float())
        assert torch.equal(present, (labels == 1).float())
    assert torch.equal(
        vmap(target.prototype_strata)(labels.reshape(5, 6, *target.label_shape)).flatten(0, 1),
        strata,
    )


@every_target
def test_nearer_prototypes_are_likelier(target: Target):
    labels = (
        torch.arange(target.num_classes) if target.label_shape == () else torch.tensor([[0], [1]])
    )
    labels = (
        labels.repeat(3, *(target.num_classes if target.label_shape else 1,))
        if target.label_shape
        else labels.repeat(3)
    )
    features = labels.reshape(len(labels), -1)[:, :1].double() * 10
    strata = target.prototype_strata(labels).double()
    prototypes = (strata.T @ features) / strata.sum(dim=0)[:, None]
    prediction = target.predict(
        target.prototype_logits(-((features[:, None] - prototypes) ** 2).sum(dim=2))
    )
    assert torch.equal(prediction.decisions, labels)


def test_the_two_prototypes_of_a_label_are_weighed_against_each_other():
    target = MultiLabel(["x", "y"])
    scores = random_scores(6, 4)
    p = target.predict(target.prototype_logits(scores)).probabilities
    for column in range(2):
        pair = scores[:, [column, column + 2]].softmax(dim=1)
        assert torch.allclose(p[:, column], pair[:, 1])


@every_target
def test_regression_on_its_targets_gives_the_labels_back(target: Target):
    labels = random_labels(target, 30)
    outputs = target.regression_targets(labels)
    assert torch.equal(target.predict(target.regression_logits(outputs)).decisions, labels)
    assert torch.equal(
        target.predict(target.regression_logits(outputs.double() * 5)).decisions, labels
    )
    unknown = torch.full((2, *target.label_shape), MISSING)
    assert (target.regression_targets(unknown) == 0).all()
    batched = vmap(target.regression_targets)(labels.reshape(5, 6, *target.label_shape))
    assert torch.equal(batched.flatten(0, 1), outputs)


@every_target
def test_regression_logits_pass_through_function_transforms(target: Target):
    outputs = target.regression_targets(random_labels(target, 6)).double()
    outputs = outputs + 0.1 * random_scores(6, outputs.shape[1])
    labels = random_labels(target, 6, seed=3)

    def loss(outputs: Tensor) -> Tensor:
        return target.loss(target.regression_logits(outputs), labels)

    assert torch.autograd.gradcheck(loss, outputs.clone().requires_grad_(), fast_mode=True)
    stacked = torch.stack([outputs, 2 * outputs])
    each = torch.stack([grad(loss)(one) for one in stacked])
    assert torch.allclose(vmap(grad(loss))(stacked), each)
