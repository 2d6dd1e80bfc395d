"""The folder of a job: results where the job wants them, and under `jobs/` how they come about.

jobs/job.json                 the fingerprint of the job
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
from torchcross.errors import InputError, ReadError, WriteError
from torchcross.jobs.claims import LEASE, ClaimRecord, Claims
from torchcross.jobs.failures import UnitFailure
from torchcross.jobs.moves import copy_whole_files, have_same_content, move_where_none_is
from torchcross.jobs.observer import THIS_PROCESS, Observer
from torchcross.jobs.presence import Presence, enter
from torchcross.jobs.units import Resources, Unit


class JobFolder:
    """`JobFolder("runs/mine")`; `open` makes what it needs."""

    def __init__(
        self, path: str | Path, lease: float = LEASE, observer: Observer = THIS_PROCESS
    ) -> None:
        self.path, self.observer = Path(path), observer
        own = self.path / "jobs"
        self._record, self._attempts, self._failures = (
            own / "job.json",
            own / "attempts",
            own / "failures",
        )
        self.claims = Claims(own / "claims", lease, observer)
        self._own, self._lease = own, lease
        self._units = own / "units.json"

    def enter(self) -> AbstractContextManager[Presence]:
        """Be present in the folder for a block; see `torchcross.jobs.presence`."""
        return enter(self._own, self._lease)

    def forget_fingerprint(self) -> None:
        """The next process that opens the folder says what the job is made of.

        Only where no other process is present.
        """
        self._record.unlink(missing_ok=True)
        self._units.unlink(missing_ok=True)

    def open(self, fingerprint: Mapping[str, str]) -> None:
        """Begin or join a job; refuse a folder whose job, data, weights or versions are others."""
        try:
            for folder in (self.claims.folder, self._attempts, self._failures):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"{self.path} cannot be written to ({error.strerror or error}); make room, or give"
                " a folder that can be"
            ) from error
        if not self._record.is_file():
            # Two processes that begin at once write the same, or one of them is refused below.
            write_whole(self._record, json.dumps({"fingerprint": dict(fingerprint)}, indent=1))
        self.refuse_others(fingerprint)

    def refuse_others(self, fingerprint: Mapping[str, str]) -> None:
        """Refuse a worker whose fingerprint is not that of the folder, and name what differs."""
        try:
            record = json.loads(self._record.read_bytes())
            expected = dict(record["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReadError(
                f"{self._record} cannot be read ({error}); remove it, and run again"
            ) from error
        names = sorted(expected.keys() | fingerprint.keys())
        different = [
            f"{name} is {fingerprint.get(name, 'missing')!r} here and"
            f" {expected.get(name, 'missing')!r} there"
            for name in names
            if fingerprint.get(name) != expected.get(name)
        ]
        if different:
            raise InputError(
                f"{self.path} is made of other parts than this process has:"
                f" {'; '.join(different[:4])}. Give this process the same, or another folder"
            )

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
        missing = [result for result in unit.results if not (attempt / result).exists()]
        if missing and not self.is_done(unit):
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
        for part in (self.claims.folder, self._attempts, self._failures, *own):
            shutil.rmtree(part, ignore_errors=True)
        self.forget_fingerprint()

    # -- attempts ----------------------------------------------------------------------------------

    def is_claimed(self, key: str) -> bool:
        """Whether a process that may still live makes the unit."""
        held = self.claims.holder(key)
        return held is not None and not self.claims.is_dead(held)

    def begin_attempt(self, key: str) -> Path:
        """A new folder for a unit, with copies of the whole files of the last attempt."""
        number = self._last_attempt(key)
        while True:
            attempt = self._attempts / f"{key}.{number + 1}"
            try:
                attempt.mkdir(parents=True)
                break
            except FileExistsError:
                number += 1
            except OSError as error:
                raise WriteError(
                    f"{attempt} cannot be made ({error.strerror or error}); make room, or let this"
                    " worker write to the folder of the job"
                ) from error
        if number:
            copy_whole_files(self._attempts / f"{key}.{number}", attempt)
        return attempt

    def adopt_attempt(self, key: str, result: str) -> None:
        """Take a half-made result out of its place, for the unit's next attempt to go on from."""
        attempt = self.begin_attempt(key)
        place = attempt / result
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        (self.path / result).rename(place)

    def remove_attempts(self, key: str) -> None:
        # The last one first: whoever is interrupted here leaves no gap.
        for number in range(self._last_attempt(key), 0, -1):
            shutil.rmtree(self._attempts / f"{key}.{number}", ignore_errors=True)

    def tidy(self, key: str, dead: ClaimRecord | None = None) -> None:
        """Remove what an owner left who published a unit and died before it let go."""
        claim = self.claims.take(key, dead)
        if claim is not None:
            self.remove_attempts(key)
            claim.release()

    def _last_attempt(self, key: str) -> int:
        """Numbers have no gaps, so that nobody lists the attempts at all other units."""
        number = 0
        while (self._attempts / f"{key}.{number + 1}").exists():
            number += 1
        return number

    # -- failures ----------------------------------------------------------------------------------

    def write_failure(self, failure: UnitFailure) -> None:
        self._failures.mkdir(parents=True, exist_ok=True)
        write_whole(
            self._failures / f"{failure.key}.json", json.dumps(asdict(failure), indent=1) + "\n"
        )

    def remove_failure(self, key: str) -> None:
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


def _unit_of(plain: Mapping[str, Any]) -> Unit:
    return Unit(
        plain["key"],
        tuple(plain["results"]),
        tuple(plain["needs"]),
        Resources(**plain["resources"]),
        tuple(plain["shared"]),
    )
