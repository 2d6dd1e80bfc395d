"""The plan files of a run: one for each target and shots, named by its rows, checked and mended."""

import shutil

import numpy as np
import pytest

from tests.experiment.conftest import Toys, toy_experiment
from tests.experiment.earlier_version import without_plans
from torchcross.data import EpisodeSampler, load_plans
from torchcross.data.plan_files.drawn_images import read_drawn_images
from torchcross.experiment import RunFolder, run_experiment, verify_run
from torchcross.experiment.run.json_files import read_json

EXPERIMENT = toy_experiment(algorithms=["ncm", "scratch"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchcross.experiment.run.targets.open_collection", lambda *a, **how: Toys())
        run_experiment(EXPERIMENT, folder)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def plan_files(run):
    return sorted((run / "episodes").glob("plans-*.npz"))


def states(run, state):
    return [check.name for check in verify_run(run).checks if check.state == state]


def names(paths):
    return [f"episodes/{path.name}" for path in paths]


@pytest.mark.long
def test_all_rows_of_a_target_and_shots_have_one_file(whole):
    records = [read_json(path) for path in (whole / "episodes").glob("*.json")]
    assert len(records) == 8
    by_name = {path.stem: read_drawn_images(path) for path in plan_files(whole)}
    assert len(by_name) == 4
    for record in records:
        drawn = by_name[record["plans"]]
        assert (drawn.source, drawn.digest) == (record["target"], record["digest"])
    assert {path.name.split("-")[1] for path in plan_files(whole)} == {"1_shots", "2_shots"}


def test_the_file_has_the_episodes_that_were_scored(whole):
    source = Toys().made["hole"]
    sampler = EpisodeSampler(source, shots=2, queries=2, min_samples=4)
    path = RunFolder(whole).files.plans("hole", 1)
    assert list(load_plans(path, source)) == list(sampler.curve((1, 2)).at(1).batch(range(3)))


@pytest.mark.usefixtures("collection")
def test_the_order_of_cells_does_not_matter(whole, tmp_path):
    first = {path.name: path.read_bytes() for path in plan_files(whole)}
    other = toy_experiment(algorithms=["scratch"], **{"data.targets": ["specks", "hole"]})
    run_experiment(other, tmp_path / "other")
    assert {path.name: path.read_bytes() for path in plan_files(tmp_path / "other")} == first


def spoil(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def exchange(first, second):
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "state", "count"),
    [
        (lambda files: files[0].unlink(), "missing", 1),
        (lambda files: spoil(files[0]), "damaged", 1),
        (lambda files: exchange(*files[:2]), "damaged", 2),
        (lambda files: shutil.copy(files[1], files[0]), "damaged", 1),
    ],
    ids=["gone", "damaged", "exchanged", "copied"],
)
@pytest.mark.usefixtures("collection")
def test_what_is_not_the_plans_of_its_rows_is_named_and_made_again(run, change, state, count):
    files = plan_files(run)
    before = [path.read_bytes() for path in files]
    change(files)
    assert states(run, state) == names(files[:count])
    said = []
    assert run_experiment(EXPERIMENT, run, say=said.append).complete
    assert sum("the plans of" in line and "made again" in line for line in said) == count
    assert [path.read_bytes() for path in files] == before
    assert verify_run(run).holds


@pytest.mark.usefixtures("collection")
def test_a_damaged_file_is_made_again_where_its_rows_are_too(run):
    (first, *_) = files = plan_files(run)
    before = [path.read_bytes() for path in files]
    spoil(first)
    for path in (run / "rows").iterdir():
        path.unlink()
    for path in (run / "episodes").glob("*.json"):
        path.unlink()
    assert run_experiment(EXPERIMENT, run).complete
    assert [path.read_bytes() for path in files] == before
    assert states(run, "set aside") == [f"episodes/{first.name}.damaged"]


def test_plans_of_nobody_are_not_ours(run):
    (first, *_) = plan_files(run)
    shutil.copy(first, first.with_name("plans-copy.npz"))
    assert states(run, "not ours") == ["episodes/plans-copy.npz"]
    assert verify_run(run).holds


def test_plans_that_cannot_be_drawn_again_are_no_failure(run, collection):
    for path in plan_files(run):
        path.unlink()
    collection.broken = {"hole"}
    moved = collection.made["specks"]
    collection.made["specks"] = moved.subset(np.arange(2, len(moved)), name=moved.name)
    said = []
    outcome = run_experiment(EXPERIMENT, run, say=said.append)
    assert outcome.complete
    assert len(outcome.records)
    text = "\n".join(said)
    assert "is not made again: hole cannot be read" in text
    assert "gives other episodes than the rows were scored on" in text
    assert len(states(run, "missing")) == 4


def test_a_run_without_plans_stays_as_it_is(run, collection):
    """A run of an earlier version: nothing is missing, and no data is opened for it."""
    without_plans(run)
    assert verify_run(run).holds
    assert run_experiment(EXPERIMENT, run).complete
    assert not collection.opened
    assert not plan_files(run)
