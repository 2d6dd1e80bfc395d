"""What holds where processes, kinds of machines and calls of one run differ, or where one ends."""

import json
import os
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.experiment.conftest import toy_experiment
from tests.experiment.small import files
from tests.jobs.together import computes_one_unit_at_a_time
from torchcross.errors import InputError
from torchcross.experiment import engine_settings, experiment_from_values, run_experiment
from torchcross.experiment.device import machine_elsewhere
from torchcross.experiment.run import runner, unit_messages
from torchcross.experiment.run.cells import Cell
from torchcross.experiment.run.environment import ENVIRONMENT, read_times
from torchcross.experiment.run.experiment_job import ExperimentJob
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.run.run_status import run_status
from torchcross.experiment.run.workbench import workbench_of_worker
from torchcross.jobs import ExecutorEngine, JobFolder, Outcome, Unit, UnitFailure, UnitReport
from torchcross.jobs.claims import Claims

SCRATCH = {"algorithms": ["scratch"], "shots": [1]}
PARTS = {**SCRATCH, "data.targets": ["hole"], "machine.unit_episodes": 1}


def scratch(**changes):
    return toy_experiment(**{**SCRATCH, **changes})


# -- how long units took ---------------------------------------------------------------------------


def test_a_cell_of_many_units_took_as_long_as_all_of_them(collection, tmp_path):
    run_experiment(toy_experiment(**PARTS), tmp_path / "run")
    times = read_times(RunFolder(tmp_path / "run"))
    ((name, by_key),) = times.cells.items()
    # Three episodes, and what puts them together.
    assert sorted(key.partition("-")[0] for key in by_key) == ["part", "part", "part", "score"]
    assert times.cell_seconds() == {name: sum(by_key.values())}
    # A unit that is made again replaces its own time alone.
    (tmp_path / "run" / "rows" / f"{name}.csv").unlink()
    run_experiment(toy_experiment(**PARTS), tmp_path / "run")
    assert read_times(RunFolder(tmp_path / "run")).cells[name].keys() == by_key.keys()


