"""Reliability: the share of images with a class against the probability that was predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchcross.report.markup import Markup, element
from torchcross.report.svg import (
    AxisScale,
    PlotArea,
    line_path,
    marker,
    straight_line,
    svg_image,
    ticks,
)
from torchcross.statistics import Calibration

_WIDTH, _HEIGHT = 340.0, 300.0
_LARGEST, _SMALLEST = 6.0, 1.6

Line = tuple[str, int, Calibration]


def reliability_plot(title: str, lines: Sequence[Line]) -> Markup:
    """A line for each algorithm, over all classes together; on the dotted line all is as said.

    Of two classes, the second. The area of a mark is the share of predictions in its bin.
    """
    area = PlotArea(AxisScale(0, 100, 46, _WIDTH - 12), AxisScale(0, 100, _HEIGHT - 40, 14))
    marks = ticks(0.0, 100.0, 5)
    parts = [area.axes(marks, marks, "predicted probability (%)")]
    parts.append(straight_line(area.x(0), area.y(0), area.x(100), area.y(100), "kept"))
    for name, series, calibration in lines:
        counts, mean, share = _over_classes(calibration)
        points = [(area.x(p), area.y(s)) for p, s in zip(mean, share, strict=True)]
        parts.append(line_path(points, series))
        for (x, y), count, p, s in zip(points, counts, mean, share, strict=True):
            size = max(_SMALLEST, _LARGEST * float(np.sqrt(count / sum(counts))))
            hint = f"{name}: {s:.0f} % of {count:,} predictions of {p:.0f} %"
            parts.append(marker(x, y, series, hint, size))
    names = ", ".join(name for name, _, _ in lines)
    description = f"{title}: share of images with the class by predicted probability, of {names}"
    image = svg_image(_WIDTH, _HEIGHT, description, *parts)
    caption = element("figcaption", "Images that have the class (%), by predicted probability")
    return element("figure", caption, image, class_="square")


def _over_classes(calibration: Calibration) -> tuple[list[int], list[float], list[float]]:
    """(predictions, mean probability in percent, share in percent) of each bin with any."""
    bins = calibration.reliability
    classes = slice(None)
    if len(calibration.classes) == 2 and not calibration.of_labels:
        # Both classes say the same.
        classes = slice(1, None)
    counts = bins.counts[classes]
    totals = counts.sum(axis=0)
    filled = totals > 0
    sums = [np.nan_to_num(part[classes]) * counts for part in (bins.mean, bins.share)]
    mean, share = (100 * each.sum(axis=0)[filled] / totals[filled] for each in sums)
    return totals[filled].tolist(), mean.tolist(), share.tolist()
