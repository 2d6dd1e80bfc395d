"""Backbones x heads x shots: the best with its ties, the table, and the curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.report.reading import Node, page_of, rows_of
from tests.report.run_folder import made_run
from tests.report.sample import HOSTILE, records
from torchcross.experiment import RunFolder, write_page
from torchcross.experiment.page.row_names import RowNames
from torchcross.experiment.page.table_marks import backbones_of
from torchcross.records import EpisodeRecord, Records
from torchcross.report.backbone_axis import (
    axis_cells,
    backbone_rows,
    has_backbones,
    leading_often,
    ties_of,
)
from torchcross.report.summarise import summarise

HEADS, NETS, SHOTS = ("ncm", "logistic"), ("small", "large"), (1, 5)
BACKBONES = {f"{head} @ {net}": (head, net) for net in NETS for head in HEADS}
ROWS = (*BACKBONES, "image-statistics")
GAIN = dict(zip(ROWS, (0.0, 0.02, 0.1, 0.1005, -0.1), strict=True))


def scored(targets: int, *, metric: str = "auroc", rows: tuple[str, ...] = ROWS) -> Records:
    """Both heads on the large backbone are alike, and better than the others on every target."""
    draw = np.random.default_rng(1)
    made = []
    for target in range(targets):
        for shots in SHOTS:
            luck = draw.normal(0, 0.03, 12)
            for row in rows:
                noise = draw.normal(0, 0.004, 12)
                values = 0.6 + 0.02 * shots + GAIN[row] + luck + noise
                made += [
                    EpisodeRecord(
                        *("run", f"d/t{target}", "d", row, shots, 0, at, metric, float(value))
                    )
                    for at, value in enumerate(values)
                ]
    return Records.of(made)


def section_of(folder: Path, table: Records, **options: object) -> Node:
    return page_of(folder, table, backbones=BACKBONES, **options).by_id("backbones")


def test_rows_are_in_parts_and_one_without_a_backbone_comes_last() -> None:
    summary = summarise(scored(2), backbones=BACKBONES)
    assert [(row.head, row.backbone) for row in backbone_rows(summary)] == [
        *(("ncm", "small"), ("logistic", "small"), ("ncm", "large"), ("logistic", "large")),
        ("image-statistics", ""),
    ]
    assert has_backbones(summary)
    assert not has_backbones(summarise(scored(2)))
    only = {"ncm @ small": ("ncm", "small"), "logistic @ small": ("logistic", "small")}
    assert not has_backbones(summarise(scored(2), backbones=only))


def test_the_best_and_its_ties_are_those_of_the_tests_across_targets() -> None:
    summary = summarise(scored(12), backbones=BACKBONES)
    cells = axis_cells(summary, 5)
    best = max(cells, key=lambda name: cells[name].interval.mean)
    other = {"ncm @ large": "logistic @ large", "logistic @ large": "ncm @ large"}[best]
    assert [name for name, cell in cells.items() if cell.is_best] == [best]
    assert ties_of(cells) == [other]
    assert leading_often(cells)[0] == other
    pairs = {frozenset((pair.first, pair.second)): pair.p for pair in summary.across[5].pairs}
    for name, cell in cells.items():
        if name != best:
            assert cell.is_tied == (pairs[frozenset((name, best))] > 0.05)
    assert cells[best].interval.mean == pytest.approx(summary.mean_of((best, 5)))
    assert 0 < cells[best].interval.half < 0.02
    on_targets = [summary.cells[target.name, best, 5] for target in summary.targets]
    leads = sum(cell.is_best or cell.is_tied for cell in on_targets)
    assert (cells[best].leads, cells[best].targets) == (leads, 12)


def test_smaller_is_better_where_the_metric_says_so() -> None:
    scales = {f"d/t{at}": "0, 1, 2" for at in range(3)}
    table = scored(3, metric="mae")
    cells = axis_cells(summarise(table, backbones=BACKBONES, scales=scales), 1)
    assert [name for name, cell in cells.items() if cell.is_best] == ["image-statistics"]
    # Errors on different grades have no mean over targets.
    assert not axis_cells(summarise(table, backbones=BACKBONES), 1)


def test_the_section_has_the_best_the_table_and_a_plot_for_each_head_and_backbone(
    tmp_path: Path,
) -> None:
    section = section_of(tmp_path, scored(12))
    best, means, *targets = section.all("table")
    assert [row.all("th")[0].text for row in rows_of(best)] == ["1 shot", "5 shots"]
    for row in rows_of(best):
        assert row.all("td")[1].text == "large"
        assert "@ large" in row.all("td")[-1].text
    lines = rows_of(means)
    assert [(row.all("th")[0].text, row.all("td")[0].text) for row in lines] == [
        *(("small", "ncm"), ("small", "logistic"), ("large", "ncm"), ("large", "logistic")),
        ("—", "image-statistics"),
    ]
    for place in (1, 2):
        assert sum("best" in row.all("td")[place].classes for row in lines) == 1
    assert len(targets) == 12
    details = section.all("details")
    outside = len(section.all("figure")) - sum(len(each.all("figure")) for each in details)
    # A plot for each head and for each backbone; on each target one for each head.
    assert (outside, len(details[0].all("figure"))) == (4, 2)
    titles = [each.text for each in section.all("figcaption")]
    assert titles[:4] == ["ncm", "logistic", "small", "large"]
    # Plots beside each other have one scale.
    texts = [[each.text for each in figure.all("text")] for figure in section.all("figure")[:4]]
    assert texts[0] == texts[1] == texts[2] == texts[3]
    # The whiskers of the means: a line for each row and number of shots, and the axes.
    (first, *_) = section.all("figure")
    assert sum(line.classes[:1] == ["line"] for line in first.all("line")) == 4


def test_few_targets_separate_nothing_and_the_table_says_so(tmp_path: Path) -> None:
    section = section_of(tmp_path, scored(2))
    (best, *_) = section.all("table")
    assert {row.all("td")[-1].text for row in rows_of(best)} == {"2 targets can separate no pair"}
    assert "only that there are too few" in section.text


def test_one_number_of_shots_has_tables_and_no_curve(tmp_path: Path) -> None:
    section = section_of(tmp_path, scored(2).where(shots=5))
    assert not section.all("figure")
    assert "A curve needs two numbers of shots" in section.text


def test_a_failed_row_and_a_ceiling_have_blank_cells_and_are_no_best(tmp_path: Path) -> None:
    table = scored(3, rows=ROWS[:3])
    ceiling = records(1, 3, ["all"], (5,), 1, metrics=("auroc",), undefined=False)
    columns = {**ceiling.columns, "shots": [0] * 3, "domain": ["d"] * 3}
    columns |= {"target": [f"d/t{at}" for at in range(3)], "value": [0.99] * 3}
    both = {**BACKBONES, "all": ("supervised", "large")}
    page = page_of(tmp_path, table + Records(columns), ceilings=["all"], backbones=both)
    section = page.by_id("backbones")
    best, means, *_ = section.all("table")
    assert len(rows_of(best)) == 2
    (line,) = (row for row in rows_of(means) if "supervised" in row.text)
    assert [cell.text for cell in line.all("td")[1:3]] == ["—", "—"]
    assert "99.0" in line.text
    assert not any("best" in cell.classes for cell in line.all("td"))


def test_a_page_without_several_backbones_is_as_it_was(tmp_path: Path) -> None:
    page = page_of(tmp_path, scored(2))
    assert page.by_id("shots").text
    assert "Backbones, heads and shots" not in page.text


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    names = [f"ncm @ {HOSTILE}", "ncm @ small"]
    parts = {names[0]: ("ncm", HOSTILE), names[1]: ("ncm", "small")}
    table = records(2, 1, names, (1, 5), 4, metrics=("auroc",))
    page = page_of(tmp_path, table, backbones=parts)
    assert len(page.all("script")) == 1
    assert not page.all("img")


def test_a_run_names_the_parts_of_its_rows(tmp_path: Path) -> None:
    chosen = [{"name": "conv4", "label": label} for label in NETS]
    path = made_run(
        tmp_path / "run",
        algorithms=("scratch", "image-statistics"),
        rows=False,
        **{"model.backbones": chosen},
    )
    run = RunFolder(path)
    parts = {"scratch @ small": ("scratch", "small"), "scratch @ large": ("scratch", "large")}
    assert backbones_of(run, RowNames(run)) == parts
    named = backbones_of(run, RowNames(run, "first"))
    assert named["scratch @ small (first)"] == ("scratch (first)", "small")
    # Rows of a run whose backbone is one are not taken apart.
    one = RunFolder(made_run(tmp_path / "one"))
    assert backbones_of(one, RowNames(one)) == {}
    assert 'id="shots"' in write_page(one.path).read_text()
