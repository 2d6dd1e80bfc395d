"""What a run stores of its predictions, what it says where it stores none, and what is read."""

import shutil
from types import SimpleNamespace

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.errors import DamageError, InputError
from torchcross.experiment import (
    RunFolder,
    run_experiment,
    run_predictions,
    verify_run,
    write_page,
)
from torchcross.experiment.run.json_files import read_json
from torchcross.experiment.run.prediction_store import PredictionStore
from torchcross.records import Records

ALL_TARGETS = ["shape", "hole", "shapes", "specks"]


def experiment(**changes):
    plain = {"algorithms": ["scratch", "ncm"], "shots": [1], "data.targets": ["hole", "specks"]}
    return toy_experiment(**{**plain, **changes})


def noted(chosen, folder):
    lines = []
    assert run_experiment(chosen, folder, say=lines.append).complete
    return [line for line in lines if "predictions" in line]


def stored(folder):
    return sorted(path.name for path in (folder / "predictions").iterdir())


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_scores_of_stored_predictions_are_the_rows(tmp_path):
    """All four target types; NaN and reasons too."""
    chosen = experiment(**{"data.targets": ALL_TARGETS, "shots": [1, 2]})
    records = run_experiment(chosen, tmp_path).records
    again = [
        record
        for predictions in run_predictions(tmp_path)
        for record in predictions.records(tmp_path.name)
    ]
    assert Records.of(again).sorted_rows() == records.sorted_rows()
    assert len({record.target for record in again}) == 4
    cells = [(p.source, p.algorithm, p.shots, p.seed) for p in run_predictions(tmp_path)]
    assert len(cells) == 4 * 2 * 2
    order = read_json(tmp_path / "protocol.json")["order of targets"]
    assert cells == sorted(
        cells, key=lambda cell: (order.index(cell[0]), ["scratch", "ncm"].index(cell[1]), cell[2:])
    )
    (one,) = run_predictions(tmp_path, target=order[1], algorithm="ncm", shots=2, seed=0)
    assert (one.source, one.algorithm, one.shots, one.seed) == (order[1], "ncm", 2, 0)


@pytest.mark.usefixtures("collection")
def test_the_row_supervised_stores_its_test_split(tmp_path):
    chosen = toy_experiment(
        algorithms=["supervised"],
        shots=[0],
        **{"data.targets": ["specks"], "pretraining.steps": 1},
    )
    records = run_experiment(chosen, tmp_path).records
    (predictions,) = run_predictions(tmp_path)
    assert Records.of(predictions.records(tmp_path.name)).sorted_rows() == records.sorted_rows()
    assert predictions.split == "test"
    assert predictions.images.tolist() == list(range(predictions.rows))
    assert verify_run(tmp_path).holds


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_a_run_with_too_many_stores_none_and_says_so(tmp_path):
    assert noted(experiment(), tmp_path / "all") == []
    count = sum(each.rows for each in run_predictions(tmp_path / "all"))
    assert len(stored(tmp_path / "all")) == 4
    said = read_json(tmp_path / "all" / "protocol.json")["predictions"]
    assert said.startswith(f"{count:,}, one for each query image")
    assert said.endswith("are stored in predictions/")

    just = experiment(**{"evaluation.predictions": count})
    assert noted(just, tmp_path / "just") == []
    assert stored(tmp_path / "just") == stored(tmp_path / "all")

    few = experiment(**{"evaluation.predictions": count - 1})
    (line,) = noted(few, tmp_path / "few")
    assert line.startswith(f"note: predictions: none are stored: there are {count}, one for")
    assert line.endswith(f"evaluation.predictions={count}")
    assert stored(tmp_path / "few") == []
    assert verify_run(tmp_path / "few").holds
    rows = [RunFolder(tmp_path / name).records().columns["value"] for name in ("all", "few")]
    assert rows[0].tolist() == rows[1].tolist()

    assert noted(experiment(**{"evaluation.predictions": 0}), tmp_path / "none") == []
    assert stored(tmp_path / "none") == []
    with pytest.raises(InputError, match="has no stored predictions"):
        run_predictions(tmp_path / "none")


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_the_setting_may_change_and_cells_without_predictions_are_counted(tmp_path):
    assert noted(experiment(**{"evaluation.predictions": 0}), tmp_path) == []
    next((tmp_path / "rows").iterdir()).unlink()
    (line,) = noted(experiment(), tmp_path)
    assert line.startswith("note: predictions: 3 cells have rows and no stored predictions")
    assert len(stored(tmp_path)) == 1
    assert verify_run(tmp_path).holds
    # A cell that is made again without predictions keeps no older ones.
    for path in (tmp_path / "rows").iterdir():
        path.unlink()
    assert noted(experiment(**{"evaluation.predictions": 0}), tmp_path) == []
    assert stored(tmp_path) == []


