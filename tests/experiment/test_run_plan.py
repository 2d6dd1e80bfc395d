"""What a plan of a run says: units, what cannot be measured, memory and threads."""

from dataclasses import replace

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.cli import main
from torchcross.errors import InputError
from torchcross.experiment import experiment_from_values, run_experiment
from torchcross.experiment.run import engine_choice, run_plan
from torchcross.experiment.run.makespan import makespan
from torchcross.experiment.run.run_plan import plan_run
from torchcross.jobs import Unit


def scratch(**changes):
    return toy_experiment(**{"algorithms": ["scratch"], "shots": [1], **changes})


@pytest.mark.parametrize(("jobs", "seconds"), [(1, 22.0), (2, 11.0), (8, 11.0)])
def test_a_process_takes_the_first_unit_that_can_begin(jobs, seconds):
    """It does not wait for what stands first in the list and needs what is not done."""
    units = [
        Unit("train-a", ("1",)),
        Unit("score-a", ("2",), needs=("train-a",)),
        Unit("train-b", ("3",)),
        Unit("score-b", ("4",), needs=("train-b",)),
    ]
    of_each = {"train-a": 10.0, "score-a": 1.0, "train-b": 10.0, "score-b": 1.0}
    assert makespan(units, of_each, jobs) == seconds


def test_a_plan_for_the_folder_of_another_experiment_is_refused(collection, tmp_path):
    run_experiment(scratch(), tmp_path / "run")
    with pytest.raises(InputError, match="holds a run of another experiment"):
        plan_run(scratch(**{"evaluation.seed": 7}), tmp_path / "run", [1])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(InputError, match="not empty and holds no run"):
        plan_run(scratch(), tmp_path / "other", [1])


@pytest.mark.long
def test_a_training_that_is_done_is_not_planned(collection, tmp_path):
    experiment = toy_experiment(algorithms=["protonet"], shots=[1])
    run_experiment(experiment, tmp_path / "run")
    for path in (tmp_path / "run" / "rows").iterdir():
        path.unlink()
    (part,) = plan_run(experiment, tmp_path / "run", [1]).parts
    assert (part.kind, part.units) == ("scoring", 2)


def test_a_row_that_cannot_be_measured_leaves_the_others(collection, tmp_path, monkeypatch):
    plain = run_plan.starting_network

    def broken(method, *given):
        if not method.trains:
            raise ZeroDivisionError("odd")
        return plain(method, *given)

    monkeypatch.setattr(run_plan, "starting_network", broken)
    plan = plan_run(toy_experiment(algorithms=["scratch", "protonet"]), tmp_path / "run", [1])
    unknown = {(part.row, part.kind) for part in plan.parts if part.seconds is None}
    assert unknown == {("scratch", "scoring")}
    assert "scratch, scoring is not measured: ZeroDivisionError: odd (in broken," in str(plan)
    assert "--jobs 1: at least " in str(plan)


def test_as_many_processes_as_there_is_memory_for(monkeypatch):
    monkeypatch.setattr(engine_choice, "usable_cores", lambda: 8)
    monkeypatch.setattr(engine_choice, "available_bytes", lambda: 5 * 1024**3)
    settings = {"data": {"folder": "d"}, "machine": {"device": "cpu"}}
    experiment = experiment_from_values(settings)
    assert engine_choice.default_jobs(experiment) == 8
    large = replace(experiment, machine=replace(experiment.machine, memory=2.0))
    assert engine_choice.default_jobs(large) == 2
    huge = replace(experiment, machine=replace(experiment.machine, memory=20.0))
    assert engine_choice.default_jobs(huge) == 1


def test_a_plan_says_what_memory_and_threads_are_good_for(collection, tmp_path, monkeypatch):
    monkeypatch.setattr(run_plan, "available_bytes", lambda: 10 * 1024**3)
    monkeypatch.setattr(run_plan, "most_resident_bytes", lambda: 3 * 1024**3)
    monkeypatch.setattr(run_plan, "usable_cores", lambda: 4)
    experiment = scratch(**{"data.targets": ["hole"]})
    said = str(plan_run(experiment, tmp_path / "run", [1, 4]))
    assert "each process holds about 3.0 GB, and 10.0 GB are free here: enough for 3" in said
    assert "machine.memory=3.0" in said
    # One unit alone: three cores would have nothing to do.
    assert "machine.threads=4" in said
    assert "machine.threads" not in str(plan_run(experiment, tmp_path / "run", [1]))


@pytest.mark.parametrize("counts", ["0", "1,-1"])
def test_no_process_is_refused_before_anything_is_measured(tmp_path, capsys, monkeypatch, counts):
    monkeypatch.setattr(run_plan, "plan_run", None)
    command = ["plan", "--data", "x", "--out", str(tmp_path / "run"), f"--jobs={counts}"]
    assert main(command) == 2
    assert f"--jobs got '{counts}'; give numbers of processes from 1" in capsys.readouterr().err