def test_times_of_an_earlier_version_are_read_and_replaced(collection, tmp_path):
    run_experiment(scratch(), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    first, second = sorted(read_times(folder).cells)
    record = {"machines": [], "trainings": {}, "cells": {first: 3.5, second: 1.25}}
    write_json(folder.path / ENVIRONMENT, record)
    assert read_times(folder).cell_seconds() == {first: 3.5, second: 1.25}
    (folder.path / "rows" / f"{first}.csv").unlink()
    run_experiment(scratch(), folder.path)
    times = read_times(folder).cell_seconds()
    assert times[first] != 3.5
    assert times[second] == 1.25


# -- parts of a cell -------------------------------------------------------------------------------


def test_parts_of_other_settings_are_not_mixed(collection, tmp_path, monkeypatch):
    """What decides no row may change between two calls, and shows in a part."""
    without = {"evaluation.predictions": 0}
    run_experiment(toy_experiment(**PARTS, **without), tmp_path / "whole" / "run")

    def stop(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("torchcross.experiment.run.workbench.joined_parts", stop)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(toy_experiment(**PARTS), tmp_path / "run")
    assert len(list((tmp_path / "run" / "parts").glob("*.safetensors"))) == 3
    assert run_experiment(toy_experiment(**PARTS, **without), tmp_path / "run").complete
    names = [path.name for path in (tmp_path / "whole" / "run" / "episodes").iterdir()]
    for name in names:
        made = (tmp_path / "run" / "episodes" / name).read_bytes()
        assert made == (tmp_path / "whole" / "run" / "episodes" / name).read_bytes()
    assert not list((tmp_path / "run" / "predictions").iterdir())


@pytest.mark.long
def test_what_is_known_of_a_target_that_cannot_be_read_now_is_kept(collection, tmp_path):
    run_experiment(scratch(), tmp_path / "run")
    place = tmp_path / "run" / "protocol.json"
    known = json.loads(place.read_bytes())["episodes of targets"]
    for path in (tmp_path / "run" / "rows").iterdir():
        path.unlink()
    collection.broken = {"hole"}
    assert len(run_experiment(scratch(), tmp_path / "run").failures) == 1
    assert json.loads(place.read_bytes())["episodes of targets"] == known
    # Without its episodes nothing is trained for it.
    trained = toy_experiment(algorithms=["protonet"], shots=[1])
    run_experiment(trained, tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "train")
    for path in (tmp_path / "other" / "rows").iterdir():
        path.unlink()
    run_experiment(trained, tmp_path / "other")
    assert len(list((tmp_path / "other" / "train").iterdir())) == 1


# -- engines elsewhere -----------------------------------------------------------------------------


class Pickling(ThreadPoolExecutor):
    """Sends calls as to another machine."""

    def submit(self, call, *given):
        return super().submit(*pickle.loads(pickle.dumps((call, *given))))


def test_a_machine_that_computes_nothing_needs_no_device():
    settings = experiment_from_values({"data": {"folder": "d"}}).machine
    with pytest.raises(InputError, match="engine 'slurm' computes on others; say what they have"):
        machine_elsewhere(settings, "slurm")
    machine = machine_elsewhere(replace(settings, device="cuda"), "slurm")
    assert machine.device.type == "cpu"


def test_the_workers_of_an_engine_elsewhere_decide_the_hardware(collection, tmp_path, monkeypatch):
    engine = ExecutorEngine(Pickling(1), slots=1)
    monkeypatch.setattr(engine_settings, "job_engine_named", lambda *given: engine)
    decided = []

    def end(folder, plain=JobFolder.remove_records):
        decided.extend(path.name for path in (folder.path / "jobs" / "decided").iterdir())
        plain(folder)

    monkeypatch.setattr(JobFolder, "remove_records", end)
    experiment = scratch(**{"machine.device": "cpu", "engine.name": "far"})
    assert run_experiment(experiment, tmp_path / "run").complete
    assert decided == ["hardware.json"]
    with pytest.raises(InputError, match="engine 'far' computes on others"):
        run_experiment(scratch(**{"engine.name": "far"}), tmp_path / "auto")
    assert not (tmp_path / "auto").exists()


def test_threads_of_one_process_make_one_unit_at_a_time(tmp_path):
    """A Dask worker has several threads, and torch's random numbers belong to the process."""
    work = SimpleNamespace()
    job = ExperimentJob(scratch(), str(tmp_path), workbench_of_worker, "1", work)
    keys = ["a", "b"]
    assert computes_one_unit_at_a_time(
        job, keys, tmp_path, lambda wait: setattr(work, "make", wait)
    )


def test_a_worker_finds_the_weights_of_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mobilenet_v2=net.pt", "hf:./dinov2-base", "timm:resnet18"):
        values = {"data": {"folder": "d"}, "model": {"backbone": name}}
        job = ExperimentJob(experiment_from_values(values), "run", workbench_of_worker, "ab")
        sent = pickle.loads(pickle.dumps(job)).experiment.model.backbone.name
        library, _, place = sent.rpartition("=" if "=" in name else ":")
        if library == "timm":
            assert sent == name
        else:
            assert Path(place).is_absolute()
            assert Path(place).parent == tmp_path


# -- who may join ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"evaluation.metric": "accuracy"}, "metric is 'accuracy' here and 'auroc' there"),
        ({"evaluation.predictions": 0}, "predictions is '0' here"),
        ({"machine.ranks": 2}, "ranks is '2' here"),
    ],
)
def test_who_makes_other_files_does_not_join(collection, tmp_path, change, named):
    collection.broken = {"hole"}
    run_experiment(scratch(), tmp_path / "run")
    jobs = JobFolder(tmp_path / "run")
    with jobs.enter():
        before = files(tmp_path / "run")
        with pytest.raises(InputError, match=named):
            run_experiment(scratch(**change), tmp_path / "run")
        assert files(tmp_path / "run") == before, "it is refused before it writes"


