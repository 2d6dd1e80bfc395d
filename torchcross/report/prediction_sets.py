"""Conformal prediction sets: a section of the page with their coverage and their size."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from torchcross.report.html import TableCell, TableColumn
from torchcross.report.inputs import PageTable
from torchcross.report.numbers import shots_title
from torchcross.statistics import Interval, SetValues

_METHODS = {
    "leave-one-out": (
        "Each sample of the support was left out once (CV+). The guarantee is a coverage of"
        " {least:.0%}; what is seen is near {level:.0%}."
    ),
    "split": (
        "Half of the support fitted the head, and the other half set the size of the sets. The"
        " guarantee is a coverage of {level:.0%}."
    ),
}
_LEGEND = (
    "The prediction set of an image has the classes that may be the true one. Coverage is the share"
    " of images (of several labels: of labels of images) whose set has the truth, size the mean"
    " number of classes in a set (of a label: of its two answers). Small supports have large sets:"
    " with too few samples to compare with, every class is in every set. The guarantee is on"
    " average over supports and images that are drawn alike."
)
_ABSENT = (
    "Sets are made for rows that are a logistic regression, where each class has two samples in"
    " every support: not at 1 shot, not at 0, and not from all labels. A row whose supports do not"
    " have them says so."
)


def prediction_set_tables(
    values: Sequence[SetValues], method: str, level: float, absent: str = ""
) -> list[PageTable]:
    """The section; none where the experiment asks for no sets.

    `absent` says why the run stores no predictions, and so no sets.
    """
    if method == "none":
        return []
    about = _METHODS[method].format(level=level, least=max(0.0, 2 * level - 1))
    over = {
        each.over for value in values for each in (value.coverage, value.size) if isfinite(each.low)
    }
    caption = f"Coverage and size of prediction sets at {level:.0%}"
    if over:
        caption += f"; intervals over {', '.join(sorted(over))}"
    texts = [about, _LEGEND, _ABSENT]
    if absent:
        texts.append(
            f"No prediction sets: they are stored with predictions of single images, and {absent}."
        )
    numbers = ("coverage", "size", "of")
    columns = [
        *(TableColumn("target"), TableColumn("shots", is_number=True), TableColumn("algorithm")),
        *(TableColumn(name, is_number=True) for name in numbers),
    ]
    rows = [_row(value) for value in values]
    if any(value.absent for value in values):
        columns.append(TableColumn("without sets"))
        rows = [[*row, value.absent] for row, value in zip(rows, values, strict=True)]
    return [
        PageTable(
            identifier="sets",
            title="Prediction sets",
            caption=caption,
            texts=texts,
            columns=columns,
            rows=rows,
        )
    ]


def _row(value: SetValues) -> list[TableCell | str]:
    return [
        value.target,
        TableCell(shots_title(value.shots), value.shots),
        value.algorithm,
        TableCell(_text(value.coverage, 3), value.coverage.mean),
        TableCell(_text(value.size, 2), value.size.mean),
        TableCell(str(value.largest), value.largest),
    ]


def _text(value: Interval, digits: int) -> str:
    if not isfinite(value.mean):
        return "none"
    mean = f"{value.mean:.{digits}f}"
    return f"{mean} ± {value.half:.{digits}f}" if isfinite(value.half) else mean
