"""Results by class and subgroup: equal to plain loops, and to the table where they must be."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from tests.targets.tables import TARGETS, random_labels, random_logits
from torchcross.errors import InputError
from torchcross.evaluation import PredictionLog
from torchcross.records import Predictions
from torchcross.statistics import (
    Draws,
    Subgroups,
    class_values,
    confusion_matrix,
    mean_interval,
)
from torchcross.task import Task

KINDS = ("binary", "multi-class", "multi-label", "coral")


def predictions_of(target, *, episodes=6, count=24, seed=0, labels=None, subjects=None, **change):
    log = PredictionLog("any", shots=5, seed=seed, groups=subjects)
    for number in range(episodes):
        drawn = labels
        if labels is None:
            drawn = random_labels(target, count, 10 * seed + number, missing=number == 1).numpy()
        # Halves: some log-odds tie.
        logits = (random_logits(target, count, 100 * seed + number) * 2).round() / 2
        if number == 2:
            logits[3] = math.nan
        images = (np.arange(count) * 7 + number * 5) % 200
        log.add(number, images, drawn, target.predict(logits.float()))
    return log.of("toys/any", Task("any", target))


def rows_of(predictions, place, groups):
    """(episode, has the class or None, decided, log-odds, image) of each row, by plain loops."""
    for episode in predictions:
        labels, answers = episode.labels, episode.decisions
        if labels.ndim == 1:
            truth = [None if label < 0 else bool(label == place) for label in labels]
            decided = answers == place
        else:
            truth = [None if label < 0 else bool(label == 1) for label in labels[:, place]]
            decided = answers[:, place] == 1
        known = labels >= 0 if labels.ndim == 2 else np.repeat(labels[:, None] >= 0, 1, axis=1)
        if not np.isfinite(np.where(known, episode.log_odds, 0)).all():
            continue
        for row, image in enumerate(episode.images.tolist()):
            score = float(episode.log_odds[row, place])
            if groups is None or groups[image]:
                yield episode.episode, truth[row], bool(decided[row]), score, image


def shares(rows):
    """AUROC within episodes, sensitivity and specificity."""
    hits = pairs = 0.0
    for (e1, t1, _, s1, _), (e2, t2, _, s2, _) in product(rows, rows):
        if e1 == e2 and t1 is True and t2 is False:
            pairs += 1
            hits += (s1 > s2) + 0.5 * (s1 == s2)
    with_class = [decided for _, truth, decided, *_ in rows if truth is True]
    without = [not decided for _, truth, decided, *_ in rows if truth is False]
    return {
        "auroc": hits / pairs if pairs else math.nan,
        "sensitivity": np.mean(with_class) if with_class else math.nan,
        "specificity": np.mean(without) if without else math.nan,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_plain_loops(kind):
    target = TARGETS[kind]
    predictions = predictions_of(target)
    codes = np.arange(200) % 3 - 1
    groups = Subgroups("sex", ("F", "M"), codes)
    values = class_values([predictions], subgroups=[groups], fewest=1)
    expected_classes = target.classes[1:] if len(target.classes) == 2 else target.classes
    assert {value.class_name for value in values} == set(expected_classes)
    assert {(value.column, value.group) for value in values} == {
        ("", ""),
        ("sex", "F"),
        ("sex", "M"),
    }
    for value in values:
        chosen = None if not value.column else codes == groups.names.index(value.group)
        place = target.classes.index(value.class_name)
        rows = list(rows_of(predictions, place, chosen))
        positives = {image for _, truth, *_, image in rows if truth is True}
        negatives = {image for _, truth, *_, image in rows if truth is False}
        assert (value.with_class, value.without_class) == (len(positives), len(negatives))
        if value.measure in ("auroc", "sensitivity", "specificity"):
            np.testing.assert_allclose(value.interval.mean, shares(rows)[value.measure])


def test_the_mean_over_classes_is_the_table_where_episodes_are_balanced():
    """AUROC and balanced accuracy of the rows, one against the rest."""
    target = TARGETS["multi-class"]
    labels = np.repeat(np.arange(4), 6)
    predictions = predictions_of(target, labels=labels)
    scores = [each for each in predictions.scores() if each["auroc"].is_defined]
    assert len(scores) == 5
    values = class_values([predictions])
    for measure, metric in (("auroc", "auroc"), ("sensitivity", "balanced_accuracy")):
        mean = np.mean([v.interval.mean for v in values if v.measure == measure])
        np.testing.assert_allclose(mean, np.mean([score[metric].value for score in scores]))


def test_with_equal_episodes_the_interval_is_that_of_their_scores():
    target = TARGETS["binary"]
    labels = np.arange(24) % 2
    predictions = predictions_of(target, labels=labels)
    (auroc,) = (v for v in class_values([predictions]) if v.measure == "auroc")
    scores = [each["auroc"].value for each in predictions.scores(("auroc",))]
    plain = mean_interval(scores, bounds=(0, 1))
    np.testing.assert_allclose(
        [auroc.interval.mean, auroc.interval.low, auroc.interval.high],
        [plain.mean, plain.low, plain.high],
    )
    assert auroc.interval.n == 5
    assert auroc.predictions == 5 * 12 * 12


# -- sensitivity at a fixed specificity ------------------------------------------------------------


def at_specificity(scores, truth, specificity, **options):
    """The value for one episode, binary."""
    log = PredictionLog("any", shots=1)
    logits = np.asarray(scores, dtype=np.float32)[:, None]
    target = TARGETS["binary"]
    log.add(0, np.arange(len(truth)), np.asarray(truth), target.predict(torch.tensor(logits)))
    predictions = log.of("a", Task("a", target))
    values = class_values([predictions], specificity=specificity, **options)
    (value,) = (v for v in values if v.measure == "sensitivity_at_specificity")
    return value.interval.mean


NEGATIVES = list(range(10))


@pytest.mark.parametrize(
    ("positives", "specificity", "expected"),
    [
        # One of ten negatives may lie above the threshold: it is the second largest, 8.
        ([8, 8.5, 9, 9.5], 0.9, 3 / 4),
        ([8, 8.5, 9, 9.5], 0.8, 4 / 4),
        # None may: the threshold is 9, and a tie is not above it.
        ([8, 8.5, 9, 9.5], 0.999_999_999_9, 1 / 4),
        # Half a negative may: half way between the thresholds 9 and 8.
        ([8, 8.5, 9, 9.5], 0.95, (1 / 4 + 3 / 4) / 2),
        # All but one half of a negative may.
        ([-1, 0, 9.5, -2], 0.05, (2 / 4 * 0 + (1 / 4 + 4 / 4) / 2)),
    ],
)
def test_the_threshold_leaves_the_share_of_negatives_above_it(positives, specificity, expected):
    truth = [0] * 10 + [1] * len(positives)
    value = at_specificity(NEGATIVES + positives, truth, specificity)
    np.testing.assert_allclose(value, expected)


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=8),
    st.lists(st.integers(0, 6), min_size=1, max_size=8),
    st.integers(1, 19),
)
@max_examples(36)
def test_it_falls_as_the_specificity_grows_and_lies_on_the_curve(negatives, positives, twentieths):
    truth = [0] * len(negatives) + [1] * len(positives)
    scores = negatives + positives
    value, higher = (
        at_specificity(scores, truth, part)
        for part in (twentieths / 20, (twentieths + 1) / 20 - 0.001)
    )
    assert higher <= value + 1e-12
    assert 0 <= value <= 1
    # Of n images, one at the threshold counts as not above it: the share above is not larger.
    above = [np.mean([p > t for p in positives]) for t in [-1, *sorted(negatives)]]
    assert min(above) - 1e-12 <= value <= max(above) + 1e-12


def test_one_threshold_for_all_episodes_asks_for_comparable_log_odds():
    target = TARGETS["binary"]
    log = PredictionLog("any", shots=1)
    scores = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    for number, shift in enumerate((0.0, 10.0)):
        log.add(number, np.arange(4), np.array([0, 0, 1, 1]), target.predict(scores + shift))
    predictions = log.of("a", Task("a", target))

    def value(threshold, specificity=0.5):
        values = class_values([predictions], specificity=specificity, threshold=threshold)
        return next(v for v in values if v.measure == "sensitivity_at_specificity").interval.mean

    assert value("episode") == 1
    # Two of the four negatives lie above 1, and so do all positives.
    assert value("pooled") == 1
    # One of them does: the threshold is 10, and only the second episode's positives lie above it.
    assert value("pooled", 0.75) == 0.5


def test_an_episode_without_negatives_has_no_threshold():
    target = TARGETS["binary"]
    log = PredictionLog("any", shots=1)
    scores = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    for number, truth in enumerate(([0, 0, 0, 1], [1, 1, 1, 1])):
        log.add(number, np.arange(4), np.array(truth), target.predict(-scores))
    for episodes, expected in (((0, 1), 0.0), ((1,), math.nan)):
        chosen = log.of("a", Task("a", target))
        rows = np.isin(chosen.episode_of_rows, episodes)
        part = Predictions(
            source="a",
            task=chosen.task,
            algorithm="any",
            shots=1,
            seed=0,
            episodes=np.array(episodes),
            sizes=np.full(len(episodes), 4),
            images=chosen.images[rows],
            labels=chosen.labels[rows],
            log_odds=chosen.log_odds[rows],
            decisions=chosen.decisions[rows],
        )
        values = class_values([part], specificity=0.5)
        (value,) = (v for v in values if v.measure == "sensitivity_at_specificity")
        np.testing.assert_equal(value.interval.mean, expected)
    assert value.interval.note == "no episode has images on both sides"


# -- intervals over images -------------------------------------------------------------------------


def test_draws_make_intervals_over_images():
    predictions = predictions_of(TARGETS["binary"], episodes=30, labels=np.arange(24) % 2)
    episode = np.repeat(np.arange(30), 24)
    images = np.concatenate([(np.arange(24) * 7 + number * 5) % 200 for number in range(30)])
    drawn = np.unique(images)
    draws = Draws(
        episodes=episode,
        images=images,
        is_query=np.ones(len(images), dtype=bool),
        drawn=drawn,
        strata=np.zeros(len(drawn), dtype=int),
        stratum_images=np.array([200]),
    )
    plain, wide = class_values([predictions])[0], class_values([predictions], draws=draws)[0]
    assert plain.interval.over == "episodes"
    assert wide.interval.over == "images"
    assert wide.interval.mean == plain.interval.mean


def one_set(count=300, seed=0, subjects=None):
    """One episode of many images, as a test split is."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    scores = np.round(rng.normal(size=count) + labels, 1)
    log = PredictionLog("any", shots=0, groups=subjects)
    target = TARGETS["binary"]
    logits = torch.tensor(scores[:, None], dtype=torch.float32)
    log.add(0, np.arange(count), labels, target.predict(logits))
    return log.of("a", Task("a", target)), labels, scores


