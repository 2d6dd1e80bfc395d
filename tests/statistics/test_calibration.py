"""Brier score, likelihood and calibration error equal their formulas and scikit-learn's."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss, log_loss

from torchcross.errors import InputError
from torchcross.records import Predictions
from torchcross.statistics import calibration, calibration_intervals, mean_interval
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.task import Task

TARGETS = {
    "binary": Binary(),
    "multiclass": MultiClass(["a", "b", "c"]),
    "ordinal": Ordinal({0: "none", 1: "some", 4: "much"}),
    "multilabel": MultiLabel(["a", "b", "c"]),
}
every_target = pytest.mark.parametrize("kind", TARGETS)


def probabilities_and_labels(target, rows, seed=0, sharpness=1.0):
    """Probabilities that are true where `sharpness` is 1, and too sure where it is larger."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, len(target.classes))) * 1.5
    if target.label_shape:
        chances = 1 / (1 + np.exp(-logits))
        labels = (rng.random(logits.shape) < chances).astype(np.int64)
        return 1 / (1 + np.exp(-sharpness * logits)), labels
    chances, said = (
        np.exp(scale * logits) / np.exp(scale * logits).sum(1, keepdims=True)
        for scale in (1.0, sharpness)
    )
    labels = (rng.random((rows, 1)) > chances.cumsum(1)).sum(1)
    return said, labels


def predictions_of(target, probabilities, labels, episodes=4, seed=0):
    per_episode = len(labels) // episodes
    return Predictions(
        source="oct/disease",
        task=Task("disease", target),
        algorithm="ncm",
        shots=5,
        seed=seed,
        episodes=np.arange(episodes),
        sizes=np.full(episodes, per_episode),
        images=np.arange(len(labels)),
        labels=labels,
        log_odds=np.log(probabilities) - np.log1p(-probabilities),
        decisions=np.zeros_like(np.maximum(labels, 0)),
    )


@every_target
def test_the_scores_are_their_formulas(kind):
    target = TARGETS[kind]
    p, labels = probabilities_and_labels(target, 400)
    found = calibration([predictions_of(target, p, labels)], bins=10)
    if kind == "multilabel":
        truth = labels
        brier = np.square(p - truth).mean()
        nll = -np.where(truth == 1, np.log(p), np.log(1 - p)).mean()
    else:
        truth = np.eye(p.shape[1])[labels]
        brier = np.square(p - truth).sum(1).mean() / (2 if kind == "binary" else 1)
        nll = -np.log(p[np.arange(400), labels]).mean()
    errors = []
    for column in range(p.shape[1]):
        bins = np.clip(np.floor(p[:, column] * 10), 0, 9)
        errors.append(
            sum(
                (bins == b).mean() * abs((p - truth)[bins == b, column].mean())
                for b in np.unique(bins)
            )
        )
    assert found.brier == pytest.approx(brier, rel=1e-9)
    assert found.nll == pytest.approx(nll, rel=1e-9)
    assert found.ece == pytest.approx(np.mean(errors), rel=1e-9)
    np.testing.assert_allclose(found.reliability.errors, errors, rtol=1e-9)
    assert (found.predictions, found.not_finite) == (400, 0)
    assert found.reliability.counts.sum(1).tolist() == [400] * p.shape[1]


def test_scikit_learn_says_the_same():
    p, labels = probabilities_and_labels(TARGETS["binary"], 300)
    found = calibration([predictions_of(TARGETS["binary"], p, labels)])
    assert found.brier == pytest.approx(brier_score_loss(labels, p[:, 1]), rel=1e-9)
    assert found.nll == pytest.approx(log_loss(labels, p), rel=1e-9)


@every_target
def test_true_probabilities_are_calibrated_and_too_sure_ones_are_not(kind):
    true, sure = (
        calibration(
            [
                predictions_of(
                    TARGETS[kind],
                    *probabilities_and_labels(TARGETS[kind], 40_000, sharpness=sharpness),
                )
            ]
        )
        for sharpness in (1.0, 3.0)
    )
    assert true.ece < 0.01 < 0.08 < sure.ece
    assert true.nll < sure.nll
    assert true.brier < sure.brier


@every_target
def test_missing_labels_and_broken_predictions_do_not_count(kind):
    target = TARGETS[kind]
    p, labels = probabilities_and_labels(target, 40)
    plain = calibration([predictions_of(target, p, labels, episodes=2)])
    more_p = np.concatenate([p, np.full_like(p[:4], 0.5)])
    more_labels = np.concatenate([labels, np.zeros_like(labels[:4])])
    more_labels[-4:-2] = -1
    more_p[-2:] = np.nan
    found = calibration([predictions_of(target, more_p, more_labels, episodes=2)])
    assert (found.brier, found.nll, found.ece) == pytest.approx(
        (plain.brier, plain.nll, plain.ece), rel=1e-12
    )
    assert (found.predictions, found.not_finite) == (40, 2)
    with pytest.raises(InputError, match="no finite one of a known label"):
        calibration([predictions_of(target, more_p[-4:], more_labels[-4:], episodes=1)])


