"""Subgroups by columns of annotations, and queries at the prevalence of a target."""

import numpy as np
import pytest

from tests.experiment.conftest import MAKERS, Toys, toy_experiment
from torchcross.errors import InputError
from torchcross.experiment import RunFolder, run_experiment, run_predictions, verify_run
from torchcross.experiment.page.image_results import image_results
from torchcross.experiment.run.folder import identity
from torchcross.experiment.run.json_files import read_json, write_json
from torchcross.experiment.run.subgroup_files import run_subgroups
from torchcross.experiment.settings.subgroups import SubgroupColumn

SEXES = ("F", "M", "")


class AnnotatedToys(Toys):
    """`asked` are the targets whose annotations were read."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def annotation(self, target, column, *, split="all"):
        self.asked.append(target)
        count = len(self.target(target, split=split))
        if column == "age":
            return [str(number) for number in range(count)]
        if column != "sex" or target == "specks":
            raise InputError(f"annotations.csv has no column {column!r}")
        return [SEXES[number % 3] for number in range(count)]


@pytest.fixture
def annotated(monkeypatch):
    made = AnnotatedToys()
    monkeypatch.setattr(
        "torchcross.experiment.run.targets.open_collection", lambda kind, folder, **how: made
    )
    return made


def experiment(*subgroups, **changes):
    plain = {
        "algorithms": ["ncm"],
        "shots": [1],
        "data.targets": ["hole", "specks"],
        "evaluation.subgroups": list(subgroups),
    }
    return toy_experiment(**{**plain, **changes})


def said(chosen, folder):
    lines = []
    assert run_experiment(chosen, folder, say=lines.append).complete
    return lines


# -- columns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "texts", "names", "codes"),
    [
        ("sex", ["M", "F", "M"], ("F", "M"), [1, 0, 1]),
        ("sex", ["M", " nan", "", "M "], ("M", "not known"), [0, 1, 1, 0]),
        ("site", ["10", "9", "10"], ("9", "10"), [1, 0, 1]),
        (
            "age:40,65",
            ["39.9", "40", "64", "65", "NA"],
            ("below 40", "40 to below 65", "65 and above", "not known"),
            [0, 1, 1, 2, 3],
        ),
        ("age:40", ["50"], ("40 and above",), [0]),
        ("sex", ["", ""], ("not known",), [0, 0]),
        ("sex", [], (), []),
    ],
)
def test_groups_of_a_column(text, texts, names, codes):
    groups = SubgroupColumn.parse(text).groups(texts)
    assert groups.names == names
    assert groups.codes.tolist() == codes


@pytest.mark.parametrize("text", ["", ":40", "age:", "age:40,x", "age:65,40", "age:1,1", "age:inf"])
def test_what_names_no_column_is_refused_before_the_run(text, tmp_path):
    with pytest.raises(InputError, match=r"evaluation\.subgroups has"):
        run_experiment(experiment(text), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "texts", "reason"),
    [
        ("age", [str(number) for number in range(13)], "13 different values, and 12 groups are"),
        ("age:40", ["30", "old"], "has 'old', which is no number"),
    ],
)
def test_columns_that_make_no_groups_are_refused(text, texts, reason):
    with pytest.raises(InputError, match=reason):
        SubgroupColumn.parse(text).groups(texts)


# -- files of a run --------------------------------------------------------------------------------


def test_a_run_keeps_the_groups_of_all_images(annotated, tmp_path):
    lines = said(experiment("sex", "age:30,60", "age"), tmp_path)
    notes = [line.partition("no subgroups by ")[2] for line in lines if "subgroups" in line]
    assert len(notes) == 2
    assert "'sex' for specks: annotations.csv has no column 'sex'" in notes
    assert "'age' for hole, specks: the column 'age' has 600 different values" in notes[0]
    by_target = run_subgroups(RunFolder(tmp_path))
    assert [each.column for each in by_target["ink/hole", "all"]] == ["sex", "age"]
    assert by_target["ink/hole", "all"][0].names == ("F", "M", "not known")
    count = len(MAKERS["hole"](size=16))
    assert by_target["ink/hole", "all"][0].codes.tolist() == [number % 3 for number in range(count)]
    assert [each.column for each in by_target["ink/specks", "all"]] == ["age"]
    assert verify_run(tmp_path).holds


def test_the_setting_decides_no_row_and_files_follow_it(annotated, tmp_path):
    assert identity(experiment("sex")) == identity(experiment())
    said(experiment(), tmp_path)
    assert annotated.asked == []
    assert run_subgroups(RunFolder(tmp_path)) == {}
    said(experiment("sex"), tmp_path)
    asked = list(annotated.asked)
    assert asked == ["hole", "specks"]
    said(experiment("sex"), tmp_path)
    assert annotated.asked == asked, "what is there is not made again"
    said(experiment("age:30"), tmp_path)
    groups = run_subgroups(RunFolder(tmp_path))["ink/hole", "all"]
    assert {each.column for each in groups} == {"age"}
    said(experiment(), tmp_path)
    assert run_subgroups(RunFolder(tmp_path)) == {}
    assert verify_run(tmp_path).holds


def test_beside_other_rows_full_supervision_has_the_groups_of_its_split(annotated, tmp_path):
    changes = {"algorithms": ["ncm", "supervised"], "shots": [1, "all"], "pretraining.steps": 1}
    said(experiment("sex", **changes, **{"data.targets": ["hole"]}), tmp_path)
    groups = run_subgroups(RunFolder(tmp_path))
    for split in ("all", "test"):
        count = len(annotated.target("hole", split=split))
        assert groups["ink/hole", split][0].codes.tolist() == [n % 3 for n in range(count)]
    values = image_results(RunFolder(tmp_path)).values
    assert {(each.algorithm, each.column) for each in values} == {
        (row, column) for row in ("ncm", "supervised") for column in ("", "sex")
    }
    assert verify_run(tmp_path).holds


def test_damaged_and_missing_files_are_named_and_made_again(annotated, tmp_path):
    said(experiment("sex"), tmp_path)
    path = next(path for path in (tmp_path / "subgroups").iterdir() if "hole" in path.name)
    before = path.read_bytes()
    path.write_bytes(before.replace(b"1", b"0", 1))
    assert [c.name for c in verify_run(tmp_path).checks if c.state == "damaged"] == [
        f"subgroups/{path.name}"
    ]
    (line,) = (line for line in said(experiment("sex"), tmp_path) if "damaged" in line)
    assert path.name in line
    assert path.read_bytes() == before
    path.unlink()
    assert [c.name for c in verify_run(tmp_path).checks if c.state == "missing"] == [
        f"subgroups/{path.name}"
    ]
    said(experiment("sex"), tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"source": 3},
        {"columns": 3},
        {"columns": [3]},
        {"columns": [{"setting": "a", "column": "a"}]},
        {"columns": [{"setting": "a", "column": "a", "reason": 3}]},
        {"columns": [{"setting": "a", "column": "a", "names": ["x"], "codes": [1]}]},
        {"columns": [{"setting": "a", "column": "a", "names": ["x"], "codes": [0.5]}]},
        {"columns": [{"setting": "a", "column": "a", "names": [1], "codes": [0]}]},
    ],
)
def test_what_is_no_file_of_subgroups_is_refused(annotated, change, tmp_path):
    said(experiment("sex"), tmp_path)
    path = next((tmp_path / "subgroups").iterdir())
    write_json(path, {**read_json(path), **change})
    with pytest.raises(InputError, match="is not as a run writes it"):
        run_subgroups(RunFolder(tmp_path))


@pytest.mark.usefixtures("collection")
def test_data_without_annotations_are_said_to_have_none(tmp_path):
    (line,) = (line for line in said(experiment("sex"), tmp_path) if "subgroups" in line)
    assert line.endswith(": this format of data has no annotations")


# -- natural queries -------------------------------------------------------------------------------


@pytest.mark.usefixtures("collection")
@pytest.mark.parametrize("disjoint", [False, True])
def test_natural_queries_have_the_prevalence_of_the_target(disjoint, tmp_path):
    changes = {"evaluation.query": "natural", "evaluation.disjoint": disjoint}
    natural = experiment(**{**changes, "evaluation.episodes": 8, "evaluation.queries": 6})
    assert run_experiment(natural, tmp_path).complete
    for predictions in run_predictions(tmp_path):
        classes = len(predictions.classes)
        assert set(predictions.sizes.tolist()) == {6 * classes}
        counts = [np.bincount(each.labels, minlength=classes).tolist() for each in predictions]
        assert len(set(map(tuple, counts))) > 1, "balanced queries have equal counts"
    choices = dict(read_json(tmp_path / "protocol.json")["choices"])
    assert "as they come" in choices["query images"]


def test_balanced_queries_are_the_experiment_that_they_were():
    assert identity(experiment(**{"evaluation.query": "balanced"})) == identity(experiment())
    assert identity(experiment(**{"evaluation.query": "natural"})) != identity(experiment())
