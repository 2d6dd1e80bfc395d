"""What the processes at work on a job have in common: versions, data, weights, hardware.

jobs/job.json          what the first process says of itself; null is what it leaves undecided
jobs/decided/NAME.json what the first process says that decides it
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import quote

from torchcross.errors import InputError, ReadError
from torchcross.jobs.moves import write_where_none_is

_SHOWN: Final = 4
_MISSING: Final = "missing"

Fingerprint = Mapping[str, str | None]
"""Values by name; None is a value that this process leaves to others, as it does not compute."""


@final
class CommonFingerprint:
    """The fingerprint of a job, as its folder has it."""

    def __init__(self, job: Path, own: Path) -> None:
        self._job, self._record, self._decided = job, own / "job.json", own / "decided"

    def begin(self, fingerprint: Fingerprint) -> None:
        """Say what this process is, where none has done so."""
        if not self._record.is_file():
            text = json.dumps({"fingerprint": dict(fingerprint)}, indent=1)
            write_where_none_is(self._record, text)

    def is_begun(self) -> bool:
        return self._record.is_file()

    def forget(self) -> None:
        """The next process says what the job is made of; only where no other one is at work."""
        self._record.unlink(missing_ok=True)
        shutil.rmtree(self._decided, ignore_errors=True)

    def refuse_others(self, fingerprint: Fingerprint) -> None:
        """Refuse a process of another kind, and name what differs; decide what is not decided.

        One that is refused decides nothing.
        """
        expected = self._known_fingerprint()
        self._refuse(fingerprint, expected)
        undecided = [
            name
            for name, value in fingerprint.items()
            if value is not None and expected.get(name, _MISSING) is None
        ]
        for name in undecided:
            write_where_none_is(self._place(name), json.dumps({"value": fingerprint[name]}))
        if undecided:
            # Another process may have been faster.
            self._refuse(fingerprint, self._known_fingerprint())

    def _refuse(self, fingerprint: Fingerprint, expected: Fingerprint) -> None:
        different = [
            f"{name} is {here!r} here and {there!r} there"
            for name, here, there in _differences(fingerprint, expected)
        ]
        if different:
            more = len(different) - _SHOWN
            rest = f"; and {more} more" if more > 0 else ""
            raise InputError(
                f"the processes at work on {self._job} are of another kind:"
                f" {'; '.join(different[:_SHOWN])}{rest}. Give this process the same, or another"
                " folder"
            )

    def _known_fingerprint(self) -> dict[str, str | None]:
        expected: dict[str, str | None] = dict(_read(self._record)["fingerprint"])
        for name, value in expected.items():
            if value is None and self._place(name).is_file():
                expected[name] = _read(self._place(name))["value"]
        return expected

    def _place(self, name: str) -> Path:
        return self._decided / f"{quote(name, safe='')}.json"


def _differences(here: Fingerprint, there: Fingerprint) -> Iterator[tuple[str, str, str]]:
    for name in sorted(here.keys() | there.keys()):
        values = here.get(name, _MISSING), there.get(name, _MISSING)
        if values[0] is not None and values[1] is not None and values[0] != values[1]:
            yield name, values[0], values[1]


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        if "value" not in record:
            dict(record["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(f"{path} cannot be read ({error}); remove it, and run again") from error
    return record
