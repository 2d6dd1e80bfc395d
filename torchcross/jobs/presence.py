"""The processes that are at work in a job's folder, and turns for what one of them does at a time.

Each has a claim of its own in `jobs/processes/` as long as it is there. A turn is a claim that all
of them ask for. Both outlive no process: see `torchcross.jobs.claims`.
"""

from __future__ import annotations

import time  # noqa: TID251 (a clock that only waits: no result depends on it)
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, final

from torchcross.jobs.claims import LEASE, Claim, ClaimRecord, Claims

_TURN: Final = "turn"
_PAUSE: Final = 0.05
"""Seconds between two looks at whether a turn is over."""


@final
class Presence:
    """This process in a job's folder; made by `enter`."""

    def __init__(self, folder: Path, lease: float, claim: Claim) -> None:
        self._claims, self._turns = Claims(folder / "processes", lease), folder / "turns"
        self._lease, self._claim = lease, claim

    def others(self) -> list[ClaimRecord]:
        """The other processes here. One of another machine counts until its lease is over."""
        return [
            record
            for record in self._claims.all()
            if record.key != self._claim.key and not self._claims.is_dead(record)
        ]

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A block that no other process runs at the same time."""
        turns = Claims(self._turns, self._lease)
        while (claim := turns.take(_TURN)) is None:
            time.sleep(_PAUSE)
        try:
            with claim.heartbeat(self._lease):
                yield
        finally:
            claim.release()


@contextmanager
def enter(folder: Path, lease: float = LEASE) -> Iterator[Presence]:
    """Be present in the folder `jobs` of a job for the block; its empty folders go with the last.

    A missing folder is made.
    """
    claim = _claim_of_this_process(folder, lease)
    presence = Presence(folder, lease, claim)
    try:
        with claim.heartbeat(lease):
            yield presence
    finally:
        claim.release()
        if not presence.others():
            _remove_empty_folders(folder)


def _claim_of_this_process(folder: Path, lease: float) -> Claim:
    claims = Claims(folder / "processes", lease)
    claims.remove_ended()
    claim = claims.create(f"process-{uuid.uuid4().hex}")
    assert claim is not None, "no other process has this key"
    return claim


def _remove_empty_folders(folder: Path) -> None:
    """Remove the folder `jobs` and those in it, as far as they are empty."""
    with suppress(OSError):
        for path in [*folder.iterdir(), folder]:
            if path.is_dir():
                with suppress(OSError):
                    path.rmdir()
