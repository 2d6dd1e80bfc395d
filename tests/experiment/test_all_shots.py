"""`shots = [0, 1, "all"]`: zero-shot rows, few-shot rows and full supervision in one table."""

import json
from dataclasses import replace

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.algorithms import Algorithm, ProtoNet
from torchcross.cli.entry import main
from torchcross.data import load_plans
from torchcross.errors import InputError
from torchcross.experiment import (
    RunFolder,
    experiment_from_values,
    run_experiment,
    run_predictions,
    verify_run,
    write_page,
)
from torchcross.experiment.rows import methods
from torchcross.experiment.rows.method import Method
from torchcross.experiment.rows.row_shots import blank_cells, shots_of_row
from torchcross.experiment.run.identity import decisive_settings, identity
from torchcross.experiment.run.run_status import run_status
from torchcross.records import ALL_SHOTS, Records, read_records

SMALL = {"data.targets": ["hole", "shapes"], "pretraining.steps": 1}
MIXED = {**SMALL, "algorithms": ["blind", "ncm", "supervised"], "shots": [0, 2, "all"]}


class Blind(Algorithm):
    """Scores an image by its own pixels, and reads no support."""

    def __init__(self, net):
        super().__init__()
        self.backbone = net
        self.network = ProtoNet(net, norm="frozen").network

    def training_step(self, episodes, **options):
        raise AssertionError("a zero-shot row is not trained")

    def adapt(self, support, task, *, steps=None, seed=0, index=0):
        columns = task.target.num_outputs
        return lambda images: images.float().flatten(1)[:, :columns] - images.float().mean()

    def protocol(self):
        return {}


@pytest.fixture
def blind(monkeypatch):
    """A row that can do 0 shots."""
    row = Method("blind", "for a test", make_adapter=lambda net, *_: Blind(net), zero_shot=True)
    monkeypatch.setitem(methods.METHODS, "blind", row)


def test_each_row_has_the_cells_that_it_can_have(blind):
    shots = [0, 1, "all"]
    assert shots_of_row("blind", shots) == (0, 1)
    assert shots_of_row("ncm", shots) == (1,)
    assert shots_of_row("supervised", shots) == (ALL_SHOTS,)
    reasons = blank_cells(["blind", "ncm", "supervised"], shots)
    assert set(reasons) == {
        *(("blind", ALL_SHOTS), ("ncm", 0), ("ncm", ALL_SHOTS)),
        *(("supervised", 0), ("supervised", 1)),
    }
    assert "support set" in reasons["ncm", 0]


@pytest.mark.long
def test_one_table_has_zero_shot_few_shot_and_all_labels(blind, collection, tmp_path):
    said = []
    out = tmp_path / "run"
    outcome = run_experiment(toy_experiment(**MIXED), out, say=said.append)
    assert outcome.complete
    records = outcome.records.where(metric="auroc")
    by_row = {name: records.where(algorithm=name).unique("shots") for name in MIXED["algorithms"]}
    assert by_row == {"blind": (0, 2), "ncm": (2,), "supervised": (ALL_SHOTS,)}
    assert len(records.where(shots="all")) == 2
    # The query is the same at all shots, and the row reads nothing else.
    zero, two = (records.where(algorithm="blind", shots=k).columns["value"] for k in (0, 2))
    assert zero.tolist() == two.tolist()
    assert any(line.startswith("note: no cells: ncm at 0 shots") for line in said)
    assert verify_run(out).holds

    page = write_page(out).read_text(encoding="utf-8")
    for text in (page, (out / "table.md").read_text(), (out / "table.tex").read_text()):
        assert "No cells: ncm at 0 shots, since they learn from a support set" in text
        assert "all labels" in text
    head, *_ = (out / "table.md").read_text().splitlines()
    titles = [cell.strip() for cell in head.split("|")[3:-1]]
    shown = ["blind, 0 shots", "blind, 2 shots", "ncm, 2 shots", "supervised, all labels"]
    assert titles == shown
    head, first, *_ = (out / "table.csv").read_text().splitlines()
    assert "ncm, 0 shots: mark" in head
    assert "no cell: they learn from a support set" in first
    status = str(run_status(out))
    assert "8 of 8 cells have their rows" in status
    assert "no cells: ncm at 0 shots" in status


