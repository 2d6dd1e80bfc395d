"""Metrics by name, through the target."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from tests.targets.tables import TARGETS, draws, random_labels, random_logits
from torchcross.errors import InputError
from torchcross.targets import MISSING, Binary, MultiClass, MultiLabel, Ordinal, Prediction, Target

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
COMMON = {"accuracy", "balanced_accuracy", "auroc", "average_precision", "f1"}


def test_the_metrics_of_each_type():
    assert set(Binary.metrics) == COMMON
    assert set(MultiClass.metrics) == COMMON | {"weighted_auroc"}
    assert set(MultiLabel.metrics) == COMMON | {"exact_match"}
    assert set(Ordinal.metrics) == COMMON | {"weighted_auroc", "qwk", "mae"}
    assert {"auroc", "qwk", "mae"} <= set(Ordinal.default_metrics)


@every_target
def test_every_metric_runs_by_name(target: Target):
    labels = random_labels(target, 80)
    prediction = target.predict(random_logits(target, 80))
    assert tuple(target.evaluate(prediction, labels)) == target.default_metrics
    scores = target.evaluate(prediction, labels, list(target.metrics))
    assert list(scores) == list(target.metrics)
    assert all(score.is_defined and not score.reason for score in scores.values())
    for name, score in scores.items():
        assert (
            target.evaluate(prediction, labels, [name])
            == {name: score}
            == target.evaluate(prediction, labels, name)
        )


@every_target
def test_missing_labels_are_left_out(target: Target):
    labels = random_labels(target, 80, missing=True)
    logits = random_logits(target, 80)
    known = (labels != MISSING).reshape(80, -1).any(dim=1)
    found = target.evaluate(target.predict(logits), labels, list(target.metrics))
    alone = target.evaluate(target.predict(logits[known]), labels[known], list(target.metrics))
    assert {name: float(score) for name, score in found.items()} == {
        name: float(score) for name, score in alone.items()
    }


@every_target
def test_a_query_without_labels_has_no_scores(target: Target):
    prediction = target.predict(random_logits(target, 3))
    scores = target.evaluate(
        prediction, torch.full((3, *target.label_shape), MISSING), list(target.metrics)
    )
    for score in scores.values():
        assert math.isnan(float(score))
        assert score.reason == "all 3 labels of the query are missing"
    empty = target.evaluate(
        target.predict(random_logits(target, 0)), torch.zeros(0, *target.label_shape).long()
    )
    assert {score.reason for score in empty.values()} == {"the query is empty"}


@every_target
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_prediction_that_is_not_finite_has_no_scores(target: Target, bad: float):
    labels = random_labels(target, 20)
    prediction = target.predict(random_logits(target, 20))
    probabilities = prediction.probabilities.clone()
    probabilities[3, 0] = probabilities[7] = bad
    broken = Prediction(probabilities, prediction.decisions)
    for score in target.evaluate(broken, labels, list(target.metrics)).values():
        assert math.isnan(float(score))
        assert score.reason == "the predictions of 2 of 20 samples are not finite"
    labels[3], labels[7] = MISSING, MISSING
    assert all(
        score.is_defined for score in target.evaluate(broken, labels, list(target.metrics)).values()
    )


# Logits that saturate, and which class ranks the positive samples first: with probabilities alone
# all would tie.
SATURATED = {
    "binary": ([[20.0], [25.0], [30.0], [18.0]], [0, 1, 1, 0]),
    "binary focal": ([[120.0], [125.0], [130.0], [118.0]], [0, 1, 1, 0]),
    "multi-label, one": ([[20.0], [25.0], [30.0], [18.0]], [[0], [1], [1], [0]]),
    "multi-class, two": ([[0.0, 20.0], [0.0, 25.0], [0.0, 30.0], [0.0, 18.0]], [0, 1, 1, 0]),
    "coral, two": ([[20.0], [25.0], [30.0], [18.0]], [0, 1, 1, 0]),
    "corn, two": ([[120.0], [125.0], [130.0], [118.0]], [0, 1, 1, 0]),
    "cumulative link, two": (
        [[0.0, -20.0], [0.0, -25.0], [0.0, -30.0], [0.0, -18.0]],
        [0, 1, 1, 0],
    ),
    "multi-class": (
        [[0.0, 20.0, 1.0, 2.0], [0.0, 60.0, 1.0, 2.0], [9.0, 70.0, 1.0, 2.0]],
        [0, 1, 1],
    ),
    "ordinal": (
        [[200.0, 0.0, 1.0, 2.0], [0.0, 260.0, 1.0, 2.0], [9.0, 270.0, 1.0, 2.0]],
        [0, 1, 1],
    ),
    "coral": ([[60.0, 50.0, 40.0], [80.0, 70.0, 65.0], [90.0, 85.0, 70.0]], [0, 3, 3]),
    "corn": ([[60.0, 50.0, 40.0], [80.0, 70.0, 65.0], [90.0, 85.0, 70.0]], [0, 3, 3]),
    "cumulative link": (
        [[60.0, 0.0, 0.0, 0.0], [80.0, 0.0, 0.0, 0.0], [70.0, 0.0, 0.0, 0.0]],
        [0, 3, 3],
    ),
}


@pytest.mark.parametrize("name", SATURATED)
def test_saturated_probabilities_do_not_hide_the_ranking(name: str):
    target, (logits, labels) = TARGETS[name], SATURATED[name]
    prediction = target.predict(torch.tensor(logits))
    scores = target.evaluate(prediction, torch.tensor(labels), ["auroc", "average_precision"])
    assert {metric: float(score) for metric, score in scores.items()} == {
        "auroc": 1.0,
        "average_precision": 1.0,
    }


@every_target
@pytest.mark.parametrize("scale", [0.1, 2.0])
def test_scores_are_the_log_odds_of_the_probabilities(target: Target, scale: float):
    prediction = target.predict(random_logits(target, 60, scale=scale))
    assert prediction.scores is not None
    assert torch.allclose(prediction.scores, prediction.probabilities.logit(), atol=1e-8)
    half = target.predict(random_logits(target, 5).to(torch.bfloat16)).scores
    assert half is not None
    assert half.dtype == torch.float64
    assert half.shape == (5, target.num_classes)


def test_log_odds_are_exact_far_beyond_what_probabilities_can_say():
    scores = (
        MultiClass(["a", "b", "c"])
        .predict(torch.tensor([[500.0, 0.0, 0.0], [0.0, 0.0, 2e4]]))
        .scores
    )
    assert scores is not None
    two = math.log(2)
    assert torch.allclose(
        scores[0], torch.tensor([500 - two, -500.0, -500.0], dtype=torch.float64), rtol=1e-15
    )
    assert torch.allclose(
        scores[1], torch.tensor([-2e4, -2e4, 2e4 - two], dtype=torch.float64), rtol=1e-15
    )


def test_a_probability_of_zero_ranks_last_and_is_no_broken_prediction():
    target = TARGETS["coral"]
    prediction = target.predict(torch.tensor([[1.0, 1.0, 1.0], [2.0, 0.0, -1.0]]))
    assert prediction.probabilities[0, 1] == 0.0
    assert float(target.evaluate(prediction, torch.tensor([0, 1]), "auroc")["auroc"]) == 1.0
    masked = MultiClass(["a", "b"]).predict(torch.tensor([[0.0, -torch.inf], [0.0, -5.0]]))
    assert (
        float(MultiClass(["a", "b"]).evaluate(masked, torch.tensor([0, 1]), "auroc")["auroc"])
        == 1.0
    )


@every_target
def test_a_prediction_made_by_hand_is_ranked_by_its_probabilities(target: Target):
    labels, made = random_labels(target, 40), target.predict(random_logits(target, 40))
    names = ["auroc", "average_precision"]
    by_hand = target.evaluate(Prediction(made.probabilities, made.decisions), labels, names)
    assert by_hand == target.evaluate(made, labels, names)
    assert made.scores is not None
    turned = target.evaluate(
        Prediction(made.probabilities, made.decisions, -made.scores), labels, "auroc"
    )["auroc"]
    assert float(turned) == pytest.approx(1 - float(by_hand["auroc"]))
    broken = Prediction(
        made.probabilities,
        made.decisions,
        made.scores.clone().index_fill_(0, torch.tensor(3), torch.nan),
    )
    reasons = {
        score.reason for score in target.evaluate(broken, labels, list(target.metrics)).values()
    }
    assert reasons == {"the predictions of 1 of 40 samples are not finite"}


@every_target
def test_codes_may_come_from_numpy(target: Target):
    labels, prediction = random_labels(target, 40), target.predict(random_logits(target, 40))
    expected = target.evaluate(prediction, labels)
    assert target.evaluate(prediction, labels.numpy()) == expected
    assert target.evaluate(prediction, labels.numpy().astype(np.int8)) == expected


def test_f1_is_over_the_classes_that_the_labels_name():
    labels, decided = torch.tensor([0, 0, 1]), torch.tensor([0, 2, 1])
    for target in (MultiClass(["a", "b", "c"]), Ordinal(["a", "b", "c"])):
        score = target.evaluate(Prediction(torch.eye(3), decided), labels, "f1")["f1"]
        assert float(score) == reference.f1_score(labels, decided, labels=[0, 1], average="macro")
        assert score.over == ("a", "b")
    score = Binary().evaluate(
        Binary().predict(torch.tensor([[1.0], [-1.0]])), torch.tensor([0, 0]), "f1"
    )["f1"]
    assert str(score) == "nan (only one class in the query: 'negative')"


def test_kappa_of_one_grade_says_what_its_zero_means():
    target = Ordinal(["a", "b", "c"])
    score = target.evaluate(
        Prediction(torch.eye(3), torch.tensor([0, 1, 2])), torch.tensor([1, 1, 1]), "qwk"
    )["qwk"]
    assert str(score) == "0.0 (all labels of the query are rank 1, so kappa is 0 by its formula)"


def test_diverged_logits_are_no_decisions():
    target = MultiClass(["a", "b"])
    prediction = target.predict(torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]))
    assert not target.evaluate(prediction, torch.tensor([1, 0]), "accuracy")["accuracy"].is_defined


def test_perfect_predictions_on_two_of_three_classes_are_perfect():
    """The published code counts the absent class as 0 and arrives at 0.667."""
    labels = torch.tensor([0, 1, 0, 1])
    for target in (MultiClass(["a", "b", "c"]), Ordinal(["a", "b", "c"], [0, 1, 4])):
        prediction = target.predict(5.0 * torch.nn.functional.one_hot(labels, 3))
        scores = target.evaluate(prediction, labels, list(target.metrics))
        for name in ("auroc", "average_precision", "balanced_accuracy", "f1"):
            assert float(scores[name]) == 1.0
            assert scores[name].over == ("a", "b")
            assert "'c'" in scores[name].reason


def test_what_is_undefined_says_why():
    one_class = torch.tensor([1, 1, 1])
    scores = Binary().evaluate(Binary().predict(torch.tensor([[1.0], [-1.0], [2.0]])), one_class)
    assert not scores["auroc"].is_defined
    assert scores["auroc"].reason == "only one class in the query: 'positive'"
    assert float(scores["accuracy"]) == pytest.approx(2 / 3)
    target = MultiLabel(["x", "y"])
    prediction = target.predict(torch.tensor([[1.0, 1.0], [-1.0, 1.0]]))
    scores = target.evaluate(prediction, torch.tensor([[1, 1], [0, 1]]))
    assert float(scores["auroc"]) == 1.0
    assert scores["auroc"].over == ("x",)
    assert "'y'" in scores["auroc"].reason


def test_errors_in_grades_are_counted_in_grades():
    target = Ordinal(["none", "some", "much"], [0, 1, 10])
    prediction = Prediction(torch.eye(3), torch.tensor([0, 1, 2]))
    scores = target.evaluate(prediction, torch.tensor([1, 1, 1]), ["mae", "qwk"])
    assert float(scores["mae"]) == pytest.approx((1 + 0 + 9) / 3)
    assert float(scores["qwk"]) == 0.0
    short = target.restrict(["none", "much"])
    assert (
        float(
            short.evaluate(
                Prediction(torch.eye(2), torch.tensor([0, 0])), torch.tensor([0, 1]), "mae"
            )["mae"]
        )
        == 5.0
    )


def test_agreement_with_scikit_learn_for_several_classes():
    target = Ordinal(["a", "b", "c", "d"], [0, 1, 4, 6])
    labels = random_labels(target, 200)
    prediction = target.predict(random_logits(target, 200))
    p, decided, truth = (
        prediction.probabilities.numpy(),
        prediction.decisions.numpy(),
        labels.numpy(),
    )
    grades = np.array(target.grades)
    expected = {
        "auroc": reference.roc_auc_score(truth, p, multi_class="ovr", average="macro"),
        "average_precision": reference.average_precision_score(
            np.eye(4)[truth], p, average="macro"
        ),
        "accuracy": reference.accuracy_score(truth, decided),
        "balanced_accuracy": reference.balanced_accuracy_score(truth, decided),
        "f1": reference.f1_score(truth, decided, average="macro"),
        "qwk": reference.cohen_kappa_score(truth, decided, weights="quadratic"),
        "mae": reference.mean_absolute_error(grades[truth], grades[decided]),
    }
    found = {
        name: float(score)
        for name, score in target.evaluate(prediction, labels, list(expected)).items()
    }
    assert found == pytest.approx(expected, abs=1e-6)


def test_agreement_with_scikit_learn_for_several_labels_and_for_two_classes():
    target = MultiLabel(["x", "y", "z"])
    labels = random_labels(target, 200)
    prediction = target.predict(random_logits(target, 200))
    p, decided, truth = (
        prediction.probabilities.numpy(),
        prediction.decisions.numpy(),
        labels.numpy(),
    )
    found = {
        name: float(score)
        for name, score in target.evaluate(prediction, labels, list(target.metrics)).items()
    }
    assert found == pytest.approx(
        {
            "auroc": reference.roc_auc_score(truth, p, average="macro"),
            "average_precision": reference.average_precision_score(truth, p, average="macro"),
            "accuracy": (truth == decided).mean(),
            "balanced_accuracy": np.mean(
                [
                    reference.balanced_accuracy_score(*pair)
                    for pair in zip(truth.T, decided.T, strict=True)
                ]
            ),
            "f1": reference.f1_score(truth, decided, average="macro"),
            "exact_match": reference.accuracy_score(truth, decided),
        },
        abs=1e-6,
    )
    binary = Binary(["no", "yes"])
    prediction = binary.predict(torch.randn(100, 1, generator=draws(5)))
    truth = labels[:100, 0]
    found = {name: float(score) for name, score in binary.evaluate(prediction, truth).items()}
    assert found == pytest.approx(
        {
            "auroc": reference.roc_auc_score(truth, prediction.probabilities[:, 1]),
            "average_precision": reference.average_precision_score(
                truth, prediction.probabilities[:, 1]
            ),
            "accuracy": reference.accuracy_score(truth, prediction.decisions),
            "balanced_accuracy": reference.balanced_accuracy_score(truth, prediction.decisions),
            "f1": reference.f1_score(truth, prediction.decisions),
        },
        abs=1e-6,
    )


def test_unknown_metrics_and_shapes_are_refused():
    target = MultiClass(["a", "b", "c"])
    prediction = target.predict(torch.zeros(4, 3))
    labels = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(
        InputError, match=r"MultiClass has no metric \['qwk'\]; choose from \['accuracy', 'auroc'"
    ):
        target.evaluate(prediction, labels, ["auroc", "qwk"])
    with pytest.raises(InputError, match=r"has no metric \['aurok'\]"):
        target.evaluate(prediction, labels, "aurok")
    for wrong_prediction, wrong_labels in (
        (prediction, labels[:3]),
        (prediction, labels[0]),
        (prediction, torch.zeros(4, 3, dtype=torch.int64)),
        (Prediction(prediction.probabilities[:, :2], prediction.decisions), labels),
        (Prediction(prediction.probabilities, prediction.decisions[:, None]), labels),
        (Prediction(prediction.probabilities[:3], prediction.decisions), labels),
    ):
        with pytest.raises(
            InputError, match=r"is evaluated on \(N, 3\) probabilities, and decisions and labels"
        ):
            target.evaluate(wrong_prediction, wrong_labels)
    with pytest.raises(
        InputError, match=r"3 at index 0; .* raw labels are encoded first: target\.encode"
    ):
        target.evaluate(prediction, labels + 3)
    with pytest.raises(
        InputError, match=r"scores have the shape \(4, 2\) beside probabilities of \(4, 3\)"
    ):
        target.evaluate(
            Prediction(prediction.probabilities, prediction.decisions, torch.zeros(4, 2).double()),
            labels,
        )
    with pytest.raises(
        InputError, match="labels are float64, expected integers; encode them first"
    ):
        target.evaluate(prediction, np.zeros(4))
    assert target.evaluate(prediction, labels, []) == {}
