"""How long a plan says that a run takes, by a clock that the test moves."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.conftest import toy_experiment
from torchcross.experiment.run import run_plan
from torchcross.experiment.run.run_plan import plan_run


class Clock:
    """The first training of a process takes 60 s longer than the others."""

    def __init__(self):
        self.now, self.trainings = 0.0, 0

    def fit(self, learner, data, options, **machine):
        self.now += 2.0 + 0.5 * options.steps + (0 if self.trainings else 60.0)
        self.trainings += 1

    def score(self, run, cell, algorithm, target, level, places, store):
        self.now += 3.0 * len(places)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(run_plan, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(run_plan, "fit", clock.fit)
    monkeypatch.setattr(run_plan, "score_part", clock.score)
    return clock


@pytest.mark.slow
def test_what_the_first_training_sets_up_is_not_counted(collection, tmp_path, clock):
    """It made steps of negative time, which shortened the run below its own parts."""
    settings = {"algorithms": ["protonet", "scratch"], "shots": [1], "data.targets": ["hole"]}
    experiment = toy_experiment(**settings, **{"meta.steps": 500, "meta.validate_every": 500})
    plan = plan_run(experiment, tmp_path / "run", [1, 2, 9])
    seconds = {(part.row, part.kind): part.seconds for part in plan.parts}
    assert seconds["protonet", "training"] == pytest.approx(2.0 + 0.5 * 500)
    whole = sum(part.units * part.seconds for part in plan.parts)
    assert plan.seconds_with[1] == pytest.approx(whole)
    assert all(plan.chain <= each <= whole for each in plan.seconds_with.values())
    assert plan.chain >= max(seconds.values())
    said = str(plan)
    assert "1 unit of about 5 min" in said
    assert "1 units" not in said


@given(st.integers(1, 10**6), st.floats(0.001, 1e4), st.floats(0.001, 1e4), st.integers(1, 3))
def test_no_training_takes_less_than_what_was_measured_of_it(steps, one, several, measured):
    measured = min(measured, steps)
    least = min(several, one) * (1 - 1e-9)
    assert run_plan._seconds_of_all(steps, one, several, measured) >= least
