"""Text for readers who may be gone: a closed terminal, a pipe that ended, a log on a full disk.

Work goes on where it can no longer be followed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO, final


def write_line(stream: TextIO | None, line: str) -> None:
    """Write a line at once, if the stream still takes it. `pythonw` and services have no stream."""
    if stream is not None:
        quiet = QuietStream(stream)
        quiet.write(f"{line}\n")
        quiet.flush()


def say_quietly(say: Callable[[str], object]) -> Callable[[str], None]:
    """The same function, whose failures to reach its reader are no errors."""

    def say_if_read(line: str) -> None:
        try:
            say(line)
        except (OSError, ValueError) as error:
            _raise_unless_reader_is_gone(error)

    return say_if_read


@final
class QuietStream:
    """A text stream that takes what its reader does not."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError) as error:
            _raise_unless_reader_is_gone(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            _raise_unless_reader_is_gone(error)

    def isatty(self) -> bool:
        try:
            return self._stream.isatty()
        except (OSError, ValueError):
            return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _raise_unless_reader_is_gone(error: OSError | ValueError) -> None:
    # Python's own words for a stream that was closed.
    if not isinstance(error, OSError) and "closed file" not in str(error):
        raise error
