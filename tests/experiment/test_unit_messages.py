"""What a run does for each unit that ends: there may be thousands of them."""

from types import SimpleNamespace

import pytest

from torchcross.experiment.run import unit_messages
from torchcross.experiment.run.time_left import UnitTimes
from torchcross.jobs import JobFolder, Outcome, Unit, UnitFailure, UnitReport

KEYS = [f"score-ncm-{number}" for number in range(5)]


@pytest.fixture
def messages(tmp_path):
    """Of a run without a screen."""
    work = SimpleNamespace(
        progress=False, folder=SimpleNamespace(path=tmp_path), say=lambda line: None
    )
    units = [Unit(key, (f"rows/{key}.csv",)) for key in KEYS]
    plan = SimpleNamespace(units=units, cells_that_need=lambda key: ())
    bench = SimpleNamespace(plan=plan, has_made=True)
    return unit_messages.UnitMessages(work, bench, JobFolder(tmp_path), None, has_bars=False)


def failed(key):
    failure = UnitFailure(key, "ReadError", "no such image", "node7", 4711)
    return UnitReport(Outcome.FAILED, failure)


def test_failures_are_written_now_and_then_and_not_each_time(messages, monkeypatch):
    written, clock = [], SimpleNamespace(now=0.0)
    monkeypatch.setattr(unit_messages.UnitMessages, "_write", lambda messages: written.append(1))
    messages._presence = SimpleNamespace(turn_if_free=lambda: Turn())
    monkeypatch.setattr(
        unit_messages, "time", SimpleNamespace(monotonic=lambda: clock.now, time=lambda: 0.0)
    )
    messages._written = 0.0
    for key in KEYS[:3]:
        messages.hear(key, failed(key))
    assert not written
    clock.now = 11.0
    messages.hear(KEYS[3], failed(KEYS[3]))
    assert len(written) == 1


class Turn:
    """It is always ours."""

    def __enter__(self):
        return True

    def __exit__(self, *error):
        return None


def test_without_a_screen_the_time_left_is_not_counted(messages, monkeypatch):
    def fail(times, units, at_work):
        raise AssertionError("nobody reads it")

    monkeypatch.setattr(UnitTimes, "seconds_of_groups", fail)
    for key in KEYS:
        messages.hear(key, UnitReport(Outcome.DONE, seconds=1.0))


def test_units_that_are_left_are_counted_once(messages):
    for key in (*KEYS[:3], KEYS[0]):
        messages.hear(key, UnitReport(Outcome.DONE, seconds=6.0))
    assert list(messages._time_left()) == ["about 12 s left"]
