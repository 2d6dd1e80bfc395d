"""How often this process asks the file system for something, by kind.

Counted by Python's audit events, and by wrappers of the calls that have none. What concerns /proc
and Python's own files is left out.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

_AUDITED = {
    "open": "open",
    "os.listdir": "list",
    "os.scandir": "list",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
    "os.remove": "unlink",
    "os.link": "link",
    "os.rename": "rename",
}
_WRAPPED = {"stat": "stat", "lstat": "stat", "fsync": "fsync", "readlink": "stat"}
_ELSEWHERE = ("/proc/", sys.prefix, sys.base_prefix)


class Operations:
    """A count of file operations, which goes on while `is_on`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.total = 0
        self.is_on = True

    def add(self, kind: str, path: object) -> None:
        if self.is_on and not (isinstance(path, str) and path.startswith(_ELSEWHERE)):
            self.counts[kind] += 1
            self.total += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.is_on = False
        try:
            yield
        finally:
            self.is_on = True


_now_counting: list[Operations] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _now_counting and event in _AUDITED:
        path = arguments[0] if arguments else ""
        _now_counting[-1].add(_AUDITED[event], os.fspath(path) if hasattr(path, "parts") else path)


def _wrapped(function: Callable[..., Any], kind: str) -> Callable[..., Any]:
    def count(path: Any, *arguments: Any, **options: Any) -> Any:
        _now_counting[-1].add(kind, os.fspath(path) if hasattr(path, "parts") else path)
        return function(path, *arguments, **options)

    return count


@contextmanager
def counted_operations() -> Iterator[Operations]:
    """Count in this block."""
    operations = Operations()
    # A hook stays for ever, so there is one, and it is idle outside of such blocks.
    if not getattr(_hear, "is_added", False):
        sys.addaudithook(_hear)
        _hear.is_added = True  # type: ignore[attr-defined]
    _now_counting.append(operations)
    try:
        with ExitStack() as stack:
            for name, kind in _WRAPPED.items():
                counted = _wrapped(getattr(os, name), kind)
                stack.enter_context(mock.patch.object(os, name, counted))
            yield operations
    finally:
        _now_counting.pop()
