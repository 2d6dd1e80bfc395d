"""Cells are done one by one: what fails is remembered with its reason, and the others go on."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import final

import torch

from torchcross.errors import TorchcrossError, WriteError
from torchcross.experiment.run.folder import RunFolder

__all__ = ["Attempts", "Cell", "Say", "terminable"]

Say = Callable[[str], object]


@dataclass(frozen=True)
class Cell:
    """One training, and the target that it is evaluated on."""

    target: str
    algorithm: str
    seed: int

    def __str__(self) -> str:
        return f"{self.algorithm} for {self.target}, training seed {self.seed}"


@final
class Attempts:
    """What failed in a run, in `failures.json` as soon as it is known.

    Failures of an earlier call stand until their cells are tried again, so that a run that is
    killed has not forgotten them.
    """

    def __init__(self, folder: RunFolder, cells: Sequence[Cell], say: Say) -> None:
        self.folder = folder
        self.cells = cells
        self.say = say
        self._failed = {
            Cell(each["target"], each["algorithm"], int(each["seed"])): each
            for each in folder.failures()
        }

    def at_all(self, do: Callable[[Cell], None]) -> list[dict[str, str]]:
        """Do every cell, and return what failed."""
        for cell in self.cells:
            self._failed.pop(cell, None)
            try:
                do(cell)
            except Exception as error:  # noqa: BLE001 - it is told, and the other cells go on
                reason = _reason(error)
                self.say(f"failed: {cell}: {reason}")
                self._failed[cell] = {
                    "kind": type(error).__name__,
                    "target": cell.target,
                    "algorithm": cell.algorithm,
                    "seed": str(cell.seed),
                    "reason": reason,
                }
            try:
                self._write()
            except WriteError as error:
                # A disk that is full now may have room when the last cell is done.
                self.say(f"failed: {error}")
        return self._write()

    def _write(self) -> list[dict[str, str]]:
        failures = [self._failed[cell] for cell in self.cells if cell in self._failed]
        try:
            self.folder.write_failures(failures)
        except WriteError as error:
            untold = [
                f"; it was to say: {one['algorithm']} on {one['target']}: {one['reason']}"
                for one in failures
            ]
            raise WriteError(f"{error}{''.join(untold[:1])}") from error
        return failures


def _reason(error: Exception) -> str:
    """In words. An error that is not meant for users also says what it is and where it was
    raised.
    """
    reason = str(error) or type(error).__name__
    if isinstance(error, TorchcrossError | torch.OutOfMemoryError | OSError | MemoryError):
        return reason
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__}: {reason} (in {place.name},"
        f" {Path(place.filename).name}:{place.lineno})"
    )


@contextmanager
def terminable(say: Say) -> Iterator[None]:
    """A request to terminate leaves the block as Ctrl-C does, with nothing half written left
    behind.

    Not where the caller has said already what such a request does, and not outside the main thread.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except SystemExit:
        say("terminated; run the same again to go on")
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
