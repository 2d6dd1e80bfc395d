"""The section across targets says what its tests cannot show; tables on their own say it too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.records.published_table import NAMES, ROWS
from tests.report.reading import Node, cells_of, page_of, read_page, rows_of
from tests.report.run_folder import made_run
from tests.report.sample import ALGORITHMS, records
from torchcross.errors import InputError
from torchcross.experiment import compare_runs, write_page
from torchcross.records import Means, Records
from torchcross.report import latex_table, markdown_table
from torchcross.statistics import across_targets


def few_records(
    domains: int, algorithms: Sequence[str] = ALGORITHMS, shots: Sequence[int] = (5,)
) -> Records:
    """Two targets a domain, and a few episodes of each."""
    return records(domains, 2, algorithms, shots, 4, metrics=("auroc",), undefined=False)


def across_of(folder: Path, table: Means | Records, **more: object) -> Node:
    return page_of(folder, table, **more).by_id("across")


def test_pairs_have_their_probability_of_equivalence(tmp_path: Path) -> None:
    means = Means(ROWS, NAMES, metric="auroc")
    section = across_of(tmp_path, means, margin=3.03)
    heads = [head.text for head in section.all("th") if "data-column" in head.attributes]
    assert heads[-3:] == ["P(first higher)", "P(equivalent)", "P(second higher)"]
    expected = across_targets(means, margin=3.03).pair("IM-PT", "mm-PT").equivalence
    assert expected is not None
    shown = [float(cell.attributes["data-value"]) for cell in cells_of(rows_of(section)[0])[-3:]]
    assert shown == [expected.above, expected.within, expected.below]
    assert "at most 3.03 apart" in section.text
    assert "P(equivalent)" not in across_of(tmp_path, means).text
    percent = across_of(tmp_path, few_records(3), margin=0.01)
    assert "at most 1 percentage point apart" in percent.text


def test_a_diagram_is_grey_where_friedman_finds_no_difference(tmp_path: Path) -> None:
    significant = across_of(tmp_path, Means(ROWS, NAMES))
    assert significant.all("div", "grey") == []
    assert "a bar joins algorithms" in significant.text
    turns = Means([[0.5, 0.6], [0.6, 0.5]] * 4, ["a", "b"])
    grey = across_of(tmp_path, turns)
    (box,) = grey.all("div", "grey")
    assert "It is grey" in box.all("svg")[0].attributes["aria-label"]
    assert "Friedman's test finds no difference between the mean ranks" in grey.text
    assert "a bar joins algorithms" not in grey.text


def test_what_few_targets_cannot_show_stands_on_the_page_and_under_tables(tmp_path: Path) -> None:
    four = few_records(3, list("abcd"), (1, 5))
    said = "the smallest p is 0.1875 (6 x 2^-5); 8 targets would be needed"
    warnings = [node.text for node in across_of(tmp_path, four).all("p", "warning")]
    assert sum(said in text for text in warnings) == 2
    for table in (markdown_table(four), latex_table(four).replace("\\textasciicircum{}", "^")):
        assert table.count("8 targets would be needed") == 1
    enough = few_records(4, list("abcd"), (1, 5))
    assert "would be needed" not in across_of(tmp_path, enough).text
    assert "would be needed" not in markdown_table(enough)
    # At one of the shots alone: the sentence names it.
    columns = enough.columns
    is_kept = (columns["shots"] == 5) | (columns["domain"] != "domain3")
    assert "Across targets at 1 shot: no pair" in markdown_table(enough[is_kept])


def test_the_tests_that_are_corrected_together_are_named(tmp_path: Path) -> None:
    page = page_of(tmp_path, few_records(4))
    assert (
        "p (Holm) is corrected over 3 pairs of 3 algorithms, over 8 targets"
        in page.by_id("across").text
    )
    assert "over the 3 pairs of algorithms of its row and shots" in page.by_id("results").text


def in_grades() -> Records:
    return records(4, 2, ["a", "b"], (1, 5), 4, metrics=("mae",), undefined=False)


def test_errors_in_different_grades_have_no_mean(tmp_path: Path) -> None:
    rows = in_grades()
    scales = dict.fromkeys(rows.unique("target"), "0, 1, 2")
    same = page_of(tmp_path, rows, scales=scales)
    scales["domain1/task 1"] = "0, 4, 9"
    mixed = page_of(tmp_path, rows, scales=scales)
    assert "Mean of the targets" in same.by_id("shots").text
    assert "Mean of the targets" not in mixed.by_id("shots").text
    means, ranks = mixed.all("tfoot")[0].all("tr")
    assert {cell.text for cell in means.all("td")} == {"—"}
    assert "—" not in ranks.text
    assert "—" not in same.all("tfoot")[0].text
    assert "domain1/task 1: 0, 4, 9" in mixed.by_id("across").all("p", "warning")[0].text
    assert "0, 4, 9" in markdown_table(rows, scales=scales)
    last = markdown_table(rows, scales=scales).split("mean of the targets")[1].splitlines()[0]
    assert not any(letter.isdigit() for letter in last)
    one = rows.where(algorithm="a")
    assert "—" in page_of(tmp_path, one, scales=scales).all("tfoot")[0].text
    assert "—" in page_of(tmp_path, one).all("tfoot")[0].text


@pytest.mark.long
def test_a_run_states_its_margin_and_the_command_may_state_another(tmp_path: Path) -> None:
    def pairs(page: Path) -> str:
        return read_page(page.read_text(encoding="utf-8")).by_id("across").text

    run = made_run(tmp_path / "run", **{"evaluation.margin": 0.03})
    assert "at most 3 percentage points apart" in pairs(write_page(run))
    assert "at most 2 percentage points apart" in pairs(write_page(run, margin=0.02))
    both = compare_runs([run], tmp_path / "both", margin=0.05)
    assert "at most 5 percentage points apart" in pairs(both)
    silent = made_run(tmp_path / "silent", **{"evaluation.margin": 0})
    assert "P(equivalent)" not in pairs(write_page(silent))
    with pytest.raises(InputError, match="margin"):
        write_page(run, margin=-1)
    # A margin of errors in grades is none of an AUROC.
    grades = made_run(tmp_path / "grades", metric="mae")
    assert "P(equivalent)" not in pairs(write_page(grades, metric="auroc"))


def test_equal_pages_are_equal_bytes(tmp_path: Path) -> None:
    rows = records(4, 2, ["a", "b", "c"], (5,), 4, seeds=(0, 1))
    pages = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        page_of(tmp_path / name, rows, margin=0.01)
        pages.append((tmp_path / name / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_a_pair_that_only_one_of_both_tests_separates_is_explained(tmp_path: Path) -> None:
    # The first beats the second by a little on every target; three others stand far behind.
    rows = [[0.80 + t / 1000, 0.79, 0.5 - t / 100, 0.4 + t / 90, 0.45] for t in range(12)]
    table = Means(rows, ["a", "b", "c", "d", "e"], [f"target {t}" for t in range(12)])
    text = page_of(tmp_path, table).by_id("across").text
    assert "separates pairs that Nemenyi's test does not: a and b (p 0.0" in text
    assert "ranks 1.00 apart" in text
    alike = [[0.5 + (t % 2) / 10, 0.55, 0.5 + (t % 3) / 10] for t in range(12)]
    same = Means(alike, ["a", "b", "c"], [f"target {t}" for t in range(12)])
    assert "does not:" not in page_of(tmp_path, same).by_id("across").text


def test_friedmans_numbers_are_named_and_an_infinite_f_is_said_in_words(tmp_path: Path) -> None:
    def text_of(table: list[list[float]]) -> str:
        return across_of(tmp_path, Means(table, list("abcde"))).text

    agreeing = text_of([[5, 4, 3, 2, 1], [9, 7, 5, 3, 1]])
    assert "χ² 8.00 (p 0.092). All targets rank the algorithms alike" in agreeing
    assert "its p (0.008) is exact: the probability that 2 targets agree so" in agreeing
    assert "no contradiction to the note above" in agreeing
    assert not {"∞", "inf", "ties"} & set(agreeing.replace(".", " ").split())
    differing = text_of([[5, 4, 3, 2, 1], [9, 7, 5, 1, 3]])
    assert "χ² 7.60 (p 0.107), Iman–Davenport F 19.00 (p 0.007). This is no con" in differing
    tied = text_of([[5, 4, 3, 2, 1], [5, 3, 4, 2, 2], [1, 2, 3, 4, 5]])
    assert "Without the correction for ties: χ²" in tied
    assert "no contradiction" not in tied
    many = text_of([[5, 4, 3, 2, 1]] * 12)
    assert "is exact" in many
    assert "no contradiction" not in many, "pairs can be separated"
