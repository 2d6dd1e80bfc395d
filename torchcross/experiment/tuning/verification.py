"""`verify_search`: whether every file of a search is there, and is what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import final

from torchcross._kit.content_hash import split_hash_line
from torchcross.errors import DamageError, TorchcrossError
from torchcross.experiment.run.file_checks import (
    FileCheck,
    Verification,
    check_of_file,
    part_of,
    written_files,
)
from torchcross.experiment.run.folder import FAILURES, JOBS, PROVENANCE
from torchcross.experiment.run.json_files import read_hashed_json
from torchcross.experiment.run.run_plugins import changes_in_words
from torchcross.experiment.run.training_files import (
    SUMMARY,
    reader_of_training_file,
    training_files,
)
from torchcross.experiment.tuning.folder import CHOSEN, TABLE, TUNING, TuneFolder

_PARTS = ("search", "train", "trials")
_AGAIN = "run the same search again to make it again"


def verify_search(folder: str | Path) -> Verification:
    """Check every file of a search: its content hash, and whether all trials are there.

    Nothing is changed. Every trial of a target with sources is expected. A search that is going on,
    or was stopped, lacks some: they are `missing`.
    """
    search = TuneFolder(folder)
    return Verification(search.path, tuple(_Verifier(search).checks()), _PARTS, _notes(search))


def _notes(search: TuneFolder) -> tuple[str, ...]:
    try:
        return tuple(changes_in_words(search.plain(PROVENANCE)))
    except (TorchcrossError, KeyError):
        # A damaged file is one of the checks.
        return ()


@final
class _Verifier:
    def __init__(self, search: TuneFolder) -> None:
        self._path = search.path
        self._trials = _expected_trials(search)

    def checks(self) -> Iterator[FileCheck]:
        names = dict.fromkeys(self._expected_files())
        for path in written_files(self._path, JOBS):
            names[str(path.relative_to(self._path))] = None
        for name in sorted(names, key=lambda name: (part_of(name, _PARTS) != _PARTS[0], name)):
            path = self._path / name
            if path.is_file():
                yield check_of_file(name, path, self._reader(name), hashed=True)
            else:
                yield FileCheck(name, "missing", f"it is gone, or was not made yet; {_AGAIN}")

    def _expected_files(self) -> Iterator[str]:
        yield from (TUNING, PROVENANCE, CHOSEN, TABLE, FAILURES)
        yield from (f"trials/{name}" for name in self._trials)
        for summary in self._path.glob(f"train/*/{SUMMARY}"):
            yield from (
                f"train/{summary.parent.name}/{file}" for file in training_files(summary.parent)
            )

    def _reader(self, name: str) -> Callable[[Path], bool] | None:
        """A function of the path that says whether the file has a hash; None for other files."""
        path = Path(name)
        part = part_of(name, _PARTS)
        if part == "train":
            return reader_of_training_file(path)
        if part == "trials":
            is_trial = len(path.parts) == 2 and (path.name in self._trials or not self._trials)
            return self._read_trial if is_trial and path.suffix == ".json" else None
        if name == TABLE:
            return _read_table
        return _read_json if name in (TUNING, PROVENANCE, CHOSEN, FAILURES) else None

    def _read_trial(self, path: Path) -> bool:
        record, has_hash = read_hashed_json(path, _AGAIN)
        expected = self._trials.get(path.name)
        if expected and expected != (record.get("row"), record.get("trial")):
            raise DamageError(
                f"it is of trial {record.get('trial')} of {record.get('row')}, and has the name of"
                f" trial {expected[1]} of {expected[0]}; {_AGAIN}"
            )
        return has_hash


def _expected_trials(search: TuneFolder) -> dict[str, tuple[str, int]]:
    """Name of a trial's file -> (row, number); empty while nothing says which there should be."""
    try:
        about = search.plain(CHOSEN).get("about", {})
    except TorchcrossError:
        return {}
    return {
        search.trial_file(row, number, key).name: (row, number)
        for key in about.get("sources", {}).values()
        for row in about["order of rows"]
        for number in range(1, about["trials"] + 1)
    }


def _read_json(path: Path) -> bool:
    return read_hashed_json(path)[1]


def _read_table(path: Path) -> bool:
    return split_hash_line(path, path.read_bytes(), _AGAIN)[1]
