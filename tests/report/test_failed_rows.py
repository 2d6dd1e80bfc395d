"""Every table names the rows that failed, also those that have no column."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from tests.report.reading import page_of
from tests.report.run_folder import made_run
from torchcross.experiment import write_page
from torchcross.records import ALL_SHOTS, EpisodeRecord, Records
from torchcross.report import Failure, csv_table, html_table, latex_table, markdown_table

LATER = " (the report says why, under What is missing)."


def records(**algorithms: int) -> Records:
    return Records.of(
        EpisodeRecord("run", f"oct/{task}", "oct", name, shots, 0, episode, "auroc", 0.5, "")
        for name, shots in algorithms.items()
        for task in ("a", "b")
        for episode in range(3)
    )


def failures(
    *names: str, targets: tuple[str, ...] = ("oct/a", "oct/b"), **rest: Any
) -> list[Failure]:
    return [
        Failure("too few", target=target, algorithm=name, **rest)
        for target in targets
        for name in names
    ]


def test_rows_without_a_column_are_named_in_every_format(tmp_path: Path) -> None:
    rows = records(supervised=ALL_SHOTS)
    options: Any = {"ceilings": ["supervised"], "failures": failures("ncm", "logistic", seed=0)}
    said = "Failed: ncm, logistic at every number of shots" + LATER
    assert said in markdown_table(rows, **options)
    assert said in latex_table(rows, **options)
    assert said in html_table(rows, **options)
    page = page_of(tmp_path, rows, **options)
    assert said in page.by_id("results").all("p", "legend")[0].text
    assert "every number" in page.by_id("missing").all("tbody")[0].text
    lines = list(csv.DictReader(io.StringIO(csv_table(rows, **options))))
    assert {line["rows that failed"] for line in lines} == {
        "ncm, logistic at every number of shots"
    }
    assert "Failed" not in markdown_table(rows)


def test_shots_seeds_and_targets_are_named_where_they_say_something() -> None:
    rows = records(ncm=1)
    one = [each for k in (1, 3) for each in failures("maml", targets=("oct/a",), shots=k)]
    text = markdown_table(rows, failures=one)
    assert "Failed: maml at 1 shot and 3 shots on oct/a" + LATER in text
    of_seed = failures("ncm", targets=("oct/a",), seed=2)
    text = markdown_table(rows, failures=of_seed)
    assert "Failed: ncm at every number of shots with training seed 2 on oct/a" + LATER in text
    ceiling = failures("supervised")
    text = markdown_table(rows, failures=ceiling, ceilings=["supervised"])
    assert "Failed: supervised with all labels" + LATER in text
    text = markdown_table(rows, failures=[Failure("no disk", target="oct/b")])
    assert "Failed: every row at every number of shots on oct/b" + LATER in text


def test_a_target_that_failed_in_whole_has_a_line_for_programs() -> None:
    text = csv_table(records(ncm=1), failures=failures("ncm", targets=("derm/c",)))
    *scored, gone = csv.DictReader(io.StringIO(text))
    assert [line["rows that failed"] for line in scored] == ["", ""]
    assert (gone["target"], gone["metric"]) == ("derm/c", "auroc")
    assert gone["rows that failed"] == "ncm at every number of shots"
    assert not any(value for name, value in gone.items() if name.startswith("ncm, 1 shot"))


@pytest.mark.slow
def test_the_tables_of_a_run_name_them(tmp_path: Path) -> None:
    failure = {"kind": "InfeasibleError", "target": "oct/t", "algorithm": "ncm", "seed": "0"}
    run = made_run(tmp_path / "run", failures=[{**failure, "reason": "too few images"}])
    write_page(run)
    for name in ("table.md", "table.tex", "report.html"):
        assert "Failed: ncm at every number of shots" in (run / name).read_text(), name
    assert "ncm at every number of shots" in (run / "table.csv").read_text()
