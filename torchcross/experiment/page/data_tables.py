"""Tables of a page on what a study used: images and subjects, draws, chance levels, compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from torchcross.data.plan_files.drawn_images import DrawnImages
from torchcross.experiment.page.environment_block import environment_block
from torchcross.experiment.page.row_names import RowNames
from torchcross.experiment.rows.target_episodes import has_class
from torchcross.experiment.run.episode_files import UNREADABLE, read_plans
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.settings.shots import episode_shots
from torchcross.records import ALL_SHOTS, Records
from torchcross.report import PageTable
from torchcross.report.html import TableCell, TableColumn

Counts = NDArray[np.int64]
_DATA_LEGEND: Final = (
    "Images and subjects of each class of the targets, as their labels say. An image with several"
    " labels counts for each of them. Drawn: the images that were in an episode, and how often the"
    " drawn ones were in one, at the most shots. Images that are drawn often make episodes alike:"
    " their number says less than it seems to."
)
_CHANCE_LEGEND: Final = (
    "What is expected of decisions drawn uniformly, and of random ranks. Average precision,"
    " F1 and errors in grades depend on how frequent the classes are, and have no such level."
)
_COMPUTE_LEGEND: Final = (
    "What each row computed, over all targets and training seeds. Targets that leave the same"
    " sources share a training. Adaptations: episodes that the row adapted to and was scored on."
    " These counts are the same on every machine."
)


def study_tables(
    run: RunFolder,
    protocol: Mapping[str, Any],
    records: Records,
    names: RowNames,
    trainings: Sequence[Mapping[str, Any]],
    *,
    times: bool,
) -> list[PageTable]:
    """What can be said of this run; runs of earlier versions say less.

    times  a section says when and where it was made, and how long each row took
    """
    targets = _in_order(protocol)
    compute = _compute_table(records, names.of_trainings(trainings))
    tables = [_data_table(run, targets), _chance_table(targets), compute]
    if times:
        shown = {name: names[name] for name in run.algorithms}
        tables += environment_block(run, records, shown)
    return [table for table in tables if table.rows]


def _in_order(protocol: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The targets in the order of the experiment; JSON files of a run sort names."""
    places = {name: place for place, name in enumerate(protocol.get("order of targets", ()))}
    targets = protocol.get("episodes of targets", {})
    by_place = sorted(targets, key=lambda key: places.get(targets[key].get("name"), len(places)))
    return {key: targets[key] for key in by_place}


# -- data ------------------------------------------------------------------------------------------


def _data_table(run: RunFolder, targets: Mapping[str, Mapping[str, Any]]) -> PageTable:
    names = ("images", "subjects", "drawn", "times drawn, median", "times drawn, most")
    columns = [TableColumn("target"), TableColumn("class")]
    columns += [TableColumn(name, is_number=True) for name in names]
    rows: list[list[TableCell | str]] = []
    texts = [_DATA_LEGEND]
    for key, target in targets.items():
        data = target.get("data")
        if data is None:
            continue
        try:
            drawn = _drawn_images(run, key)
        except UNREADABLE as error:
            drawn = None
            texts.append(f"The draws of {target.get('name', key)} are not known: {error}")
        counts = times_drawn(drawn, len(data["classes"]))
        for place, each in enumerate(data["classes"]):
            is_used = each["class"] not in target["classes left out"]
            name = each["class"] if is_used else f"{each['class']} (left out)"
            sizes = [_count_cell(each["images"]), _count_cell(each["subjects"])]
            cells = _draw_cells(counts[place]) if drawn is not None else [_count_cell(None)] * 3
            rows.append([target.get("name", key), name, *sizes, *cells])
    return PageTable(
        "data", "Data", "Images and subjects by target and class", texts, columns, rows
    )


def _drawn_images(run: RunFolder, target: str) -> DrawnImages | None:
    """What the episodes of the most shots drew; None where the run has no plans of them."""
    most = max(episode_shots(run.experiment["shots"]), default=0)
    path = run.files.plans(target, most)
    return read_plans(path, []) if path.is_file() else None


def times_drawn(drawn: DrawnImages | None, classes: int) -> list[Counts]:
    """For each class, how often each of its drawn images is in an episode."""
    if drawn is None:
        return []
    _, first, counts = np.unique(drawn.images, return_index=True, return_counts=True)
    labels = drawn.stratum_labels[drawn.strata[first]]
    return [counts[has_class(labels, place)] for place in range(classes)]


def _draw_cells(counts: Counts) -> list[TableCell]:
    if not len(counts):
        return [_count_cell(0), _count_cell(None), _count_cell(None)]
    median = float(np.median(counts))
    return [
        _count_cell(len(counts)),
        TableCell(f"{median:g}", median),
        _count_cell(int(counts.max())),
    ]


def _count_cell(count: int | None) -> TableCell:
    return TableCell("—", nan) if count is None else TableCell(f"{count:,}", count)


# -- chance ----------------------------------------------------------------------------------------


def _chance_table(targets: Mapping[str, Mapping[str, Any]]) -> PageTable:
    metrics = sorted({name for each in targets.values() for name in each.get("chance", {})})
    columns = [TableColumn("target"), *(TableColumn(name, is_number=True) for name in metrics)]
    rows: list[list[TableCell | str]] = []
    for key, target in targets.items():
        if levels := target.get("chance"):
            cells = [
                TableCell(f"{levels[name]:.3f}", levels[name])
                if name in levels
                else _count_cell(None)
                for name in metrics
            ]
            rows.append([target.get("name", key), *cells])
    return PageTable("chance", "Chance", "Chance levels by target", [_CHANCE_LEGEND], columns, rows)


# -- compute ---------------------------------------------------------------------------------------


def _compute_table(records: Records, trainings: Sequence[Mapping[str, Any]]) -> PageTable:
    names = ("trainings", "training steps", "adaptations")
    columns = [TableColumn("row"), *(TableColumn(name, is_number=True) for name in names)]
    rows = list(_compute_rows(records, trainings))
    return PageTable("compute", "Compute", "Compute by row", [_COMPUTE_LEGEND], columns, rows)


def _compute_rows(
    records: Records, trainings: Sequence[Mapping[str, Any]]
) -> Iterator[list[TableCell | str]]:
    for algorithm in records.unique("algorithm"):
        own = [training for training in trainings if training["algorithm"] == algorithm]
        steps = sum(training["steps"] for training in own)
        columns = records.where(algorithm=algorithm).columns
        names = ("target", "shots", "seed", "episode")
        episodes = set(zip(*(columns[name].tolist() for name in names), strict=True))
        # The row of full supervision has one "episode", its test split: nothing is adapted.
        adapted = sum(1 for _, shots, _, _ in episodes if shots not in (0, ALL_SHOTS))
        yield [algorithm, _count_cell(len(own)), _count_cell(steps), _count_cell(adapted)]
