"""Attempts at units: a folder for each, which begins with what the last attempt left.

KEY.NUMBER/           what an attempt has written so far; numbers have no gaps
KEY.NUMBER.copying    that attempt does not have all of the one before it yet
KEY.json              the names of files that earlier attempts left, and which of them made progress
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from torchcross._kit.whole_files import UNFINISHED, unfinished_place, write_whole
from torchcross.errors import WriteError
from torchcross.jobs.moves import copy_whole_files


@final
class Attempts:
    """The attempts at the units of a job, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, key: str) -> Path:
        """A new folder for a unit, with copies of the whole files of the last attempt."""
        try:
            return self._begin(key)
        except OSError as error:
            raise WriteError(
                f"{self.folder} has no place for an attempt at {key!r} ({error.strerror or error});"
                " make room, or let this worker write to the folder of the job"
            ) from error

    def _begin(self, key: str) -> Path:
        last = self._last(key)
        if last:
            self._write_progress(key, last)
        number = last
        while True:
            number += 1
            mark = self._mark(key, number)
            if last:
                mark.touch()
            try:
                self._place(key, number).mkdir(parents=True)
                break
            except FileExistsError:
                continue
        attempt = self._place(key, number)
        if not last:
            return attempt
        for before in self._sources(key, last):
            copy_whole_files(self._place(key, before), attempt)
        mark.unlink(missing_ok=True)
        # The last one's owner may be alive and publish it; those before it are of no use.
        for older in range(1, last):
            _empty(self._place(key, older))
        return attempt

    def _sources(self, key: str, last: int) -> range:
        """The attempts to copy from, the newest last: more than one where a copy is not whole."""
        first = last
        while first > 1 and self._mark(key, first).exists():
            first -= 1
        return range(max(first, 1), last + 1)

    def adopt(self, key: str, source: Path, result: str) -> None:
        """Take a half-made result out of its place, for the unit's next attempt to go on from."""
        place = self.begin(key) / result
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        source.rename(place)

    def remove(self, key: str) -> None:
        with suppress(OSError):
            self._remove(key)

    def _remove(self, key: str) -> None:
        last = self._last(key)
        if last > 1:
            self._record(key).unlink(missing_ok=True)
        # The last one first: whoever is interrupted here leaves no gap.
        for number in range(last, 0, -1):
            shutil.rmtree(self._place(key, number), ignore_errors=True)
            if number > 1:
                self._mark(key, number).unlink(missing_ok=True)

    # -- progress ----------------------------------------------------------------------------------

    def with_progress(self, key: str, last: int) -> int:
        """How many of so many last attempts left a file that none before had.

        Such as the checkpoint of a later step: a unit that is interrupted again and again, and gets
        further each time, is sound.
        """
        _, progress = self._progress(key, self._last(key))
        return sum(progress[-last:]) if last else 0

    def _progress(self, key: str, last: int) -> tuple[set[str], list[bool]]:
        """The names of whole files that attempts left, and of each whether it brought a new one."""
        names, progress = self._known_progress(key)
        for number in range(len(progress) + 1, last + 1):
            own = _whole_files(self._place(key, number))
            progress.append(bool(own - names))
            names |= own
        return names, progress

    def _known_progress(self, key: str) -> tuple[set[str], list[bool]]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            record: dict[str, Any] = json.loads(self._record(key).read_bytes())
            return set(map(str, record["names"])), list(map(bool, record["progress"]))
        return set(), []

    def _write_progress(self, key: str, last: int) -> None:
        names, progress = self._progress(key, last)
        record = {"names": sorted(names), "progress": progress}
        attempt = self._place(key, last)
        # Unfinished in the folder of an attempt, it goes with it if its writer is killed.
        draft = unfinished_place(attempt / self._record(key).name)
        try:
            write_whole(draft, json.dumps(record) + "\n")
            draft.replace(self._record(key))
        except (WriteError, FileNotFoundError):
            # Without the folder, the unit is done.
            if attempt.is_dir():
                raise

    # -- places ------------------------------------------------------------------------------------

    def _place(self, key: str, number: int) -> Path:
        return self.folder / f"{key}.{number}"

    def _mark(self, key: str, number: int) -> Path:
        return self.folder / f"{key}.{number}.copying"

    def _record(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _last(self, key: str) -> int:
        """Numbers have no gaps, so that nobody lists the attempts at all other units."""
        number = 0
        while self._place(key, number + 1).exists():
            number += 1
        return number


def _whole_files(attempt: Path) -> set[str]:
    return {
        path.relative_to(attempt).as_posix()
        for path in attempt.rglob("*")
        if path.is_file() and not path.name.endswith(UNFINISHED)
    }


def _empty(folder: Path) -> None:
    for path in list(folder.iterdir()):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
