"""Beyond the mean: the section shows what `across_runs` says, and says what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.report.reading import Node, cells_of, page_of, rows_of
from tests.report.sample import ALGORITHMS, records
from tests.report.test_fairness import records as records_with_failures
from torchcross.records import Records
from torchcross.statistics import across_runs


def beyond_of(folder: Path, rows: Records, **more: object) -> Node:
    return page_of(folder, rows, **more).by_id("beyond")


def few_records(shots: Sequence[int], **fields: Any) -> Records:
    fields = {"metrics": ("auroc",), "undefined": False, "episodes": 8} | fields
    return records(3, 2, shots=shots, **fields)


def values_of(table: Node) -> dict[str, list[float]]:
    """The numbers of each row by its name, as they are sorted."""
    rows = {}
    for row in rows_of(table):
        name, *cells = cells_of(row)
        rows[name.text] = [float(cell.attributes["data-value"] or "nan") for cell in cells]
    return rows


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_the_tables_say_what_the_statistics_say(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    rows = few_records((1, 5), seeds=seeds)
    section = beyond_of(tmp_path, rows)
    tables = section.all("table")
    assert len(tables) == 4
    for shots, (algorithms, pairs) in zip((1, 5), (tables[:2], tables[2:]), strict=True):
        expected = across_runs(rows, "auroc", shots)
        shown = values_of(algorithms)
        assert list(shown) == list(ALGORITHMS)
        for row in expected.rows:
            iqm = row.iqm
            assert shown[row.algorithm] == [
                *(iqm.mean, iqm.low, iqm.high, row.worst, 100 * row.at_chance)
            ]
        improvements = [
            [each.interval.mean, each.interval.low, each.interval.high]
            for each in expected.improvements
        ]
        for row, numbers in zip(values_of(pairs).values(), improvements, strict=True):
            assert row == pytest.approx(numbers, nan_ok=True)
        assert expected.resampling in algorithms.all("caption")[0].text


def test_profiles_have_a_line_a_mark_and_a_band_for_each_algorithm(tmp_path: Path) -> None:
    section = beyond_of(tmp_path, few_records((1,)))
    (plot,) = section.all("svg")[-1:]
    assert "of im-pt, mm-pt, mm-maml" in plot.attributes["aria-label"]
    assert len(plot.all("path", "band")) == 3
    assert len(plot.all("path", "line")) == 3
    assert sum("mark" in node.classes for node in plot.walk()) == 3
    assert len(plot.all("line", "chance")) == 1
    # One episode a target: nothing is resampled.
    one = beyond_of(tmp_path, few_records((5,), episodes=1))
    assert one.all("svg")[-1].all("path", "band") == []


def test_chance_depends_on_the_target(tmp_path: Path) -> None:
    rows = few_records((5,), metrics=("accuracy",))
    targets = rows.unique("target")
    unknown = beyond_of(tmp_path, rows)
    cells = [cells_of(row)[-1] for row in rows_of(unknown.all("table")[0])]
    assert [cell.text for cell in cells] == ["—"] * 3
    assert unknown.all("svg")[-1].all("line", "chance") == []
    same = {"accuracy": dict.fromkeys(targets, 0.7)}
    known = beyond_of(tmp_path, rows, chance=same)
    expected = across_runs(rows, "accuracy", 5, chance=same["accuracy"])
    assert values_of(known.all("table")[0])["mm-pt"][-1] == 100 * expected.row("mm-pt").at_chance
    assert len(known.all("svg")[-1].all("line", "chance")) == 1
    mixed = {"accuracy": dict(zip(targets, (0.5, 0.5, 0.5, 0.5, 0.5, 0.25), strict=True))}
    assert beyond_of(tmp_path, rows, chance=mixed).all("svg")[-1].all("line", "chance") == []


def test_what_cannot_be_said_across_targets_is_said(tmp_path: Path) -> None:
    rows = records(2, 2, ["a", "b"], (5,), metrics=("mae",), undefined=False)
    section = beyond_of(tmp_path, rows)
    assert "not averaged" in section.all("p", "warning")[0].text
    (pairs,) = section.all("table")
    assert "Probability of improvement" in pairs.all("caption")[0].text
    columns = records(1, 2, ["a", "b"], (5,)).columns
    apart = (columns["algorithm"] == "a") == (columns["target"] == "domain0/task 0")
    nothing = beyond_of(tmp_path, records(1, 2, ["a", "b"], (5,))[apart])
    assert "Nothing can be said across targets: no target has records" in nothing.text
    assert nothing.all("table") == []


def test_one_algorithm_has_no_pairs(tmp_path: Path) -> None:
    section = beyond_of(tmp_path, records(3, 2, ["a"], (5,)))
    assert len(section.all("table")) == 1


def test_the_legend_says_what_a_failure_counts_as(tmp_path: Path) -> None:
    assert "an adaptation that failed" not in beyond_of(tmp_path, few_records((5,))).text
    rows = records_with_failures(targets=2)
    columns = rows.columns
    for metric, value in {"auroc": "chance level 0.5", "f1": "the worst value 0"}.items():
        of_metric = Records({**columns, "metric": [metric] * len(rows)})
        text = beyond_of(tmp_path, of_metric).text
        assert f"; an adaptation that failed counts as {value}. P(first" in text
