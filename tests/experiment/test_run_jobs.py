"""One run, made by several processes: the same bytes, nothing twice, whatever is killed."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from tests.experiment.conftest import toy_experiment
from tests.experiment.small import command, files, prepare
from torchcross.cli import main
from torchcross.errors import InputError
from torchcross.experiment import experiment_from_values, run_experiment
from torchcross.experiment.device import resources_of
from torchcross.experiment.run import training, workbench
from torchcross.experiment.run.engine_choice import engine_of
from torchcross.experiment.run.experiment_job import ExperimentJob
from torchcross.experiment.run.run_plan import plan_run
from torchcross.experiment.run.run_status import run_status
from torchcross.experiment.run.time_left import duration_text
from torchcross.jobs import InlineEngine, JobFolder, LocalEngine

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("jobs"))


def start(root, place, *more):
    """A process that makes the run `place`/run: its name is in its rows."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (root / f"{place}.txt").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "torchcross", *command(root, root / place / "run", *more)],
            cwd=root,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(root, place):
    return (root / f"{place}.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole(root):
    process = start(root, "whole", "--jobs", "1")
    assert process.wait(300) == 0, said(root, "whole")
    return files(root / "whole" / "run")


@pytest.mark.slow
def test_two_processes_of_an_engine_make_the_same_bytes(root, whole):
    process = start(root, "two", "--jobs", "2")
    assert process.wait(300) == 0, said(root, "two")
    assert files(root / "two" / "run") == whole
    # What units say in their processes is heard.
    assert said(root, "two").count("auroc") == said(root, "whole").count("auroc")
    assert not (root / "two" / "run" / "jobs").exists()


@pytest.mark.long
def test_two_runs_of_one_folder_share_the_work(root, whole):
    both = [start(root, "shared", "--jobs", "1") for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0], said(root, "shared")
    assert files(root / "shared" / "run") == whole
    # Each unit was made by one of them.
    trained = [line for line in said(root, "shared").splitlines() if line.startswith("training ")]
    assert len(trained) == 6


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="kills processes by POSIX signals")
def test_runs_that_are_killed_with_their_workers_go_on_to_the_same_bytes(root, whole):
    moments = random.Random(0)
    for _ in range(2):
        process = start(root, "killed", "--jobs", "2")
        wait_for(lambda: list((root / "killed" / "run").glob("jobs/claims/*")), process)
        time.sleep(moments.uniform(0.0, 2.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start(root, "killed", "--jobs", "1").wait(300) == 0, said(root, "killed")
    assert files(root / "killed" / "run") == whole


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="interrupts processes by POSIX signals")
def test_ctrl_c_ends_the_workers_and_the_run_goes_on(root, whole):
    process = start(root, "stopped", "--jobs", "2")
    wait_for(lambda: list((root / "stopped" / "run").glob("jobs/claims/*")), process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(120) == 130, said(root, "stopped")
    assert "run the same" in said(root, "stopped").splitlines()[-1]
    assert "Traceback" not in said(root, "stopped")
    status = run_status(root / "stopped" / "run")
    assert status.cells_done < status.cells == 16
    assert not status.job.running
    assert start(root, "stopped", "--jobs", "1").wait(300) == 0, said(root, "stopped")
    assert files(root / "stopped" / "run") == whole
    assert str(run_status(root / "stopped" / "run")).endswith("16 of 16 cells have their rows")


def wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- in one process --------------------------------------------------------------------------------


def test_a_failed_training_is_the_failure_of_every_cell_that_needs_it(
    collection, tmp_path, monkeypatch
):
    def fail(*given, **more):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(training, "fit", fail)
    heard = []
    experiment = toy_experiment(algorithms=["protonet", "scratch"])
    outcome = run_experiment(experiment, tmp_path / "run", say=heard.append)
    assert {(each["target"], each["algorithm"]) for each in outcome.failures} == {
        ("hole", "protonet"),
        ("specks", "protonet"),
    }
    assert all("no such luck" in each["reason"] for each in outcome.failures)
    assert sum(line.startswith("failed: protonet for") for line in heard) == 2
    status = run_status(tmp_path / "run")
    assert (status.cells_done, status.cells) == (4, 8)
    assert len(status.job.failures) == 2
    assert "no such luck" in str(status)


@pytest.mark.long
def test_a_training_that_an_earlier_version_left_half_made_goes_on(
    collection, tmp_path, monkeypatch
):
    """It stood in its place from the first step; now it gets there when it is whole."""
    experiment = toy_experiment(algorithms=["protonet"], **{"data.targets": ["hole"]})
    run_experiment(experiment, tmp_path / "whole" / "run")
    begun = tmp_path / "begun" / "run"
    run_experiment(experiment, begun)
    (trained,) = (begun / "train").iterdir()
    for name in ("training.json", "weights.safetensors"):
        (trained / name).unlink()
    for path in (*begun.glob("rows/*"), *begun.glob("episodes/*")):
        path.unlink()
    plain, resumed = training.fit, []

    def fit(*given, folder, **more):
        resumed.append(sorted(path.name for path in Path(folder).glob("checkpoint-*")))
        return plain(*given, folder=folder, **more)

    monkeypatch.setattr(training, "fit", fit)
    run_experiment(experiment, begun)
    assert resumed
    assert "checkpoint-00000003.safetensors" in resumed[0]
    assert files(begun) == files(tmp_path / "whole" / "run")


@pytest.mark.long
def test_targets_that_leave_the_same_sources_share_a_training_in_every_call(collection, tmp_path):
    """Its unit has the same name, whichever of its cells are done."""
    experiment = toy_experiment(algorithms=["protonet"], shots=[1])
    run_experiment(experiment, tmp_path / "run")
    for path in sorted((tmp_path / "run" / "rows").iterdir())[:1]:
        path.unlink()
    heard = []
    run_experiment(experiment, tmp_path / "run", say=heard.append)
    assert not any(line.startswith("training") for line in heard)


@pytest.mark.long
@pytest.mark.parametrize("at_once", [1, 2])
def test_a_cell_of_many_episodes_is_many_units_and_the_same_bytes(collection, tmp_path, at_once):
    changes = {"evaluation.episodes": 5, "data.targets": ["hole", "specks"]}
    run_experiment(toy_experiment(**changes), tmp_path / "whole" / "run")
    parted = toy_experiment(**changes, **{"machine.unit_episodes": at_once})
    run_experiment(parted, tmp_path / "parts" / "run")
    # The settings are in one file, and whether a cell was parted is one of them.
    expected, made = files(tmp_path / "whole" / "run"), files(tmp_path / "parts" / "run")
    assert not any(name.startswith(("jobs", "parts")) for name in made)
    of_settings = {"experiment.json", "protocol.json", "page.json", "report.html"}
    assert {name for name in expected if expected[name] != made.get(name)} <= of_settings
    assert expected.keys() == made.keys()


def test_a_damaged_part_is_made_again(collection, tmp_path, monkeypatch):
    experiment = toy_experiment(
        algorithms=["scratch"], shots=[1], **{"machine.unit_episodes": 2, "data.targets": ["hole"]}
    )
    plain = workbench.joined_parts

    def damage(folder, *given):
        path = min((folder / "parts").glob("*.csv"))
        path.write_bytes(path.read_bytes().replace(b"0.", b"1.", 1))
        return plain(folder, *given)

    monkeypatch.setattr(workbench, "joined_parts", damage)
    (failure,) = run_experiment(experiment, tmp_path / "run").failures
    assert "run the same again" in failure["reason"]
    monkeypatch.undo()
    monkeypatch.setattr(
        "torchcross.experiment.run.targets.open_collection", lambda *given, **how: collection
    )
    assert run_experiment(experiment, tmp_path / "run").complete


@pytest.mark.long
def test_how_long_each_part_took_is_kept_apart(collection, tmp_path):
    run_experiment(toy_experiment(), tmp_path / "run")
    times = json.loads((tmp_path / "run" / "environment.json").read_text(encoding="utf-8"))
    assert len(times["cells"]) == 2 * 2 * 2
    assert len(times["trainings"]) == 2
    assert all(seconds > 0 for by_key in times["cells"].values() for seconds in by_key.values())
    assert all(len(by_key) == 1 for by_key in times["cells"].values())


def test_a_process_of_other_parts_is_refused(collection, tmp_path, monkeypatch):
    """While one works, another with other data, versions or hardware may not join."""
    experiment = toy_experiment(algorithms=["scratch"])
    folder = JobFolder(tmp_path / "run")
    collection.broken = {"hole"}
    run_experiment(experiment, tmp_path / "run")
    collection.broken = set()
    monkeypatch.setattr(
        "torchcross.experiment.run.experiment_job.processor_kind", lambda run: "another"
    )
    with folder.enter(), pytest.raises(InputError, match="hardware is 'another' here"):
        run_experiment(experiment, tmp_path / "run")
    # Alone, it goes on: what was made before was made elsewhere.
    assert run_experiment(experiment, tmp_path / "run").complete


@pytest.mark.parametrize(
    ("settings", "jobs", "kind"),
    [({}, 1, InlineEngine), ({}, 3, LocalEngine), ({"jobs": 2}, 1, LocalEngine)],
)
def test_the_engine_of_an_experiment(tmp_path, settings, jobs, kind):
    experiment = experiment_from_values({"data": {"folder": "d"}, "engine": settings})
    assert isinstance(engine_of(experiment, tmp_path, jobs), kind)


def test_units_ask_for_what_the_settings_say():
    machine = {"threads": 3, "memory": 1.5, "device": "cpu"}
    experiment = experiment_from_values({"data": {"folder": "d"}, "machine": machine})
    asked = resources_of(experiment.machine)
    assert (asked.cores, asked.memory, asked.gpus) == (3, 3 * 2**29, 0.0)
    assert resources_of(experiment.machine, ranks=2).memory == 3 * 2**30


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "slrum"}, "did you mean 'slurm'"),
        ({"jobs": 0}, "engine.jobs is 0"),
        ({"jobs": 2, "nodes": 4}, "does not take the settings"),
        ({"name": 3}, "give a name"),
    ],
)
def test_an_engine_that_there_is_not_is_refused(tmp_path, settings, message):
    experiment = experiment_from_values({"data": {"folder": "d"}, "engine": settings})
    with pytest.raises(InputError, match=message):
        engine_of(experiment, tmp_path, None)