def test_the_dataset_that_differs_is_named(collection, tmp_path, monkeypatch):
    description = {"datasets": {"a": {"sha": "1"}, "b": {"sha": "2"}}}
    monkeypatch.setattr(collection, "describe", lambda: description, raising=False)
    collection.broken = {"hole"}
    run_experiment(scratch(), tmp_path / "run")
    with JobFolder(tmp_path / "run").enter():
        # What cannot be read here is no difference.
        description["datasets"]["b"] = {"unreadable": "the disk is gone"}
        run_experiment(scratch(), tmp_path / "run")
        description["datasets"]["a"] = {"sha": "3"}
        with pytest.raises(InputError, match="data datasets a is '"):
            run_experiment(scratch(), tmp_path / "run")


# -- the end ---------------------------------------------------------------------------------------


def test_a_cell_that_another_process_sets_aside_meanwhile_is_made(
    collection, tmp_path, monkeypatch
):
    plain, calls = runner.make_units, []

    def make(job, jobs, engine, messages):
        plain(job, jobs, engine, messages)
        if not calls:
            RunFolder(jobs.path).set_aside(min((jobs.path / "rows").iterdir()).stem)
        calls.append(1)

    monkeypatch.setattr(runner, "make_units", make)
    assert run_experiment(scratch(), tmp_path / "run").complete
    assert len(calls) == 2
    assert not (tmp_path / "run" / "jobs").exists()


def test_a_cell_that_always_goes_does_not_keep_a_call_for_ever(collection, tmp_path, monkeypatch):
    plain, calls = runner.make_units, []

    def make(job, jobs, engine, messages):
        plain(job, jobs, engine, messages)
        min((jobs.path / "rows").iterdir()).unlink()
        calls.append(1)

    monkeypatch.setattr(runner, "make_units", make)
    (failure,) = run_experiment(scratch(), tmp_path / "run").failures
    assert "its rows were gone twice" in failure["reason"]
    assert len(calls) == 2


def test_a_call_that_finds_nothing_to_do_tidies_what_the_dead_left(collection, tmp_path):
    run_experiment(scratch(), tmp_path / "run")
    left = JobFolder(tmp_path / "run")
    left.open({})
    left.attempts.begin("score-a")
    run_experiment(scratch(), tmp_path / "run")
    assert not (tmp_path / "run" / "jobs").exists()


# -- what is said meanwhile ------------------------------------------------------------------------


def test_a_run_that_goes_on_says_how_much_is_done(collection, tmp_path):
    first, again = [], []
    run_experiment(scratch(), tmp_path / "run", say=first.append)
    min((tmp_path / "run" / "rows").iterdir()).unlink()
    run_experiment(scratch(), tmp_path / "run", say=again.append)
    assert [line for line in again if line.startswith("going on: ")] == [
        "going on: 1 of 2 cells have their rows"
    ]
    assert not [line for line in first if line.startswith("going on: ")]


@pytest.mark.long
def test_counts_begin_with_what_is_done(collection, tmp_path, monkeypatch):
    """A training of an earlier call is no unit of this one's pace."""
    experiment = toy_experiment(algorithms=["protonet"], shots=[1])
    run_experiment(experiment, tmp_path / "run")
    for path in (tmp_path / "run" / "rows").iterdir():
        path.unlink()
    heard = []
    monkeypatch.setattr(unit_messages, "_EVERY", 0.0)
    monkeypatch.setattr(unit_messages, "duration_text", lambda seconds: "1 s")
    run_experiment(experiment, tmp_path / "run", say=heard.append)
    assert "3 of 4 units have ended, about 1 s left" in heard


def test_no_time_is_said_before_a_unit_of_each_kind_has_ended(collection, tmp_path, monkeypatch):
    """One training has ended, and how long scoring takes is not known; then one score has."""
    heard = []
    monkeypatch.setattr(unit_messages, "_EVERY", 0.0)
    experiment = toy_experiment(algorithms=["protonet"], shots=[1], **{"data.targets": ["hole"]})
    run_experiment(experiment, tmp_path / "run", say=heard.append)
    assert "1 of 2 units have ended" in heard


