"""Plots name their unit and show where chance is; pictures tell class and score apart."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from pathlib import Path

from tests.report.reading import Node, page_of, read_page
from tests.report.sample import example, records
from torchcross.report import Curve
from torchcross.report.plots import (
    EpisodeStrip,
    ShotsPoint,
    episode_strips,
    learning_curves,
    shots_plot,
)
from torchcross.report.profile_plot import ProfileLine, profile_plot

POINT = ShotsPoint(1, 70.0, 65.0, 75.0)


def test_scores_against_shots_have_their_unit_and_a_line_at_chance() -> None:
    lines = [("maml", 0, [POINT, replace(POINT, shots=5)])]
    figure = read_page(shots_plot("oct", "AUROC (%)", lines, 50.0))
    texts = [text.text for text in figure.all("text")]
    assert "AUROC (%)" in texts
    assert "chance" in texts
    (line,) = figure.all("line", "chance")
    assert line.attributes["y1"] == line.attributes["y2"]
    unknown = read_page(shots_plot("oct", "loss", lines, nan))
    assert unknown.all("line", "chance") == []


def test_strips_of_episodes_have_an_upright_line_at_chance() -> None:
    strips = [EpisodeStrip("maml", 0, POINT, [70.0, 72.0])]
    figure = read_page(episode_strips("oct", "AUROC (%)", strips, 50.0))
    (line,) = figure.all("line", "chance")
    assert line.attributes["x1"] == line.attributes["x2"]
    assert_name_is_above(figure)


def assert_name_is_above(figure: Node) -> None:
    """In the picture, and above the area of the plot, where curves and dots are."""
    (line,) = figure.all("line", "chance")
    (name,) = [text for text in figure.all("text") if text.text == "chance"]
    top = min(float(line.attributes[end]) for end in ("y1", "y2"))
    assert 11 <= float(name.attributes["y"]) < top


def test_no_curve_of_a_profile_runs_through_the_name_of_its_line() -> None:
    for chance in (40.0, 90.0):
        curve = ProfileLine("maml", 0, [40.0, 90.0], [100.0, 0.0], [nan, nan], [nan, nan])
        figure = read_page(profile_plot("1 shot", "AUROC (%)", [curve], chance))
        assert_name_is_above(figure)
        (name,) = [text for text in figure.all("text") if text.text == "chance"]
        assert float(name.attributes["x"]) + 18 <= 640


def test_learning_curves_name_what_they_show() -> None:
    curve = Curve("a", "validation AUROC (%)", [1, 2], [60.0, 70.0], chance=50.0)
    figure = read_page(learning_curves("oct", curve.quantity, [(curve, 0)]))
    assert "validation AUROC (%)" in [text.text for text in figure.all("text")]
    assert len(figure.all("line", "chance")) == 1


def test_captions_tell_class_and_score_apart_and_the_support_has_every_class(
    tmp_path: Path,
) -> None:
    one = example()
    many = replace(one, support=(*one.support[:2] * 60, *one.support[2:]))
    section = page_of(tmp_path, records(1, 1), examples=[many]).by_id("examples")
    support, *_ = section.all("ul", "pictures")
    shown = [item.text for item in support.all("li")]
    assert {"disc", "square", "star"} <= set(shown)
    assert shown[-1] == f"and {len(many.support) - len(shown) + 1} more"
    (wrong, *_) = section.all("li", "wrong")
    verdict, truth = wrong.all("span", "verdict")
    assert verdict.text.startswith("✗ ")
    assert "%" not in verdict.text
    assert truth.text.startswith("truth: ")
    assert wrong.all("small", "score")[0].text.startswith("probability ")
