"""Work in threads whose results come in the order of the work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

ONE_COMPUTES: Final = threading.RLock()
"""Held while a unit of work computes. Torch's random numbers and its number of threads belong to
the process, so two units in threads of one process would change each other's results."""


def results_in_order(
    items: Iterable[Item], work: Callable[[Item], Result], threads: int
) -> Iterator[Result]:
    """Apply `work` to each item in a pool of threads and yield the results in order.

    Only a few items, two per thread, are under way or wait at any time.
    """
    if threads == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from _in_order(pool, items, work, 2 * threads)


def results_ahead(
    items: Iterable[Item], work: Callable[[Item], Result], most: int = 3
) -> Iterator[Result]:
    """Apply `work` to each item in one other thread, ahead of the caller.

    At most `most` results are under way or wait, the one that the caller gets next among them.
    """
    with ThreadPoolExecutor(1) as pool:
        yield from _in_order(pool, items, work, most)


def _in_order(
    pool: ThreadPoolExecutor, items: Iterable[Item], work: Callable[[Item], Result], most: int
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # The caller may stop early, or an item may raise. Then nobody needs the others.
        for future in waiting:
            future.cancel()
