"""Predictions that are kept give the scores that the records have, for every target and loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import torchcross as tx
from tests.examples import max_examples
from tests.targets.tables import TARGETS, random_labels, random_logits
from torchcross.data import toys
from torchcross.errors import InputError, SmallSupportError
from torchcross.evaluation import PredictionLog, evaluate
from torchcross.records import Predictions, Records, read_predictions
from torchcross.targets import MultiClass, Prediction
from torchcross.task import Task

SOURCES = {
    "binary": toys.binary(200, size=16),
    "multiclass": toys.multiclass(200, size=16),
    "multilabel": toys.multilabel(200, size=16),
    "ordinal": toys.ordinal(200, size=16),
}


def kept(log: PredictionLog, target, source="made/up") -> Predictions:
    return log.of(source, Task("made up", target, "toys"))


def equal(scores, others) -> bool:
    """Two undefined scores of one reason are equal; `over` is no part of a record."""
    return [
        {name: (str(score.value), score.reason) for name, score in each.items()} for each in scores
    ] == [
        {name: (str(score.value), score.reason) for name, score in each.items()} for each in others
    ]


@pytest.mark.parametrize("scale", [1e-3, 3.0, 1e3])
@pytest.mark.parametrize("name", TARGETS)
def test_scores_of_what_is_kept_are_those_of_the_predictions(name, scale, tmp_path):
    target = TARGETS[name]
    log, scores = PredictionLog("any", shots=5), []
    for episode in range(4):
        logits = random_logits(target, 12, episode, scale).float()
        if episode == 3:
            logits[2] = torch.nan
        labels = random_labels(target, 12, episode, missing=episode == 1)
        prediction = target.predict(logits)
        scores.append(target.evaluate(prediction, labels, tuple(target.metrics)))
        log.add(episode, np.arange(12) + episode, labels.numpy(), prediction)
    path = kept(log, target).write(tmp_path / "one.safetensors")
    again = read_predictions(path)
    assert equal(again.scores(tuple(target.metrics)), scores)
    assert again.task.target.values == target.values
    assert again.classes == target.classes


@pytest.mark.parametrize("kind", SOURCES)
def test_records_are_computed_again_from_the_predictions_of_evaluate(kind):
    source = SOURCES[kind]
    subjects = np.arange(len(source)) // 2
    sampler = tx.EpisodeSampler(source, shots=2, queries=3, seed=1)

    def guess(support, task):
        generator = torch.Generator().manual_seed(3)
        return lambda images: torch.randn(len(images), task.target.num_outputs, generator=generator)

    episodes = [tx.Episodes(sampler)[index] for index in (4, 5, 6)]
    log = PredictionLog("guess", shots=2, seed=7, groups=subjects)
    records = list(evaluate(guess, episodes, run="r", algorithm="guess", seed=7, observe=log))
    predictions = log.predictions()
    assert Records.of(predictions.records("r")) == Records.of(records)
    for episode, each in zip(episodes, predictions, strict=True):
        assert each.episode == episode.plan.index
        assert each.images.tolist() == episode.plan.query.tolist()
        assert each.labels.tolist() == episode.query.y.tolist()
        assert each.subjects.tolist() == (episode.plan.query // 2).tolist()
    assert predictions.rows == sum(len(episode.plan.query) for episode in episodes)
    assert predictions.episode_of_rows.tolist() == [
        episode.plan.index for episode in episodes for _ in episode.plan.query
    ]


# -- numbers ---------------------------------------------------------------------------------------

LOG_ODDS = (
    st.floats(-1e300, 1e300)
    | st.floats(-10, 10)
    | st.sampled_from([0.0, 1e-300, -1e-300, 1.7e308])
    | st.integers(-4, 4).map(lambda ulps: 1.0 + ulps * 2**-52)
    | st.integers(-4, 4).map(lambda ulps: -1.0 + ulps * 2**-52)
)


@given(st.lists(LOG_ODDS, min_size=1, max_size=6))
@max_examples(36)
def test_what_differs_stays_different_and_in_order(values):
    scores = torch.tensor(values, dtype=torch.float64).unsqueeze(1)
    scores = torch.cat([-scores, scores], dim=1)
    target = TARGETS["binary"]
    log = PredictionLog("any", shots=1)
    prediction = Prediction(scores.sigmoid(), (scores[:, 1] > 0).long(), scores)
    log.add(0, np.arange(len(values)), np.zeros(len(values)), prediction)
    column = kept(log, target).log_odds[:, 1]
    ranks = np.unique(column, return_inverse=True)[1]
    assert ranks.tolist() == np.unique(values, return_inverse=True)[1].tolist()
    if max(map(abs, values)) < 3e38:
        assert column.dtype == np.float32, "32 bits are enough"
        np.testing.assert_allclose(column, values, rtol=1e-6, atol=1e-40)


def test_a_prediction_without_log_odds_gets_those_of_its_probabilities():
    target = TARGETS["multi-class"]
    probabilities = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]])
    log = PredictionLog("any", shots=1)
    log.add(0, np.arange(2), np.array([0, 3]), Prediction(probabilities, torch.tensor([0, 3])))
    (each,) = kept(log, target)
    np.testing.assert_allclose(each.prediction.probabilities, probabilities, rtol=1e-6)
    assert np.isfinite(each.log_odds).all()


# -- refusals --------------------------------------------------------------------------------------


def test_episodes_of_other_classes_are_refused():
    log, source = PredictionLog("any", shots=1), SOURCES["multiclass"]
    sampler = tx.EpisodeSampler(source, ways=2, shots=1, queries=1, seed=0)
    episodes = tx.Episodes(sampler)
    first = episodes[0]
    other = next(each for each in map(episodes.__getitem__, range(20)) if each.task != first.task)
    log(first, first.task.target.predict(torch.zeros(len(first.query.y), 2)))
    with pytest.raises(InputError, match="use one PredictionLog for each source and set of cla"):
        log(other, other.task.target.predict(torch.zeros(len(other.query.y), 2)))


def test_a_log_that_has_seen_nothing_is_refused():
    with pytest.raises(InputError, match="has seen no episode"):
        PredictionLog("any", shots=1).predictions()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sizes": [2, 2]}, "add up to 4, and there are 3"),
        ({"sizes": [3]}, r"give whole numbers of shape \(2,\)"),
        ({"episodes": [1, 0]}, "do not ascend"),
        ({"episodes": [1, 1]}, "do not ascend"),
        ({"labels": [0, 1, 2]}, "labels lie in 0..2; give numbers from -1 to 1"),
        ({"labels": [[0], [1], [1]]}, "labels are int64"),
        ({"decisions": [0, 1, -1]}, "decisions lie in -1..1"),
        ({"images": [0.5, 1, 2]}, "images are float64"),
        ({"images": [-1, 1, 2]}, "images lie in -1..2"),
        ({"subjects": [1, 2]}, "subjects are int64"),
        ({"log_odds": np.zeros((3, 3))}, "log_odds are float64 of shape"),
        ({"log_odds": np.zeros((3, 2), dtype=np.float16)}, "log_odds are float16"),
        ({"log_odds": np.full((3, 2), np.inf)}, "infinite"),
        ({"seed": -1}, "seed=-1"),
        ({"source": ""}, "source is empty"),
    ],
)
def test_what_is_no_set_of_predictions_is_refused(change, said):
    good = {
        "source": "a",
        "task": Task("a", MultiClass(["x", "y"])),
        "algorithm": "b",
        "shots": 0,
        "seed": 0,
        "episodes": [0, 3],
        "sizes": [1, 2],
        "images": [0, 1, 2],
        "labels": [0, 1, -1],
        "log_odds": np.zeros((3, 2), dtype=np.float32),
        "decisions": [0, 1, 1],
    }
    assert Predictions(**good).rows == 3
    with pytest.raises(InputError, match=said):
        Predictions(**{**good, **change})


def log_with_sets(sets_of):
    """Of three episodes of one task source."""
    sampler = tx.EpisodeSampler(SOURCES["multiclass"], shots=2, queries=3, seed=1)
    log = PredictionLog("any", shots=2, sets_of=sets_of)
    for number in range(3):
        episode = tx.Episodes(sampler)[number]
        target = episode.task.target
        log(episode, target.predict(random_logits(target, len(episode.query), number, 1.0)))
    return log


def test_an_episode_whose_support_is_too_small_for_sets_is_the_reason_of_all():
    def sets_of(episode):
        if episode.plan.index == 1:
            raise SmallSupportError("one sample of class 0")
        return np.ones((len(episode.query), len(episode.task.classes)), dtype=bool)

    predictions = log_with_sets(sets_of).predictions()
    assert predictions.sets is None
    assert predictions.sets_absent == "episode 1: one sample of class 0"


def test_any_other_error_of_sets_is_one():
    def sets_of(episode):
        raise InputError("level=90 is not below 1")

    with pytest.raises(InputError, match="level=90"):
        log_with_sets(sets_of)
