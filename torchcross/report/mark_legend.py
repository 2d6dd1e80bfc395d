"""What the signs of a table mean that only some tables have, and what they do not say."""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf

from torchcross.report.cells import SummaryCell
from torchcross.report.summary import Summary
from torchcross.statistics import bounds_of
from torchcross.statistics.bounds import Bounds
from torchcross.statistics.intervals import AT_END


def mark_sentences(summary: Summary) -> Iterator[str]:
    cells = list(summary.cells.values())
    if summary.margin is not None and any(cell.is_equivalent for cell in cells):
        width = summary.notation.text(summary.margin)
        yield (
            f"≈: equivalent to the best, the difference being within ±{width} (two one-sided t"
            " tests, corrected by Holm's method over the pairs)."
        )
    if any(cell.one_training and (cell.is_best or cell.is_tied) for cell in cells):
        yield (
            "° and grey: one training each. These marks are about the trained networks, and not"
            " about the methods: another training may have another best."
        )
    if any(cell.is_best and cell.some_missing for cell in cells):
        yield (
            "\N{ASTERISK OPERATOR}: the best of the rows that are there; other rows of the table"
            " have no score of this target."
        )
    yield from _scale_sentences(summary)
    if names := [name for name in summary.algorithms if name in summary.transductive]:
        yield (
            f"§: transductive ({', '.join(names)}). The prediction for an image depends on the"
            " other query images, of which the other columns know nothing."
        )
    if summary.failures_count_as:
        value = " or ".join(summary.failures_count_as)
        yield (
            f"(n failed): n episodes that the algorithm could not score; each counts as {value}."
            " Where a mean over the episodes that every algorithm of the row scored is another one,"
            " it stands as (x common). The best leads in both; where two algorithms lead, none is"
            " marked."
        )
    if any(cell.partial for cell in cells):
        yield (
            "(n partial): n values are averages over some of the classes, since the query lacks"
            " the others."
        )
    left_out = {name: classes for name, classes in summary.classes_left_out.items() if classes}
    if left_out:
        listed = "; ".join(f"{name}: {', '.join(classes)}" for name, classes in left_out.items())
        yield f"Classes that no episode has: {listed}."
    if any(summary.is_partial(target) for target in summary.targets):
        yield "∂: scores of this target leave out classes."


def _scale_sentences(summary: Summary) -> Iterator[str]:
    """What the ends of the scale of the metric do to intervals and tests."""
    cells = list(summary.cells.values())
    if any(AT_END in cell.interval.note for cell in cells):
        yield (
            "No ±: no interval can be estimated where all scores are an end of the scale; what is"
            " worse, or better, may only not have been seen yet."
        )
    if any(isinf(cell.detectable) for cell in cells):
        yield (
            "(finds none): the test would miss even a difference as large as the whole scale of the"
            " metric."
        )
    if any(_leaves_scale(cell, bounds_of(summary.metric)) for cell in cells):
        yield (
            "Where mean ± half would leave the scale of the metric, the interval does not: it is"
            " longer on one side, and its ends stand in the CSV table."
        )


def _leaves_scale(cell: SummaryCell, bounds: Bounds | None) -> bool:
    mean, half = cell.interval.mean, cell.interval.half
    return bounds is not None and (mean - half < bounds[0] or mean + half > bounds[1])
