"""Results by class and subgroup: a section of the page, and tables as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

from torchcross.records.shots import shots_word
from torchcross.report.calibration import CalibrationResult
from torchcross.report.csv_text import csv_number, csv_text
from torchcross.report.html import (
    TableCell,
    TableColumn,
    data_link,
    explanation,
    note,
    scroll_box,
    sortable_table,
)
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import shots_title
from torchcross.statistics import ClassValue, Confusion, SetValues
from torchcross.statistics.by_class import FEWEST_IMAGES
from torchcross.statistics.image_shares import (
    AUROC,
    SENSITIVITY,
    SENSITIVITY_AT,
    SPECIFICITY,
)

_SHADES = 10
_REFUSED = "too few"


@dataclass(frozen=True)
class ImageResults:
    """What predictions of single images say of a run: by class, by subgroup, and confusions.

    `specificity` is the one at which `sensitivity_at_specificity` was taken, `fewest` the number of
    images below which values of subgroups were refused. `calibrations` say whether probabilities
    mean what they say, `sets` how often prediction sets have the truth. `absent` says why there are
    no results.
    """

    values: Sequence[ClassValue] = ()
    confusions: Sequence[Confusion] = ()
    specificity: float = 0.9
    absent: str = ""
    calibrations: Sequence[CalibrationResult] = ()
    sets: Sequence[SetValues] = ()
    fewest: int = FEWEST_IMAGES


# -- the section -----------------------------------------------------------------------------------


def by_class_section(results: ImageResults) -> Markup:
    """A fold for each target and number of shots, the first one open."""
    if not results.values:
        return note(f"No predictions of single images: {results.absent}.")
    folds: list[Markup] = []
    percent = _percent_of(results.specificity)
    caution = note(
        f"Sensitivity at {percent} % specificity has its threshold from the truth of the query, and"
        " is optimistic. Algorithms are not compared here: each value is of the episodes that its"
        " own algorithm scored."
    )
    for key, values in _by(results.values, "target", "shots").items():
        target, shots = key
        confusions = [each for each in results.confusions if (each.target, each.shots) == key]
        size = element("span", f" {shots_title(shots)}", class_="soft")
        heading = element("summary", target, size)
        parts = [*_tables(values, results.specificity), *map(_confusion, confusions)]
        folds.append(element("details", heading, *parts, open=not folds))
    links = [
        data_link(text, content.encode(), name, "text/csv;charset=utf-8")
        for text, content, name in (
            ("classes and subgroups", class_values_csv(results.values), "by_class.csv"),
            ("confusion matrices", confusions_csv(results.confusions), "confusion.csv"),
        )
    ]
    downloads = element("p", "As CSV: ", join(links, ", "), ".", class_="soft download")
    return join([caution, _legend(results), *folds, downloads])


def _legend(results: ImageResults) -> Markup:
    percent = _percent_of(results.specificity)
    entries = {
        "class": (
            "each class, grade or label is set against all others; of two classes, the second"
            " against the first."
        ),
        "AUROC": (
            "the share of pairs, an image with the class and one without in the same episode, that"
            " the log-odds put in order."
        ),
        "sensitivity, specificity": (
            "of the images with the class, the share that is decided to have it; of those without,"
            " the share that is not."
        ),
        f"at {percent} % specificity": (
            f"the sensitivity at the threshold that {percent} % of the episode's query images"
            " without the class lie below. The threshold is chosen with the truth of the query:"
            " this is what the scores allow, not what an algorithm decides."
        ),
        "±": (
            "half the interval of the share. It is over the episodes of these images, unless the"
            " table says that it is over images."
        ),
        "too few": (
            "a value of a subgroup that has fewer than"
            f" {results.fewest} different images with the class, or without it, where the measure"
            " needs them."
        ),
        "with, without, subjects": (
            "how many different query images have the class, how many do not, and of how many"
            " subjects they are; over all episodes."
        ),
    }
    return explanation("What the columns mean", entries)


def _tables(values: Sequence[ClassValue], specificity: float) -> list[Markup]:
    """The table of all images, then one for each column of subgroups."""
    tables = []
    for (column,), part in _by(values, "column").items():
        caption = f"By class and {column}" if column else "By class"
        tables.append(_table(caption, part, specificity, has_groups=bool(column)))
    return tables


def _table(
    caption: str, values: Sequence[ClassValue], specificity: float, *, has_groups: bool
) -> Markup:
    measures = {
        AUROC: "AUROC (%)",
        SENSITIVITY: "sensitivity (%)",
        SPECIFICITY: "specificity (%)",
        SENSITIVITY_AT: f"at {_percent_of(specificity)} % specificity (%)",
    }
    texts = ["class", "algorithm", *(["subgroup"] if has_groups else [])]
    counts = ["with", "without", "subjects"]
    numbers = [*measures.values(), *counts]
    columns = [
        *map(TableColumn, texts),
        *(TableColumn(name, is_number=True) for name in numbers),
    ]
    rows = []
    for key, several in _by_class(values).items():
        name, algorithm, group = key
        first = several[0]
        by_measure = {value.measure: value for value in several}
        people = "—" if first.subjects is None else str(first.subjects)
        rows.append(
            [
                name,
                algorithm,
                *([group] if has_groups else []),
                *(_cell(by_measure[measure]) for measure in measures),
                TableCell(str(first.with_class), first.with_class),
                TableCell(str(first.without_class), first.without_class),
                TableCell(people, first.subjects or 0),
            ]
        )
    over = {value.interval.over for value in values if isfinite(value.interval.low)}
    about = f"; intervals over {', '.join(sorted(over))}" if over else ""
    return sortable_table(f"{caption}{about}", columns, rows)


def _by_class(values: Sequence[ClassValue]) -> dict[tuple[Any, ...], list[ClassValue]]:
    """By class, algorithm and subgroup, so that what is compared stands together."""
    names = ("class_name", "algorithm", "group")
    orders = [list(dict.fromkeys(getattr(value, name) for value in values)) for name in names]
    rows = _by(values, *names)

    def place(key: tuple[Any, ...]) -> list[int]:
        return [order.index(part) for order, part in zip(orders, key, strict=True)]

    return {key: rows[key] for key in sorted(rows, key=place)}


def _cell(value: ClassValue) -> TableCell:
    interval = value.interval
    if isnan(interval.mean):
        text = _REFUSED if "too few" in interval.note else "—"
        return TableCell(text, interval.mean)
    spread = f" ± {interval.half * 100:.1f}" if isfinite(interval.half) else ""
    return TableCell(f"{interval.mean * 100:.1f}{spread}", interval.mean)


def _confusion(matrix: Confusion) -> Markup:
    """Rows are the truth; a darker cell has a larger share of its row."""
    shares, totals = matrix.share, matrix.counts.sum(axis=1)
    heads = [element("th", name, scope="col", class_="number") for name in matrix.classes]
    body = []
    for place, name in enumerate(matrix.classes):
        head = element("th", name, scope="row")
        size = element("td", f"{totals[place]:,}", class_="number soft")
        cells = (
            _share_cell(float(share), int(count))
            for share, count in zip(shares[place], matrix.counts[place], strict=True)
        )
        body.append(element("tr", head, size, *cells))
    caption = f"Confusion matrix of {matrix.algorithm}: percent of each row"
    corner = element("th", "truth ↓ decision →", scope="col")
    count = element("th", "predictions", scope="col", class_="number")
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", corner, count, *heads)),
        element("tbody", *body),
        class_="confusion",
    )
    return scroll_box(table, caption)


def _share_cell(share: float, count: int) -> Markup:
    if isnan(share):
        return element("td", "—", class_="number")
    shade = round(share * _SHADES)
    title = f"{count:,} predictions"
    return element("td", f"{share * 100:.1f}", class_=f"number shade{shade}", title=title)


def _percent_of(share: float) -> str:
    return f"{share * 100:g}"


def _by(values: Iterable[ClassValue], *names: str) -> dict[tuple[Any, ...], list[ClassValue]]:
    """The values by some of their fields, in the order in which they first appear."""
    groups: dict[tuple[Any, ...], list[ClassValue]] = {}
    for value in values:
        groups.setdefault(tuple(getattr(value, name) for name in names), []).append(value)
    return groups


# -- CSV -------------------------------------------------------------------------------------------


def class_values_csv(values: Iterable[ClassValue]) -> str:
    """One line for each measure of each class, with every digit; one that was refused is empty."""
    rows = []
    for value in values:
        interval = value.interval
        texts = (
            *(value.target, value.algorithm, shots_word(value.shots), value.class_name),
            *(value.column, value.group, value.measure),
        )
        numbers = [csv_number(each) for each in (interval.mean, interval.low, interval.high)]
        about = (interval.over, interval.method, interval.level, interval.n)
        subjects = "" if value.subjects is None else value.subjects
        counts = (value.with_class, value.without_class, subjects, value.predictions)
        rows.append([*texts, *numbers, *about, *counts, interval.note])
    head = (
        "target algorithm shots class column group measure value low high over method level"
        " episodes images_with images_without subjects trials note"
    )
    return csv_text(head.split(), rows)


def confusions_csv(confusions: Iterable[Confusion]) -> str:
    """One line for each pair of a class and a decision."""
    rows = []
    for matrix in confusions:
        shares = matrix.share
        for i, truth in enumerate(matrix.classes):
            for j, decision in enumerate(matrix.classes):
                shots = shots_word(matrix.shots)
                of_cell = (matrix.target, matrix.algorithm, shots, truth, decision)
                rows.append([*of_cell, int(matrix.counts[i, j]), csv_number(float(shares[i, j]))])
    head = "target algorithm shots truth decision predictions share_of_truth"
    return csv_text(head.split(), rows)
