"""A source that is the target: its pair with itself is left out, and that is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.report.reading import read_page
from tests.transfer.study_data import fast_settings, images_of
from torchcross.report.text_escapes import markdown_text
from torchcross.transfer.studies import (
    SourcesByName,
    StudyDesign,
    StudyScores,
    run_study,
    write_study_report,
)
from torchcross.transfer.studies.folder import StudyFolder
from torchcross.transfer.studies.left_out import left_out_text
from torchcross.transfer.studies.split_report import split_tables

DESIGN = StudyDesign(sources=("scratch", "shapes"), targets=("shapes",), folds=2)
SETTINGS = fast_settings(DESIGN, StudyScores(names=("knn",), task2vec=20))
LINE = (
    "shapes on itself is left out: a source that was learned from the target has seen its test"
    " images. self_pairs = true keeps the pair, marked. shapes is not trained, for there is no"
    " other target."
)


def test_a_source_without_another_target_is_not_trained_and_all_say_so(tmp_path: Path) -> None:
    out, heard = tmp_path / "out", list[str]()
    data = SourcesByName({"shapes": images_of("shapes")})
    outcome = run_study(SETTINGS, data, out, say=heard.append)
    assert not outcome.failures
    assert heard[0] == LINE
    assert not any("shapes learned" in line for line in heard)
    assert not (out / "sources").exists()
    # The training part of each fold of the target alone.
    assert len(list((out / "tasks").iterdir())) == 2
    report = write_study_report(outcome.folder).read_text(encoding="utf-8")
    assert f"- {markdown_text(LINE)}\n" in report
    assert "Not done" not in report
    page = read_page((out / "report.html").read_text(encoding="utf-8"))
    assert LINE in page.by_id("results").text


def test_a_source_that_is_one_target_of_several_loses_that_pair_alone() -> None:
    design = replace(
        DESIGN, sources=("scratch", "shapes", "reptile:shapes"), targets=("shapes", "grades")
    )
    assert left_out_text(design) == (
        "shapes on itself and reptile:shapes on shapes are left out: a source that was learned from"
        " the target has seen its test images. self_pairs = true keeps such pairs, marked."
    )
    assert design.unused_sources == ()
    for other in (replace(design, self_pairs=True), replace(design, targets=("grades",))):
        assert left_out_text(other) == ""


def test_several_sources_without_another_target_are_named_together() -> None:
    text = left_out_text(replace(DESIGN, sources=("shapes", "reptile:shapes")))
    assert text.endswith("shapes and reptile:shapes are not trained, for there is no other target.")


def test_many_pairs_are_counted() -> None:
    names = tuple(f"d{number}" for number in range(9))
    text = left_out_text(replace(DESIGN, sources=names, targets=names))
    assert text.startswith("d0 on itself, d1 on itself, ")
    assert "d5 on itself and 3 more are left out" in text
    text = left_out_text(replace(DESIGN, sources=names[:6], targets=names[:6]))
    assert "d4 on itself and d5 on itself are left out" in text


def test_a_table_of_a_test_split_has_no_row_of_what_is_left_out(tmp_path: Path) -> None:
    design = replace(DESIGN, splits="own", targets=("shapes", "grades"))
    study = StudyFolder(tmp_path, replace(SETTINGS, study=design))
    study.begin({})
    rows = [[row[0] for row in table.rows] for table in split_tables(study)]
    assert rows == [["scratch"], ["scratch", "shapes"]]
