"""One search, made by several processes: the same bytes, nothing twice, whatever is killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.experiment.conftest import toy_experiment
from tests.experiment.small import files, prepare
from torchcross.cli import main
from torchcross.errors import InputError
from torchcross.experiment import tune_experiment
from torchcross.experiment.run import training
from torchcross.experiment.tuning.folder import search_settings

ROOT = Path(__file__).parents[2]
SPACE = """
[tune]
search = "grid"
episodes = 2
queries = 1

[tune.rows.mm-pt]
pretraining.lr = [1e-3, 1e-2]
evaluation.lr = [1e-3, 1e-2]

[tune.rows.protonet]
meta.lr = [1e-4, 1e-3, 1e-2, 1e-1]

[tune.rows.scratch]
evaluation.lr = [1e-4, 1e-3, 1e-2, 1e-1]
"""
FLAGS = ("--algorithms", "mm-pt,protonet,scratch", "--targets", "oct", "--shots", "1")
SETTINGS = ("--set", "evaluation.adaptation=own")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = prepare(tmp_path_factory.mktemp("searches"))
    config = root / "small.toml"
    config.write_text(config.read_text(encoding="utf-8") + SPACE, encoding="utf-8")
    return root


def start(root, place, *more):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = ["tune", "small.toml", "--out", place, *FLAGS, *SETTINGS]
    with (root / f"{place}.txt").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "torchcross", *command, *more],
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
    assert len(list((root / "whole" / "trials").iterdir())) == 3 * 4
    return files(root / "whole")


@pytest.mark.long
def test_two_processes_of_an_engine_make_the_same_bytes(root, whole):
    process = start(root, "two", "--jobs", "2")
    assert process.wait(300) == 0, said(root, "two")
    assert files(root / "two") == whole
    # What is said in the processes of units is heard.
    assert said(root, "two").count("auroc") == said(root, "whole").count("auroc") == 3 * 4
    assert not (root / "two" / "jobs").exists()


@pytest.mark.long
def test_two_calls_on_one_folder_share_the_work(root, whole):
    both = [start(root, "shared", "--jobs", "1") for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0], said(root, "shared")
    assert files(root / "shared") == whole
    # mm-pt trains for two trials at once.
    trained = [line for line in said(root, "shared").splitlines() if line.startswith("training ")]
    assert len(trained) == 2 + 4


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="kills processes by POSIX signals")
def test_a_search_that_is_killed_with_its_workers_goes_on_to_the_same_bytes(root, whole):
    process = start(root, "killed", "--jobs", "2")
    deadline = time.monotonic() + 120
    # One trial is there, and others are under way.
    while not list((root / "killed" / "trials").glob("*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list((root / "killed" / "jobs" / "processes").iterdir())
    assert start(root, "killed", "--jobs", "1").wait(300) == 0, said(root, "killed")
    assert files(root / "killed") == whole


# -- in one process --------------------------------------------------------------------------------


def searched(**changes):
    """A row of two trainings with two trials each."""
    tune = {"search": "grid", "episodes": 2, "rows": {"mm-pt": {}}}
    tune["rows"]["mm-pt"] = {"pretraining.lr": [1e-3, 1e-2], "evaluation.lr": [1e-3, 1e-2]}
    plain = {"algorithms": ["mm-pt"], "data.targets": ["hole"], "shots": [1], **changes}
    return toy_experiment(**plain, tune=tune)


@pytest.fixture
def over(collection, tmp_path):
    tune_experiment(searched(), tmp_path / "over")
    return files(tmp_path / "over")


def spy_on_fit(monkeypatch):
    """The folders of trainings that are begun, each with its checkpoints then."""
    plain, begun = training.fit, []

    def fit(*given, folder, **more):
        begun.append(sorted(path.name for path in Path(folder).glob("checkpoint-*")))
        return plain(*given, folder=folder, **more)

    monkeypatch.setattr(training, "fit", fit)
    return begun


@pytest.mark.long
@pytest.mark.parametrize("kept", [1, 2, 3, 4])
def test_a_search_of_an_earlier_version_goes_on(collection, tmp_path, monkeypatch, over, kept):
    """It kept each trial by itself, in any order, and its trainings in the folder `train`."""
    folder = tmp_path / "begun"
    shutil.copytree(tmp_path / "over", folder)
    for name in ("chosen.json", "trials.csv", "failures.json"):
        (folder / name).unlink()
    for path in (folder / "trials").iterdir():
        if f"trial_{kept}-" not in path.name:
            path.unlink()
    (folder / "lock").touch()
    (folder / "train").mkdir()
    begun = spy_on_fit(monkeypatch)
    heard = []
    tune_experiment(searched(), folder, say=heard.append)
    assert files(folder) == over
    assert not (folder / "train").exists()
    assert sum("auroc" in line for line in heard) == 3
    assert any("; 3 missing" in line for line in heard)
    assert begun == [[], []]


@pytest.mark.long
def test_a_training_that_an_earlier_version_began_goes_on(collection, tmp_path, monkeypatch, over):
    folder, saved = tmp_path / "begun", []
    plain = shutil.rmtree

    def rmtree(path, *given, **more):
        # Attempts go when their unit is done.
        saved.extend(
            shutil.copytree(each, tmp_path / each.name) for each in Path(path).glob("train/*")
        )
        plain(path, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", rmtree)
        tune_experiment(searched(), tmp_path / "copied")
    shutil.copytree(tmp_path / "over", folder)
    shutil.rmtree(folder / "trials")
    (folder / "train").mkdir()
    for each in saved:
        (each / "training.json").unlink()
        each.rename(folder / "train" / each.name)
    begun = spy_on_fit(monkeypatch)
    tune_experiment(searched(), folder)
    assert len(begun) == 2
    assert all(checkpoints[-1] == "checkpoint-00000003.safetensors" for checkpoints in begun)
    assert files(folder) == over


def status_in_lines(folder, capsys):
    """The exit status and the lines of `torchcross status`, the list of failures aside."""
    capsys.readouterr()
    code = main(["status", str(folder)])
    lines = capsys.readouterr().out.splitlines()
    return code, [line for line in lines if not line.startswith("  ")]


@pytest.mark.long
def test_a_group_that_failed_keeps_its_trials_for_the_next_call(
    collection, tmp_path, monkeypatch, over, capsys
):
    from torchcross.experiment.tuning import scoring

    plain, calls = scoring._EpisodeJudge.score, []

    def broken(self, *given):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("the disk is gone")
        return plain(self, *given)

    monkeypatch.setattr(scoring._EpisodeJudge, "score", broken)
    heard = []
    outcome = tune_experiment(searched(), tmp_path / "failed", say=heard.append)
    (failure,) = outcome.failures
    assert failure["reason"] == "the disk is gone"
    assert (failure["target"], failure["algorithm"]) == ("hole", "mm-pt")
    assert sum(line.startswith("failed: mm-pt for hole") for line in heard) == 1
    assert not outcome.complete
    assert status_in_lines(tmp_path / "failed", capsys) == (
        1,
        [
            f"{tmp_path / 'failed'}: 2 of 4 trials are done",
            "1 of 2 units are done",
            "failed units: 1",
            "not begun: 0, and 0 that need others first",
            "nothing runs now; give the same `torchcross tune` again to go on",
        ],
    )
    calls.clear()
    calls.extend([1, 1])
    assert tune_experiment(searched(), tmp_path / "failed").complete
    chosen = tmp_path / "failed" / "chosen.json"
    assert status_in_lines(tmp_path / "failed", capsys) == (
        0,
        [
            f"{tmp_path / 'failed'}: 4 of 4 trials are done",
            f"the chosen settings are in {chosen}",
        ],
    )
    # The second group was whole, and the first one had its first trial.
    assert len(calls) == 2 + 1
    assert files(tmp_path / "failed") == over


def test_a_search_from_before_there_was_a_number_of_threads_goes_on(collection, tmp_path):
    before = searched()
    before = replace(before, machine=replace(before.machine, threads=0))
    tune_experiment(before, tmp_path / "search")
    assert search_settings(before) != search_settings(searched())
    heard = []
    assert tune_experiment(searched(), tmp_path / "search", say=heard.append).complete
    assert [line for line in heard if "machine.threads" in line] == heard
    with pytest.raises(InputError, match="another search"):
        tune_experiment(searched(**{"machine.threads": 1}), tmp_path / "search")


@pytest.mark.long
def test_the_engine_of_a_search_is_no_part_of_it(collection, tmp_path, over):
    tune_experiment(searched(engine={"jobs": 1}), tmp_path / "search", jobs=None)
    assert files(tmp_path / "search") == over


def test_ranks_that_were_launched_are_refused(collection, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match=r"4 processes were launched together.*--jobs"):
        tune_experiment(searched(), tmp_path / "search")
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize("name", ["tune", "run"])
def test_the_flags_of_engines_are_those_of_a_run(root, tmp_path, capsys, name):
    given = [str(root / "small.toml"), "--out", str(tmp_path / "out"), *FLAGS]
    assert main([name, *given, "--engine", "slrum"]) == 2
    assert "did you mean 'slurm'" in capsys.readouterr().err
    assert main([name, *given, "--jobs", "0"]) == 2
    assert "engine.jobs is 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
