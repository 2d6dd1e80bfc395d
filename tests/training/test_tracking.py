"""Trackers: what they get, when, and that none of them stops or changes a training."""

import math
import signal
import warnings

import pytest

from tests.training.subjects import (
    Recorder,
    Scores,
    Told,
    bits,
    equal,
    magnitude,
    options,
    protonet,
    sampler,
)
from torchcross.errors import InputError, ReadError, TrackerWarning, WriteError
from torchcross.training import Tracker, fit, read_log
from torchcross.training.log import COLUMNS, CsvLog


class Failing(Recorder):
    """It fails in a step of its own choice, or at the end."""

    def __init__(self, step=None, error=None):
        super().__init__()
        self.step, self.calls = step, 0
        self.error = error or ConnectionError("no answer")

    def log(self, step, numbers):
        self.calls += 1
        if step == self.step:
            raise self.error
        super().log(step, numbers)

    def finish(self, summary):
        self.calls += 1
        if self.step is None:
            raise self.error
        super().finish(summary)


def trained(track=(), folder=None, algorithm=None, validate=None, **given):
    algorithm = protonet() if algorithm is None else algorithm
    result = fit(
        algorithm, sampler(), options(**given), folder=folder, validate=validate, track=track
    )
    return algorithm, result


def test_a_tracker_gets_the_numbers_of_the_log(tmp_path):
    tracker = Recorder()
    assert isinstance(tracker, Tracker)
    trained(tracker, tmp_path, validate=Scores(0.1, math.nan, 1 / 3), validate_every=2)
    rows = read_log(tmp_path)
    names = COLUMNS[1:]
    for (step, numbers), row in zip(tracker.rows, rows, strict=True):
        known = {
            name: value for name, value in zip(names, row[1:], strict=True) if value is not None
        }
        assert (step, repr(numbers)) == (row[0], repr(known))
    assert [("score" in numbers) for _, numbers in tracker.rows] == [False, True] * 3
    assert tracker.summaries == [
        {"state": "finished", "steps": 6, "stopped": "steps", "best_step": 6, "best_score": 1 / 3}
    ]


def test_early_stopping_is_an_end_too():
    tracker = Recorder()
    scores = Scores(0.5, 0.4, 0.3)
    trained(tracker, validate=scores, validate_every=1, patience=2)
    assert tracker.steps == [1, 2, 3]
    assert tracker.summaries == [
        {"state": "finished", "steps": 3, "stopped": "patience", "best_step": 1, "best_score": 0.5}
    ]


def test_nothing_of_a_training_depends_on_its_trackers(tmp_path):
    class Meddler(Recorder):
        def log(self, step, numbers):
            numbers.clear()

        def finish(self, summary):
            summary.clear()

    recorder = Recorder()
    with pytest.warns(TrackerWarning):
        left, with_trackers = trained((Meddler(), Failing(2), recorder), tmp_path / "left")
    right, without = trained((), tmp_path / "right")
    assert equal(bits(left), bits(right))
    assert with_trackers.history == without.history
    for name in ("log.csv", "weights.safetensors", "checkpoint-00000006.safetensors"):
        left_bytes, right_bytes = (
            (tmp_path / side / name).read_bytes() for side in ("left", "right")
        )
        assert left_bytes == right_bytes
    assert recorder.steps == [1, 2, 3, 4, 5, 6]
    assert len(recorder.rows[0][1]) == 3
    assert recorder.summaries[0]["state"] == "finished"


@pytest.mark.parametrize(("step", "moment", "calls"), [(3, "step 3", 3), (None, "the end", 7)])
def test_one_that_fails_is_named_once_and_left_alone(step, moment, calls):
    failing, recorder = Failing(step), Recorder()
    with pytest.warns(TrackerWarning) as caught:
        _, result = trained([failing, recorder])
    (warning,) = caught
    text = str(warning.message)
    assert text.startswith(f"Failing failed at {moment}: ConnectionError: no answer. Training goes")
    assert result.steps == 6
    assert failing.calls == calls
    assert recorder.steps == [1, 2, 3, 4, 5, 6]