@pytest.mark.parametrize("name", ["slurm", "ray"])
def test_a_number_of_processes_and_an_engine_that_starts_none_contradict(
    root, tmp_path, capsys, name
):
    given = [str(root / "small.toml"), "--out", str(tmp_path / "run"), "--engine", name]
    assert main(["run", *given, "--jobs", "2"]) == 2
    heard = capsys.readouterr().err
    assert f"engine.jobs=2 (--jobs) and engine.name='{name}' (--engine) contradict" in heard
    assert "engine.slots=2" in heard
    experiment = experiment_from_values({"data": {"folder": "d"}, "engine": {"name": name}})
    with pytest.raises(InputError, match="contradict each other"):
        engine_of(experiment, tmp_path, 3)


def test_an_engine_of_another_package_may_have_jobs(tmp_path, monkeypatch):
    def engine(jobs):
        return LocalEngine(jobs=jobs)

    point = EntryPoint("mine", "none:none", "torchcross.engines")
    monkeypatch.setattr(EntryPoint, "load", lambda self: engine)
    monkeypatch.setattr(
        "torchcross.jobs.engines.engine.entry_points", lambda **chosen: EntryPoints([point])
    )
    settings = {"name": "mine", "jobs": 2}
    experiment = experiment_from_values({"data": {"folder": "d"}, "engine": settings})
    assert isinstance(engine_of(experiment, tmp_path, None), LocalEngine)


