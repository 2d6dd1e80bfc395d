"""What heads and algorithms ask of a target: every target with every loss is held to the same
contracts.
"""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from tests.targets.tables import TARGETS, TYPES, draws, random_labels, random_logits, random_scores
from torchcross.errors import InputError, LabelError
from torchcross.targets import MISSING, Binary, HeadLayout, Ordinal, Target

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
SINGLE = {name: target for name, target in TARGETS.items() if target.label_shape == ()}
every_single_label_target = pytest.mark.parametrize("target", SINGLE.values(), ids=SINGLE.keys())
MEDIANS = {"coral", "corn"}


def test_the_table_holds_every_loss_of_every_type():
    held = {(type(target), target.loss_name) for target in TARGETS.values()}
    assert held == {(kind, loss) for kind in TYPES for loss in kind.objectives}
    for kind in TYPES:
        assert kind.default_loss in kind.objectives
        assert set(kind.default_metrics) <= set(kind.metrics)


# -- heads -----------------------------------------------------------------------------------------


@every_target
def test_a_head_makes_the_logits_of_its_layout(target: Target):
    head = target.head
    features = torch.randn(7, 5, generator=draws(1))
    weight = torch.randn(head.weight_rows, 5, generator=draws(2))
    bias = torch.randn(head.biases, generator=draws(3))
    logits = head.logits(features, weight, bias)
    assert logits.shape == (7, head.outputs) == (7, target.num_outputs)
    lanes = vmap(head.logits)(features[None], weight[None], bias[None])
    assert torch.allclose(lanes[0], logits, atol=1e-6)
    assert target.predict(logits).probabilities.shape == (7, target.num_classes)


def test_layouts_share_what_their_models_share():
    features, bias = torch.randn(3, 2, generator=draws(1)), torch.tensor([0.5, -1.0, 2.0])
    linear, shared, thresholds = (
        HeadLayout(kind, 3) for kind in ("linear", "shared", "thresholds")
    )
    assert [(head.weight_rows, head.biases) for head in (linear, shared, thresholds)] == [
        (3, 3),
        (1, 3),
        (1, 2),
    ]
    weight = torch.randn(3, 2, generator=draws(2))
    assert torch.equal(linear.logits(features, weight, bias), features @ weight.T + bias)
    scores = features @ weight[0]
    assert torch.allclose(shared.logits(features, weight[:1], bias), scores[:, None] + bias)
    made = thresholds.logits(features, weight[:1], bias[:2])
    assert torch.equal(made, torch.stack([scores, *bias[:2, None].expand(2, 3)], dim=1))


@pytest.mark.parametrize(
    ("name", "kind", "outputs"),
    [
        ("binary", "linear", 1),
        ("binary focal", "linear", 1),
        ("multi-class", "linear", 4),
        ("multi-label", "linear", 3),
        ("multi-label, one", "linear", 1),
        ("ordinal", "linear", 4),
        ("coral", "shared", 3),
        ("coral, two", "shared", 1),
        ("corn", "linear", 3),
        ("cumulative link", "thresholds", 4),
        ("cumulative link, two", "thresholds", 2),
        ("earth mover's", "linear", 4),
        ("soft labels", "linear", 4),
    ],
)
def test_outputs_per_loss(name, kind, outputs):
    assert TARGETS[name].head == HeadLayout(kind, outputs)


@pytest.mark.slow
@every_target
def test_a_head_from_zero_learns_what_can_be_told_apart(target: Target):
    codes = torch.arange(target.num_classes if target.label_shape == () else 2)
    labels = (
        codes.repeat(3)
        if target.label_shape == ()
        else torch.stack([codes.repeat(3)] * target.num_classes, 1)
    )
    features = torch.stack(
        [labels.reshape(len(labels), -1)[:, 0].float() ** power for power in range(4)], dim=1
    )
    features = features + 0.01 * torch.randn(features.shape, generator=draws(4))
    features = features / features.std(dim=0).clamp(min=1.0)
    head = target.head
    parameters = [torch.zeros(head.weight_rows, 4), torch.zeros(head.biases)]
    first = target.loss(head.logits(features, *parameters), labels)
    for parameter in parameters:
        parameter.requires_grad_()
    optimiser = torch.optim.LBFGS(parameters, max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = target.loss(head.logits(features, *parameters), labels)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert target.loss(head.logits(features, *parameters), labels) < first
    assert torch.equal(target.predict(head.logits(features, *parameters)).decisions, labels)


# -- predictions -----------------------------------------------------------------------------------


@every_target
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 3e4])
def test_probabilities_are_probabilities(target: Target, dtype, scale):
    logits = random_logits(target, 50, scale=1.0).clamp(-1.5, 1.5).mul(scale).to(dtype)
    prediction = target.predict(logits)
    p = prediction.probabilities
    assert p.shape == (50, target.num_classes)
    assert p.isfinite().all()
    assert ((p >= 0) & (p <= 1)).all()
    if target.label_shape == ():
        assert torch.allclose(
            p.double().sum(dim=1),
            torch.ones(50, dtype=torch.float64),
            atol=8 * torch.finfo(p.dtype).eps,
        )
    assert prediction.decisions.dtype == torch.int64
    assert prediction.decisions.shape == (50, *target.label_shape)
    assert ((prediction.decisions >= 0) & (prediction.decisions < len(target.values))).all()


