"""Full supervision stands in the same table as few-shot rows, and competes with none of them."""

from __future__ import annotations

from pathlib import Path

from tests.report.reading import page_of, rows_of
from tests.report.run_folder import made_run
from tests.report.sample import records
from torchcross.experiment import RunFolder
from torchcross.experiment.page.table_marks import ceiling_rows
from torchcross.records import Records
from torchcross.report import csv_table, latex_table, markdown_table

FEW = records(2, 1, ["a", "b"], (1, 5), 4, metrics=("auroc",), undefined=False)


def without_shots(algorithm: str, episodes: int) -> Records:
    rows = records(2, 1, [algorithm], (5,), episodes, metrics=("auroc",), undefined=False)
    return Records({**rows.columns, "shots": [0] * len(rows)})


CEILING = without_shots("all", 1)
BOTH = FEW + CEILING


def test_the_ceiling_has_one_column_behind_the_others(tmp_path: Path) -> None:
    (table, *_) = page_of(tmp_path, BOTH, ceilings=["all"]).all("table", "headline")
    groups, names = (row.all("th") for row in table.all("thead")[0].all("tr"))
    assert [(head.text, head.attributes.get("colspan")) for head in groups[1:]] == [
        *(("1 shot", "2"), ("5 shots", "2"), ("all labels", "1"))
    ]
    assert [head.text for head in names] == ["a", "b", "a", "b", "all"]
    assert [("first" in head.classes) for head in names] == [True, False, True, False, True]
    for row in rows_of(table):
        cells = row.all("td")
        assert "—" not in row.text
        # The best of each number of shots is bold, and the ceiling is no best.
        assert ["best" in cell.classes for cell in cells[-1:]] == [False]
        assert sum("best" in cell.classes for cell in cells) == 2
    assert (
        "a ceiling, with which nothing is compared"
        in page_of(tmp_path, BOTH, ceilings=["all"]).by_id("results").text
    )


def test_every_format_has_the_ceiling_once() -> None:
    heads = markdown_table(BOTH, ceilings=["all"]).splitlines()[0]
    assert heads.count("all labels") == 1
    assert "all, 0 shots" not in heads
    latex = latex_table(BOTH, ceilings=["all"])
    assert "\\multicolumn{1}{c}{all labels}" in latex
    assert "\\cmidrule(lr){2-3} \\cmidrule(lr){4-5} \\cmidrule(lr){6-6}" in latex
    assert csv_table(BOTH, ceilings=["all"]).splitlines()[0].count("all, all labels: mean") == 1


def test_an_algorithm_that_needs_no_support_has_its_other_columns() -> None:
    zero_shot = without_shots("a", 4)
    heads = markdown_table(FEW + zero_shot).splitlines()[0]
    assert "a, 0 shots" in heads
    assert "b, 0 shots" not in heads
    assert "a, 5 shots" in heads
    assert "ceiling" not in markdown_table(FEW + zero_shot)


def test_full_supervision_alone_is_marked_as_before(tmp_path: Path) -> None:
    (table, *_) = page_of(tmp_path, CEILING, ceilings=["all"]).all("table", "headline")
    assert "all labels" in table.all("thead")[0].text
    assert "ceiling" not in markdown_table(CEILING, ceilings=["all"])


def test_a_run_knows_its_ceilings(tmp_path: Path) -> None:
    run = made_run(
        tmp_path / "run", algorithms=("supervised",), rows=False, preset="fully-supervised"
    )
    assert ceiling_rows(RunFolder(run)) == ["supervised"]
    assert ceiling_rows(RunFolder(made_run(tmp_path / "few"))) == []