def test_a_test_split_has_delongs_interval():
    predictions, labels, scores = one_set()
    (auroc,) = (v for v in class_values([predictions]) if v.measure == "auroc")
    positives, negatives = scores[labels == 1], scores[labels == 0]
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    by_positive, by_negative = wins.mean(axis=1), wins.mean(axis=0)
    variance = by_positive.var() / len(positives) + by_negative.var() / len(negatives)
    np.testing.assert_allclose(auroc.interval.mean, wins.mean())
    assert auroc.interval.over == "images"
    assert auroc.interval.n == 300
    half = auroc.interval.half / 1.968
    # The factor of DeLong's variances is n / (n - 1) of each side, here that of all images.
    np.testing.assert_allclose(half, np.sqrt(variance), rtol=0.02)
    (sensitivity,) = (v for v in class_values([predictions]) if v.measure == "sensitivity")
    share = (positives > 0).mean()
    np.testing.assert_allclose(sensitivity.interval.mean, share)
    binomial = np.sqrt(share * (1 - share) / len(positives))
    np.testing.assert_allclose(sensitivity.interval.half / 1.968, binomial, rtol=0.03)


def test_images_of_one_subject_count_together():
    """Every image three times: as wide as for one image each, and not narrower."""
    once, labels, scores = one_set(100)
    log = PredictionLog("any", shots=0, groups=np.repeat(np.arange(100), 3))
    logits = torch.tensor(np.repeat(scores, 3)[:, None], dtype=torch.float32)
    target = TARGETS["binary"]
    log.add(0, np.arange(300), np.repeat(labels, 3), target.predict(logits))
    thrice = log.of("a", Task("a", target))
    # The last measure interpolates between other images.
    for first, second in zip(class_values([once])[:3], class_values([thrice])[:3], strict=True):
        np.testing.assert_allclose(second.interval.half, first.interval.half)
        assert second.interval.mean == pytest.approx(first.interval.mean)


