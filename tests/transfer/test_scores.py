"""Scores before training: golden values of the reference codes, invariances, and reasons."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transfer.fixtures import class_features, label_answers, source_probabilities
from torchcross.errors import InputError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.transfer import scores

CLASSES = MultiClass(["a", "b", "c"])
LABELS = MultiLabel(["x", "y", "z"])
SIZES = ((60, 8), (20, 30))

ON_FEATURES = {
    "logme": scores.logme,
    "h_score": scores.h_score,
    "shrunk_h_score": scores.shrunk_h_score,
    "gbc": scores.gbc,
    "gbc spherical": partial(scores.gbc, covariance="spherical"),
    "transrate": scores.transrate,
    "parc": scores.parc,
    "nleep": partial(scores.nleep, components_per_class=2),
    "sfda": scores.sfda,
    "knn": scores.knn,
    "knn euclidean": partial(scores.knn, metric="euclidean"),
    "knn 3": partial(scores.knn, neighbours=3),
}

# (score, value at 60 x 8, value at 20 x 30); None where the score is saturated. Computed with the
# reference codes, in float64.
GOLDEN = [
    ("h_score", 1.2539760881, None),
    ("shrunk_h_score", 0.9035878455, 1.5325212933),
    ("gbc", -1.3928447665, -0.0007917737),
    ("gbc spherical", -1.5470381344, -0.0356455496),
    ("sfda", 0.6856576794, None),
    ("knn", 2 / 3, 0.75),
    ("knn euclidean", 11 / 15, 0.6),
    # The evidence of the smaller sample has its largest value without noise, at any scale.
    ("logme", -0.5504196880, 0.3432113330),
]


@pytest.mark.parametrize(("name", "large", "small"), GOLDEN)
def test_golden_values(name: str, large: float, small: float | None) -> None:
    for (samples, width), value in zip(SIZES, (large, small), strict=True):
        score = ON_FEATURES[name](*class_features(samples, width), CLASSES)
        if value is None:
            assert math.isnan(score.value)
            assert score.reason.startswith("saturated")
        else:
            assert score.value == pytest.approx(value, abs=2e-8)


@pytest.mark.parametrize(
    ("samples", "leep", "nce"),
    [(60, -0.7994189360, -0.4745745998), (20, -0.8152488500, -0.5389780426)],
)
def test_golden_values_of_source_heads(samples: int, leep: float, nce: float) -> None:
    _, labels = class_features(samples, 8)
    states = source_probabilities(samples)
    assert scores.leep(states, labels, CLASSES).value == pytest.approx(leep, abs=1e-9)
    assert scores.nce(states, labels, CLASSES).value == pytest.approx(nce, abs=1e-9)


@pytest.mark.parametrize(
    ("size", "distortion", "value"),
    [
        ((60, 8), 1e-4, 0.7912391528),
        ((60, 8), 1.0, 0.1162873524),
        ((20, 30), 1e-4, 30.6946895132),
        ((20, 30), 1.0, 1.1066013732),
    ],
)
def test_golden_values_of_transrate(size: tuple[int, int], distortion: float, value: float) -> None:
    score = scores.transrate(
        *class_features(*size), CLASSES, distortion=distortion, normalise=False
    )
    assert score.value == pytest.approx(value, abs=1e-8)


def test_parc_is_the_rank_correlation_with_ties() -> None:
    # The published code gives 44.444: rounding orders its equal label rows.
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    features, labels = class_features(60, 8)
    standard = (features - features.mean(0)) / features.std(0)
    same = pdist(labels[:, None], "hamming")
    expected = 100 * spearmanr(pdist(standard, "correlation"), same).statistic
    value = scores.parc(features, labels, CLASSES, components=None).value
    assert value == pytest.approx(expected, abs=1e-9)
    assert value == pytest.approx(44.444, abs=0.15)


def test_leep_of_the_memberships_of_a_mixture() -> None:
    from sklearn.mixture import GaussianMixture

    features, labels = class_features(60, 8)
    mixture = GaussianMixture(
        6,
        covariance_type="diag",
        means_init=features[:6],
        weights_init=np.full(6, 1 / 6),
        precisions_init=np.ones((6, 8)),
        tol=1e-10,
        max_iter=1000,
    ).fit(features)
    value = scores.leep(mixture.predict_proba(features), labels, CLASSES).value
    assert value == pytest.approx(-0.4278729, abs=1e-5)


def test_other_target_types() -> None:
    features, labels = class_features(60, 8)
    states, answers = source_probabilities(60), label_answers(60)
    binary, positive = Binary(["no", "yes"]), (labels > 0).astype(np.int64)
    assert scores.leep(states, positive, binary).value == pytest.approx(-0.5223019416, abs=1e-9)
    assert scores.h_score(features, positive, binary).value == pytest.approx(0.7257685633)
    assert scores.logme(features, positive, binary).value == pytest.approx(-0.7152518776)
    assert scores.log_evidence(features, positive) == pytest.approx(-0.9579400423, abs=1e-8)
    ordinal = Ordinal(["a", "b", "c"], grades=[0, 1, 4])
    assert scores.logme(features, labels, ordinal).value == pytest.approx(-0.8436589485)
    assert scores.knn(features, labels, ordinal).value == pytest.approx(2 / 3)
    assert answers.sum(axis=0).tolist() == [30, 26, 30]
    assert scores.logme(features, answers, LABELS).value == pytest.approx(-0.9379629532)
    assert scores.leep(states, answers, LABELS).value == pytest.approx(-0.6617103149, abs=1e-9)
    mean = (0.0518495494 + 0.0678439972 + 0.7695868535) / 3
    assert scores.h_score(features, answers, LABELS).value == pytest.approx(mean)
    parc = scores.parc(features, answers, LABELS)
    assert parc.reason == "13 samples left out: label rows that are constant or unknown"


def test_missing_labels_do_not_count() -> None:
    features, answers = class_features(60, 8)[0], label_answers(60)
    hidden = answers.copy()
    hidden[::4, 1] = -1
    known = hidden[:, 1] >= 0
    binary = Binary(["without", "with"])
    for score in (scores.h_score, scores.knn, scores.gbc):
        parts = [
            score(features, answers[:, 0], binary).value,
            score(features[known], answers[known, 1], binary).value,
            score(features, answers[:, 2], binary).value,
        ]
        assert score(features, hidden, LABELS).value == pytest.approx(np.mean(parts))
    parts = [
        scores.log_evidence(features[rows], hidden[rows, label])
        for label, rows in ((0, slice(None)), (1, known), (2, slice(None)))
    ]
    assert scores.logme(features, hidden, LABELS).value == pytest.approx(np.mean(parts))


# -- invariances ----------------------------------------------------------------------------------


@settings(max_examples=15)
@given(seed=st.integers(0, 2**16), size=st.sampled_from(SIZES))
@pytest.mark.parametrize("name", sorted(set(ON_FEATURES) - {"nleep"}))
def test_the_order_of_samples_and_classes_does_not_count(
    name: str, seed: int, size: tuple[int, int]
) -> None:
    features, labels = class_features(*size)
    generator = np.random.default_rng(seed)
    order, classes = generator.permutation(len(labels)), generator.permutation(3)
    score = ON_FEATURES[name]
    before = score(features, labels, CLASSES).value
    after = score(features[order], classes[labels[order]], CLASSES).value
    assert after == pytest.approx(before, abs=1e-7, nan_ok=True)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**16), size=st.sampled_from(SIZES), power=st.integers(-3, 3))
@pytest.mark.parametrize(
    "name", ["logme", "h_score", "shrunk_h_score", "knn", "knn euclidean", "transrate"]
)
def test_neither_scale_nor_rotation_counts(
    name: str, seed: int, size: tuple[int, int], power: int
) -> None:
    features, labels = class_features(*size)
    noise = np.random.default_rng(seed).normal(size=(size[1], size[1]))
    rotation = np.linalg.qr(noise)[0]
    score = ON_FEATURES[name]
    before = score(features, labels, CLASSES).value
    after = score(10.0**power * features @ rotation, labels, CLASSES).value
    assert after == pytest.approx(before, abs=1e-6, nan_ok=True)


def test_the_bounds_of_source_heads() -> None:
    _, labels = class_features(60, 8)
    shares = np.bincount(labels) / 60
    entropy = float((shares * np.log(shares)).sum())
    assert entropy == pytest.approx(-1.0549201680)
    same = np.full((60, 4), 0.25)
    perfect = np.eye(3)[labels]
    for score in (scores.leep, scores.nce):
        assert score(same, labels, CLASSES).value == pytest.approx(entropy)
        assert score(perfect, labels, CLASSES).value == pytest.approx(0, abs=1e-12)
    states = source_probabilities(60)
    assert entropy <= scores.nce(states, labels, CLASSES).value
    # A source that is surer of the same classes fits better.
    sharp = states**3 / (states**3).sum(axis=1, keepdims=True)
    assert scores.leep(sharp, labels, CLASSES).value > scores.leep(states, labels, CLASSES).value


def test_labels_of_a_source_are_states() -> None:
    answers = torch.tensor([[0.9, 0.2], [0.1, 0.7]])
    states = scores.states_of_labels(answers)
    assert states.tolist() == pytest.approx(
        np.array([[0.45, 0.1, 0.05, 0.4], [0.05, 0.35, 0.45, 0.15]]), abs=1e-7
    )


def test_neighbours_as_near_as_the_last_share_the_vote() -> None:
    features = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1], [0, 1]])
    binary = Binary(["no", "yes"])
    # Each of the first three sees one of its class and one of another: half a hit each, but for
    # the third, which sees none of its class.
    score = scores.knn(features, np.array([0, 0, 1, 1, 1]), binary)
    assert score.value == pytest.approx((0.5 + 0.5 + 0 + 1 + 1) / 5)


# -- what has no score ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ON_FEATURES)
def test_what_cannot_be_scored_has_a_reason(name: str) -> None:
    features, labels = class_features(60, 8)
    score = ON_FEATURES[name]
    one_class = score(features, np.zeros(60, dtype=np.int64), CLASSES)
    assert math.isnan(one_class.value)
    assert "one class" in one_class.reason
    constant = score(np.full((60, 8), 3.3), labels, CLASSES)
    assert math.isnan(constant.value)
    assert "same features" in constant.reason
    two_of_three = score(features, np.minimum(labels, 1), CLASSES)
    assert not math.isnan(two_of_three.value)
    unlabelled = score(features, np.full((60, 3), -1), LABELS)
    assert math.isnan(unlabelled.value)


@pytest.mark.parametrize("name", ON_FEATURES)
def test_alike_samples_of_one_label_do_not_count(name: str) -> None:
    features, answers = class_features(60, 8)[0].copy(), label_answers(60)
    # Where the second label is known, all samples have the same features.
    features[:20] = 0
    answers[20:, 1] = -1
    score = ON_FEATURES[name](features, answers, LABELS)
    if name.startswith("parc"):
        assert "same features" in score.reason
        return
    assert score.over == ("x", "z")
    assert not math.isnan(score.value)
    answers[:, [0, 2]] = -1
    assert "same features" in ON_FEATURES[name](features, answers, LABELS).reason


@pytest.mark.parametrize("name", ON_FEATURES)
def test_one_feature_has_a_value_or_a_reason(name: str) -> None:
    features, labels = class_features(60, 1)
    score = ON_FEATURES[name](features, labels, CLASSES)
    assert ("one feature" in score.reason) == math.isnan(score.value) == name.startswith("parc")


def test_a_classifier_that_is_certain_is_saturated() -> None:
    features, labels = class_features(60, 8)
    same = scores.sfda(np.eye(3)[labels], labels, CLASSES)
    assert same.reason == "saturated: the samples of each class have the same features"
    apart = scores.sfda(features + 1e3 * np.eye(3, 8)[labels], labels, CLASSES)
    assert apart.reason == "saturated: the classifier is certain of every sample"
    assert scores.sfda(features, labels, CLASSES, shrinkage=0.0892374663).value == pytest.approx(
        0.6856576794, abs=1e-8
    )
    with pytest.raises(InputError, match="shrinkage"):
        scores.sfda(features, labels, CLASSES, shrinkage=0)
    with pytest.raises(InputError, match="is above 1, at which nothing"):
        scores.sfda(features, labels, CLASSES, shrinkage=1.5)
    assert 0 < scores.sfda(features, labels, CLASSES, shrinkage=1).value < 1


def test_an_absent_class_is_named() -> None:
    features, labels = class_features(60, 8)
    score = scores.knn(features, np.minimum(labels, 1), CLASSES)
    assert score.reason == "no sample of 'c'"
    logme = scores.logme(features, np.minimum(labels, 1), CLASSES)
    assert logme.over == ("a", "b")


def test_one_sample_of_each_class() -> None:
    features, _ = class_features(3, 8)
    score = scores.knn(features, np.arange(3), CLASSES)
    assert math.isnan(score.value)
    assert "one sample" in score.reason
    assert scores.gbc(features, np.arange(3), CLASSES).reason == (
        "3 of 3 classes with one sample, which has no variance"
    )
    parc = scores.parc(features, np.arange(3), CLASSES)
    assert parc.reason == "all pairs of samples are equally alike in labels"


def test_evidence_without_a_maximum_is_saturated() -> None:
    _, labels = class_features(60, 8)
    score = scores.logme(np.eye(3)[labels], labels, CLASSES)
    assert math.isnan(score.value)
    assert score.reason.startswith("saturated: the features give 3 of 3 label columns")


HOSTILE = [
    (np.zeros(60), "shape (60,)"),
    (np.zeros((60, 0)), "shape (60, 0)"),
    (np.where(np.arange(60)[:, None] == 7, np.nan, 1.0) * np.ones((60, 8)), "row 7"),
    ([["a"]], "no array of numbers"),
]


@pytest.mark.parametrize(("features", "message"), HOSTILE)
def test_bad_features(features: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        scores.knn(features, np.zeros(60, dtype=np.int64), CLASSES)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(59, dtype=np.int64), "shape (59,)"),
        (np.zeros(60), "float64"),
        (np.full(60, 3), "lie in 3..3"),
    ],
)
def test_bad_labels(labels: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        scores.logme(class_features(60, 8)[0], labels, CLASSES)
    assert message in str(caught.value)


def test_logits_are_no_probabilities() -> None:
    features, labels = class_features(60, 8)
    with pytest.raises(InputError, match="softmax of the source's head"):
        scores.leep(features, labels, CLASSES)
    with pytest.raises(InputError, match="sigmoid"):
        scores.states_of_labels(features)


def test_few_samples_for_the_mixture() -> None:
    score = scores.nleep(*class_features(20, 30), CLASSES, components_per_class=10)
    assert "30 Gaussians" in score.reason


def test_large_samples_are_thinned_by_seed() -> None:
    features, labels = class_features(120, 8)
    thin = partial(scores.parc, features, labels, CLASSES, samples=50)
    assert thin().value == thin().value != thin(seed=1).value
