"""The folder of a search: a trial is a whole file there, or it is tried again.

tuning.json                the resolved experiment with its search
provenance.json            versions, git state, machine, data
trials/<row>-<digest>.json one trial of one row for the targets that leave the same sources
trials.csv                 a table of all trials
chosen.json                the chosen settings; `torchcross run --tuned FOLDER` reads them
failures.json              what failed for a reason outside the trial, and is tried again
jobs/                      what is under way, with its trainings (see torchcross.jobs.folder); gone
                           when all is done

Every file has its content hash in itself (see torchcross._kit.content_hash).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchcross._kit.content_hash import damage_error
from torchcross._kit.lock import MARKER
from torchcross.errors import InputError, WriteError
from torchcross.experiment.run.cells import Say
from torchcross.experiment.run.change_words import (
    difference_in_words,
    listed_differences,
    plugin_difference,
)
from torchcross.experiment.run.earlier_presets import earlier_readings, notes_of_reading
from torchcross.experiment.run.experiment_record import EXPERIMENT
from torchcross.experiment.run.file_names import file_name, is_unfinished, unfinished_files
from torchcross.experiment.run.folder import FAILURES, JOBS
from torchcross.experiment.run.identity import decisive_settings, differences
from torchcross.experiment.run.json_fields import checked_failures
from torchcross.experiment.run.json_files import (
    NEEDED,
    REMOVABLE,
    read_hashed_json,
    read_json,
    write_json,
)
from torchcross.experiment.run.recorded_plugins import PLUGINS, plugin_names
from torchcross.experiment.settings.plain import as_plain, digest
from torchcross.experiment.settings.schema import Experiment

TUNING, CHOSEN, TABLE = "tuning.json", "chosen.json", "trials.csv"
_FORMAT = 1
TRIALS, TRAININGS = "trials", "train"
"""Folders in that of a search. Earlier versions trained in the second; now each attempt has one."""


class TuneFolder:
    """The folder of a search: its trials, and what was chosen. `begin` makes a new one."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / TUNING).is_file():
            raise InputError(
                f"{self.path} is no search: it has no {TUNING}; give a folder that `torchcross"
                " tune` made"
            )

    @classmethod
    def begin(cls, path: str | Path, experiment: Experiment, *, alone: bool = True) -> TuneFolder:
        """A new search, or the same one that goes on; only for one process at a time.

        Half-written files are removed where no other process is at work here (`alone`).
        """
        path = Path(path)
        decides = search_settings(experiment)
        if (path / TUNING).is_file():
            _refuse_other_search(path, experiment, decides)
        else:
            refuse_other_folder(path)
            path.mkdir(parents=True, exist_ok=True)
            record = {
                "experiment": as_plain(experiment),
                "decides": decides,
                "digest": digest(decides),
                "format": _FORMAT,
            }
            write_json(path / TUNING, record)
        try:
            for unfinished in unfinished_files(path) if alone else ():
                unfinished.unlink(missing_ok=True)
            (path / TRIALS).mkdir(exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"{path} cannot be written to ({error.strerror or error}); make room, or give a"
                " folder that can be"
            ) from error
        return cls(path)

    def training(self, *key: object) -> Path:
        return self.path / TRAININGS / file_name(key)

    def trial_file(self, row: str, number: int, sources: str) -> Path:
        """`sources` is the key of what the targets of the trial leave to learn from."""
        return self.path / trial_place(row, number, sources)

    def trial(self, path: Path) -> dict[str, Any] | None:
        """A trial that was scored; None where there is none, a DamageError where it is damaged."""
        if not path.is_file():
            return None
        record, has_hash = read_hashed_json(path, "run the same again to make it again")
        if not has_hash:
            raise damage_error(path, "run the same again to make it again", lost=True)
        return record

    def failures(self) -> list[dict[str, str]]:
        """What failed when it was last tried."""
        return checked_failures(self.path / FAILURES, self.plain(FAILURES))

    def write_failures(self, failures: list[dict[str, str]]) -> None:
        if not (self.path / FAILURES).is_file() or failures != self.failures():
            write_json(self.path / FAILURES, {"failures": failures})

    def plain(self, name: str) -> dict[str, Any]:
        """The content of a JSON file of this search; empty while there is none."""
        path = self.path / name
        if not path.is_file():
            return {}
        return read_json(path, hashed=True, advice=REMOVABLE if name == FAILURES else NEEDED)


def trial_place(row: str, number: int, sources: str) -> str:
    """The file of a trial in the folder of any search."""
    return f"{TRIALS}/{file_name((row, f'trial {number}', sources))}.json"


def search_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that decide trials, as plain values."""
    return {**decisive_settings(experiment), "tune": as_plain(experiment.tune)}


def search_as_begun(experiment: Experiment, path: Path, say: Say) -> Experiment:
    """The same settings, read with the defaults that the search in this folder began with."""
    if not (path / TUNING).is_file():
        return experiment
    begun = TuneFolder(path).plain(TUNING).get("digest")
    if begun != digest(search_settings(experiment)):
        for earlier in earlier_readings(experiment):
            if begun == digest(search_settings(earlier)):
                for note in notes_of_reading(experiment, earlier, path):
                    say(note)
                return earlier
    return experiment


def refuse_other_folder(path: Path) -> None:
    """Refuse a folder that has files and no search, before anything is written there."""
    if (path / TUNING).is_file() or not path.is_dir():
        return
    if (path / EXPERIMENT).is_file():
        raise InputError(f"{path} holds a run; give another folder for the search")
    if not all(map(_is_ours, path.iterdir())):
        raise InputError(f"{path} is not empty and holds no search; give a new folder")


def _is_ours(path: Path) -> bool:
    """Whether it is a file of a search that was killed at its very beginning."""
    is_first_file = path.name.startswith(TUNING) and is_unfinished(path)
    return is_first_file or path.name in (JOBS, "lock", f"lock{MARKER}")


def _refuse_other_search(path: Path, experiment: Experiment, decides: Mapping[str, Any]) -> None:
    existing = read_json(path / TUNING, hashed=True)
    if existing.get("format") != _FORMAT:
        raise InputError(
            f"{path} is a search of format {existing.get('format')!r}, and this version reads"
            f" format {_FORMAT}; update torchcross to go on with it"
        )
    if existing.get("digest") != digest(decides):
        before, now = existing.get("decides", {}), as_plain(decides)
        names = plugin_names(path, list(experiment.plugins))

        def describe(name: str) -> str:
            if name == PLUGINS:
                return plugin_difference(before, now, names, "the search")
            return difference_in_words(name, before, now, "the search")

        listed = listed_differences(differences(before, now), describe, before, now)
        raise InputError(
            f"{path} holds another search:{listed}\n{path / TUNING} has all settings of that"
            " search, which takes no further trials, rows or targets. Give them, or --out another"
            " folder"
        )