def test_a_training_that_fails_says_so_to_its_trackers(tmp_path):
    def told(_self, call, step, _items):
        if call == 4:
            raise ReadError("the disk is gone")
        return step

    tracker = Recorder()
    with pytest.raises(ReadError):
        trained(tracker, tmp_path, Told(protonet(), told), checkpoint_every=2)
    assert tracker.steps == [1, 2, 3]
    assert tracker.summaries == [
        {"state": "failed", "steps": 3, "error": "ReadError: the disk is gone"}
    ]
    # It goes on after the checkpoint of step 2.
    trained(tracker, tmp_path, Told(protonet(), lambda _self, _call, step, _items: step))
    assert tracker.steps == [1, 2, 3, 3, 4, 5, 6]
    assert tracker.summaries[1] == {"state": "finished", "steps": 6, "stopped": "steps"}


def test_an_error_of_validation_is_a_failure():
    tracker = Recorder()
    with pytest.raises(InputError, match="validate gave inf"):
        trained(tracker, validate=Scores(math.inf), validate_every=2)
    assert tracker.steps == [1]
    (summary,) = tracker.summaries
    assert (summary["state"], summary["steps"]) == ("failed", 2)
    assert summary["error"].startswith("InputError: validate gave inf")


@pytest.mark.parametrize("request_", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_goes_on_later(tmp_path, request_):
    def told(_self, call, step, _items):
        if call == 3:
            signal.raise_signal(request_)
        return step

    tracker = Recorder()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trained(tracker, tmp_path, Told(protonet(), told))
    assert tracker.steps == [1, 2, 3]
    assert tracker.summaries[0]["state"] == "interrupted"
    assert tracker.summaries[0]["steps"] == 3
    trained(tracker, tmp_path, Told(protonet(), lambda _self, _call, step, _items: step))
    assert tracker.steps == [1, 2, 3, 4, 5, 6]
    assert [summary["state"] for summary in tracker.summaries] == ["interrupted", "finished"]


def test_a_training_that_ended_before_is_not_tracked_again(tmp_path):
    trained(Recorder(), tmp_path)
    tracker = Recorder()
    trained(tracker, tmp_path)
    assert (tracker.rows, tracker.summaries) == ([], [])
    # More steps are another matter.
    trained(tracker, tmp_path, steps=8)
    assert tracker.steps == [7, 8]
    assert tracker.summaries[0]["steps"] == 8


def test_an_end_that_was_not_reported_is_reported_by_the_next_call(tmp_path, monkeypatch):
    def full(_log):
        raise WriteError("no room")

    tracker = Recorder()
    with monkeypatch.context() as patched:
        patched.setattr(CsvLog, "finish", full)
        with pytest.raises(WriteError):
            trained((), tmp_path)
    trained(tracker, tmp_path)
    assert tracker.steps == []
    assert tracker.summaries == [{"state": "finished", "steps": 6, "stopped": "steps"}]


@pytest.mark.parametrize("validate_every", [2, None])
def test_a_score_is_there_where_a_step_was_validated(validate_every):
    tracker = Recorder()
    validate = None if validate_every is None else magnitude
    trained(tracker, validate=validate, validate_every=validate_every)
    scored = [step for step, numbers in tracker.rows if "score" in numbers]
    assert scored == ([] if validate_every is None else [2, 4, 6])


@pytest.mark.parametrize("track", [3, "tensorboard", [Recorder(), None], Recorder, print])
def test_what_is_no_tracker_is_refused_before_training(track):
    algorithm = protonet()
    before = bits(algorithm)
    with pytest.raises(InputError, match=r"is not a tracker; give an object with the methods log"):
        trained(track, algorithm=algorithm)
    assert equal(bits(algorithm), before)


def test_a_keyboard_interrupt_in_a_tracker_is_the_users():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(KeyboardInterrupt):
            trained(Failing(2, KeyboardInterrupt()))