@pytest.mark.usefixtures("collection")
def test_predictions_that_are_gone_are_missing_until_nobody_wants_them(tmp_path):
    run_experiment(experiment(), tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "predictions").iterdir()}
    lost = tmp_path / "predictions" / min(before)
    lost.unlink()
    missing = [check.name for check in verify_run(tmp_path).checks if check.state == "missing"]
    assert missing == [f"predictions/{lost.name}"]
    with pytest.raises(DamageError, match=r"is gone; run the same again"):
        list(run_predictions(tmp_path))
    run_experiment(experiment(), tmp_path)
    assert lost.read_bytes() == before[lost.name]
    shutil.rmtree(tmp_path / "predictions")
    run_experiment(experiment(**{"evaluation.predictions": 0}), tmp_path)
    assert stored(tmp_path) == []
    assert verify_run(tmp_path).holds


@pytest.mark.usefixtures("collection")
def test_predictions_of_another_cell_are_noticed_and_made_again(tmp_path):
    run_experiment(experiment(), tmp_path)
    first, second = sorted((tmp_path / "predictions").iterdir())[:2]
    before = first.read_bytes()
    shutil.copy(second, first)
    damaged = [check for check in verify_run(tmp_path).checks if check.state == "damaged"]
    assert [check.name for check in damaged] == [f"predictions/{first.name}"]
    assert "is not that of its cell" in damaged[0].detail
    (line,) = noted(experiment(), tmp_path)
    assert line.startswith("damaged: ")
    assert first.name in line
    assert first.read_bytes() == before
    assert (tmp_path / "predictions" / f"{first.name}.damaged").is_file()
    assert verify_run(tmp_path).holds


@pytest.mark.usefixtures("collection")
def test_a_target_that_is_unknown_is_named(tmp_path):
    run_experiment(experiment(), tmp_path)
    with pytest.raises(InputError, match=r"no predictions of algorithm='boil'; it has \["):
        run_predictions(tmp_path, algorithm="boil")


# -- on the page -----------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_the_page_shows_results_by_class(tmp_path):
    chosen = experiment(algorithms=["ncm"], **{"evaluation.specificity": 0.8})
    run_experiment(chosen, tmp_path)
    page = write_page(tmp_path).read_text(encoding="utf-8")
    assert "By class and subgroup" in page
    assert "at 80 % specificity (%)" in page
    assert "Confusion matrix of ncm" in page
    assert "calibration error" in page
    assert "Images that have the class (%), by predicted probability" in page
    tables = {"by_class.csv", "confusion.csv", "calibration.csv", "reliability.csv"}
    tables |= {"calibration.md", "calibration.tex"}
    assert all((tmp_path / name).is_file() for name in tables)
    assert {check.name for check in verify_run(tmp_path).checks} > tables
    assert verify_run(tmp_path).holds
    path = tmp_path / "by_class.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("auroc", "aurok", 1), "utf-8")
    damaged = [check.name for check in verify_run(tmp_path).checks if check.state == "damaged"]
    assert damaged == ["by_class.csv"]


@pytest.mark.usefixtures("collection")
def test_the_page_of_a_run_without_predictions_says_why(tmp_path):
    run_experiment(experiment(algorithms=["ncm"]), tmp_path)
    write_page(tmp_path)
    shutil.rmtree(tmp_path / "rows")
    run_experiment(experiment(algorithms=["ncm"], **{"evaluation.predictions": 0}), tmp_path)
    page = write_page(tmp_path).read_text(encoding="utf-8")
    assert "No predictions of single images: none are stored: evaluation.predictions is 0" in page
    assert not (tmp_path / "by_class.csv").exists(), "a table of an earlier page"


@pytest.mark.parametrize(("most", "reason"), [(0, "evaluation.predictions is 0"), (9, "are 10,")])
def test_sets_that_are_not_stored_are_named(most, reason):
    """They are stored with the predictions, and with nothing else."""
    changes = {"evaluation.sets": "split", "evaluation.predictions": most}
    (note,) = PredictionStore(SimpleNamespace(experiment=experiment(**changes)), 10).notes()
    assert reason in note
    assert note.endswith(
        "to store them, and the sets of evaluation.sets='split', give --set"
        " evaluation.predictions=10"
    )
