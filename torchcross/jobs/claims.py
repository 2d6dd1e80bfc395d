"""Claims: which process makes which unit, on any file system that several machines share.

A claim is the file `KEY.GENERATION`, which exactly one process can create. It holds a heartbeat, a
number that its owner raises. Whoever has seen the number unchanged for the lease, by its own clock,
may create the claim of the next generation; the older owner finds that out at its next heartbeat.
Times of two machines are never compared. On the same machine, the owner's process number and the
moment of its start tell at once whether it lives.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from torchcross.jobs.claim_files import (
    ClaimRecord,
    beat_line,
    create_file,
    names_in,
    read_claim,
    unwritten_claim,
)
from torchcross.jobs.observer import THIS_PROCESS, Observer

LEASE: Final = 60.0
"""Seconds without a heartbeat after which a claim of another machine is dead."""

BEATS_IN_A_LEASE: Final = 6


class Claim:
    """A claim that this process holds."""

    def __init__(
        self, path: Path, key: str, generation: int, observer: Observer = THIS_PROCESS
    ) -> None:
        self.key, self.generation = key, generation
        self._path, self._observer = path, observer
        self._successor = path.with_name(f"{key}.{generation + 1}")
        self._beat = 0
        self._is_lost = False

    def is_lost(self) -> bool:
        """Whether another process has taken the unit over."""
        self._is_lost = self._is_lost or self._successor.exists() or not self._path.exists()
        return self._is_lost

    def beat(self) -> None:
        """Raise the heartbeat. A claim that is gone is not made again."""
        # What a file system refuses for a moment must not be the last beat.
        with suppress(OSError):
            if self.is_lost():
                return
            self._beat += 1
            # In place and of fixed width: a reader sees a number, a removed file stays removed.
            with self._path.open("r+b") as file:
                file.write(beat_line(self._beat))

    def heartbeat(self, lease: float) -> AbstractContextManager[None]:
        """A block during which the heartbeat rises, several times within a lease."""
        return self._observer.repeat(self.beat, lease / BEATS_IN_A_LEASE)

    def release(self) -> None:
        """Remove this claim and those that it took over from.

        With a successor all stay: a chain of claims is read from its beginning.
        """
        if self._successor.exists():
            return
        for generation in range(self.generation, -1, -1):
            with suppress(OSError):
                self._path.with_name(f"{self.key}.{generation}").unlink()


class Claims:
    """The folder of claims, as one process sees it."""

    def __init__(
        self, folder: Path, lease: float = LEASE, observer: Observer = THIS_PROCESS
    ) -> None:
        self.folder, self.lease = folder, lease
        self._observer = observer
        self._seen: dict[str, tuple[ClaimRecord, float]] = {}
        # What was read, and when; None for a claim that is known by its name alone.
        self._looks: dict[str, tuple[ClaimRecord | None, float]] = {}
        self._has_looked = False

    def create(self, key: str, generation: int = 0) -> Claim | None:
        """The claim, or None where another process was faster."""
        path = self.folder / f"{key}.{generation}"
        record = {"owner": self._observer.identity().as_plain(), "token": uuid.uuid4().hex}
        content = beat_line(0) + json.dumps(record).encode()
        try:
            file = create_file(path)
        except FileExistsError:
            return None
        except OSError as error:
            raise unwritten_claim(path, error) from error
        try:
            with file:
                file.write(content)
        except BaseException as error:
            # Also where this process is asked to end: nobody could tell that its owner has.
            with suppress(OSError):
                path.unlink()
            if isinstance(error, OSError):
                raise unwritten_claim(path, error) from error
            raise
        return Claim(path, key, generation, self._observer)

    @contextmanager
    def hold(self, key: str) -> Iterator[bool]:
        """Hold a claim, with its heartbeat, in the block; False where another process does."""
        claim = self.take(key)
        if claim is None:
            yield False
            return
        try:
            with claim.heartbeat(self.lease):
                yield True
        finally:
            claim.release()

    def take(self, key: str, dead: ClaimRecord | None = None) -> Claim | None:
        """The claim of a unit that nobody holds, or whose owner is dead; else None.

        `dead` is a claim that the caller has watched for the lease; it counts while its heartbeat
        stands.
        """
        if claim := self.create(key):
            return claim
        held = self.holder(key)
        if held is None:
            # Released between the two looks.
            return self.create(key)
        if held != dead and not self.is_dead(held):
            return None
        return self.create(key, held.generation + 1)

    def holder(self, key: str) -> ClaimRecord | None:
        """The newest claim of a unit, if it has any."""
        generation, newest = 0, None
        while record := read_claim(self.folder / f"{key}.{generation}", key, generation):
            newest, generation = record, generation + 1
        return newest

    def generations(self) -> dict[str, int]:
        """The newest generation of each claimed unit, by one listing of the folder."""
        newest: dict[str, int] = {}
        for name in names_in(self.folder):
            key, _, generation = name.rpartition(".")
            if key and generation.isdecimal():
                newest[key] = max(newest.get(key, 0), int(generation))
        return newest

    def all(self) -> list[ClaimRecord]:
        """The newest claim of each claimed unit."""
        records = (
            read_claim(self.folder / f"{key}.{at}", key, at)
            for key, at in self.generations().items()
        )
        return [record for record in records if record is not None]

    def first(self, most: int) -> tuple[list[ClaimRecord], int]:
        """So many claims, and how many more there are, which are not read."""
        generations = sorted(self.generations().items())
        records = [
            read_claim(self.folder / f"{key}.{at}", key, at) for key, at in generations[:most]
        ]
        return [record for record in records if record is not None], len(generations[most:])

    def look(self, key: str) -> ClaimRecord | None:
        """The claim of a key, unless its owner is dead: then it is removed, as nobody takes it."""
        record = self.holder(key)
        if record is not None and self.is_dead(record):
            with suppress(OSError):
                (self.folder / record.name).unlink(missing_ok=True)
            self._seen.pop(record.name, None)
            return None
        return record

    def free(
        self, keys: Iterable[str], generations: Mapping[str, int], urgent: Collection[str]
    ) -> dict[str, ClaimRecord | None]:
        """Those of some units that nobody makes any more, with the claim of an owner that ended.

        `generations` are those of a moment ago. The claims of urgent units are read about as often
        as they beat. The others are read twice in a lease, so that hundreds of processes do not
        read each other's claims all the time. Those that the first call finds are read at once.
        """
        is_first, self._has_looked = not self._has_looked, True
        free: dict[str, ClaimRecord | None] = {}
        watched = set()
        for key in keys:
            generation = generations.get(key)
            if generation is None:
                free[key] = None
                continue
            name = f"{key}.{generation}"
            is_urgent = key in urgent
            if name not in self._looks and not (is_urgent or is_first):
                self._looks[name] = (None, self._observer.now())
            pauses = BEATS_IN_A_LEASE if is_urgent else 2
            record = self._look(key, generation, self.lease / pauses)
            is_unread = record is None and name in self._looks
            if is_unread or (record is not None and not self.is_dead(record)):
                watched.add(name)
            else:
                free[key] = record
        self._looks = {name: look for name, look in self._looks.items() if name in watched}
        self._seen = {name: seen for name, seen in self._seen.items() if name in watched}
        return free

    def _look(self, key: str, generation: int, pause: float) -> ClaimRecord | None:
        """The claim as it was read last, which was not longer ago than the pause."""
        now, name = self._observer.now(), f"{key}.{generation}"
        record, moment = self._looks.get(name, (None, float("-inf")))
        if now - moment >= pause:
            record = read_claim(self.folder / name, key, generation)
            if record is None:
                self._looks.pop(name, None)
            else:
                self._looks[name] = (record, now)
        return record

    def is_dead(self, record: ClaimRecord) -> bool:
        """Whether its owner ended, as far as this process can tell by now.

        Ask again and again: the first answer about another machine's owner is always no.
        """
        if record.owner is not None and self._observer.is_running(record.owner) is False:
            return True
        now = self._observer.now()
        before, since = self._seen.get(record.name, (None, now))
        if before != record:
            self._seen[record.name] = (record, now)
            return False
        return now - since >= self.lease
