"""The folder of a run: a result is a whole file there, or it is computed again.

experiment.json               the resolved experiment, and the run's name in its rows
protocol.json                 what was done, in words
provenance.json               versions, git state, machine, data
train/<row>-<digest>/         checkpoints, log.csv and weights of one training (see
                              torchcross.training)
rows/<row>-<digest>.csv       records of one algorithm, training seed, target and number of shots
episodes/<row>-<digest>.json  which episodes these records are of
episodes/plans-<digest>.npz   the plans of one target and number of shots, for all their rows
examples/<row>-<digest>.npz   an example episode
predictions/<row>-<digest>.safetensors  what was predicted for each query image
subgroups/<target>-<digest>.json  which subgroup each image of a target is in
failures.json                 what failed, and why
jobs/                         what is under way (see torchcross.jobs.folder); empty when all is done
trackers/                     what trackers write; no part of the results
report.html, table.*          the page and its tables
page.json                     the content hashes of these

Every other file has its content hash in itself (see torchcross._kit.content_hash).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.lock import MARKER
from torchcross._kit.whole_files import name_as_text
from torchcross.data.plan_files.drawn_images import read_drawn_images
from torchcross.errors import InputError, WriteError
from torchcross.experiment.rows.methods import is_supervised, rows_of_values
from torchcross.experiment.run.experiment_record import (
    EXPERIMENT,
    FORMAT,
    no_run_error,
    read_experiment_record,
    refuse_other_experiment,
)
from torchcross.experiment.run.file_names import is_unfinished, unfinished_files
from torchcross.experiment.run.identity import decisive_settings, identity
from torchcross.experiment.run.image_draws import draws_of
from torchcross.experiment.run.json_fields import check_fields, checked_failures
from torchcross.experiment.run.json_files import NEEDED, REMOVABLE, read_json, write_json
from torchcross.experiment.run.recorded_plugins import PROVENANCE_FILE
from torchcross.experiment.run.run_files import RunFiles
from torchcross.experiment.run.scored_rows import read_rows, read_scored
from torchcross.experiment.run.stored_shots import as_scored, shots_in_memory
from torchcross.experiment.settings.plain import as_plain, with_earlier_values
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.settings.shots import episode_shots, with_shots_as_stored
from torchcross.records import Records
from torchcross.records.records import FIELDS
from torchcross.statistics import Draws

PROTOCOL, PROVENANCE = "protocol.json", PROVENANCE_FILE
FAILURES = "failures.json"
JOBS = "jobs"
"""The folder of what is under way; see `torchcross.jobs`."""

SET_ASIDE = ".damaged"
"""The end of the names of damaged files in whose place a run makes new ones."""

_PARTS = ("train", "rows", "episodes", "examples", "predictions", "subgroups")


class RunFolder:
    """The folder of a run: its settings, rows and files. `begin` makes a new one."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / EXPERIMENT).is_file():
            raise no_run_error(self.path)

    @classmethod
    def begin(cls, path: str | Path, experiment: Experiment, *, alone: bool = True) -> RunFolder:
        """A new run, or one of the same experiment that goes on; only for one process at a time.

        The same experiment may have further algorithms, training seeds, targets and shots.

        Half-written files are removed where no other process is at work here (`alone`).
        """
        path = Path(path)
        record = _record_of(path, experiment)
        if not _is_begun(path, record):
            path.mkdir(parents=True, exist_ok=True)
            write_json(path / EXPERIMENT, record)
        elif (larger := refuse_other_experiment(path, record)) is not None:
            if not alone:
                raise InputError(
                    f"{path} is to have further cells, and other processes are at work on those"
                    " that it has; start again when they have ended"
                )
            write_json(path / EXPERIMENT, larger)
        try:
            for unfinished in unfinished_files(path) if alone else ():
                unfinished.unlink(missing_ok=True)
            for part in _PARTS:
                (path / part).mkdir(exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"{path} cannot be written to ({error.strerror or error}); make room, or give a"
                " folder that can be"
            ) from error
        return cls(path)

    @classmethod
    def if_begun(cls, path: str | Path, experiment: Experiment) -> RunFolder | None:
        """The run of this experiment, if it has begun; nothing is written.

        A folder of another one, or of something else, is refused.
        """
        path = Path(path)
        return cls(path) if _is_begun(path, _record_of(path, experiment)) else None

    def update(self, experiment: Experiment) -> None:
        """Settings that decide no row, such as the metric that leads the page, may change."""
        before = read_experiment_record(self.path)
        now = {**before, "experiment": with_shots_as_stored(as_plain(experiment))}
        if now != before:
            write_json(self.path / EXPERIMENT, now)

    @property
    def experiment(self) -> dict[str, Any]:
        """The resolved experiment as plain values; runs of earlier versions are read too."""
        plain = read_experiment_record(self.path).get("experiment")
        if not _is_experiment(plain):
            raise InputError(
                f"{self.path / EXPERIMENT} is not as a run writes it: it lacks the settings of an"
                f" experiment; {NEEDED}"
            )
        return with_earlier_values(plain)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The rows of its table, in their order; of several backbones, named with them."""
        return rows_of_values(self.experiment)

    @property
    def name(self) -> str:
        """The run's name in its rows: the folder's name when the run began."""
        name = read_experiment_record(self.path).get("run")
        return name if isinstance(name, str) else name_as_text(self.path.resolve())

    @property
    def has_hashes(self) -> bool:
        """Whether every file must have a content hash; those of earlier versions have none."""
        return "format" in read_experiment_record(self.path)

    @property
    def files(self) -> RunFiles:
        return RunFiles(self.path)

    def training(self, *key: object) -> Path:
        return self.files.training(*key)

    def rows(self, path: Path) -> Records:
        """The rows of one cell; a DamageError where they are not what its episodes gave."""
        return read_rows(path, self.files.episodes(path.stem), hashed=self.has_hashes)

    def set_aside(self, name: str) -> None:
        """Rename the files of a damaged cell, so that the cell is made again."""
        for path in reversed(self.files.of_cell(name)):
            if path.is_file():
                set_aside(path)

    def records(self) -> Records:
        """All rows so far, with algorithms and targets in the experiment's order."""
        hashed = self.has_hashes
        files = sorted((self.path / "rows").glob("*.csv"))
        tables = [
            read_rows(file, self.files.episodes(file.stem), hashed=hashed).columns for file in files
        ] or [Records.of([]).columns]
        joined = {name: np.concatenate([table[name] for table in tables]) for name in FIELDS}
        joined["shots"] = shots_in_memory(joined["algorithm"], joined["shots"])
        records = Records(joined).sorted_rows()
        targets = self.plain(PROTOCOL).get("order of targets", [])
        by_target = _places(records.columns["target"], targets)
        by_algorithm = _places(records.columns["algorithm"], self.algorithms)
        # numpy's lexsort takes the most important key last.
        return records[np.lexsort((by_target, by_algorithm))]

    def episodes(self) -> dict[tuple[str, str, int], str]:
        """(algorithm, target, shots) -> a digest of the scored episodes, where it is known."""
        return {
            (each["algorithm"], each["target"], each["shots"]): each["digest"]
            for each in self.scored_episodes()
        }

    def draws(self) -> dict[tuple[str, int], Draws]:
        """(target, shots) -> which images the scored episodes drew, where the run has their plans.

        A file of plans that is damaged is an error that names it.
        """
        by_digest = self.draws_by_digest()
        keys = {(each["target"], each["shots"]): each["digest"] for each in self.scored_episodes()}
        return {key: by_digest[digest] for key, digest in keys.items() if digest in by_digest}

    def draws_by_digest(self) -> dict[str, Draws]:
        """The same by the digest of the episodes."""
        files = sorted((self.path / "episodes").glob("plans-*.npz"))
        return {drawn.digest: draws_of(drawn) for drawn in map(read_drawn_images, files)}

    def is_supervised(self, algorithm: str) -> bool:
        """Whether its rows are one number over a test split, and of no episodes."""
        return is_supervised(algorithm)

    def shared_subjects(self) -> dict[str, int]:
        """Target -> the most subjects in both support and query, over all episodes of one row."""
        counts: dict[str, int] = {}
        for each in self.scored_episodes():
            if each["shared subjects"]:
                target = each["target"]
                counts[target] = max(counts.get(target, 0), each["shared subjects"])
        return counts

    def scored_episodes(self) -> Iterator[dict[str, Any]]:
        """What the run says of the episodes of each cell."""
        hashed = self.has_hashes
        for file in sorted((self.path / "episodes").glob("*.json")):
            yield as_scored(read_scored(file, hashed=hashed))

    def failures(self) -> list[dict[str, str]]:
        """What failed when it was last tried."""
        return checked_failures(self.path / FAILURES, self.plain(FAILURES))

    def write_failures(self, failures: list[dict[str, str]]) -> None:
        if not (self.path / FAILURES).is_file() or failures != self.failures():
            write_json(self.path / FAILURES, {"failures": failures})

    def plain(self, name: str) -> dict[str, Any]:
        """The content of a JSON file of this run; empty while there is none."""
        path = self.path / name
        if not path.is_file():
            return {}
        advice = REMOVABLE if name in (PROTOCOL, FAILURES) else NEEDED
        record = read_json(path, hashed=self.has_hashes, advice=advice)
        check_fields(path, record, advice)
        return record


