"""The plot of falls has chance level, as every other plot of scores."""

from __future__ import annotations

from math import nan
from xml.etree import ElementTree

import pytest

from tests.report.test_plots import drawn
from torchcross.report.falls import falls_section
from torchcross.report.html import TableCell
from torchcross.statistics import Interval
from torchcross.statistics.falls import Fall


def fall_of(algorithm: str, balanced: float, natural: float, *over: str) -> Fall:
    interval = Interval(balanced - natural, nan, nan, 4, "t")
    return Fall(algorithm, 5, balanced, natural, interval, over)


FALLS = [fall_of("ncm", 0.8, 0.7, "a", "b"), fall_of("ridge", 0.9, 0.6, "a")]


def svg_of(chance: list[float], metric: str = "accuracy") -> str:
    figure = falls_section(metric, FALLS, ["0 of 4"] * 2, chance).figure
    assert figure is not None
    return str(figure)


def test_a_fall_that_rounds_to_zero_has_no_sign() -> None:
    section = falls_section("auroc", [fall_of("ncm", 0.7, 0.7004, "a")], ["0 of 4"], [0.5])
    assert [cell.text for cell in section.rows[0] if isinstance(cell, TableCell)][1:4] == [
        "70.0",
        "70.0",
        "0.0",
    ]
    assert str(Interval(-0.0004, nan, nan, 4, "t")) == "0.000"


def middle(line: ElementTree.Element) -> float:
    assert line.attrib["x1"] == line.attrib["x2"]
    return float(line.attrib["x1"])


def test_one_chance_level_is_one_line_with_its_name() -> None:
    svg = svg_of([0.5, 0.5])
    (line,) = drawn(svg, "line", "chance")
    assert ">chance<" in svg
    # Ticks are 10 percentage points apart, and 50 is one of them.
    assert middle(line) in [pytest.approx(middle(each)) for each in drawn(svg, "line", "grid")]
    assert "dashed line in a row" not in svg


def test_rows_over_other_targets_have_their_own_chance_level() -> None:
    svg = svg_of([0.5, 0.25])
    first, second = drawn(svg, "line", "chance")
    assert middle(second) < middle(first)
    assert float(first.attrib["y1"]) < float(second.attrib["y2"])
    assert "the dashed line in a row is chance on its targets" in svg


def test_metrics_without_a_chance_level_have_no_line() -> None:
    svg = svg_of([nan, nan], "mae")
    assert "chance" not in svg