@pytest.mark.parametrize(("name", "library"), [("slurm", "submitit"), ("ray", "ray")])
def test_an_engine_of_an_extra_names_it(root, tmp_path, monkeypatch, capsys, name, library):
    monkeypatch.setitem(sys.modules, library, None)
    given = [str(root / "small.toml"), "--out", str(tmp_path / "run"), "--engine", name]
    assert main(["run", *given]) == 2
    assert f"pip install 'torchcross-fewshot[{name}]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def sent_job(values):
    job = ExperimentJob(experiment_from_values(values), "run", workbench.workbench_of_worker, "ab")
    return pickle.loads(pickle.dumps(job))


def test_a_worker_finds_the_paths_of_another_working_folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "net.pt").touch()
    monkeypatch.chdir(tmp_path)
    values = {"data": {"folder": "data"}, "model": {"weights": "net.pt"}}
    sent = sent_job(values)
    assert Path(sent.experiment.data.folder) == tmp_path / "data"
    assert Path(sent.experiment.model.weights) == tmp_path / "net.pt"
    assert Path(sent.out) == tmp_path / "run"
    # An address that is no path stays one.
    values = {"data": {"folder": "store://images"}}
    sent = sent_job(values)
    assert (sent.experiment.data.folder, sent.experiment.model.weights) == ("store://images", "")


