"""`torchcross demo`: what it calls, and the experiment that ships with the package."""

import re
import tomllib
from importlib.resources import as_file

import pytest

from medimeta_adapter import commands
from medimeta_adapter.commands import demo_run
from tests.repository.sources import ROOT
from torchcross.errors import InputError
from torchcross.experiment import METHODS, read_experiment
from torchcross.experiment.rows.norm_choices import norms_in_words


@pytest.fixture
def calls(monkeypatch):
    """The commands that the demo gives; each ends with the status that stands here for it."""
    statuses, given = {"data": 0, "run": 0}, []

    def main(arguments):
        given.append(arguments)
        return statuses[arguments[0]]

    monkeypatch.setattr(demo_run, "main", main)
    return statuses, given


def shipped():
    with as_file(demo_run.SETTINGS) as path:
        return read_experiment(path, {"data.folder": "any"})


def test_the_demo_generates_data_and_runs_the_experiment_that_ships_with_it(calls, capsys):
    statuses, given = calls
    statuses["run"] = 1
    assert commands.demo(["--out", "here/mine", "--jobs", "2", "--seeds", "0,1,2"]) == 1
    synth, run = given
    assert synth == ["data", "synth", "--scale", "small", "--resume", "--out", "here/mine-data"]
    assert run[0] == "run"
    assert run[1].endswith("demo.toml")
    assert run[2:] == ["--data=here/mine-data", "--out=here/mine", "--jobs=2", "--seeds=0,1,2"]
    assert "generating synthetic images in here/mine-data" in capsys.readouterr().err


def test_nothing_runs_where_the_data_could_not_be_made(calls):
    statuses, given = calls
    statuses["data"] = 2
    assert commands.demo([]) == 2
    assert [arguments[0] for arguments in given] == ["data"]


def test_seeds_are_read_before_the_data_is_made(calls):
    with pytest.raises(InputError, match="--seeds got 'x'"):
        commands.demo(["--seeds", "0,x"])
    assert calls[1] == []


def test_the_experiment_of_the_demo_is_a_file_of_the_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "medimeta_adapter" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert project["project"]["entry-points"]["torchcross.commands"]["demo"] == (
        "medimeta_adapter.commands:demo"
    )
    with as_file(demo_run.SETTINGS) as path:
        assert path.is_relative_to(ROOT / "medimeta_adapter")


def test_the_demo_compares_training_with_none_and_with_looks():
    experiment = shipped()
    assert "image-statistics" in experiment.algorithms
    assert any(METHODS[name].trains for name in experiment.algorithms)
    assert experiment.seeds == (0,)


def test_all_rows_of_the_demo_are_judged_under_one_policy():
    """A row that reads the query's own statistics knows more than the others."""
    assert re.findall(r"`(\w+)` \(", norms_in_words(shipped())) == ["support"]