# -- seeds, subgroups, refusals --------------------------------------------------------------------


def test_training_seeds_are_taken_together():
    target = TARGETS["binary"]
    several = [predictions_of(target, seed=seed, labels=np.arange(24) % 2) for seed in (0, 1, 2)]
    (auroc,) = (v for v in class_values(several) if v.measure == "auroc")
    each = [v.interval.mean for one in several for v in class_values([one]) if v.measure == "auroc"]
    np.testing.assert_allclose(auroc.interval.mean, np.mean(each))
    assert auroc.interval.method == "hierarchical bootstrap"


def test_few_images_are_refused_with_their_number():
    target = TARGETS["binary"]
    subjects = np.arange(200) // 2
    predictions = predictions_of(target, labels=np.arange(24) % 2, subjects=subjects)
    codes = np.zeros(200, dtype=int)
    codes[:30] = 1
    values = class_values([predictions], subgroups=[Subgroups("site", ("a", "b"), codes)])
    small = [value for value in values if value.group == "b"]
    assert all(value.with_class < 200 for value in small)
    for value in small:
        few = value.with_class < 10 or value.without_class < 10
        if value.measure == "auroc":
            assert math.isnan(value.interval.mean) == few
            assert ("too few images: " in value.interval.note) == few
    large = [value for value in values if value.group == "a"]
    assert not any(math.isnan(value.interval.mean) for value in large)
    assert all(0 < value.subjects <= 100 for value in large)
    refused = class_values(
        [predictions], subgroups=[Subgroups("s", ("a",), codes * 0)], fewest=1000
    )
    notes = [value.interval.note for value in refused if value.group]
    assert any(note.endswith("with the class (at least 1000 are needed)") for note in notes)


