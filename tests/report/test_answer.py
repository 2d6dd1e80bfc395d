"""The answer that a page begins with, and the caveats that go with every table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from tests.report.reading import page_of
from torchcross.records import Means
from torchcross.report import csv_table, latex_table, markdown_table
from torchcross.report.answer import answer
from torchcross.report.last_rows import last_rows
from torchcross.report.standings import standings
from torchcross.report.summarise import summarise
from torchcross.report.tables import markdown_of

NAMES = ("ridge", "probe", "flat")


def means(targets: int, gap: float = 0.05, metric: str = "auroc") -> Means:
    """`ridge` leads everywhere, `probe` follows closely, `flat` is at chance."""
    noise = np.random.default_rng(1).uniform(0.0, 0.02, (targets, 3))
    table = np.array([0.7, 0.7 - gap, 0.49]) + noise * np.array([1.0, 1.0, 0.0])
    names = [f"target {place}" for place in range(targets)]
    return Means(table.tolist(), list(NAMES), names, metric=metric)


def test_the_answer_says_who_leads_by_how_much_and_what_is_separated() -> None:
    text = answer(summarise(means(12)))
    assert text.startswith("ridge leads with a mean AUROC of ")
    assert " over 12 targets, " in text
    assert "(with Holm's correction over 3 pairs) separates it from probe and flat (p " in text
    assert "All others beat flat by this test." in text


def test_what_no_test_separates_is_said_with_the_reason() -> None:
    text = answer(summarise(means(4)))
    assert "does not tell it apart from probe and flat" in text
    assert "with so few targets it can separate none" in text
    assert "All others beat" not in text


@pytest.mark.parametrize(
    ("targets", "text"),
    [(4, "does not tell it apart from any of the other 6"), (30, "separates it from each of")],
)
def test_many_names_are_counted_where_they_are_all_there_are(targets: int, text: str) -> None:
    noise = np.random.default_rng(1).uniform(0.0, 0.02, (targets, 7))
    scores = np.array([0.7, *[0.6] * 6]) + noise
    names = [f"target {place}" for place in range(targets)]
    summary = summarise(Means(scores.tolist(), list("ABCDEFG"), names, metric="auroc"))
    assert text in answer(summary)


def test_where_small_is_good_the_smallest_error_leads() -> None:
    summary = summarise(means(12, metric="mae"))
    text = answer(summary)
    assert text.startswith("flat leads by its mean rank of 1.00 over 12 targets: scores in")
    (across,) = summary.across.values()
    assert [each.name for each in standings(across)] == ["flat", "probe", "ridge"]


def test_means_and_ranks_of_the_last_rows_carry_the_marks_of_the_tests() -> None:
    mean, rank = last_rows(summarise(means(12, gap=0.001)))
    assert [cell.is_best for cell in mean.cells].count(True) == 1
    assert [cell.sign for cell in mean.cells if not cell.is_best] == ["†", ""]
    assert [cell.is_best for cell in rank.cells].count(True) == 1
    assert [cell.sign for cell in rank.cells if not cell.is_best] == ["†", ""]
    assert markdown_of(summarise(means(12))).count("**") == 2 * (12 + 2)


def test_each_number_of_shots_begins_a_line_of_the_paragraph(tmp_path: Path) -> None:
    from tests.report.sample import records

    page = page_of(tmp_path, records(2, 1, shots=(1, 5)))
    (paragraph,) = page.by_id("answer").all("p", "answer")
    lines = [line.text for line in paragraph.all("span")]
    assert [line.partition(",")[0] for line in lines] == ["At 1 shot", "At 5 shots"]


@pytest.fixture
def marked() -> dict[str, object]:
    return {
        "transductive": ["mm-pt"],
        "caveats": ["Synthetic data: all of it.", "Unfinished: 12 of 16 cells have rows."],
    }


def test_caveats_and_transductive_rows_stand_in_every_format(
    tmp_path: Path, marked: dict[str, object]
) -> None:
    from tests.report.sample import records

    rows = records(2, 1, shots=(5,))
    page = page_of(tmp_path, rows, **marked).by_id("results")
    said = [item.text for item in page.by_id("answer").all("li")]
    assert said[:2] == marked["caveats"]
    heads = [head.text for head in page.all("table", "headline")[0].all("button")]
    assert heads == ["target", "im-pt", "mm-pt§", "mm-maml"]
    for text in (markdown_table(rows, **marked), latex_table(rows, **marked)):
        assert "Unfinished: 12 of 16 cells have rows." in text
        assert "transductive (mm-pt)" in text
    assert r"mm-pt\S{}" in latex_table(rows, **marked)
    assert "mm-pt§" in markdown_table(rows, **marked).splitlines()[0]
    for line in csv.DictReader(io.StringIO(csv_table(rows, **marked))):
        assert line["transductive rows"] == "mm-pt"
        assert line["caveats"].endswith("Unfinished: 12 of 16 cells have rows.")
