"""One error for all images that cannot be read, or that nobody said how to scale to 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from medimeta_adapter.convert.rows import Rows
from torchcross.data.sources.image_files import list_some
from torchcross.errors import ReadError, UnscaledDepthError

_SHOWN = 10


SKIP_ADVICE = "leave them out with skip_unreadable=True (--skip-unreadable)"


def unreadable_images_error(
    rows: Rows, place: int, first: Exception, results: Iterator[Any], advice: str = "leave them out"
) -> ReadError:
    """One error for all images that cannot be read; `results` are those after `place`."""
    errors = {place: first}
    errors |= {
        at: each for at, each in enumerate(results, place + 1) if isinstance(each, Exception)
    }
    deep = {at: each for at, each in errors.items() if isinstance(each, UnscaledDepthError)}
    unreadable = {at: each for at, each in errors.items() if at not in deep}
    parts = []
    if deep:
        names = list_some([rows.names[at] for at in deep])
        parts.append(
            f"{len(deep)} of {len(rows)} images of {rows.origin} have more than 8 bits, and nobody"
            f" said how to scale them; {_depth_advice(list(deep.values()))}:\n  {names}"
        )
    if unreadable:
        parts.append(
            f"{len(unreadable)} of {len(rows)} images of {rows.origin} cannot be read; repair them,"
            f" or {advice}:{_lines(rows, unreadable)}"
        )
    return ReadError("\n".join(parts))


def _depth_advice(errors: list[UnscaledDepthError]) -> str:
    """How to scale images with such values."""
    least = min(error.values[0] for error in errors)
    most = max(error.values[1] for error in errors)
    window = "depth=Window(LEVEL, WIDTH) (--window LEVEL WIDTH)"
    if least < 0 or most >= 1 << 16 or not isinstance(most, int):
        return f"their values are in {least:g}..{most:g}: give {window}"
    bits = max(8, most.bit_length())
    return (
        f"their greatest value is {most}: give depth=ScaleByBits({bits}) (--bits {bits}), or more"
        f" bits where the device has more, or {window}"
    )


def _lines(rows: Rows, errors: dict[int, Exception]) -> str:
    """A line for each reason."""
    names_by_reason: dict[str, list[str]] = {}
    for place, error in errors.items():
        names_by_reason.setdefault(describe_error(error), []).append(rows.names[place])
    groups = list(names_by_reason.items())
    lines = [f"\n  {list_some(names)}: {reason}" for reason, names in groups[:_SHOWN]]
    if len(groups) > _SHOWN:
        lines.append(f"\n  and {sum(len(names) for _, names in groups[_SHOWN:])} more")
    return "".join(lines)


def describe_error(error: Exception) -> str:
    """The same words for images with the same problem."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
