"""Scores at the ends: features of any scale, no label at all, more samples than a block."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.transfer.fixtures import class_features, label_answers
from tests.transfer.test_scores import CLASSES, LABELS, ON_FEATURES
from torchcross.transfer import scores
from torchcross.transfer.scores import neighbours

OF_SCALE = {"gbc", "gbc spherical", "sfda"}


@pytest.mark.parametrize("power", [-1060, -660, 660, 1014])
@pytest.mark.parametrize("name", sorted(set(ON_FEATURES) - OF_SCALE))
def test_a_score_that_does_not_depend_on_the_scale_is_the_same_at_any(
    name: str, power: int
) -> None:
    features, labels = class_features(60, 8)
    # Few digits, so that even the smallest numbers of all hold them.
    features = np.round(features, 1) * 16
    score = ON_FEATURES[name]
    before = score(features, labels, CLASSES)
    after = score(np.ldexp(features, power), labels, CLASSES)
    assert not math.isnan(before.value)
    assert after.value == pytest.approx(before.value, abs=0.05 if power == -1060 else 1e-12)


@pytest.mark.parametrize("name", sorted(OF_SCALE))
def test_a_score_that_depends_on_the_scale_has_a_value_or_says_why_not(name: str) -> None:
    features, labels = class_features(60, 8)
    large = ON_FEATURES[name](1e200 * features, labels, CLASSES)
    assert math.isnan(large.value)
    assert "as large as" in large.reason
    assert "e+200, too large for a score in which their scale counts; divide" in large.reason
    small = ON_FEATURES[name](1e-200 * features, labels, CLASSES)
    if name == "sfda":
        assert "too small for a score in which their scale counts" in small.reason
    else:
        # Variances below 1e-4 count as 1e-4, so that all classes overlap: six ordered pairs.
        assert small.value == -6


def test_a_coding_rate_of_features_as_they_are_depends_on_their_scale() -> None:
    features, labels = class_features(60, 8)
    large = scores.transrate(1e200 * features, labels, CLASSES, normalise=False)
    assert "too large" in large.reason
    small = scores.transrate(1e-200 * features, labels, CLASSES, normalise=False)
    assert small.value == 0


@pytest.mark.parametrize("factor", [1e150, 1e-150, 1e300])
@pytest.mark.parametrize("part", ["one column", "one row"])
@pytest.mark.parametrize("name", ON_FEATURES)
def test_a_part_of_another_scale_has_a_value_or_a_reason(
    name: str, part: str, factor: float
) -> None:
    features, labels = class_features(60, 8)
    if part == "one row":
        features[7] *= factor
    else:
        features[:, 3] *= factor
    score = ON_FEATURES[name](features, labels, CLASSES)
    assert math.isnan(score.value) == bool(score.reason)


@pytest.mark.parametrize("name", ON_FEATURES)
def test_without_any_label_there_is_a_reason(name: str) -> None:
    features, labels = class_features(60, 8)
    score = ON_FEATURES[name](features, np.full_like(labels, -1), CLASSES)
    assert math.isnan(score.value)
    assert score.reason


def test_two_labelled_samples_are_too_few_for_a_correlation() -> None:
    features, labels = class_features(60, 8)
    few = np.where(np.arange(60) < 2, labels, -1)
    assert scores.parc(features, few, CLASSES).reason == (
        "2 samples with labels that can be correlated; give three or more"
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("count", [1, 3])
def test_blocks_of_neighbours_do_not_count(
    monkeypatch: pytest.MonkeyPatch, metric: str, count: int
) -> None:
    """In a later block too, a sample is no neighbour of its own."""
    features, labels = class_features(60, 8)
    whole = scores.knn(features, labels, CLASSES, neighbours=count, metric=metric)
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    parts = scores.knn(features, labels, CLASSES, neighbours=count, metric=metric)
    assert parts.value == pytest.approx(whole.value, abs=1e-12)


# -- samples and labels that are alike -------------------------------------------------------------


@pytest.mark.parametrize("name", ["knn", "knn 3", "transrate"])
def test_features_of_one_direction_have_a_reason(name: str) -> None:
    _, labels = class_features(60, 8)
    lengths = np.arange(1.0, 61)[:, None]
    score = ON_FEATURES[name](lengths * np.linspace(0.1, 0.7, 8), labels, CLASSES)
    assert math.isnan(score.value)
    assert score.reason == "the features of all 60 samples have the same direction"


def test_features_of_one_direction_differ_in_length() -> None:
    _, labels = class_features(60, 8)
    features = np.arange(1.0, 61)[:, None] * np.linspace(0.1, 0.7, 8)
    assert scores.knn(features, labels, CLASSES, metric="euclidean").value > 0
    assert scores.transrate(features, labels, CLASSES, normalise=False).value > 0


def test_features_that_go_together_have_no_correlation_of_samples() -> None:
    features, labels = class_features(60, 1)
    score = scores.parc(np.hstack([features, 2 * features + 1]), labels, CLASSES)
    assert score.reason.startswith("60 samples of 60 with one number in all standardised features")


def test_samples_that_are_equally_alike_have_no_order() -> None:
    score = scores.parc(np.eye(3), np.array([0, 0, 1]), CLASSES)
    assert score.reason == "all pairs of samples are equally alike in features"


def test_one_sample_that_is_left_out_is_named_in_the_singular() -> None:
    features, answers = class_features(60, 8)[0], np.eye(3, dtype=np.int64)[np.arange(60) % 3]
    answers[0] = 0
    assert scores.parc(features, answers, LABELS).reason == (
        "1 sample left out: label rows that are constant or unknown"
    )


def test_a_mean_over_labels_has_the_remarks_of_each() -> None:
    features, answers = class_features(60, 8)[0], label_answers(60)
    answers[:, 1] = np.arange(60) == 7
    score = scores.gbc(features, answers, LABELS)
    assert score.reason == "'y': 1 of 2 classes with one sample, which has no variance"
    answers[:, 1:] = 0
    score = scores.knn(features, answers, LABELS)
    assert score.over == ("x",)
    assert score.reason == (
        "mean of 1 of 3 labels; undefined for 'y', 'z'; 'y', 'z': 60 labelled samples of one class:"
        " nothing to tell apart"
    )