@every_target
def test_decisions_follow_the_probabilities(target: Target):
    prediction = target.predict(random_logits(target, 200))
    p, decided = prediction.probabilities, prediction.decisions
    if target.label_shape != ():
        assert torch.equal(decided, (p > 0.5).long())
    elif target.loss_name in MEDIANS:
        at_least = p.flip(1).cumsum(1).flip(1)[:, 1:]
        assert torch.equal(decided, (at_least > 0.5).sum(dim=1))
    else:
        assert torch.equal(decided, p.argmax(dim=1))


@every_target
def test_prediction_refuses_what_its_head_did_not_make(target: Target):
    for logits in (
        torch.zeros(2, target.num_outputs + 1),
        torch.zeros(target.num_outputs),
        torch.zeros(2, 1, target.num_outputs),
        torch.zeros(2, target.num_outputs, dtype=torch.int64),
    ):
        with pytest.raises(
            InputError, match=rf"predicts from floats of shape \(N, {target.num_outputs}\)"
        ):
            target.predict(logits)


@every_target
def test_prediction_of_no_samples_is_empty(target: Target):
    prediction = target.predict(torch.zeros(0, target.num_outputs))
    assert prediction.probabilities.shape == (0, target.num_classes)
    assert prediction.decisions.shape == (0, *target.label_shape)


# -- losses ----------------------------------------------------------------------------------------


@every_target
def test_missing_labels_contribute_nothing(target: Target):
    labels = random_labels(target, 12, missing=True)
    logits = random_logits(target, 12)
    known = (labels != MISSING).reshape(12, -1).any(dim=1)
    assert 0 < known.sum() < 12
    assert torch.allclose(target.loss(logits, labels), target.loss(logits[known], labels[known]))
    wild = torch.where(known[:, None], logits, float("inf"))
    assert torch.allclose(target.loss(wild, labels), target.loss(logits, labels))
    slope = grad(target.loss)(logits, labels)
    assert (slope[~known] == 0).all()
    assert (slope[known] != 0).any()


@every_target
def test_a_batch_without_labels_costs_nothing(target: Target):
    labels = torch.full((3, *target.label_shape), MISSING)
    logits = random_logits(target, 3)
    assert target.loss(logits, labels) == 0
    assert (grad(target.loss)(logits, labels) == 0).all()


@every_target
def test_losses_pass_through_function_transforms(target: Target):
    logits = random_logits(target, 30).reshape(5, 6, -1)
    labels = random_labels(target, 30, missing=True).reshape(5, 6, *target.label_shape)
    each = [target.loss(*pair) for pair in zip(logits, labels, strict=True)]
    slopes = [grad(target.loss)(*pair) for pair in zip(logits, labels, strict=True)]
    assert torch.allclose(vmap(target.loss)(logits, labels), torch.stack(each))
    assert torch.allclose(vmap(grad(target.loss))(logits, labels), torch.stack(slopes))

    def predicted(logits: Tensor) -> tuple[Tensor, Tensor]:
        prediction = target.predict(logits)
        return prediction.probabilities, prediction.decisions

    p, decided = vmap(predicted)(logits)
    whole = target.predict(logits.flatten(0, 1))
    assert torch.allclose(p.flatten(0, 1), whole.probabilities)
    assert torch.equal(decided.flatten(0, 1), whole.decisions)


