"""How long a plan says that a run takes, by a clock that the test moves."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.conftest import toy_experiment
from torchcross.experiment.run import run_plan, run_units
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


def halve(collection, name):
    whole = collection.made[name]
    collection.made[name] = whole.subset(range(0, len(whole), 2), name=whole.name)


def parts_of(experiment, folder):
    plan = plan_run(experiment, folder, [1])
    assert plan.seconds_with[1] == pytest.approx(
        sum(part.units * part.seconds for part in plan.parts)
    )
    return {(part.row, part.kind): part for part in plan.parts}


def test_features_take_the_time_of_the_images_of_each_target(
    collection, tmp_path, clock, monkeypatch
):
    """The largest one comes first and is measured; each took the time of this one."""
    halve(collection, "hole")
    monkeypatch.setattr(run_plan, "seconds_of_image", lambda run, cell: 0.5)
    monkeypatch.setattr(run_plan, "made_up_episodes", lambda run, cell, target: target)
    monkeypatch.setattr(run_plan, "width_of", lambda target: 4)
    parts = parts_of(toy_experiment(algorithms=["ncm"], shots=[1]), tmp_path / "run")
    images = [len(collection.made[name]) for name in ("hole", "specks")]
    assert images[0] != images[1]
    assert parts["ncm", "features"].units == 2
    assert parts["ncm", "features"].seconds == pytest.approx(0.5 * sum(images) / 2)


def test_a_part_takes_the_time_of_its_episodes_and_joining_none(collection, tmp_path, clock):
    settings = {"evaluation.episodes": 5, "machine.unit_episodes": 2, "data.targets": ["hole"]}
    experiment = toy_experiment(algorithms=["scratch"], shots=[1], **settings)
    parts = parts_of(experiment, tmp_path / "run")
    scoring, joining = parts["scratch", "scoring"], parts["scratch", "joining"]
    assert (scoring.units, joining.units) == (3, 1)
    assert scoring.seconds == pytest.approx(3.0 * 5 / 3)
    assert joining.seconds == 0.0


def test_the_labels_of_the_sources_of_a_target_are_read_once(collection, tmp_path, monkeypatch):
    """They were for each row and seed, and again for each target before it."""
    read, plain = [], run_units.fingerprints_of

    def fingerprints_of(sources):
        read.append(1)
        return plain(sources)

    monkeypatch.setattr(run_units, "fingerprints_of", fingerprints_of)
    monkeypatch.setattr(run_plan._Calibration, "seconds_of", lambda calibration, unit: 1.0)
    monkeypatch.setattr(run_plan._Calibration, "parts", lambda calibration: ())
    settings = {"seeds": [0, 1], "data.targets": ["hole", "specks", "shape"]}
    experiment = toy_experiment(algorithms=["protonet", "mm-pt"], shots=[1], **settings)
    plan = plan_run(experiment, tmp_path / "run", [1])
    assert plan.seconds_with[1] == 2 * 2 * 3 * 2
    assert len(read) == 3
