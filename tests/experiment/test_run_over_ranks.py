"""Runs whose trainings are shared by several processes."""

import json

import pytest

from tests.experiment.small import command, prepare
from torchcross import cli
from torchcross.errors import InputError
from torchcross.experiment import experiment_from_values
from torchcross.experiment.device import machine_of, resources_of
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.checks import settings_without_effect
from torchcross.jobs import Resources
from torchcross.training import read_log

CELLS = ("--algorithms", "protonet,mm-pt", "--targets", "oct", "--shots", "1", "--jobs", "1")


def experiment(**values):
    return experiment_from_values({"data": {"folder": "data"}}, values)


def run(root, out, *settings):
    chosen = ("meta.meta_batch=2", *settings)
    flags = [part for setting in chosen for part in ("--set", setting)]
    assert cli.main(command(root, out, *CELLS, "--quiet", *flags)) == 0
    return {path.parent.name: path.parent for path in out.glob("train/*/training.json")}


@pytest.mark.long
def test_a_run_over_two_ranks(tmp_path):
    root = prepare(tmp_path)
    alone = run(root, tmp_path / "alone")
    both = run(root, tmp_path / "both", "machine.ranks=2")
    assert alone.keys() == both.keys()
    for name, folder in both.items():
        summary = json.loads((folder / "training.json").read_text())
        # The pre-training has one batch in a step, which cannot be shared.
        assert summary.get("ranks") == ([2] if name.startswith("protonet") else None)
        assert not (folder / "lock").exists()
        for row, other in zip(read_log(folder), read_log(alone[name]), strict=True):
            assert row[:4] == pytest.approx(other[:4], rel=1e-3)
    before = {path: path.read_bytes() for path in (tmp_path / "both").rglob("*.csv")}
    # Ranks are no part of what a run is: it goes on with another number.
    run(root, tmp_path / "both", "machine.ranks=3")
    assert {path: path.read_bytes() for path in (tmp_path / "both").rglob("*.csv")} == before


def test_each_training_has_its_number_of_ranks():
    given = experiment(**{"meta.meta_batch": 6, "pretraining.accumulate": 2, "machine.threads": 2})
    ranks = {name: METHODS[name].ranks(given, 4) for name in ("protonet", "mm-pt", "scratch")}
    assert ranks == {"protonet": 3, "mm-pt": 2, "scratch": 1}
    assert resources_of(given.machine, 3) == Resources(cores=6)


def test_ranks_that_no_row_can_use_are_reported():
    given = {"algorithms": ["protonet", "mm-pt", "scratch"], "machine.ranks": 2}
    assert "machine.ranks: no effect on any row" in settings_without_effect(experiment(**given))
    shared = experiment(**given, **{"meta.meta_batch": 2})
    assert "machine.ranks: no effect on mm-pt, scratch" in settings_without_effect(shared)


def test_ranks_cannot_share_one_gpu():
    given = experiment(**{"machine.ranks": 2, "machine.device": "cuda:0"})
    with pytest.raises(InputError, match="each rank has a GPU of its own; give 'cuda'"):
        machine_of(given.machine)
