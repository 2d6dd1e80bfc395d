"""Pictures of a dataset: labelled images in a grid, like the first figure of the MedIMeta paper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medimeta_adapter.format.info import TaskInfo
from torchcross._kit.argument_checks import checked_int
from torchcross._kit.arrays import Indices
from torchcross._kit.counts import count_text
from torchcross._kit.randomness import Stream, permutation
from torchcross.errors import InputError

if TYPE_CHECKING:
    from medimeta_adapter.format.dataset import MedIMetaDataset

__all__ = ["grid", "overview"]

_PAPER, _INK, _GREY, _LINE = "#ffffff", "#1b1b1b", "#6a6a6a", "#d9d9d9"
_MARGIN, _GAP, _TEXT_WIDTH = 24, 6, 210
_TITLE, _SUBTITLE, _LABEL, _SMALL = 24, 15, 16, 13
_LEADING = 1.25
_LARGEST_TILE = 512
_MOST_PIXELS = 1 << 27
_ENLARGED = 2
"""From this factor on, enlarge an image without interpolation, so that its pixels stay visible."""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class _PictureRow:
    """Text on the left, images with captions on the right. Pixels are read when it is drawn."""

    heading: str
    details: tuple[str, ...]
    dataset: MedIMetaDataset
    images: Indices
    captions: tuple[str, ...] = ()


def grid(
    dataset: MedIMetaDataset,
    task: str | None = None,
    *,
    per_class: int = 6,
    seed: int = 0,
    tile: int = 112,
    most_classes: int = 24,
) -> Image.Image:
    """One row per class (label, grade) of a task; the primary task is the default.

    The seed draws the images of each class. A class without images keeps its row. If there are more
    than `most_classes` classes, the footer counts those that are left out.
    """
    _check(per_class=per_class, tile=tile, most_classes=most_classes)
    _page_width(per_class, tile)
    info = dataset.info
    task_info = info.primary_task if task is None else info.task(task)
    classes = _images_by_class(dataset, task_info)
    stream = Stream(seed, "show", info.id, task_info.name)
    rows = []
    for place, (name, images) in enumerate(classes[:most_classes]):
        drawn = images[permutation(stream, place, len(images))[:per_class]]
        rows.append(_PictureRow(name, (count_text(len(images), "images"),), dataset, drawn))
    title = f"{info.name} ({info.id})" if info.name != info.id else info.id
    parts = (info.domain, f"task: {task_info.name}", _describe_kind(task_info))
    subtitle = "  ·  ".join((*parts, f"{info.total_num_samples:,} images"))
    hidden = len(classes) - most_classes
    footer = f"and {hidden} more" if hidden > 0 else ""
    return _draw_page(title, subtitle, rows, footer, tile, per_class)


def overview(
    datasets: Iterable[MedIMetaDataset], *, per_dataset: int = 8, seed: int = 0, tile: int = 112
) -> Image.Image:
    """One row per dataset: images of its primary task, from as many classes as fit."""
    _check(per_dataset=per_dataset, tile=tile)
    _page_width(per_dataset, tile)
    rows = [_overview_row(dataset, per_dataset, seed, tile) for dataset in datasets]
    if not rows:
        raise InputError("there is no dataset to show; give at least one")
    title = count_text(len(rows), "datasets")
    subtitle = "the primary task of each, and classes of it"
    return _draw_page(title, subtitle, rows, "", tile, per_dataset)


def _check(tile: object, **counts: object) -> None:
    checked_int("tile", tile, most=_LARGEST_TILE)
    for name, count in counts.items():
        checked_int(name, count)


# -- which images ----------------------------------------------------------------------------------


def _images_by_class(dataset: MedIMetaDataset, task: TaskInfo) -> list[tuple[str, Indices]]:
    """Each class with the places of its images."""
    labels = np.asarray(dataset.labels(task.name))
    if labels.ndim == 2:
        return [
            (name, np.flatnonzero(labels[:, place] == 1))
            for place, name in enumerate(task.labels.values())
        ]
    return [(name, np.flatnonzero(labels == value)) for value, name in task.labels.items()]


def _describe_kind(task: TaskInfo) -> str:
    return f"{task.target().kind}, {task.num_labels} {'labels' if task.multilabel else 'classes'}"


def _overview_row(dataset: MedIMetaDataset, most: int, seed: int, tile: int) -> _PictureRow:
    info = dataset.info
    task = info.primary_task
    stream = Stream(seed, "overview", info.id, task.name)
    orders = [
        (name, images[permutation(stream, place, len(images))[:most]])
        for place, (name, images) in enumerate(_images_by_class(dataset, task))
        if len(images)
    ]
    # The first of every class, then the second of every class, until the row is full.
    turns = [
        (name, int(rows[turn])) for turn in range(most) for name, rows in orders if turn < len(rows)
    ]
    captions: dict[int, str] = {}
    for name, row in turns:
        captions.setdefault(row, name)
    shown = list(captions)[:most]
    details = (f"{info.id}  ·  {info.domain}", task.name, _describe_kind(task))
    images = np.array(shown, dtype=np.int64)
    return _PictureRow(info.name, details, dataset, images, tuple(captions[row] for row in shown))


def _tiles(dataset: MedIMetaDataset, rows: Indices, tile: int) -> Iterator[Image.Image]:
    for row in rows:
        pixels = dataset.images([row], channels=3, pixels="uint8")[0]
        image = Image.fromarray(np.ascontiguousarray(pixels.numpy().transpose(1, 2, 0)))
        scale = tile / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        resampling = Image.Resampling.NEAREST if scale >= _ENLARGED else Image.Resampling.LANCZOS
        square = Image.new("RGB", (tile, tile), _PAPER)
        place = ((tile - width) // 2, (tile - height) // 2)
        square.paste(image.resize((width, height), resampling), place)
        yield square


# -- drawing ---------------------------------------------------------------------------------------


def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _line_height(size: int) -> int:
    return round(size * _LEADING)


def _wrap_text(text: str, size: int, width: int, most: int) -> list[str]:
    """At most `most` lines, broken between words where possible; an ellipsis ends a text that does
    not fit.
    """
    font = _font(size)
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < most:
        end = _fitting_length(rest, font, width)
        if end < len(rest):
            space = rest.rfind(" ", 0, end + 1)
            end = space if space > 0 else end
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest:
        short = lines[-1]
        while short and font.getlength(f"{short}…") > width:
            short = short[:-1]
        lines[-1] = f"{short.rstrip()}…"
    return lines


def _fitting_length(text: str, font: _Font, width: int) -> int:
    """How many characters fit into the width, at least one."""
    end = len(text)
    while end > 1 and font.getlength(text[:end]) > width:
        end -= 1
    return end


def _page_width(columns: int, tile: int) -> int:
    """The width in pixels. Raises before any image is read if one row of tiles is too large."""
    across = columns * (tile + _GAP) - _GAP
    width = _MARGIN + _TEXT_WIDTH + _GAP + max(across, 2 * tile) + _MARGIN
    _check_page(width, tile)
    return width


def _check_page(width: int, height: int) -> None:
    if width * height > _MOST_PIXELS:
        raise InputError(
            f"the picture would have {width} x {height} pixels; ask for fewer images or a smaller"
            " tile"
        )


def _draw_page(
    title: str, subtitle: str, rows: Sequence[_PictureRow], footer: str, tile: int, columns: int
) -> Image.Image:
    width = _page_width(columns, tile)
    inner = width - 2 * _MARGIN
    titles = _wrap_text(title, _TITLE, inner, 2)
    subtitles = _wrap_text(subtitle, _SUBTITLE, inner, 3)
    rows = [_wrap_captions(row, tile) for row in rows]
    top = (
        _MARGIN
        + len(titles) * _line_height(_TITLE)
        + len(subtitles) * _line_height(_SUBTITLE)
        + 2 * _GAP
    )
    heights = [_row_height(row, tile) for row in rows]
    height = top + sum(heights) + (_line_height(_SUBTITLE) if footer else 0) + _MARGIN
    _check_page(width, height)
    page = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(page)
    y = _write_lines(pen, _MARGIN, _MARGIN, titles, _TITLE, _INK)
    _write_lines(pen, _MARGIN, y, subtitles, _SUBTITLE, _GREY)
    y = top
    for row, needed in zip(rows, heights, strict=True):
        _draw_row(page, pen, row, y, tile)
        y += needed
    _write_lines(pen, _MARGIN, y, [footer] if footer else [], _SUBTITLE, _GREY)
    return page


def _wrap_captions(row: _PictureRow, tile: int) -> _PictureRow:
    """The row with its captions broken into lines."""
    return replace(
        row, captions=tuple("\n".join(_wrap_text(text, _SMALL, tile, 2)) for text in row.captions)
    )


def _left_column(row: _PictureRow) -> tuple[list[str], list[str]]:
    heading = _wrap_text(row.heading, _LABEL, _TEXT_WIDTH - 2 * _GAP, 4)
    details = [
        line for text in row.details for line in _wrap_text(text, _SMALL, _TEXT_WIDTH - 2 * _GAP, 2)
    ]
    return heading, details


def _row_height(row: _PictureRow, tile: int) -> int:
    heading, details = _left_column(row)
    text = len(heading) * _line_height(_LABEL) + len(details) * _line_height(_SMALL)
    below = max((caption.count("\n") + 1 for caption in row.captions), default=0) * _line_height(
        _SMALL
    )
    return max(text, tile + below) + 2 * _GAP


def _draw_row(
    page: Image.Image, pen: ImageDraw.ImageDraw, row: _PictureRow, y: int, tile: int
) -> None:
    heading, details = _left_column(row)
    pen.line([(_MARGIN, y), (page.width - _MARGIN, y)], fill=_LINE)
    y += _GAP
    text = len(heading) * _line_height(_LABEL) + len(details) * _line_height(_SMALL)
    middle = y + max(0, (tile - text) // 2)
    middle = _write_lines(pen, _MARGIN, middle, heading, _LABEL, _INK)
    _write_lines(pen, _MARGIN, middle, details, _SMALL, _GREY)
    left = _MARGIN + _TEXT_WIDTH + _GAP
    if not len(row.images):
        _write_lines(
            pen, left, y + (tile - _line_height(_SUBTITLE)) // 2, ["no images"], _SUBTITLE, _GREY
        )
    for place, image in enumerate(_tiles(row.dataset, row.images, tile)):
        page.paste(image, (left + place * (tile + _GAP), y))
    for place, caption in enumerate(row.captions):
        _write_lines(
            pen, left + place * (tile + _GAP), y + tile + 2, caption.split("\n"), _SMALL, _GREY
        )


def _write_lines(
    pen: ImageDraw.ImageDraw, x: int, y: int, lines: Sequence[str], size: int, colour: str
) -> int:
    """Write lines and return the position of the next one."""
    font = _font(size)
    for line in lines:
        pen.text((x, y), line, font=font, fill=colour)
        y += _line_height(size)
    return y