@pytest.mark.slow
def test_episodes_of_0_shots_have_plans_without_a_support(blind, collection, tmp_path):
    changes = {**MIXED, "algorithms": ["blind", "ncm"], "shots": [0, 2]}
    folder = run_experiment(toy_experiment(**changes), tmp_path / "run").folder
    for target in ("hole", "shapes"):
        source = collection.target(target)
        zero, two = (load_plans(folder.files.plans(target, k), source) for k in (0, 2))
        for none, some in zip(zero, two, strict=True):
            assert (len(none.support), none.shots) == (0, 0)
            assert none.query.tolist() == some.query.tolist()
    digests = folder.episodes()
    hole = collection.target("hole").name
    assert digests["blind", hole, 0] != digests["blind", hole, 2] == digests["ncm", hole, 2]
    draws = folder.draws()[hole, 0]
    assert draws.is_query.all()
    # Plans that are gone are drawn again.
    folder.files.plans("hole", 0).unlink()
    again = run_experiment(toy_experiment(**changes), tmp_path / "run")
    assert again.folder.draws()[hole, 0].images.tolist() == draws.images.tolist()


@pytest.mark.slow
def test_predictions_and_subgroup_images_of_the_two_splits(blind, collection, tmp_path):
    run_experiment(toy_experiment(**{**MIXED, "data.targets": ["hole"]}), tmp_path)
    of_all = list(run_predictions(tmp_path, shots="all"))
    assert [(each.algorithm, each.split, each.shots) for each in of_all] == [
        ("supervised", "test", ALL_SHOTS)
    ]
    records = [row for each in run_predictions(tmp_path) for row in each.records(tmp_path.name)]
    assert Records.of(records).sorted_rows() == RunFolder(tmp_path).records().sorted_rows()
    with pytest.raises(InputError, match=r"no predictions of shots=7; it has \[0, 2, 'all'\]"):
        run_predictions(tmp_path, shots=7)


@pytest.mark.parametrize("shots", [[0], ["all"], "all"])
def test_supervised_alone_is_the_same_run_however_it_is_written(shots):
    values = {"preset": "quick", "preset_version": 1, "algorithms": ["supervised"]}
    values["data"] = {"folder": "nowhere"}
    made = experiment_from_values({**values, "shots": shots})
    assert made.shots == ("all",)
    assert decisive_settings(made)["shots"] == [0]
    # As versions before "all" computed it.
    known = "d6fbb87acf26c2e2"
    assert identity(replace(made, machine=replace(made.machine, device="cpu")))[:16] == known


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_a_run_of_supervised_alone_has_the_files_that_it_always_had(tmp_path):
    chosen = toy_experiment(**{**SMALL, "algorithms": ["supervised"], "shots": [0]})
    folder = run_experiment(chosen, tmp_path / "run").folder
    record = json.loads((folder.path / "experiment.json").read_text())
    assert record["experiment"]["shots"] == [0] == record["decides"]["shots"]
    for path in (folder.path / "rows").glob("*.csv"):
        assert path.stem.startswith("supervised-seed_0-0_shots")
        assert read_records(path).unique("shots") == (0,)
    assert folder.experiment["shots"] == ["all"]
    assert folder.records().unique("shots") == (ALL_SHOTS,)
    again = run_experiment(toy_experiment(**{**SMALL, "preset": "quick", **ALONE}), folder.path)
    assert again.complete


ALONE = {"algorithms": ["supervised"], "shots": ["all"]}


def test_0_shots_without_a_row_for_them_are_refused(collection, blind, tmp_path):
    with pytest.raises(InputError, match=r"shots=\[0, 1\] has 0, for rows that need no support"):
        run_experiment(toy_experiment(algorithms=["ncm"], shots=[0, 1]), tmp_path)
    with pytest.raises(InputError, match="ncm: no cell at shots"):
        run_experiment(toy_experiment(algorithms=["ncm", "blind"], shots=[0]), tmp_path)


def test_the_command_line_takes_all(capsys):
    assert main(["run", "--data", "x", "--algorithms", "ncm", "--shots", "1,all"]) == 2
    assert "'supervised' goes with 'all'" in capsys.readouterr().err
    assert main(["run", "--data", "x", "--algorithms", "ncm", "--shots", "1,some"]) == 2
    assert "--shots got 'some'" in capsys.readouterr().err
