"""The folder of a job: results where the job wants them, and under `jobs/` how they come about.

jobs/job.json, jobs/decided/  what the processes at work have in common
jobs/units.json               its units, for whoever looks at it
jobs/processes/, jobs/turns/  which processes are here, and whose turn it is
jobs/claims/KEY.GENERATION    who makes which unit now
jobs/attempts/KEY.NUMBER/     what an attempt has written so far
jobs/failures/KEY.json        why a unit failed when it was last tried
jobs/logs/KEY.log             what a unit said, where its job writes that
jobs/engines/NAME/            what an engine keeps: the scripts and logs of Slurm's jobs
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torchcross._kit.whole_files import sync_folder, write_whole
from torchcross.errors import InputError, WriteError
from torchcross.jobs.attempts import Attempts
from torchcross.jobs.claim_files import ClaimRecord
from torchcross.jobs.claims import LEASE, Claims
from torchcross.jobs.failures import UnitFailure
from torchcross.jobs.fingerprints import CommonFingerprint, Fingerprint
from torchcross.jobs.moves import have_same_content, move_where_none_is
from torchcross.jobs.observer import THIS_PROCESS, Observer
from torchcross.jobs.presence import Presence, enter, present_processes
from torchcross.jobs.units import Resources, Unit


class JobFolder:
    """The results of a job and, under `jobs/`, how they come about; `open` makes what it needs.

    >>> from torchcross.jobs import JobFolder, UnitFailure
    >>> folder = JobFolder("squares")
    >>> folder.open({"numbers": "5"})  # refused where the folder holds another job
    >>> _ = folder.write_failure(UnitFailure.of("square3", MemoryError("3 GB are needed")))
    >>> {key: failure.kind for key, failure in folder.failures().items()}
    {'square3': 'MemoryError'}
    """

    def __init__(
        self, path: str | Path, lease: float = LEASE, observer: Observer = THIS_PROCESS
    ) -> None:
        self.path, self.observer = Path(path), observer
        own = self.path / "jobs"
        self.claims = Claims(own / "claims", lease, observer)
        self.attempts = Attempts(own / "attempts")
        self._own, self._lease = own, lease
        self._fingerprint = CommonFingerprint(self.path, own)
        self._failures, self._units = own / "failures", own / "units.json"

    def enter(self) -> AbstractContextManager[Presence]:
        """Be present in the folder for a block; see `torchcross.jobs.presence`."""
        return enter(self._own, self._lease, self.observer)

    def processes(self) -> list[ClaimRecord]:
        """The processes that are present, as far as any can tell by looking once."""
        return present_processes(self._own)

    def forget_fingerprint(self) -> None:
        """The next process that opens the folder says what the job is made of.

        Only where no other process is present.
        """
        self._fingerprint.forget()
        self._units.unlink(missing_ok=True)

    def open(self, fingerprint: Fingerprint) -> None:
        """Begin or join a job; refuse a folder whose job, data, weights or versions are others.

        Who is refused has written nothing.
        """
        if self._fingerprint.is_begun():
            self.refuse_others(fingerprint)
        try:
            for folder in (self.claims.folder, self.attempts.folder, self._failures):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"{self.path} cannot be written to ({error.strerror or error}); make room, or give"
                " a folder that can be"
            ) from error
        self._fingerprint.begin(fingerprint)
        self.refuse_others(fingerprint)

    def refuse_others(self, fingerprint: Fingerprint) -> None:
        """Refuse a worker whose fingerprint is not that of the folder, and name what differs."""
        self._fingerprint.refuse_others(fingerprint)

    # -- the plan ----------------------------------------------------------------------------------

    def add_units(self, units: Mapping[str, Unit]) -> None:
        """Say which units there are, by key, for whoever looks at the job; those of others stay."""
        known = {unit.key: unit for unit in self.units()}
        if units.keys() - known.keys():
            plain = [asdict(unit) for unit in {**known, **units}.values()]
            write_whole(self._units, json.dumps({"units": plain}))

    def units(self) -> list[Unit]:
        """The units that processes were to make when they began; none where none is known."""
        try:
            plain: list[dict[str, Any]] = json.loads(self._units.read_bytes())["units"]
            return [_unit_of(each) for each in plain]
        except (OSError, ValueError, KeyError, TypeError, InputError):
            return []

    # -- results -----------------------------------------------------------------------------------

    def is_done(self, unit: Unit) -> bool:
        return (self.path / unit.results[-1]).exists()

    def done_keys(self, units: Iterable[Unit]) -> set[str]:
        """The units that are done, by one listing of each folder of results."""
        names: dict[str, set[str]] = {}
        done = set()
        for unit in units:
            parent, _, name = unit.results[-1].rpartition("/")
            if parent not in names:
                with suppress(FileNotFoundError, NotADirectoryError):
                    names[parent] = set(os.listdir(self.path / parent))  # noqa: PTH208 (names alone)
            if name in names.setdefault(parent, set()):
                done.add(unit.key)
        return done

    def publish(self, unit: Unit, attempt: Path) -> None:
        """Give the results of an attempt their places, the one that makes it done last.

        Where a result is there already, the other one stays. It must be the same: a unit whose
        bytes depend on who made it would let a table depend on it too.
        """
        if missing := _missing(unit, attempt):
            raise WriteError(
                f"unit {unit.key!r} ended without writing {', '.join(missing)}; its `run` must"
                " write every result that the unit names"
            )
        written = [result for result in unit.shared if (attempt / result).exists()]
        for result in (*written, *unit.results):
            source, place = attempt / result, self.path / result
            try:
                is_new = move_where_none_is(source, place)
                sync_folder(place.parent)
            except OSError as error:
                raise WriteError(
                    f"{place} cannot be written ({error.strerror or error}); make room, or give a"
                    " folder that can be written"
                ) from error
            if not is_new and not have_same_content(source, place):
                raise WriteError(
                    f"{place} is there already with other content than this process made for unit"
                    f" {unit.key!r}. Workers of one job must have the same hardware type, versions"
                    " and threads. The one that was there stays"
                )

    def is_published_by_another(self, unit: Unit, attempt: Path) -> bool:
        """Whether a unit is done without this attempt, of which a late owner removed files."""
        return self.is_done(unit) and bool(_missing(unit, attempt))

    def log_file(self, key: str) -> Path:
        """Where a job may write what its unit says; the folder is made."""
        logs = self._own / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        return logs / f"{key}.log"

    def engine_folder(self, name: str) -> Path:
        """Where an engine may keep files of its own; it is not made."""
        return self._own / "engines" / name

    def log_lines(self, key: str) -> list[str]:
        """What a unit has said; nothing where it has no log."""
        try:
            text = self.log_file(key).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return text.splitlines()

    def remove_records(self) -> None:
        """Remove what is kept while units are left to make; only where no other process works."""
        own = (self._own / "logs", self._own / "engines")
        for part in (self.claims.folder, self.attempts.folder, self._failures, *own):
            shutil.rmtree(part, ignore_errors=True)
        self.forget_fingerprint()

    # -- attempts ----------------------------------------------------------------------------------

    def hold(self, key: str) -> AbstractContextManager[bool]:
        """Keep others from making a unit in the block; False where one makes it that may live."""
        return self.claims.hold(key)

    def tidy(self, key: str, dead: ClaimRecord | None = None) -> None:
        """Remove what an owner left who published a unit and died before it let go."""
        # What cannot be removed now, as the disk is full, is removed when the job is complete.
        with suppress(WriteError):
            claim = self.claims.take(key, dead)
            if claim is not None:
                self.attempts.remove(key)
                claim.release()

    # -- failures ----------------------------------------------------------------------------------

    def write_failure(self, failure: UnitFailure) -> bool:
        """Whether it is written: a disk may be full, and that may be the failure."""
        try:
            self._failures.mkdir(parents=True, exist_ok=True)
            text = json.dumps(asdict(failure), indent=1) + "\n"
            write_whole(self._failures / f"{failure.key}.json", text)
        except (OSError, WriteError):
            return False
        return True

    def remove_failure(self, key: str) -> None:
        """Forget why a unit failed. What stays of one that is done is not looked at."""
        with suppress(OSError):
            (self._failures / f"{key}.json").unlink(missing_ok=True)

    def failures(self) -> dict[str, UnitFailure]:
        """What failed when it was last tried, by key; files that cannot be read are passed over."""
        keys = sorted(path.stem for path in self._failures.glob("*.json"))
        failures = {key: self.failure_of(key) for key in keys}
        return {key: failure for key, failure in failures.items() if failure is not None}

    def failure_of(self, key: str) -> UnitFailure | None:
        """Why a unit failed when it was last tried, if it did and that can be read."""
        with suppress(OSError, ValueError, TypeError):
            record: dict[str, Any] = json.loads((self._failures / f"{key}.json").read_bytes())
            return UnitFailure(**record)
        return None


def _missing(unit: Unit, attempt: Path) -> list[str]:
    return [result for result in unit.results if not (attempt / result).exists()]


def _unit_of(plain: Mapping[str, Any]) -> Unit:
    return Unit(
        plain["key"],
        tuple(plain["results"]),
        tuple(plain["needs"]),
        Resources(**plain["resources"]),
        tuple(plain["shared"]),
    )
