"""Labels stand apart, marks stand where numbers say, and cells are shaded by rank."""

from __future__ import annotations

from math import nan
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from torchcross.report.label_places import Box, label_places
from torchcross.report.labelled_points import MOST_LABELS, LabelledPoint, map_plot, scatter_plot
from torchcross.report.rank_matrix import MatrixCell, rank_matrix
from torchcross.report.rank_strips import RankStrip, rank_strips
from torchcross.report.tree_plot import tree_plot

PLACES = st.tuples(st.floats(10, 590), st.floats(10, 390))
FRAME = Box(0, 0, 600, 400)


def drawn(markup: str, name: str, kind: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(markup)
    nodes = root.iter(f"{{http://www.w3.org/2000/svg}}{name}")
    return [node for node in nodes if kind in node.get("class", "").split()]


@given(st.lists(PLACES, min_size=1, max_size=25), st.integers(1, 18))
@max_examples(40)
def test_no_label_covers_another_one_or_a_mark(points, length: int) -> None:
    places = label_places(points, [length] * len(points), FRAME)
    boxes = [place.box for place in places if place is not None]
    assert len(places) == len(points)
    assert all(FRAME.contains(box) for box in boxes)
    for number, box in enumerate(boxes):
        assert not any(box.overlap(other) for other in boxes[number + 1 :])
        assert not any(box.overlap(Box(x, y, x + 1e-9, y + 1e-9)) for x, y in points)


def test_a_label_leaves_lines_free_where_there_is_room() -> None:
    line = Box(300, 199, 420, 201)
    (place,) = label_places([(300.0, 200.0)], [6], FRAME, [line])
    assert place is not None
    assert place.box.overlap(line) == 0


def test_points_and_their_intervals_stand_where_the_numbers_say() -> None:
    points = [
        LabelledPoint("a", 0, 0, low_y=-1, high_y=1),
        LabelledPoint("b", 10, 5, low_x=9, high_x=11),
        LabelledPoint("c", 5, 2.5, low_x=nan),
    ]
    plot = scatter_plot("a plot", "distance", "gain", points, zero=True)
    marks = drawn(plot, "circle", "mark")
    x, y = ([float(mark.get(name)) for mark in marks] for name in ("cx", "cy"))
    assert abs(x[2] - (x[0] + x[1]) / 2) < 0.02
    assert abs(y[2] - (y[0] + y[1]) / 2) < 0.02
    assert y[1] < y[0]
    assert len(drawn(plot, "line", "thin")) == 2
    assert [label.text for label in drawn(plot, "text", "name")] == ["a", "b", "c"]


def test_many_points_have_no_labels() -> None:
    points = [LabelledPoint(str(x), x, x) for x in range(MOST_LABELS + 1)]
    plot = scatter_plot("a plot", "x", "y", points)
    assert drawn(plot, "text", "name") == []
    assert len(drawn(plot, "circle", "mark")) == MOST_LABELS + 1


def test_a_map_of_one_place_is_drawn() -> None:
    plot = map_plot("a map", [LabelledPoint("a", 1, 1), LabelledPoint("b", 1, 1)])
    assert {mark.get("cx") for mark in drawn(plot, "circle", "mark")} == {"340"}


def test_a_tree_joins_all_names() -> None:
    plot = tree_plot("a tree", ["a", "b", "c"], [(0, 2, 1.0), (1, 3, 4.0)], [0, 2, 1], "d")
    assert [label.text for label in drawn(plot, "text", "name")] == ["a", "c", "b"]
    assert len(drawn(plot, "line", "branch")) == 6


def test_strips_end_where_the_axis_does() -> None:
    strip = RankStrip("LogME", {"t": 0.5, "u": nan}, 0.5, -7.0, 8.0, 0)
    plot = rank_strips("strips", "tau", [strip], (-1.0, 1.0))
    (whisker,) = drawn(plot, "line", "whisker")
    assert float(whisker.get("x1")) >= 170
    assert float(whisker.get("x2")) <= 680
    assert len(drawn(plot, "circle", "dot")) == 1


def test_the_best_is_darkest_and_what_is_missing_is_blank() -> None:
    cells = [MatrixCell("1", 1.0, "", 0.0), MatrixCell("2", 2.0, "", 1.0), MatrixCell()]
    text = rank_matrix("caption", "source", ["a", "b", "c"], [("x", cells)])
    assert '<td class="number shade6 best" data-value="1.0">1</td>' in text
    assert '<td class="number shade1" data-value="2.0">2</td>' in text
    assert '<td class="number" data-value=""></td>' in text