def test_many_that_run_are_a_few_lines(tmp_path, monkeypatch):
    claims = Claims(tmp_path / "claims")
    for number in range(20):
        claims.create(f"score-{number:02}")
    records, more = claims.first(8)
    assert [record.key for record in records] == [f"score-{number:02}" for number in range(8)]
    assert more == 12
    lines = list(unit_messages.folded_lines([record.key for record in records], more))
    assert lines[0] == "  score-00"
    assert lines[-1] == "  and 12 more"
    assert len(lines) == 9


def test_a_screen_says_what_runs_where(tmp_path, monkeypatch):
    jobs = JobFolder(tmp_path)
    for number in range(10):
        jobs.claims.create(f"score-{number}")
    work = SimpleNamespace(progress=True, folder=SimpleNamespace(path=tmp_path), say=print)
    cells = {"score-0": (Cell("oct/a", "mm-pt", 0),)}
    plan = SimpleNamespace(
        units=[Unit("score-0", ("rows/0.csv",))], cells_that_need=lambda key: cells.get(key, ())
    )
    bench = SimpleNamespace(plan=plan)
    shown = []
    monkeypatch.setattr(unit_messages, "_REFRESH", 0.01)
    monkeypatch.setattr(
        unit_messages.ProgressBar, "show_lines", lambda bar, lines: shown.append(lines)
    )
    monkeypatch.setattr(unit_messages.UnitMessages, "keep", lambda messages, *, wait: None)
    with unit_messages.UnitMessages(work, bench, jobs, None, has_bars=False):
        while not shown:
            time.sleep(0.01)
    assert shown[0][0].startswith(f"  scoring mm-pt for oct/a, seed 0 (process {os.getpid()} on ")
    assert shown[0][1].startswith(f"  score-1 (process {os.getpid()} on ")
    assert shown[0][8:] == ["  and 2 more"]


def test_a_worker_that_refuses_is_named_once(tmp_path):
    said = []
    work = SimpleNamespace(progress=False, folder=SimpleNamespace(path=tmp_path), say=said.append)
    bench = SimpleNamespace(plan=SimpleNamespace(units=[]))
    messages = unit_messages.UnitMessages(work, bench, JobFolder(tmp_path), None, has_bars=False)
    for key in ("score-a", "score-b"):
        failure = UnitFailure(key, "InputError", "data datasets oct is 'a' here", "node7", 4711)
        messages.hear(key, UnitReport(Outcome.REFUSED, failure))
    assert said == [
        "note: process 4711 on node7 makes no units, others get them: data datasets oct is 'a' here"
    ]


def test_a_status_knows_the_time_of_each_kind_of_unit(collection, tmp_path):
    experiment = toy_experiment(algorithms=["protonet"], shots=[1])
    collection.broken = {"specks"}
    run_experiment(experiment, tmp_path / "run")
    jobs, (done,) = JobFolder(tmp_path / "run"), (tmp_path / "run" / "rows").iterdir()
    by_key = {"machines": [], "trainings": {"t": {"train-t": 100.0}}}
    write_json(tmp_path / "run" / ENVIRONMENT, {**by_key, "cells": {done.stem: {"score-a": 4.0}}})
    failed = jobs.failures()
    for key in failed:
        jobs.remove_failure(key)
    status = run_status(tmp_path / "run")
    assert status.seconds_left is None, "nothing runs"
    assert "nothing runs now; give the same `torchcross run` again" in str(status)
    claim = jobs.claims.take(next(iter(failed)))
    status = run_status(tmp_path / "run")
    # One cell is left: the time of a training is none of its own.
    assert status.seconds_left == pytest.approx(4.0)
    assert "about 4 s left, while 1 unit run" in str(status)
    claim.release()