@every_target
def test_losses_want_codes_of_the_right_shape(target: Target):
    logits = random_logits(target, 4)
    with pytest.raises(InputError, match="labels have shape"):
        target.loss(logits, torch.zeros(4, *target.label_shape, 2, dtype=torch.int64))
    with pytest.raises(InputError, match=r"call labels\.long\(\)"):
        target.loss(logits, random_labels(target, 4).to(torch.int8))


@every_target
@pytest.mark.parametrize(
    ("wrong", "advice"), [(9, "raw labels are encoded first"), (-2, "is -1"), (-100, "is -1")]
)
def test_labels_outside_the_classes_are_refused(target: Target, wrong: int, advice: str):
    logits, labels = random_logits(target, 4), random_labels(target, 4)
    labels.reshape(4, -1)[2, -1] = wrong
    where = "index 2" if target.label_shape == () else f"row 2, column {target.num_classes - 1}"
    with pytest.raises(
        LabelError,
        match=rf"1 value\(s\) outside the classes, the first {wrong} at {where}; .*{advice}",
    ):
        target.loss(logits, labels)
    with pytest.raises(LabelError, match="outside the classes"):
        grad(target.loss)(logits, labels)
    with pytest.raises(LabelError, match="outside the classes"):
        target.evaluate(target.predict(logits), labels)


@every_target
def test_objectives_can_be_pickled(target: Target):
    assert pickle.loads(pickle.dumps(target.objective)) == target.objective


def test_options_reach_their_loss():
    logits, labels = torch.tensor([[0.3], [-1.0], [2.0]]), torch.tensor([0, 1, 1])
    z = logits[:, 0]
    own = torch.where(
        labels == 1, torch.nn.functional.softplus(-z), torch.nn.functional.softplus(z)
    )
    weights = torch.tensor([1.0, 4.0, 4.0])
    assert torch.allclose(
        Binary(class_weights=[1.0, 4.0]).loss(logits, labels), (own * weights).sum() / weights.sum()
    )
    assert Binary(smoothing=0.2).loss(logits, labels) != Binary().loss(logits, labels)
    focal = (1 - torch.exp(-own)) ** 3 * own * torch.tensor([0.7, 0.3, 0.3])
    assert torch.allclose(
        Binary(loss="focal", gamma=3.0, alpha=0.3).loss(logits, labels), focal.mean()
    )
    ranks = torch.tensor([0, 2, 1])
    near, far = (
        Ordinal(["a", "b", "c"], grades, loss="earth_movers") for grades in ([0, 1, 2], [0, 1, 9])
    )
    assert near.loss(torch.eye(3), ranks) < far.loss(torch.eye(3), ranks)
    soft = [
        Ordinal(["a", "b", "c"], loss="soft_labels", tau=tau).loss(torch.eye(3), ranks)
        for tau in (0.01, 1.0)
    ]
    assert torch.allclose(soft[0], Ordinal(["a", "b", "c"]).loss(torch.eye(3), ranks))
    assert soft[0] != soft[1]


@pytest.mark.parametrize("loss", ["earth_movers", "soft_labels"])
def test_a_restricted_scale_keeps_the_gaps_of_its_grades(loss: str):
    whole = Ordinal(["a", "b", "c", "d"], [0, 1, 4, 6], loss=loss)
    logits, labels = random_scores(5, 3), torch.tensor([0, 1, 2, 2, 0])
    kept = Ordinal({0: "a", 1: "b", 6: "d"}, loss=loss)
    assert whole.restrict([0, 1, 3]).loss(logits, labels) == kept.loss(logits, labels)
    assert whole.restrict([0, 1, 2]).loss(logits, labels) != kept.loss(logits, labels)


@pytest.mark.parametrize(
    "name", ["multi-class, weighted", "ordinal, weighted", "multi-label, weighted"]
)
def test_a_restricted_target_weighs_its_own_classes(name):
    target = TARGETS[name]
    kept = (0, 2)
    weights = [dict(target.loss_options)["class_weights"][position] for position in kept]
    small = target.restrict(kept)
    by_hand = small.with_loss(small.loss_name, class_weights=weights, smoothing=0.1)
    assert small == by_hand
    logits, labels = random_logits(small, 9), random_labels(small, 9)
    unweighted = small.with_loss(small.loss_name, smoothing=0.1)
    assert (
        small.loss(logits, labels)
        == by_hand.loss(logits, labels)
        != unweighted.loss(logits, labels)
    )
