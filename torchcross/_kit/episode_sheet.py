"""An episode as a picture: the support by class, the query, and what was predicted of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from torchcross._kit.picture_sheet import PictureSheet, SheetPicture, SheetRow
from torchcross._kit.pixels import Pixels

UNKNOWN: Final = "unknown"
"""The name of a label that is missing."""


def episode_sheet(
    title: str,
    classes: Sequence[str],
    support: Sequence[Pixels],
    support_names: Sequence[str | None],
    query: Sequence[Pixels],
    query_names: Sequence[str | None],
    answers: Sequence[str] | None = None,
) -> PictureSheet:
    """Rows of classes, first of the support and then of the query with its answers.

    The name of a sample whose label is missing is None.
    """
    rows = list(_rows(classes, "Support", support_names, list(map(SheetPicture, support))))
    heading, pictures = "Query", list(map(SheetPicture, query))
    if answers is not None:
        pictures = list(map(_with_answer, query, query_names, answers))
        judged = [picture.is_right for picture in pictures if picture.is_right is not None]
        heading = f"Query: {sum(judged)} of {len(judged)} right (blue); wrong answers in orange"
        if missing := len(pictures) - len(judged):
            heading += f"; {missing} without a label"
    rows.extend(_rows(classes, heading, query_names, pictures))
    return PictureSheet(title, tuple(rows))


def _with_answer(pixels: Pixels, truth: str | None, answer: str) -> SheetPicture:
    if truth is None:
        return SheetPicture(pixels, note=answer)
    return SheetPicture(pixels, note="" if answer == truth else answer, is_right=answer == truth)


def _rows(
    classes: Sequence[str],
    heading: str,
    names: Sequence[str | None],
    pictures: Sequence[SheetPicture],
) -> Iterator[SheetRow]:
    """A row for each class in its order, then for each set of labels in theirs."""
    titles: list[str | None] = [name for name in classes if name in names]
    titles += [name for name in dict.fromkeys(names) if name not in titles]
    for place, title in enumerate(titles):
        members = [picture for name, picture in zip(names, pictures, strict=True) if name == title]
        text = UNKNOWN if title is None else title
        yield SheetRow(text, members, heading if place == 0 else "")
