"""Validation decides which weights are left and when training stops; an average is what it sees."""

import math

import pytest

from tests.training.subjects import Scores, bits, distance, equal, fitted, protonet
from torchcross.errors import InputError
from torchcross.training import read_log


def test_the_average_is_validated_and_kept():
    scores = Scores(*range(6))
    algorithm, _ = fitted(ema=0.5, validate=scores, validate_every=1)
    plain = Scores(*range(6))
    fitted(validate=plain, validate_every=1)
    average = bits(protonet())
    for step in range(1, 7):
        decay = min(0.5, (1 + step) / (10 + step))
        for name, value in plain.seen[step - 1].items():
            average[name] = decay * average[name] + (1 - decay) * value
        assert distance(scores.seen[step - 1], average) < 1e-6
    assert equal(bits(algorithm), scores.seen[-1])


@pytest.mark.parametrize("kept", [True, False])
def test_the_best_weights_are_what_is_left(kept, tmp_path):
    scores = Scores(0.1, 0.9, 0.3, 0.9, 0.2, 0.4)
    folder = tmp_path if kept else None
    algorithm, result = fitted(validate=scores, validate_every=1, folder=folder, keep=1)
    assert (result.best_step, result.best_score, result.steps) == (2, 0.9, 6)
    assert equal(bits(algorithm), scores.seen[1])
    assert not equal(bits(algorithm), scores.seen[5])
    assert [point.score for point in result.history] == [0.1, 0.9, 0.3, 0.9, 0.2, 0.4]
    if kept:
        assert [row[4] for row in read_log(tmp_path)] == [0.1, 0.9, 0.3, 0.9, 0.2, 0.4]
        names = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
        assert names == ["checkpoint-00000002.safetensors", "checkpoint-00000006.safetensors"]


def test_patience_stops(tmp_path):
    scores = Scores(0.5, 0.4, 0.6, 0.6, 0.1)
    algorithm, result = fitted(
        validate=scores,
        validate_every=2,
        patience=2,
        steps=100,
        folder=tmp_path,
        checkpoint_every=100,
    )
    assert (result.steps, result.stopped, result.best_step) == (10, "patience", 6)
    assert equal(bits(algorithm), scores.seen[2])
    again, same = fitted(
        validate=Scores(), validate_every=2, patience=2, steps=100, folder=tmp_path
    )
    assert same == result
    assert equal(bits(again), bits(algorithm))


def test_a_little_better_is_not_enough():
    scores = Scores(0.5, 0.51, 0.52, 0.53, 0.54)
    _, result = fitted(validate=scores, validate_every=1, patience=2, min_delta=0.05, steps=100)
    assert (result.steps, result.best_step) == (3, 3)


def test_an_undefined_score_is_never_the_best():
    scores = Scores(math.nan, 0.2, math.nan)
    _, result = fitted(validate=scores, validate_every=1, steps=3)
    assert (result.best_step, result.best_score) == (2, 0.2)
    assert math.isnan(result.history[0].score)
    algorithm, none = fitted(validate=Scores(math.nan), validate_every=3, steps=3)
    assert (none.best_step, none.best_score) == (None, None)
    assert equal(bits(algorithm), bits(fitted(steps=3)[0]))


def test_an_infinite_score_is_refused():
    with pytest.raises(InputError, match=r"validate gave inf at step 1"):
        fitted(validate=Scores(math.inf), validate_every=1)


def test_the_last_step_is_validated():
    _, result = fitted(validate=Scores(1.0, 2.0, 3.0), validate_every=4, steps=10)
    assert [point.step for point in result.history] == [4, 8, 10]
    losses = [point.loss for point in fitted(steps=10)[1].history]
    assert [point.loss for point in result.history] == pytest.approx(
        [sum(losses[:4]) / 4, sum(losses[4:8]) / 4, sum(losses[8:]) / 2]
    )
