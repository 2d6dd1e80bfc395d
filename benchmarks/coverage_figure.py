"""The figure of docs/uncertainty.md: `python -m benchmarks.coverage_figure OUT.svg TABLE.json ...`.

The tables are files that `benchmarks.coverage --json` wrote. The figure shows binary targets with
5 shots and 100 episodes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torchcross.report.markup import Markup, element
from torchcross.report.svg import (
    AxisScale,
    PlotArea,
    label,
    line_path,
    marker,
    straight_line,
    svg_image,
)

_WIDTH, _HEIGHT, _PANEL = 680.0, 270.0, 340.0
_STYLE = """
svg { font-family: system-ui, sans-serif; background: #fff; }
.tick, .label { fill: #444; font-size: 11px; } .title { fill: #111; font-size: 13px; }
.grid { stroke: #e3e3e3; } .axis { stroke: #888; }
.nominal { stroke: #111; stroke-dasharray: 4 3; }
.line { fill: none; stroke-width: 1.8; } .mark { stroke: #fff; }
.s0.line { stroke: #0067a5; } .s0.mark { fill: #0067a5; }
.s1.line { stroke: #b84a00; } .s1.mark { fill: #b84a00; }
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.coverage_figure", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("tables", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    rows = [row for path in options.tables for row in json.loads(path.read_text())["rows"]]
    options.out.write_text(str(figure(rows)) + "\n")


def figure(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Coverage on the left, false positives of unlike pairs on the right, by images per class."""
    chosen = {
        row["images"]: row["measured"]
        for row in rows
        if (row["kind"], row["shots"], row["episodes"], row["seeds"]) == ("binary", 5, 100, 1)
    }
    return svg_image(
        _WIDTH,
        _HEIGHT,
        "Coverage of intervals and false positives of tests by images per class",
        element("style", Markup(_STYLE)),
        *_panel(0, "Intervals of 95 % that cover the mean, in %", chosen, "coverage", 95),
        *_panel(_PANEL, "Equal algorithms called different at 5 %, in %", chosen, "unlike", 5),
    )


def _panel(
    left: float, title: str, rows: Mapping[int, Any], name: str, nominal: float
) -> list[Markup]:
    images = sorted(rows)
    area = PlotArea(
        AxisScale(images[0] / 1.15, images[-1] * 1.15, left + 40, left + _PANEL - 20, True),
        AxisScale(0, 100, _HEIGHT - 44, 52),
    )
    parts = [label(left + 8, 18, title, "title", "start")]
    for place, (series, text) in enumerate(((1, "over episodes"), (0, "over images"))):
        x = left + 48 + 120 * place
        parts += [marker(x, 36, series), label(x + 8, 40, text, "label", "start")]
    parts.append(area.axes(images, [0, 25, 50, 75, 100], "images of a class"))
    y = area.y(nominal)
    parts.append(straight_line(area.x.start, y, area.x.end, y, "nominal"))
    for series in (1, 0):
        points = [(area.x(n), area.y(100 * rows[n][name][series])) for n in images]
        parts.append(line_path(points, series))
        parts += [marker(x, y, series) for x, y in points]
    return parts


if __name__ == "__main__":
    main()