def test_several_seeds_count_together_and_certainty_is_finite():
    target = TARGETS["binary"]
    p, labels = probabilities_and_labels(target, 40)
    one = predictions_of(target, p[:20], labels[:20], episodes=2)
    two = predictions_of(target, p[20:], labels[20:], episodes=2, seed=1)
    whole = calibration([predictions_of(target, p, labels)])
    assert calibration([one, two]).nll == pytest.approx(whole.nll, rel=1e-12)
    with pytest.raises(InputError, match="give each seed once"):
        calibration([one, one])
    with pytest.raises(InputError, match="bins=0"):
        calibration([one], bins=0)
    sure = Predictions(
        **{
            **{
                name: getattr(one, name)
                for name in ("source", "task", "algorithm", "shots", "seed")
            },
            "episodes": [0],
            "sizes": [2],
            "images": [0, 1],
            "labels": [0, 1],
            "log_odds": np.array([[1e30, -1e30], [1e30, -1e30]]),
            "decisions": [0, 0],
        }
    )
    found = calibration([sure])
    assert found.brier == 0.5
    assert found.nll == pytest.approx(5e29)
    assert found.reliability.counts[0].tolist()[-1] == 2


# -- intervals -------------------------------------------------------------------------------------


@every_target
def test_intervals_are_of_the_same_numbers(kind):
    target = TARGETS[kind]
    several = [
        predictions_of(target, *probabilities_and_labels(target, 400, seed), episodes=20, seed=seed)
        for seed in (0, 1)
    ]
    for some in (several[:1], several):
        found, intervals = calibration(some), calibration_intervals(some)
        for name in ("brier", "nll", "ece"):
            interval = getattr(intervals, name)
            assert interval.mean == pytest.approx(getattr(found, name), abs=1e-12)
            assert 0 <= interval.low < interval.mean < interval.high
            assert interval.over == "episodes"


def test_the_interval_of_a_brier_score_is_that_of_episode_means():
    """All episodes are of one size, so that the linearised mean is the plain one."""
    target = TARGETS["multiclass"]
    p, labels = probabilities_and_labels(target, 400)
    found = calibration_intervals([predictions_of(target, p, labels, episodes=20)]).brier
    costs = np.square(p - np.eye(3)[labels]).sum(1).reshape(20, 20).mean(1)
    expected = mean_interval(costs)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_the_interval_of_a_calibration_error_is_that_of_a_jackknife(kind):
    """By hand: the error without each episode, pseudo-values, and t around the error itself."""
    target, episodes = TARGETS[kind], 12
    p, labels = probabilities_and_labels(target, 240, sharpness=3.0)
    place = np.repeat(np.arange(episodes), 20)
    without = [
        calibration([predictions_of(target, p[rest], labels[rest], episodes - 1)]).ece
        for rest in (place != each for each in range(episodes))
    ]
    whole = predictions_of(target, p, labels, episodes)
    error, interval = calibration([whole]).ece, calibration_intervals([whole]).ece
    pseudo = episodes * error - (episodes - 1) * np.array(without)
    half = stats.t(episodes - 1).isf(0.025) * pseudo.std(ddof=1) / np.sqrt(episodes)
    assert abs(pseudo.mean() - error) > 0.001, "else no shift is seen"
    assert error - half > 0
    assert (interval.low, interval.mean, interval.high) == pytest.approx(
        (error - half, error, error + half), rel=1e-9
    )


@pytest.mark.slow
def test_the_interval_of_a_calibration_error_is_as_wide_as_the_error_varies():
    """Over 150 draws of too sure probabilities; the jackknife's half is t times their spread."""
    target, errors, halves = TARGETS["binary"], [], []
    for seed in range(150):
        drawn = probabilities_and_labels(target, 600, seed, sharpness=3.0)
        interval = calibration_intervals([predictions_of(target, *drawn, episodes=30)]).ece
        errors.append(interval.mean)
        halves.append(interval.half)
    assert np.mean(halves) == pytest.approx(2.045 * np.std(errors), rel=0.25)


def test_one_set_of_images_has_intervals_over_its_images():
    target = TARGETS["binary"]
    p, labels = probabilities_and_labels(target, 300)
    found = calibration_intervals([predictions_of(target, p, labels, episodes=1)])
    assert found.brier.over == found.nll.over == "images"
    expected = mean_interval(np.square(p[:, 1] - labels))
    assert (found.brier.low, found.brier.high) == pytest.approx((expected.low, expected.high))
    assert np.isnan(found.ece.half)
    assert "has no interval" in found.ece.note