def test_what_an_engine_keeps_goes_when_the_run_is_complete(collection, tmp_path):
    scripts = JobFolder(tmp_path / "run").engine_folder("slurm")
    experiment = toy_experiment(algorithms=["scratch"])
    collection.broken = {"hole"}
    scripts.mkdir(parents=True)
    (scripts / "1.sh").touch()
    run_experiment(experiment, tmp_path / "run")
    assert (scripts / "1.sh").exists(), "logs are read after a failure"
    collection.broken = set()
    assert run_experiment(experiment, tmp_path / "run").complete
    assert not (tmp_path / "run" / "jobs").exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (40, "40 s"), (700, "12 min"), (12600, "3.5 h"), (181440, "2.1 days")],
)
def test_durations_in_words(seconds, text):
    assert duration_text(seconds) == text


# -- before a run ----------------------------------------------------------------------------------


@pytest.mark.long
def test_a_plan_has_every_unit_that_is_left_and_writes_nothing(collection, tmp_path):
    experiment = toy_experiment(algorithms=["protonet", "mm-pt", "scratch"])
    plan = plan_run(experiment, tmp_path / "run", [1, 2])
    assert not (tmp_path / "run").exists()
    counts = {(part.row, part.kind): part.units for part in plan.parts}
    assert counts == {
        ("protonet", "training"): 2,
        ("protonet", "scoring"): 4,
        ("mm-pt", "training"): 2,
        ("mm-pt", "scoring"): 4,
        ("scratch", "scoring"): 4,
    }
    assert all(part.seconds > 0 for part in plan.parts)
    whole = sum(part.units * part.seconds for part in plan.parts)
    assert plan.seconds_with[1] == pytest.approx(whole)
    assert plan.chain <= plan.seconds_with[2] < plan.seconds_with[1]
    run_experiment(experiment, tmp_path / "run")
    before = files(tmp_path / "run")
    assert str(plan_run(experiment, tmp_path / "run", [1])).startswith("nothing is left to do: 12")
    assert files(tmp_path / "run") == before


def test_a_plan_says_what_it_could_not_measure(collection, tmp_path):
    collection.broken = {"hole", "specks"}
    plan = str(plan_run(toy_experiment(algorithms=["scratch"]), tmp_path / "run", [1]))
    assert "scratch, scoring is not measured: hole cannot be read: the disk is gone" in plan
