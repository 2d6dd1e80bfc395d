"""Bold in tables with equal means, with gaps, and with one row alone; remarks of every metric."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from tests.report.reading import page_of
from torchcross.records import EpisodeRecord, Means, Records
from torchcross.report import csv_table, html_table, latex_table, markdown_table

UP = np.linspace(0.5, 0.8, 10)


def records(targets: dict[str, dict[str, np.ndarray]], metric: str = "auroc") -> Records:
    return Records.of(
        EpisodeRecord("run", target, "d", name, 5, 0, episode, metric, float(value))
        for target, rows in targets.items()
        for name, row in rows.items()
        for episode, value in enumerate(row)
    )


def lines(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


GAPS = {
    "whole": {"a": UP, "b": UP - 0.1, "c": UP - 0.2},
    "two": {"b": UP - 0.1, "c": UP - 0.2},
    "alone": {"c": UP},
}


def test_the_best_of_some_rows_has_a_sign_and_one_alone_is_not_bold(tmp_path: Path) -> None:
    rows = records(GAPS)
    whole, two, alone = lines(markdown_table(rows))[2:5]
    assert [cell.startswith("**") for cell in whole[2:]] == [True, False, False]
    assert whole[2].endswith("°")
    assert two[2:3] == ["—"]
    assert two[3].startswith("**55.0**")
    assert two[3].endswith("°∗")
    assert alone[2:4] == ["—", "—"]
    assert alone[4].startswith("65.0 ±")
    assert alone[4][-1].isdigit()
    said = "∗: the best of the rows that are there; other rows of the table have no score"
    for text in (markdown_table(rows), page_of(tmp_path, rows).by_id("results").text):
        assert said in text
    assert r"$^{\circ}$$^{\ast}$" in latex_table(rows)
    assert latex_table(rows).isascii()
    assert "°∗" in html_table(rows)
    marks = {
        line["target"]: [line[f"{name}, 5 shots: mark"] for name in "abc"]
        for line in csv.DictReader(io.StringIO(csv_table(rows)))
    }
    assert marks["whole"][0] == "best, one training each"
    assert marks["two"] == ["", "best, not all rows, one training each", ""]
    assert marks["alone"] == ["", "", ""]
    tie = UP - 0.1 + np.where(np.arange(10) % 2, 0.05, -0.052)
    tied = lines(markdown_table(records({**GAPS, "two": {"b": UP - 0.1, "c": tie}})))[3]
    assert "°∗" in tied[3]
    assert "†°" in tied[4]
    assert "∗" not in tied[4], "the sign is about the best"
    full = records({"whole": GAPS["whole"]})
    assert "∗" not in markdown_table(full)


def test_a_ceiling_is_no_row_that_a_target_lacks() -> None:
    rows = records({"t": GAPS["whole"], "u": {name: GAPS["whole"][name] for name in "ab"}})
    assert "∗" not in markdown_table(rows, ceilings=["c"])
    assert "∗" in markdown_table(rows)


def test_equal_means_are_both_bold_in_any_order() -> None:
    turned = {"a": UP, "b": UP[::-1].copy(), "c": UP - 0.3}
    for names in ("abc", "cba"):
        row = lines(markdown_table(records({"t": {name: turned[name] for name in names}})))[2]
        by_name = dict(zip(names, row[2:], strict=True))
        for name in "ab":
            assert by_name[name].startswith("**65.0** ±")
            assert "†" not in by_name[name]
            assert "finds" not in by_name[name]
        assert "**" not in by_name["c"]


def test_published_means_are_bold_where_there_are_two() -> None:
    table = Means([[0.1 + 0.2, 0.3], [0.5, float("nan")]], ["a", "b"], ["t", "u"], metric="auroc")
    first, second = lines(markdown_table(table))[2:4]
    assert [cell.startswith("**") for cell in first[1:]] == [True, True]
    assert second[1:] == ["0.5", "—"]


def test_a_folded_table_says_why_it_has_no_best(tmp_path: Path) -> None:
    # Of two seeds, `a` has the better mean over both, and `b` is better in the one they share.
    turned = {("a", 0): 0.5, ("a", 1): 0.8, ("b", 0): 0.55}
    said = "a has the best mean, and b the better one on the episodes of both: no best is marked"
    for place, values in (("", 0.55), (" (t at 5 shots)", 0.4)):
        rows = [("t", *key, value) for key, value in turned.items()]
        rows += [("u", *key, value) for key, value in {**turned, ("b", 0): values}.items()]
        other = Records.of(
            EpisodeRecord("run", target, "d", name, 5, seed, episode, "accuracy", value + gap)
            for target, name, seed, value in rows
            for episode, gap in enumerate((0.0, 0.05, 0.1))
        )
        lead = Records({**other.columns, "metric": np.full(len(other), "auroc", dtype=object)})
        lead = lead[lead.columns["seed"] == 0]
        folder = tmp_path / str(values)
        folder.mkdir()
        folds = page_of(folder, lead + other).by_id("results").all("details")
        (remarks,) = (fold for fold in folds if fold.text.startswith("Remarks on the comparisons"))
        assert remarks.all("summary")[0].text.startswith("Remarks on the comparisons of accuracy")
        assert f"{said}{place}" in remarks.text
