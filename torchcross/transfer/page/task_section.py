"""How alike the tasks are: a map, a tree and a table of their distances."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import Final

from torchcross.report.html import TableCell, TableColumn, note, series_keys, sortable_table
from torchcross.report.labelled_points import LabelledPoint, map_plot
from torchcross.report.markup import Markup, element
from torchcross.report.tree_plot import tree_plot
from torchcross.transfer.page.contents import StudyContents, TaskMap
from torchcross.transfer.page.words import short_names
from torchcross.transfer.similarity.geometry import (
    TaskDistances,
    classical_scaling,
    linkage_tree,
)

_SOURCE, _TARGET, _BOTH = 0, 1, 2
_KINDS: Final = ("source", "target", "source and target")


def task_section(contents: StudyContents) -> Iterator[Markup]:
    for name, tasks in contents.tasks.items():
        yield element("h3", name)
        if tasks.distances is None:
            yield note(f"There is no map: {tasks.reason}.")
            continue
        yield _map(contents, name, tasks.distances)
        yield _tree(name, tasks.distances)
        yield _table(name, tasks, tasks.distances)
        if tasks.floors:
            yield note(
                f"The noise floor of a dataset is the distance of {tasks.floor_words}. A distance"
                " below the floors of its two datasets means nothing."
            )


def _map(contents: StudyContents, name: str, distances: TaskDistances) -> Markup:
    points, share = classical_scaling(distances.values)
    shorts = short_names(distances.names)
    marked = [
        LabelledPoint(shorts[task], float(x), float(y), _kind(contents, task), task)
        for task, (x, y) in zip(distances.names, points, strict=True)
    ]
    kinds = sorted({point.series for point in marked})
    caption = (
        f"Map of the distances {name} by classical scaling: near tasks are alike. Axes and"
        f" directions mean nothing. The plane shows {100 * share:.0f} % of what the distances say."
    )
    keys = [(_KINDS[kind], kind) for kind in kinds if kind < len(_KINDS)]
    return element(
        "figure",
        element("figcaption", caption),
        series_keys(keys),
        element(
            "div",
            map_plot(f"Map of tasks by {name}", marked),
            class_="scroll wide unscaled",
            tabindex=0,
        ),
    )


def _kind(contents: StudyContents, task: str) -> int:
    results = contents.results
    if task in results.targets:
        return _BOTH if task in results.sources else _TARGET
    return _SOURCE


def _tree(name: str, distances: TaskDistances) -> Markup:
    merges, order = linkage_tree(distances.values)
    names = list(short_names(distances.names).values())
    image = tree_plot(f"Tree of tasks by {name}", names, merges, order, name)
    caption = (
        "Tree of the same distances (complete linkage): two groups meet at the largest distance"
        " between their members."
    )
    return element(
        "figure",
        element("figcaption", caption),
        element("div", image, class_="scroll wide unscaled", tabindex=0),
    )


def _table(name: str, tasks: TaskMap, distances: TaskDistances) -> Markup:
    columns = [TableColumn("task")]
    columns += [TableColumn(task, is_number=True) for task in distances.names]
    if tasks.floors:
        columns.append(TableColumn("noise floor", is_number=True))
    rows = []
    for number, task in enumerate(distances.names):
        row: list[TableCell | str] = [task]
        row += [_number(value) for value in distances.values[number].tolist()]
        if tasks.floors:
            row.append(_number(tasks.floors.get(task, float("nan"))))
        rows.append(row)
    table = sortable_table(f"Distances of tasks: {name}", columns, rows)
    return element("details", element("summary", "The distances as a table"), table)


def _number(value: float) -> TableCell:
    return TableCell("—" if isnan(value) else f"{value:.3f}", value)
