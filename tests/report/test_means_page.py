"""A table of means alone: the published one's numbers come out, and what means cannot tell is not
told.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.records.published_table import DIFFERENCES, MEAN_RANKS, NAMES, ROWS
from tests.report.reading import Node, cells_of, page_of, rows_of
from tests.report.sample import HOSTILE, curves, records
from torchcross.errors import InputError
from torchcross.records import Means, Records, read_means
from torchcross.report import csv_table, latex_table, markdown_table
from torchcross.statistics import means_of

DOMAINS = ["fundus", "x-ray", "fundus", *["other"] * 15]
TARGETS = [f"target {place}" for place in range(18)]
PUBLISHED = Means(ROWS, NAMES, TARGETS, domains=DOMAINS, metric="auroc")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return page_of(tmp_path_factory.mktemp("page"), PUBLISHED)


def test_the_golden_numbers_of_the_published_table_are_on_the_page(page: Node) -> None:
    text = page.by_id("across").text
    assert "differ in rank: χ² 28.14 (p 7.7e-07), Iman–Davenport F 60.87 (p 5.8e-12)" in text
    assert "Without the correction for ties: χ² 27.75, F 57.18." in text
    assert "critical difference of mean ranks is 0.78" in text
    rows = [
        [cell.text for cell in cells_of(row)]
        for row in rows_of(page.by_id("across").all("table")[0])
    ]
    for row, (first, second, mean, half, w) in zip(rows, DIFFERENCES, strict=True):
        low, high = (f"{mean + sign * half:+.2f}" for sign in (-1, 1))
        assert row[0] == f"{first} − {second}"
        assert [float(cell) for cell in row[1:4]] == pytest.approx(
            [mean, float(low), float(high)], abs=0.011
        )
        assert row[4] == str(w)
    assert rows[0][5] == "4.2e-04"


def test_the_diagram_joins_what_the_ranks_do_not_separate(page: Node) -> None:
    (diagram,) = page.by_id("across").all("svg")
    assert len(diagram.all("line", "group")) == 1
    for name, rank in zip(NAMES, MEAN_RANKS, strict=True):
        assert f"{name} {rank:.2f}" in diagram.attributes["aria-label"]


def test_the_table_stands_by_domain_with_the_best_in_bold_and_no_ties(page: Node) -> None:
    table = page.all("table", "headline")[0]
    assert [row.text for row in table.all("tr", "group")] == ["fundus", "x-ray", "other"]
    lines = {row.all("th")[0].attributes["data-value"]: row.all("td") for row in rows_of(table)}
    assert list(lines)[:3] == ["target 0", "target 2", "target 1"]
    for target, values in zip(TARGETS, ROWS, strict=True):
        assert [cell.text for cell in lines[target]] == [f"{value:.1f}" for value in values]
        assert [float(cell.attributes["data-value"]) for cell in lines[target]] == list(values)
        assert ["best" in cell.classes for cell in lines[target]] == [
            value == max(values) for value in values
        ]
    means, ranks = (
        [cell.text for cell in row.all("td")] for row in table.all("tfoot")[0].all("tr")
    )
    assert means == [f"{sum(column) / 18:.1f}" for column in zip(*ROWS, strict=True)]
    assert [rank.rstrip("†") for rank in ranks] == [f"{rank:.2f}" for rank in MEAN_RANKS]
    assert [rank.endswith("†") for rank in ranks] == [False, True, False]
    results = page.by_id("results").text
    assert "no mean has an interval" in results
    assert "±" not in results
    assert "†" not in "".join(cell.text for row in rows_of(table) for cell in row.all("td"))
    assert not {"episodes", "shots", "missing", "download"} & {
        node.attributes.get("id") for node in page.walk()
    }


def test_below_six_targets_there_is_no_diagram(tmp_path: Path) -> None:
    found = page_of(tmp_path, Means(ROWS[:5], NAMES)).by_id("across")
    assert "fewer than six targets (5)" in found.all("p", "warning")[0].text
    assert found.all("svg") == []


def test_related_targets_and_missing_means_are_named(tmp_path: Path) -> None:
    rows = [[float("nan"), 1.0, 2.0], *ROWS[1:7]]
    means = Means(rows, NAMES, TARGETS[:7])
    found = page_of(tmp_path, means, related=[{"target 2", "target 3"}])
    warnings = " ".join(node.text for node in found.by_id("across").all("p", "warning"))
    assert "target 2, target 3 share subjects" in warnings
    assert "target 0 is left out: it has no mean of IM-PT" in warnings
    assert found.all("table", "headline")[0].all("td")[0].text == "—"


def test_one_algorithm_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    found = page_of(tmp_path, Means([[1.0], [2.0]], ["alone"]))
    assert "One algorithm" in found.by_id("across").text
    assert found.all("tfoot") == []


def test_the_smaller_error_is_the_better_one() -> None:
    means = Means([[0.5, 0.75]], ["a", "b"], ["t"], metric="mae")
    assert markdown_table(means).splitlines()[2] == "| t | **0.50** | 0.75 |"
    assert "the smallest of its row" in markdown_table(means)


def test_tables_of_means_have_the_layout_of_the_paper(tmp_path: Path) -> None:
    lines = markdown_table(PUBLISHED).splitlines()
    assert lines[0] == "| domain | target: AUROC | IM-PT | mm-PT | mm-MAML |"
    assert lines[2:5] == [
        "| fundus | target 0 | **71.3** | 63.2 | 56.2 |",
        "|  | target 2 | **84.9** | 77.8 | 74.6 |",
        "| x-ray | target 1 | 60.7 | **62.5** | 56.2 |",
    ]
    assert lines[21] == "|  | mean rank | **1.17** | 1.92† | 2.92 |"
    text = latex_table(PUBLISHED)
    # The best of each target, the best mean, and the best mean rank.
    assert text.count(r"\textbf{") == 18 + 2
    assert r"\multicolumn{4}{l}{\textit{fundus}} \\" in text
    assert {line.count("&") for line in text.splitlines() if line.startswith(r"\quad")} == {3}
    path = tmp_path / "table.csv"
    path.write_text(csv_table(PUBLISHED), encoding="utf-8")
    back = read_means(path)
    assert (back.targets, back.algorithms, back.domains) == (
        PUBLISHED.targets,
        PUBLISHED.algorithms,
        PUBLISHED.domains,
    )
    assert (back.values == PUBLISHED.values).all()


def test_no_name_breaks_a_table_or_the_page(tmp_path: Path) -> None:
    nasty = HOSTILE + "\r\nline | two\n"
    means = Means([[1.0, 2.0]], [nasty + "a", nasty + "b"], [nasty], domains=[nasty], metric=nasty)
    found = page_of(tmp_path, means, title=nasty)
    assert len(found.all("script")) == 1
    lines = markdown_table(means).splitlines()
    assert {len(re.findall(r"(?<!\\)\|", re.sub(r"\\\\", "", line))) for line in lines[:5]} == {5}
    assert len(latex_table(means).splitlines()) == 14


def test_what_belongs_to_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave curves, examples and failures out"):
        page_of(tmp_path, PUBLISHED, curves=curves())
    with pytest.raises(InputError, match=r"name the metric in Means"):
        page_of(tmp_path, PUBLISHED, metric="accuracy")


def test_means_of_records_keep_their_domains() -> None:
    rows: Records = records(2, 2, shots=(5,))
    assert means_of(rows, "auroc", 5).domains == ("domain0", "domain0", "domain1", "domain1")
