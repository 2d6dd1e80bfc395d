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
    assert set(Binary.metrics) == set(MultiClass.metrics) == COMMON
    assert set(MultiLabel.metrics) == COMMON | {"exact_match"}
    assert set(Ordinal.metrics) == COMMON | {"qwk", "mae"}
    assert {"auroc", "qwk", "mae"} <= set(Ordinal.default_metrics)


@every_target
def test_every_metric_runs_by_name(target: Target):
    labels = random_labels(target, 80)
    prediction = target.predict(random_logits(target, 80))
    assert tuple(target.evaluate(prediction, labels)) == target.default_metrics
    scores = target.evaluate(prediction, labels, list(target.metrics))
    assert list(scores) == list(target.metrics)
    assert all(score.defined and not score.reason for score in scores.values())
    for name, score in scores.items():
        assert target.evaluate(prediction, labels, [name]) == {name: score} == target.evaluate(prediction, labels, name)


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
    scores = target.evaluate(prediction, torch.full((3, *target.label_shape), MISSING), list(target.metrics))
    for score in scores.values():
        assert math.isnan(float(score))
        assert score.reason == "all 3 labels of the query are missing"
    empty = target.evaluate(target.predict(random_logits(target, 0)), torch.zeros(0, *target.label_shape).long())
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
    assert all(score.defined for score in target.evaluate(broken, labels, list(target.metrics)).values())


def test_diverged_logits_are_no_decisions():
    target = MultiClass(["a", "b"])
    prediction = target.predict(torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]))
    assert not target.evaluate(prediction, torch.tensor([1, 0]), "accuracy")["accuracy"].defined


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
    assert not scores["auroc"].defined
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
        float(short.evaluate(Prediction(torch.eye(2), torch.tensor([0, 0])), torch.tensor([0, 1]), "mae")["mae"]) == 5.0
    )


def test_agreement_with_scikit_learn_for_several_classes():
    target = Ordinal(["a", "b", "c", "d"], [0, 1, 4, 6])
    labels = random_labels(target, 200)
    prediction = target.predict(random_logits(target, 200))
    p, decided, truth = prediction.probabilities.numpy(), prediction.decisions.numpy(), labels.numpy()
    grades = np.array(target.grades)
    expected = {
        "auroc": reference.roc_auc_score(truth, p, multi_class="ovr", average="macro"),
        "average_precision": reference.average_precision_score(np.eye(4)[truth], p, average="macro"),
        "accuracy": reference.accuracy_score(truth, decided),
        "balanced_accuracy": reference.balanced_accuracy_score(truth, decided),
        "f1": reference.f1_score(truth, decided, average="macro"),
        "qwk": reference.cohen_kappa_score(truth, decided, weights="quadratic"),
        "mae": reference.mean_absolute_error(grades[truth], grades[decided]),
    }
    found = {name: float(score) for name, score in target.evaluate(prediction, labels, list(expected)).items()}
    assert found == pytest.approx(expected, abs=1e-6)


def test_agreement_with_scikit_learn_for_several_labels_and_for_two_classes():
    target = MultiLabel(["x", "y", "z"])
    labels = random_labels(target, 200)
    prediction = target.predict(random_logits(target, 200))
    p, decided, truth = prediction.probabilities.numpy(), prediction.decisions.numpy(), labels.numpy()
    found = {name: float(score) for name, score in target.evaluate(prediction, labels, list(target.metrics)).items()}
    assert found == pytest.approx(
        {
            "auroc": reference.roc_auc_score(truth, p, average="macro"),
            "average_precision": reference.average_precision_score(truth, p, average="macro"),
            "accuracy": (truth == decided).mean(),
            "balanced_accuracy": np.mean(
                [reference.balanced_accuracy_score(*pair) for pair in zip(truth.T, decided.T, strict=True)]
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
            "average_precision": reference.average_precision_score(truth, prediction.probabilities[:, 1]),
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
    with pytest.raises(InputError, match=r"MultiClass has no metric \['qwk'\]; choose from \['accuracy', 'auroc'"):
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
        with pytest.raises(InputError, match=r"is evaluated on \(N, 3\) probabilities, and decisions and labels"):
            target.evaluate(wrong_prediction, wrong_labels)
    with pytest.raises(InputError, match="encode them with the target that names the classes"):
        target.evaluate(prediction, labels + 3)
    assert target.evaluate(prediction, labels, []) == {}