def test_what_cannot_be_put_together_is_refused():
    one = predictions_of(TARGETS["binary"])
    with pytest.raises(InputError, match="there are no predictions"):
        class_values([])
    with pytest.raises(InputError, match=r"training seeds \[0, 0\]; give each seed once"):
        class_values([one, one])
    with pytest.raises(InputError, match="give those of one algorithm on one target"):
        confusion_matrix([one, predictions_of(TARGETS["multi-class"], seed=1)])
    with pytest.raises(InputError, match="the subgroups 'sex' have 3 images"):
        class_values([one], subgroups=[Subgroups("sex", ("F",), np.zeros(3, dtype=int))])
    with pytest.raises(InputError, match="from -1 to 0"):
        Subgroups("sex", ("F",), np.array([0, 1]))
    for specificity in (0, 1, math.nan, "x"):
        with pytest.raises(InputError, match="specificity"):
            class_values([one], specificity=specificity)
    with pytest.raises(InputError, match="threshold='best'"):
        class_values([one], threshold="best")


# -- confusion -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["binary", "multi-class", "coral"])
def test_confusion_counts_every_known_label(kind):
    target = TARGETS[kind]
    several = [predictions_of(target, seed=seed) for seed in (0, 1)]
    matrix = confusion_matrix(several)
    expected = np.zeros_like(matrix.counts)
    for predictions in several:
        for episode in predictions:
            if episode.episode != 2:
                for label, answer in zip(episode.labels, episode.decisions, strict=True):
                    if label >= 0:
                        expected[label, answer] += 1
    assert matrix.counts.tolist() == expected.tolist()
    np.testing.assert_allclose(matrix.share.sum(axis=1), 1)
    sensitivity = {
        v.class_name: v.interval.mean for v in class_values(several) if v.measure == "sensitivity"
    }
    for place, name in enumerate(target.classes):
        if name in sensitivity:
            np.testing.assert_allclose(matrix.share[place, place], sensitivity[name])


def test_several_labels_have_no_confusion_matrix():
    assert confusion_matrix([predictions_of(TARGETS["multi-label"])]) is None
