"""`torchcross report` and `compare`: of runs, and of a published table of means."""

from __future__ import annotations

import pytest

from tests.evaluation.published import NAMES, ROWS
from tests.report.run_folder import made_run
from torchcross import cli


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def refused(capsys, *arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    return err


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "table 4.csv"
    lines = [",".join(["target", *NAMES]), *(f"t{i}," + ",".join(map(str, row)) for i, row in enumerate(ROWS))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_published_table_has_its_page_and_tables(capsys, published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(
        capsys, "report", published, "--metric", "auroc", "--related", "t1, t2", "--related", "t3,t4"
    )
    assert (status, err) == (0, "")
    assert out == "reports/table 4/report.html\n"
    folder = tmp_path / "reports" / "table 4"
    assert sorted(entry.name for entry in folder.iterdir()) == ["report.html", "table.csv", "table.md", "table.tex"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in ("28.14", "t1, t2 share subjects", "t3, t4 share subjects", "no mean has an interval", "table 4.csv"):
        assert words in page
    assert "target: AUROC" in (folder / "table.md").read_text(encoding="utf-8")
    assert run(capsys, "report", folder / "table.csv", "--out", tmp_path / "again")[0] == 0
    assert (tmp_path / "again" / "table.tex").read_text() == (folder / "table.tex").read_text().replace("AUROC", "")


def test_what_is_no_table_and_no_run_is_told(capsys, published, tmp_path):
    assert "is no run" in refused(capsys, "report", tmp_path / "none")
    assert "cannot be read" in refused(capsys, "report", tmp_path / "none.csv")
    assert "['t77'] are not in" in refused(capsys, "report", published, "--related", "t1,t77", "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()
    folder = made_run(tmp_path / "run")
    assert "describe a table of means" in refused(capsys, "report", folder, "--metric", "auroc")
    run(capsys, "report", folder)
    assert "a table that a report wrote" in refused(capsys, "report", folder / "table.csv")


def test_a_run_has_its_page_again_here_or_elsewhere(capsys, tmp_path):
    folder = made_run(tmp_path / "run", metric="accuracy")
    assert run(capsys, "report", folder)[:2] == (0, f"{folder / 'report.html'}\n")
    assert run(capsys, "report", folder, "--out", tmp_path / "other", "--title", "Mine")[0] == 0
    assert "<h1>Mine</h1>" in (tmp_path / "other" / "report.html").read_text(encoding="utf-8")
    for name in ("table.md", "table.tex", "table.csv"):
        assert (tmp_path / "other" / name).read_text() == (folder / name).read_text()
        assert "accuracy" in (folder / name).read_text(), "the metric of the experiment leads the tables too"


def test_a_run_that_failed_as_a_whole_has_its_page(capsys, tmp_path):
    failure = {
        "kind": "ReadError",
        "target": "oct/t",
        "algorithm": "scratch",
        "seed": "0",
        "reason": "the disk is gone",
    }
    folder = made_run(tmp_path / "run", rows=False, failures=[failure])
    assert run(capsys, "report", folder)[0] == 0
    assert "the disk is gone" in (folder / "report.html").read_text(encoding="utf-8")
    assert not (folder / "table.md").exists()
    assert "has no rows yet" in refused(capsys, "report", made_run(tmp_path / "empty", rows=False))


def test_runs_are_compared_with_what_failed_and_what_is_related(capsys, tmp_path):
    failure = {"kind": "ReadError", "target": "x/t", "algorithm": "scratch", "seed": "0", "reason": "the disk is gone"}
    first = made_run(tmp_path / "first", metric="accuracy")
    second = made_run(tmp_path / "second", metric="accuracy", failures=[failure], **{"evaluation.disjoint": True})
    status, out, _ = run(capsys, "compare", first, second, "--out", tmp_path / "both")
    assert (status, out) == (0, f"{tmp_path / 'both' / 'report.html'}\n")
    page = (tmp_path / "both" / "report.html").read_text(encoding="utf-8")
    for words in (
        *("accuracy (%) by target", "derm/t, oct/t share subjects", "the disk is gone", "scratch (second)"),
        *("episodes of a target (first)", "episodes of a target (second)", "2 of 2 datasets are made up"),
    ):
        assert words in page
    assert "training seeds (first)" not in page, "what both chose is said once"
    assert "accuracy" in (tmp_path / "both" / "table.csv").read_text(encoding="utf-8")
