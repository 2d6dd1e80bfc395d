"""One error for all images that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from medimeta_adapter.convert.rows import Rows
from torchcross.errors import ReadError

_SHOWN = 10


SKIP_ADVICE = "leave them out with skip_unreadable=True (--skip-unreadable)"


def unreadable_images_error(
    rows: Rows, place: int, first: Exception, results: Iterator[Any], advice: str = "leave them out"
) -> ReadError:
    """One error for all images that cannot be read; `results` are those after `place`."""
    names_by_reason: dict[str, list[str]] = {describe_error(first): [rows.names[place]]}
    for at, result in enumerate(results, place + 1):
        if isinstance(result, Exception):
            names_by_reason.setdefault(describe_error(result), []).append(rows.names[at])
    groups = list(names_by_reason.items())
    lines = [f"\n  {_some(names)}: {reason}" for reason, names in groups[:_SHOWN]]
    if len(groups) > _SHOWN:
        lines.append(f"\n  and {sum(len(names) for _, names in groups[_SHOWN:])} more")
    count = sum(len(names) for _, names in groups)
    return ReadError(
        f"{count} of {len(rows)} images of {rows.kind} cannot be read; repair them, or {advice}:"
        f"{''.join(lines)}"
    )


def describe_error(error: Exception) -> str:
    """The same words for images with the same problem."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
