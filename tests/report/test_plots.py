"""Marks stand where the numbers say, and lines keep their peaks and their gaps."""

from __future__ import annotations

from itertools import pairwise
from math import isnan, nan
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchcross.report import Curve
from torchcross.report.plots import (
    EpisodeStrip,
    ShotsPoint,
    episode_strips,
    learning_curves,
    shots_plot,
)
from torchcross.report.rank_diagram import rank_diagram
from torchcross.report.svg import AxisScale, line_path, marker, thin_points, ticks

FINITE = st.floats(-1e6, 1e6)


def drawn(markup: str, name: str, kind: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(markup)
    found = root.iter(f"{{http://www.w3.org/2000/svg}}{name}")
    return [node for node in found if kind in node.get("class", "").split()]


@given(FINITE, FINITE, st.integers(2, 10))
def test_ticks_are_round_and_within(one: float, other: float, about: int) -> None:
    low, high = sorted((one, other))
    if high - low < 1e-3:
        return
    found = ticks(low, high, about)
    assert len(found) <= 2 * about + 1
    slack = 1e-6 * (high - low)
    assert all(low - slack <= tick <= high + slack for tick in found)
    gaps = {f"{later - earlier:.3e}" for earlier, later in pairwise(found)}
    assert all(gap[0] in "125" and gap[1:5] == ".000" for gap in gaps)


def test_ticks_of_a_score() -> None:
    assert ticks(0.43, 0.92, 5) == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert ticks(3, 3) == [3]
    assert ticks(nan, 1) == []


def test_a_doubling_takes_the_same_room() -> None:
    scale = AxisScale(1, 16, 0, 100, doubling=True)
    assert [round(scale(shots), 9) for shots in (1, 2, 4, 16)] == [0, 25, 50, 100]
    assert AxisScale(5, 5, 0, 100)(5) == 50


@given(st.lists(st.one_of(FINITE, st.just(nan)), max_size=3000))
def test_thinning_keeps_the_extremes_and_the_gaps(values: list[float]) -> None:
    points = [(float(place), value) for place, value in enumerate(values)]
    kept = thin_points(points, most=40)
    assert len(kept) <= 70
    assert kept == sorted(kept, key=lambda point: point[0])
    finite = [value for value in values if not isnan(value)]
    shown = [value for _, value in kept if not isnan(value)]
    if finite:
        assert (min(shown), max(shown)) == (min(finite), max(finite))
    assert any(isnan(value) for _, value in kept) == (len(finite) < len(values))


def test_thinning_keeps_a_single_gap() -> None:
    points = [(float(place), nan if place == 501 else place % 7) for place in range(1000)]
    assert [place for place, value in thin_points(points, most=40) if isnan(value)] == [501]


def test_a_line_is_interrupted_where_nothing_is_known() -> None:
    path = line_path([(0, 1), (1, 2), (2, nan), (3, 4), (4, 5)], 1)
    assert 'd="M0.0 1.0L1.0 2.0M3.0 4.0L4.0 5.0"' in path
    assert 'd="M0.0 1.0h0"' in line_path([(0, 1), (1, nan)], 1)
    assert line_path([(0, nan)], 0) == ""


def test_series_differ_in_colour_or_in_shape() -> None:
    assert len({marker(0, 0, series) for series in range(16)}) == 16


def test_a_learning_curve_marks_the_step_that_was_kept() -> None:
    curve = Curve("maml", "auroc", [0, 50, 100], [0.5, 0.9, 0.7], best=50)
    figure = learning_curves("oct", "auroc", [(curve, 2)])
    (line,), (kept,) = drawn(figure, "path", "line"), drawn(figure, "line", "kept")
    points = [tuple(map(float, point.split())) for point in line.attrib["d"][1:].split("L")]
    assert float(kept.attrib["x1"]) == points[1][0]
    assert points[1][1] < points[2][1] < points[0][1]
    (mark,) = drawn(figure, "polygon", "mark")
    assert "maml: 0.9 at step 50, kept" in ElementTree.tostring(mark, encoding="unicode")


def test_steps_are_whole() -> None:
    figure = learning_curves("", "loss", [(Curve("a", "loss", [1, 2], [0.5, 0.25]), 0)])
    assert [node.text for node in drawn(figure, "text", "tick")][-2:] == ["1", "2"]


def test_a_curve_of_nothing_defined_is_an_empty_plot() -> None:
    figure = learning_curves("", "loss", [(Curve("a", "loss", [1, 2], [nan, nan], best=1), 0)])
    assert drawn(figure, "path", "line") == []


def test_whiskers_span_the_intervals() -> None:
    levels = [ShotsPoint(1, 60, 55, 65), ShotsPoint(5, 70, nan, nan)]
    figure = shots_plot("oct", "auroc (%)", [("maml", 0, levels)])
    (whisker,) = drawn(figure, "line", "line")
    first, second = drawn(figure, "circle", "mark")
    y1, y2 = float(whisker.attrib["y1"]), float(whisker.attrib["y2"])
    assert (y1 + y2) / 2 == pytest.approx(float(first.attrib["cy"]), abs=0.02)
    assert float(second.attrib["cy"]) < float(first.attrib["cy"])


def test_a_strip_has_a_dot_per_defined_episode_and_its_mean() -> None:
    rows = [
        EpisodeStrip("maml", 0, ShotsPoint(5, 70, 65, 75), [60, 70, 80, nan, 70]),
        EpisodeStrip("a name that is much too long", 1, ShotsPoint(1, nan, nan, nan), [nan]),
    ]
    figure = episode_strips("oct", "auroc (%)", rows)
    (dots,) = drawn(figure, "path", "dots")
    places = [
        tuple(map(float, dot.removesuffix("h0").split())) for dot in dots.attrib["d"][1:].split("M")
    ]
    assert len(places) == 4
    assert len(set(places)) == 4
    (mark,), (whisker,) = drawn(figure, "circle", "mark"), drawn(figure, "line", "whisker")
    assert places[0][0] < places[1][0] == pytest.approx(float(mark.attrib["cx"]), abs=0.1)
    assert float(whisker.attrib["x1"]) < float(mark.attrib["cx"]) < float(whisker.attrib["x2"])
    text = "".join(ElementTree.fromstring(figure).itertext())
    assert "no defined value" in text
    assert "a name th… too longa name that is much too long" in text
    assert text.index("1 shot") < text.index("5 shots")


def test_the_diagram_places_ranks_and_joins_what_is_not_separated() -> None:
    # The published table of the ResNet-18 rows: mean ranks, and the critical difference of 3
    # algorithms on 18 targets.
    names, ranks = ("IM-PT", "mm-PT", "mm-MAML"), (1.167, 1.917, 2.917)
    figure = rank_diagram(names, ranks, [("IM-PT", "mm-PT")], 0.781, (0, 1, 2))
    marks = [
        float(drawn(figure, "circle", "mark")[0].attrib["cx"]),
        *(
            float(node.attrib["points"].split(",")[0]) + 4
            for node in drawn(figure, "polygon", "mark")[:1]
        ),
    ]
    unit = (marks[1] - marks[0]) / (1.917 - 1.167)
    (bar,) = drawn(figure, "line", "group")
    assert float(bar.attrib["x1"]) == pytest.approx(marks[0] - 3, abs=0.1)
    assert float(bar.attrib["x2"]) == pytest.approx(marks[1] + 3, abs=0.1)
    ruler = next(node for node in drawn(figure, "line", "ruler") if node.attrib["y1"] == "26")
    assert float(ruler.attrib["x2"]) - float(ruler.attrib["x1"]) == pytest.approx(
        0.781 * unit, rel=0.01
    )
    assert "IM-PT 1.17; mm-PT 1.92; mm-MAML 2.92. Critical difference 0.78" in figure