def _record_of(path: Path, experiment: Experiment) -> dict[str, Any]:
    return {
        "experiment": with_shots_as_stored(as_plain(experiment)),
        "decides": decisive_settings(experiment),
        "digest": identity(experiment),
        "run": name_as_text(path.resolve()),
        "format": FORMAT,
    }


def _is_begun(path: Path, record: dict[str, Any]) -> bool:
    """Whether the folder holds this run; False where nothing is there, and all else is refused."""
    if not (path / EXPERIMENT).is_file():
        refuse_other_folder(path)
        return False
    refuse_other_experiment(path, record)
    return True


def _is_experiment(plain: object) -> TypeGuard[dict[str, Any]]:
    """Whether the settings that every page needs are there, each of its kind."""
    if not isinstance(plain, dict):
        return False
    lists = {"algorithms": str, "shots": int, "seeds": int}
    for name, kind in lists.items():
        values = plain.get(name)
        if not isinstance(values, list):
            return False
        numbers = episode_shots(values) if name == "shots" else values
        if not all(isinstance(value, kind) for value in numbers):
            return False
    return all(isinstance(plain.get(name), dict) for name in ("data", "evaluation"))


def refuse_other_folder(path: Path) -> None:
    """Refuse a folder that has files and no run, before anything is written there."""
    if (path / EXPERIMENT).is_file() or not path.is_dir():
        return
    if not all(map(_is_ours, path.iterdir())):
        raise InputError(f"{path} is not empty and holds no run; give a new folder")


def _is_ours(path: Path) -> bool:
    """Whether it is a file of a run that was killed at its very beginning."""
    is_first_file = path.name.startswith(EXPERIMENT) and is_unfinished(path)
    return is_first_file or path.name in (JOBS, "lock", f"lock{MARKER}")


def set_aside(path: Path) -> None:
    """Rename a damaged file, so that a new one is made in its place."""
    path.replace(path.with_name(path.name + SET_ASIDE))


def _places(names: NDArray[Any], order: Sequence[str]) -> NDArray[np.int64]:
    """The place of each name in an order; names that it lacks come last, all alike."""
    places = {name: place for place, name in enumerate(order)}
    return np.array([places.get(name, len(places)) for name in names.tolist()], dtype=np.int64)
