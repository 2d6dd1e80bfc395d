"""Work on rows in threads, results in order, and what went wrong told in one go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from medimeta_adapter.convert.rows import Row, Rows
from torchcross.errors import ReadError

__all__ = ["in_order", "unreadable", "what_went_wrong"]

Result = TypeVar("Result")
_SHOWN = 10


def in_order(rows: Iterator[Row], work: Callable[[Row], Result], threads: int) -> Iterator[Result]:
    """`work` of each row by a pool of threads, results in order, with few rows on their way at any
    time.
    """
    if threads == 1:
        yield from map(work, rows)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for row in rows:
                waiting.append(pool.submit(work, row))
                if len(waiting) >= 4 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def unreadable(rows: Rows, place: int, first: Exception, results: Iterator[Any]) -> ReadError:
    """All that cannot be read, so that they can be mended in one go; `results` are those behind
    `place`.
    """
    failed = [(place, first)]
    failed += [
        (at, found) for at, found in enumerate(results, place + 1) if isinstance(found, Exception)
    ]
    alike: dict[str, list[str]] = {}
    for at, error in failed:
        alike.setdefault(what_went_wrong(error), []).append(rows.names[at])
    told = "".join(f"\n  {_some(names)}: {wrong}" for wrong, names in list(alike.items())[:_SHOWN])
    more = (
        f"\n  and {sum(map(len, list(alike.values())[_SHOWN:]))} more"
        if len(alike) > _SHOWN
        else ""
    )
    return ReadError(
        f"{len(failed)} of {len(rows)} images of {rows.kind} cannot be read; mend them or leave"
        f" them out:{told}{more}"
    )


def what_went_wrong(error: Exception) -> str:
    """In words that are the same for images with the same trouble."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
