"""Pictures of a dataset: labelled images in a grid, in the manner of the MedIMeta paper's first
figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medimeta_adapter.format.info import TaskInfo
from torchcross._kit.argument_checks import checked_int
from torchcross._kit.arrays import Indices
from torchcross._kit.randomness import Stream, shuffled
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
"""An image this many times smaller than its tile is enlarged as squares, so that its pixels are
seen as they are.
"""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class _Row:
    """Text on the left (heading, then small print), images with captions on the right; pixels are
    read when drawn.
    """

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
    """One row per class (label, grade) of a task, the primary one unless another is named.

    The seed draws which images stand for a class; a class without images keeps its row. Of more
    than `most_classes` classes the first are shown, and how many are not.
    """
    _check(per_class=per_class, tile=tile, most_classes=most_classes)
    _page_width(per_class, tile)
    info = dataset.info
    chosen = info.primary_task if task is None else info.task(task)
    members = _members(dataset, chosen)
    stream = Stream(seed, "show", info.id, chosen.name)
    rows = []
    for place, (name, having) in enumerate(members[:most_classes]):
        picked = having[shuffled(stream, place, len(having))[:per_class]]
        count = f"{len(having):,} image{'' if len(having) == 1 else 's'}"
        rows.append(_Row(name, (count,), dataset, picked))
    title = f"{info.name} ({info.id})" if info.name != info.id else info.id
    kind = _kind(chosen)
    subtitle = (
        f"{info.domain}  ·  task: {chosen.name}  ·  {kind}  ·  {info.total_num_samples:,} images"
    )
    hidden = len(members) - most_classes
    footer = f"and {hidden} more" if hidden > 0 else ""
    return _drawn(title, subtitle, rows, footer, tile, per_class)


def overview(
    datasets: Iterable[MedIMetaDataset], *, per_dataset: int = 8, seed: int = 0, tile: int = 112
) -> Image.Image:
    """One row per dataset: images of its primary task, of as many classes as there is room for,
    named below.
    """
    _check(per_dataset=per_dataset, tile=tile)
    _page_width(per_dataset, tile)
    rows = [_overview_row(dataset, per_dataset, seed, tile) for dataset in datasets]
    if not rows:
        raise InputError("there is no dataset to show; give at least one")
    total = f"{len(rows)} dataset{'' if len(rows) == 1 else 's'}"
    return _drawn(total, "the primary task of each, and classes of it", rows, "", tile, per_dataset)


def _check(tile: object, **counts: object) -> None:
    checked_int("tile", tile, most=_LARGEST_TILE)
    for name, count in counts.items():
        checked_int(name, count)


# -- which images ----------------------------------------------------------------------------------


def _members(dataset: MedIMetaDataset, task: TaskInfo) -> list[tuple[str, Indices]]:
    """Each class with the rows that have it."""
    labels = np.asarray(dataset.labels(task.name))
    if labels.ndim == 2:
        return [
            (name, np.flatnonzero(labels[:, place] == 1))
            for place, name in enumerate(task.labels.values())
        ]
    return [(name, np.flatnonzero(labels == value)) for value, name in task.labels.items()]


def _kind(task: TaskInfo) -> str:
    return f"{task.target().kind}, {task.num_labels} {'labels' if task.multilabel else 'classes'}"


def _overview_row(dataset: MedIMetaDataset, most: int, seed: int, tile: int) -> _Row:
    info = dataset.info
    task = info.primary_task
    stream = Stream(seed, "overview", info.id, task.name)
    orders = [
        (name, having[shuffled(stream, place, len(having))[:most]])
        for place, (name, having) in enumerate(_members(dataset, task))
        if len(having)
    ]
    # The first of every class, then the second of every class, until the row is full.
    turns = [
        (name, int(rows[turn])) for turn in range(most) for name, rows in orders if turn < len(rows)
    ]
    shown: dict[int, str] = {}
    for name, row in turns:
        shown.setdefault(row, name)
    chosen = list(shown)[:most]
    details = (f"{info.id}  ·  {info.domain}", task.name, _kind(task))
    return _Row(
        info.name,
        details,
        dataset,
        np.array(chosen, dtype=np.int64),
        tuple(shown[row] for row in chosen),
    )


def _tiles(dataset: MedIMetaDataset, rows: Indices, tile: int) -> Iterator[Image.Image]:
    for row in rows:
        pixels = dataset.images([row], channels=3, pixels="uint8")[0]
        image = Image.fromarray(np.ascontiguousarray(pixels.numpy().transpose(1, 2, 0)))
        scale = tile / max(image.size)
        size = tuple(max(1, round(side * scale)) for side in image.size)
        how = Image.Resampling.NEAREST if scale >= _ENLARGED else Image.Resampling.LANCZOS
        small = image.resize((size[0], size[1]), how)
        square = Image.new("RGB", (tile, tile), _PAPER)
        square.paste(small, ((tile - size[0]) // 2, (tile - size[1]) // 2))
        yield square


# -- drawing ---------------------------------------------------------------------------------------


def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _height(size: int) -> int:
    return round(size * _LEADING)


def _wrapped(text: str, size: int, width: int, most: int) -> list[str]:
    """At most so many lines, broken between words where that is possible; dots end what does not
    fit.
    """
    font = _font(size)
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < most:
        end = _fits(rest, font, width)
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


def _fits(text: str, font: _Font, width: int) -> int:
    """How many characters fit, one at least."""
    end = len(text)
    while end > 1 and font.getlength(text[:end]) > width:
        end -= 1
    return end


def _page_width(columns: int, tile: int) -> int:
    """Refused before anything is read, where one row of tiles is more than a page already."""
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


def _drawn(
    title: str, subtitle: str, rows: Sequence[_Row], footer: str, tile: int, columns: int
) -> Image.Image:
    width = _page_width(columns, tile)
    inner = width - 2 * _MARGIN
    titles = _wrapped(title, _TITLE, inner, 2)
    subtitles = _wrapped(subtitle, _SUBTITLE, inner, 3)
    rows = [_laid_out(row, tile) for row in rows]
    top = _MARGIN + len(titles) * _height(_TITLE) + len(subtitles) * _height(_SUBTITLE) + 2 * _GAP
    heights = [_row_height(row, tile) for row in rows]
    height = top + sum(heights) + (_height(_SUBTITLE) if footer else 0) + _MARGIN
    _check_page(width, height)
    page = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(page)
    y = _write(pen, _MARGIN, _MARGIN, titles, _TITLE, _INK)
    _write(pen, _MARGIN, y, subtitles, _SUBTITLE, _GREY)
    y = top
    for row, needed in zip(rows, heights, strict=True):
        _draw_row(page, pen, row, y, tile)
        y += needed
    _write(pen, _MARGIN, y, [footer] if footer else [], _SUBTITLE, _GREY)
    return page


def _laid_out(row: _Row, tile: int) -> _Row:
    """Captions broken into lines."""
    return replace(
        row, captions=tuple("\n".join(_wrapped(text, _SMALL, tile, 2)) for text in row.captions)
    )


def _left(row: _Row) -> tuple[list[str], list[str]]:
    heading = _wrapped(row.heading, _LABEL, _TEXT_WIDTH - 2 * _GAP, 4)
    details = [
        line for text in row.details for line in _wrapped(text, _SMALL, _TEXT_WIDTH - 2 * _GAP, 2)
    ]
    return heading, details


def _row_height(row: _Row, tile: int) -> int:
    heading, details = _left(row)
    text = len(heading) * _height(_LABEL) + len(details) * _height(_SMALL)
    below = max((caption.count("\n") + 1 for caption in row.captions), default=0) * _height(_SMALL)
    return max(text, tile + below) + 2 * _GAP


def _draw_row(page: Image.Image, pen: ImageDraw.ImageDraw, row: _Row, y: int, tile: int) -> None:
    heading, details = _left(row)
    pen.line([(_MARGIN, y), (page.width - _MARGIN, y)], fill=_LINE)
    y += _GAP
    text = len(heading) * _height(_LABEL) + len(details) * _height(_SMALL)
    middle = y + max(0, (tile - text) // 2)
    middle = _write(pen, _MARGIN, middle, heading, _LABEL, _INK)
    _write(pen, _MARGIN, middle, details, _SMALL, _GREY)
    left = _MARGIN + _TEXT_WIDTH + _GAP
    if not len(row.images):
        _write(pen, left, y + (tile - _height(_SUBTITLE)) // 2, ["no images"], _SUBTITLE, _GREY)
    for place, image in enumerate(_tiles(row.dataset, row.images, tile)):
        page.paste(image, (left + place * (tile + _GAP), y))
    for place, caption in enumerate(row.captions):
        _write(pen, left + place * (tile + _GAP), y + tile + 2, caption.split("\n"), _SMALL, _GREY)


def _write(
    pen: ImageDraw.ImageDraw, x: int, y: int, lines: Sequence[str], size: int, colour: str
) -> int:
    """Writes lines and returns where the next one goes."""
    font = _font(size)
    for line in lines:
        pen.text((x, y), line, font=font, fill=colour)
        y += _height(size)
    return y
