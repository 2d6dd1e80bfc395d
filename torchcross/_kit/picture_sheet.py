"""Pictures in rows with titles, as one SVG that needs no other file: for notebooks and papers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from torchcross._kit.pixels import Pixels, data_uri
from torchcross._kit.whole_files import write_whole

_SIDE, _GAP, _LINE, _TITLES = 64, 6, 14, 120
_MOST_IN_ROW: Final = 10
_LONGEST: Final = 18
"""Characters of a title; of a note, half as many."""
_RIGHT, _WRONG = "#0072B2", "#D55E00"
_FONT = 'font-family="sans-serif"'


@dataclass(frozen=True, eq=False)
class SheetPicture:
    """A picture and what was said of it.

    note      a text below it: what was predicted instead of the truth
    is_right  draws a frame: whether the answer is right; None: nothing was asked
    """

    pixels: Pixels
    note: str = ""
    is_right: bool | None = None


@dataclass(frozen=True, eq=False)
class SheetRow:
    """Pictures beside a title; `heading` begins a part of the sheet above the row."""

    title: str
    pictures: Sequence[SheetPicture]
    heading: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class PictureSheet:
    """Rows of pictures. A notebook shows it; `svg` is its text, and `save("sheet.svg")` a file."""

    title: str
    rows: tuple[SheetRow, ...]

    @property
    def svg(self) -> str:
        body, height = [], _GAP + _LINE
        for row in self.rows:
            if row.heading:
                body.append(_text(_GAP, height + _LINE, row.heading, size=13, weight="bold"))
                height += _LINE + 2 * _GAP
            body.extend(_row(row, height))
            height += _SIDE + (_LINE if any(each.note for each in row.pictures) else 0) + _GAP
        width = _TITLES + (_MOST_IN_ROW + 1) * (_SIDE + _GAP)
        name = escape(self.title)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img" aria-label="{name}">'
            f"<title>{name}</title>{_text(_GAP, _LINE, self.title, size=14)}{''.join(body)}</svg>"
        )

    def save(self, path: str | Path) -> None:
        write_whole(Path(path), self.svg.encode())

    def _repr_html_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        pictures = sum(len(row.pictures) for row in self.rows)
        return f"PictureSheet({self.title!r}, {len(self.rows)} rows, {pictures} pictures)"


def _row(row: SheetRow, top: int) -> Iterator[str]:
    yield _text(_GAP, top + _SIDE // 2, _short_text(row.title, _LONGEST))
    for place, picture in enumerate(row.pictures[:_MOST_IN_ROW]):
        yield from _picture(picture, _TITLES + place * (_SIDE + _GAP), top)
    if (more := len(row.pictures) - _MOST_IN_ROW) > 0:
        left = _TITLES + _MOST_IN_ROW * (_SIDE + _GAP)
        yield _text(left, top + _SIDE // 2, f"and {more} more")


def _picture(picture: SheetPicture, left: int, top: int) -> Iterator[str]:
    address = data_uri(picture.pixels, 2 * _SIDE)
    box = f'x="{left}" y="{top}" width="{_SIDE}" height="{_SIDE}"'
    # Small images have few pixels, and a smooth enlargement hides them.
    drawing = "pixelated" if max(picture.pixels.shape[:2]) < _SIDE else "auto"
    yield (
        f'<image {box} href="{address}" style="image-rendering:{drawing}">'
        f"<title>{escape(picture.note)}</title></image>"
    )
    if picture.is_right is not None:
        colour = _RIGHT if picture.is_right else _WRONG
        yield f'<rect {box} fill="none" stroke="{colour}" stroke-width="3"/>'
    if picture.note:
        yield _text(
            left, top + _SIDE + _LINE - 3, _short_text(picture.note, _LONGEST // 2), size=10
        )


def _text(left: int, top: int, text: str, *, size: int = 12, weight: str = "normal") -> str:
    return (
        f'<text x="{left}" y="{top}" font-size="{size}" font-weight="{weight}" {_FONT}'
        f' fill="currentColor">{escape(text)}</text>'
    )


def _short_text(text: str, most: int) -> str:
    """The text without its middle where it is too long: names of classes often begin alike."""
    if len(text) <= most:
        return text
    first = most // 2
    return f"{text[:first]}…{text[len(text) - (most - 1 - first) :]}"
