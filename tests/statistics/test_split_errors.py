"""Intervals over the images of one split: DeLong's, clustered by subject, and a bootstrap."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm, t

from torchcross.errors import InputError
from torchcross.statistics import SplitError, auroc_error, bootstrap_errors, split_interval
from torchcross.statistics.prediction_errors import split_errors
from torchcross.statistics.split_errors import TOO_FEW, error_of
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal

TARGETS = {
    "binary": Binary(["no", "yes"]),
    "multiclass": MultiClass(["a", "b", "c"]),
    "multilabel": MultiLabel(["x", "y"]),
    "ordinal": Ordinal({0: "none", 1: "mild", 4: "severe"}),
}


def delong(scores, answers):
    """The variance by its definition (DeLong et al. 1988), pair by pair."""
    ones, zeros = scores[answers == 1], scores[answers == 0]
    wins = np.array([[(x > y) + (x == y) / 2 for y in zeros] for x in ones])
    v10, v01 = wins.mean(axis=1), wins.mean(axis=0)
    return v10.var(ddof=1) / len(ones) + v01.var(ddof=1) / len(zeros)


def drawn(seed, images=40):
    generator = np.random.default_rng(seed)
    answers = (generator.random(images) < 0.4).astype(np.int64)
    scores = np.round(generator.normal(size=images) + answers, 1)
    return scores, answers


@pytest.mark.parametrize("seed", range(4))
def test_it_is_delongs_variance(seed):
    scores, answers = drawn(seed)
    error = auroc_error(scores[:, None], answers[:, None])
    assert error == pytest.approx(math.sqrt(delong(scores, answers)), rel=1e-12)
    # Unknown answers are left out, and both columns of a binary task say the same.
    known = np.arange(40) % 5 > 0
    hidden = np.where(known, answers, -1)
    expected = math.sqrt(delong(scores[known], answers[known]))
    assert auroc_error(scores[:, None], hidden[:, None]) == pytest.approx(expected, rel=1e-12)
    both = np.stack([-scores, scores], axis=1), np.stack([1 - answers, answers], axis=1)
    assert auroc_error(*both) == pytest.approx(math.sqrt(delong(scores, answers)), rel=1e-12)


def test_images_of_one_subject_are_one_cluster():
    """Copies of images say nothing new: the error stays that of the images themselves."""
    scores, answers = drawn(1)
    table = scores[:, None], answers[:, None]
    copied = tuple(np.repeat(part, 3, axis=0) for part in table)
    subjects = np.repeat(np.arange(40), 3)
    assert auroc_error(*copied, subjects) == pytest.approx(auroc_error(*table), rel=1e-9)
    assert auroc_error(*copied) < 0.7 * auroc_error(*table)
    assert auroc_error(*table, np.arange(40)[::-1]) == pytest.approx(auroc_error(*table))


@pytest.mark.parametrize(("answers", "subjects"), [([1, 1], None), ([1, 0], None), ([-1, 0], None)])
def test_without_both_answers_there_is_no_error(answers, subjects):
    assert math.isnan(auroc_error([[0.1], [0.2]], np.array(answers)[:, None], subjects))


@pytest.mark.parametrize("values", [([[0.1]], [[1, 0]], None), ([[0.1], [0.2]], [[1], [0]], [1])])
def test_tables_that_do_not_fit_are_refused(values):
    with pytest.raises(InputError, match="give"):
        auroc_error(*values)


def test_delong_covers():
    """Over repeated splits, 95 % intervals on the logit scale hold the AUROC of the population."""
    generator, held = np.random.default_rng(0), 0
    truth, repetitions = norm.cdf(1.5 / math.sqrt(2)), 400
    for _ in range(repetitions):
        answers = np.repeat([1, 0], [30, 50])
        scores = generator.normal(size=80) + 1.5 * answers
        wins = (scores[:30, None] > scores[None, 30:]).mean()
        error = SplitError(auroc_error(scores[:, None], answers[:, None]), "delong")
        interval = split_interval([float(wins)], [error], bounds=(0, 1))
        held += interval.low <= truth <= interval.high
    assert 0.92 <= held / repetitions <= 0.98


# -- the bootstrap ---------------------------------------------------------------------------------


def test_the_error_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(2).normal(size=200)
    errors = bootstrap_errors(lambda rows: {"mean": values[rows].mean()}, 200)
    assert errors["mean"] == pytest.approx(values.std() / math.sqrt(200), rel=0.15)
    assert errors == bootstrap_errors(lambda rows: {"mean": values[rows].mean()}, 200)


def test_subjects_are_drawn_whole():
    subjects = np.array([7, 3, 7, 3, 3, 9])

    def evaluate(rows):
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[2]
        assert counts[1] == counts[3] == counts[4]
        return {"images": float(len(rows)), "undefined": math.nan}

    errors = bootstrap_errors(evaluate, 6, subjects, resamples=50)
    assert errors["images"] > 0
    assert math.isnan(errors["undefined"])


# -- intervals over seeds --------------------------------------------------------------------------


def test_one_seed_has_the_error_over_images():
    interval = split_interval([0.8], [SplitError(0.05, "delong")], level=0.9)
    assert interval.half == pytest.approx(norm.ppf(0.95) * 0.05)
    assert (interval.mean, interval.n, interval.method, interval.over) == (
        0.8,
        1,
        "delong",
        "images",
    )
    bounded = split_interval([0.97], [SplitError(0.05, "delong")], bounds=(0, 1))
    assert 0 < bounded.low < 0.97 < bounded.high < 1


def test_several_seeds_add_their_spread():
    values, errors = [0.7, 0.8, 0.9], [SplitError(each, "m") for each in (0.03, 0.04, 0.05)]
    images = norm.ppf(0.975) ** 2 * np.mean([0.03**2, 0.04**2, 0.05**2])
    seeds = t.ppf(0.975, 2) ** 2 * 0.01 / 3
    assert split_interval(values, errors).half == pytest.approx(math.sqrt(images + seeds))
    with pytest.raises(InputError, match="give one for each"):
        split_interval(values, errors[:2])


def test_no_spread_is_said():
    interval = split_interval([1.0], [SplitError(0.0, "delong")], bounds=(0, 1))
    assert math.isnan(interval.low)
    assert "no spread" in interval.note


def test_where_the_error_is_not_known_the_reason_is_said():
    errors = [SplitError(0.05, "delong"), SplitError(math.nan, "delong", "one image")]
    interval = split_interval([0.8, 0.9], errors, bounds=(0, 1))
    assert interval.mean == pytest.approx(0.85)
    assert math.isnan(interval.low)
    assert interval.note == "no interval: one image"
    unsaid = split_interval([0.8], [SplitError(math.nan, "delong")])
    assert unsaid.note == "no interval: its standard error is not known"


# -- of predictions --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TARGETS)
def test_every_metric_of_every_target_has_an_error(kind):
    target = TARGETS[kind]
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(60, target.num_outputs, generator=generator)
    shape = (60, *target.label_shape)
    labels = torch.randint(len(target.values), shape, generator=generator)
    prediction = target.predict(logits)
    subjects = np.arange(60) // 2
    errors = split_errors(target, prediction, labels, subjects, resamples=10)
    assert errors.keys() == set(target.default_metrics)
    assert errors["auroc"]["method"] == "delong"
    assert all(each["error"] > 0 for each in errors.values())
    # The AUROC whose error this is: the bootstrap of the library's own comes near.

    def auroc(rows):
        some = torch.from_numpy(rows)
        part = type(prediction)(
            prediction.probabilities[some], prediction.decisions[some], prediction.scores[some]
        )
        return {"auroc": target.evaluate(part, labels[some], metrics=["auroc"])["auroc"].value}

    (expected,) = bootstrap_errors(auroc, 60, subjects, resamples=60).values()
    assert errors["auroc"]["error"] == pytest.approx(expected, rel=0.35)


def test_a_class_of_a_single_image_has_a_reason_in_place_of_an_error():
    target = TARGETS["multiclass"]
    labels = torch.tensor([0] * 8 + [1] * 8 + [2])
    logits = torch.randn(17, 3, generator=torch.Generator().manual_seed(0))
    errors = split_errors(target, target.predict(logits), labels, None, resamples=10)
    assert errors["auroc"] == {"reason": TOO_FEW, "method": "delong"}
    assert errors["accuracy"]["error"] > 0
    stored = error_of(errors["auroc"])
    assert math.isnan(stored.error)
    assert split_interval([0.7], [stored]).note == f"no interval: {TOO_FEW}"


def test_a_score_that_most_samples_do_not_define_has_a_reason():
    target = TARGETS["binary"]
    labels = torch.zeros(12, dtype=torch.int64)
    logits = torch.randn(12, 1, generator=torch.Generator().manual_seed(0))
    errors = split_errors(
        target, target.predict(logits), labels, None, resamples=5, metrics=["average_precision"]
    )
    assert errors["average_precision"]["reason"].startswith("the score is undefined in half")
