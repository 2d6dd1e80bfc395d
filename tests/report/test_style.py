"""Both themes can be read: contrast after WCAG 2.2, and one set of colours however dark was
chosen.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from tests.report.reading import page_of
from tests.report.sample import records
from torchcross.records import Means

CSS = files("torchcross.report").joinpath("assets", "report.css").read_text(encoding="utf-8")
TEXT = ("ink", "soft", "link", "bad")
PAPERS = ("paper", "mark")


def colours(selector: str) -> dict[str, str]:
    block = CSS[CSS.index(selector + " {") :].partition("{")[2].partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


THEMES = {"light": colours(":root"), "dark": colours(':root[data-theme="dark"]')}


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_the_standard_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read(theme: str) -> None:
    found = THEMES[theme]
    pairs = [(text, paper) for text in TEXT for paper in PAPERS]
    pairs += [("ink", "warn-paper"), ("link", "warn-paper"), ("ink", "panel")]
    low = {pair: contrast(found[pair[0]], found[pair[1]]) for pair in pairs}
    assert {pair: value for pair, value in low.items() if value < 4.5} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_marks_can_be_seen(theme: str) -> None:
    found = THEMES[theme]
    assert {name for name in found if re.fullmatch(r"s\d", name)} == {
        f"s{number}" for number in range(8)
    }
    low = {number: contrast(found[f"s{number}"], found["paper"]) for number in range(8)}
    assert {number: value for number, value in low.items() if value < 3} == {}


def test_dark_is_the_same_by_preference_and_by_choice() -> None:
    assert colours(':root:not([data-theme="light"])') == THEMES["dark"]
    assert set(THEMES["light"]) == set(THEMES["dark"])


def test_what_is_for_paper_is_shown_there_and_numbers_are_whole() -> None:
    screen, _, paper = CSS.partition("@media print {")
    assert ".paper { display: none; }" in screen
    assert "p.paper, div.paper { display: block; }" in paper
    assert ".screen" in paper.partition("{ display: none !important; }")[0]
    assert ".number, thead th { overflow-wrap: normal; }" in paper


def test_a_phone_names_the_shots_of_a_head_as_the_tables_do(tmp_path: Path) -> None:
    heads = page_of(tmp_path, records(1, 1)).all("table", "headline")[0].all("th", "number")
    groups = {head.attributes["data-shots"]: head.attributes["data-group"] for head in heads}
    assert groups == {"1": "1 shot", "5": "5 shots", "10": "10 shots"}
    means = Means([[1.0, 2.0]], ["a", "b"], ["d/t"])
    (table,) = page_of(tmp_path, means).all("table", "headline")
    assert not any("data-group" in head.attributes for head in table.all("th"))
    (own,) = re.findall(r"\.headline th\[data-group\]::before { content: ([^;]*);", CSS)
    assert own.startswith("attr(data-group)")
    assert "attr(data-shots)" not in CSS


def test_every_series_has_its_colours() -> None:
    for number in range(8):
        for kind in ("mark", "cloud", "line", "dots"):
            assert f"svg .s{number}.{kind}" in CSS
