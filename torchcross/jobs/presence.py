"""The processes that are at work in a job's folder, and turns for what one of them does at a time.

Each has a claim of its own in `jobs/processes/` as long as it is there. A turn is a claim that all
of them ask for. Both outlive no process: see `torchcross.jobs.claims`.
"""

from __future__ import annotations

import threading
import time  # noqa: TID251 (a clock that only waits: no result depends on it)
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, final

from torchcross.errors import WriteError
from torchcross.jobs.claim_files import ClaimRecord
from torchcross.jobs.claims import BEATS_IN_A_LEASE, LEASE, Claim, Claims
from torchcross.jobs.observer import THIS_PROCESS, Observer
from torchcross.jobs.processes import is_running

_PROCESSES: Final = "processes"
_TURN: Final = "turn"
_PAUSE: Final = 0.05
"""Seconds between two looks at whether a turn is over."""

_WATCHED: Final = 16
"""Other processes that are looked at with each heartbeat: hundreds do not all read each other."""


@final
class Presence:
    """This process in a job's folder; made by `enter`."""

    def __init__(self, folder: Path, lease: float, observer: Observer = THIS_PROCESS) -> None:
        self._processes = Claims(folder / _PROCESSES, lease, observer)
        self._turns = Claims(folder / "turns", lease, observer)
        self._lease = lease
        self._watched = ""
        # The claim is None when this process has left; a heartbeat must not make it anew then.
        self._changing = threading.Lock()
        self._claim: Claim | None = self._new_claim()

    def others(self) -> list[ClaimRecord]:
        """The other processes here; the records of those that are dead are removed.

        One of another machine is dead when this process has watched it for the lease.
        """
        records = map(self._processes.look, self._other_keys())
        return [record for record in records if record is not None]

    def watch_others(self) -> None:
        """Look at some of the other processes, and at whose turn it is.

        As this is done all the time, those that are dead are known to be so when it matters.
        """
        keys = sorted(self._other_keys())
        later = [key for key in keys if key > self._watched]
        chosen = (later or keys)[:_WATCHED]
        for key in chosen:
            self._processes.look(key)
        self._watched = chosen[-1] if chosen else ""
        if (turn := self._turns.holder(_TURN)) is not None:
            self._turns.is_dead(turn)

    def keep_up(self) -> None:
        """One heartbeat. Who slept so long that others took it for dead comes back."""
        with self._changing:
            if self._claim is None:
                return
            if self._claim.is_lost():
                self._claim = self._new_claim()
            self._claim.beat()

    def leave(self) -> None:
        """Be here no more. In a turn, whoever then sees no others is the last one."""
        with self._changing:
            if self._claim is not None:
                self._claim.release()
            self._claim = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A block that no other process runs at the same time; it waits for those that do."""
        while True:
            with self.turn_if_free() as is_ours:
                if is_ours:
                    yield
                    return
            time.sleep(_PAUSE)

    def turn_if_free(self) -> AbstractContextManager[bool]:
        """A block that no other process runs at the same time; False where one does now."""
        return self._turns.hold(_TURN)

    def _other_keys(self) -> list[str]:
        own = None if self._claim is None else self._claim.key
        return [key for key in self._processes.generations() if key != own]

    def _new_claim(self) -> Claim:
        claim = self._processes.create(f"process-{uuid.uuid4().hex}")
        assert claim is not None, "no other process has this key"
        return claim


@contextmanager
def enter(
    folder: Path, lease: float = LEASE, observer: Observer = THIS_PROCESS
) -> Iterator[Presence]:
    """Be present in the folder `jobs` of a job for the block; its empty folders go with the last.

    A missing folder is made.
    """
    presence = Presence(folder, lease, observer)

    def beat() -> None:
        # What a file system refuses for a moment must not be the last beat.
        with suppress(OSError, WriteError):
            presence.keep_up()
            presence.watch_others()

    try:
        with observer.repeat(beat, lease / BEATS_IN_A_LEASE):
            yield presence
    finally:
        presence.leave()
        if not presence.others():
            _remove_empty_folders(folder)


def present_processes(folder: Path) -> list[ClaimRecord]:
    """The processes in the folder `jobs` of a job that are not known to be dead; none is removed.

    One of another machine may be.
    """
    records = Claims(folder / _PROCESSES).all()
    return [each for each in records if each.owner is None or is_running(each.owner) is not False]


def _remove_empty_folders(folder: Path) -> None:
    """Remove the folder `jobs` and those in it, as far as they are empty."""
    with suppress(OSError):
        for path in [*folder.iterdir(), folder]:
            if path.is_dir():
                with suppress(OSError):
                    path.rmdir()
