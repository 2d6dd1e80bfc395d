"""Why a unit could not be made, in words."""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torchcross.errors import TorchcrossError, WriteError
from torchcross.jobs.processes import this_process

_OUT_OF_MEMORY: Final = "OutOfMemoryError"
"""torch's own, by its name: this room does not need torch."""


_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


@dataclass(frozen=True)
class UnitFailure:
    """Why a unit could not be made: the kind of error, its words, and the process that saw it.

    >>> from torchcross.jobs import UnitFailure
    >>> failure = UnitFailure.of("train0", MemoryError("3 GB are needed"))
    >>> failure.kind, failure.reason
    ('MemoryError', '3 GB are needed')
    """

    key: str
    kind: str
    reason: str
    host: str
    process: int

    @classmethod
    def of(cls, key: str, error: BaseException) -> UnitFailure:
        return cls.here(key, type(error).__name__, reason_of(error))

    @classmethod
    def here(cls, key: str, kind: str, reason: str) -> UnitFailure:
        """A failure that this process saw."""
        process = this_process()
        return cls(key, kind, reason, process.host, process.process)


def reason_of(error: BaseException) -> str:
    """The error in words. An error that is no message to users has its kind and its place too."""
    reason = str(error) or type(error).__name__
    if isinstance(error, TorchcrossError | OSError | MemoryError):
        return reason
    if type(error).__name__ == _OUT_OF_MEMORY:
        return reason
    text = f"{type(error).__name__}: {reason}"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        # An engine may give an error back without its frames.
        return text
    place = frames[-1]
    return f"{text} (in {place.name}, {Path(place.filename).name}:{place.lineno})"


def is_of_the_worker(error: BaseException) -> bool:
    """Whether a unit failed because its worker cannot write: another one may be able to."""
    cause = error.__cause__
    if isinstance(error, WriteError):
        return isinstance(cause, OSError)
    return isinstance(error, OSError) and error.errno in _NO_ROOM
