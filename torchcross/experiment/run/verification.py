"""`verify_run`: whether every file of a run is there, and is what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import final

from torchcross.errors import DamageError, TorchcrossError
from torchcross.experiment.run.cell_parts import PARTS
from torchcross.experiment.run.environment import ENVIRONMENT
from torchcross.experiment.run.episode_files import named_plans, read_plans
from torchcross.experiment.run.examples import check_example, read_example
from torchcross.experiment.run.experiment_record import EXPERIMENT
from torchcross.experiment.run.file_checks import (
    FileCheck,
    Verification,
    check_of_file,
    part_of,
    written_files,
)
from torchcross.experiment.run.folder import (
    FAILURES,
    JOBS,
    PROTOCOL,
    PROVENANCE,
    RunFolder,
)
from torchcross.experiment.run.json_files import read_hashed_json
from torchcross.experiment.run.page_files import (
    HASHES,
    IMAGE_TABLES,
    PAGE,
    TABLES,
    changed_page_files,
)
from torchcross.experiment.run.run_plugins import changes_in_words, lacks_in_words
from torchcross.experiment.run.scored_cells import scored_cells
from torchcross.experiment.run.scored_rows import read_scored
from torchcross.experiment.run.stored_predictions import PREDICTIONS, read_cell_predictions
from torchcross.experiment.run.subgroup_files import read_subgroup_file
from torchcross.experiment.run.training_files import (
    SUMMARY,
    reader_of_training_file,
    training_files,
)
from torchcross.experiment.settings.shots import episode_shots
from torchcross.records.files import read_hashed_records
from torchcross.records.prediction_files import read_hashed_predictions

_SUFFIXES = {
    "rows": ".csv",
    "episodes": ".json",
    "examples": ".npz",
    "predictions": ".safetensors",
}
_PARTS = ("run", "train", "rows", "episodes", "examples", "predictions", "subgroups")


def verify_run(folder: str | Path) -> Verification:
    """Check every file of a run: its content hash, rows against episodes, what is missing.

    Nothing is changed. A run that is going on, or was stopped, lacks files: they are `missing`.
    """
    run = RunFolder(folder)
    return Verification(run.path, tuple(_Verifier(run).checks()), _PARTS, _notes(run))


def _notes(run: RunFolder) -> tuple[str, ...]:
    try:
        return (*lacks_in_words(run), *changes_in_words(run.plain(PROVENANCE)))
    except (TorchcrossError, KeyError):
        # A damaged file is one of the checks.
        return ()


@final
class _Verifier:
    def __init__(self, run: RunFolder) -> None:
        self._run = run
        try:
            self._experiment, self._hashed = run.experiment, run.has_hashes
            targets = run.plain(PROTOCOL).get("targets", {})
        except (TorchcrossError, KeyError):
            # Every file is looked at; which ones there should be is not known.
            self._experiment, self._hashed, targets = {}, True, {}
        self._targets = list(targets)
        self._expected = dict(self._expected_cells(self._targets))
        self._named_plans = named_plans(run)
        self._plans = {*self._named_plans, *self._plan_names(self._targets)}

    def checks(self) -> Iterator[FileCheck]:
        names = dict.fromkeys(self._expected_files())
        for path in written_files(self._run.path, JOBS, PARTS):
            names[str(path.relative_to(self._run.path))] = None
        for name in sorted(names, key=lambda name: (part_of(name, _PARTS) != "run", name)):
            yield self._check(name)

    # -- what should be there ----------------------------------------------------------------------

    def _expected_cells(
        self, targets: list[str]
    ) -> Iterator[tuple[str, tuple[str, str, str, bool]]]:
        """Name of a rows file -> (target, algorithm, seed, whether it has an example)."""
        if not self._experiment:
            return
        first = self._experiment["seeds"][0]
        most = max(episode_shots(self._experiment["shots"]), default=0)
        for cell in scored_cells(self._experiment, targets, self._has_rows):
            # At all labels, which are no number of shots, there is none.
            shown = cell.shots == most and cell.seed == first
            yield cell.name, (cell.target, cell.algorithm, str(cell.seed), shown)

    def _has_rows(self, name: str) -> bool:
        return self._run.files.rows(name).is_file()

    def _plan_names(self, targets: list[str]) -> Iterator[str]:
        """The names of plan files that the run may have."""
        for target in targets:
            for count in episode_shots(self._experiment["shots"]) if self._experiment else ():
                yield self._run.files.plans(target, count).stem

    def _expected_files(self) -> Iterator[str]:
        path = self._run.path
        yield from (EXPERIMENT, PROTOCOL, PROVENANCE, FAILURES)
        if self._hashed and (path / PAGE).is_file():
            yield HASHES
        if (path / HASHES).is_file():
            yield from self._page_changes()
        for name, (*_, shown) in self._expected.items():
            yield f"rows/{name}.csv"
            if (path / "rows" / f"{name}.csv").is_file():
                yield f"episodes/{name}.json"
                if shown:
                    yield f"examples/{name}.npz"
                if self._stores_predictions(name):
                    yield f"predictions/{name}.safetensors"
        yield from (f"episodes/{name}.npz" for name in self._named_plans)
        if self._experiment and self._experiment["evaluation"].get("subgroups"):
            for target in self._targets:
                yield f"subgroups/{self._run.files.subgroups(target).name}"
        for name in self._trainings():
            yield f"train/{name}/{SUMMARY}"
            if (path / "train" / name / SUMMARY).is_file():
                yield from (
                    f"train/{name}/{file}" for file in training_files(path / "train" / name)
                )

    def _trainings(self) -> set[str]:
        """The trainings that ended, and those that gave rows."""
        path = self._run.path
        names = {summary.parent.name for summary in path.glob(f"train/*/{SUMMARY}")}
        for name in self._expected:
            episodes = path / "episodes" / f"{name}.json"
            with suppress(TorchcrossError):
                if episodes.is_file():
                    names.add(str(read_hashed_json(episodes)[0].get("training", "")))
        return names - {""}

    def _stores_predictions(self, name: str) -> bool:
        """Whether the cell stored predictions, and they are still wanted."""
        is_wanted = self._experiment["evaluation"].get(PREDICTIONS, 0) != 0
        try:
            return is_wanted and PREDICTIONS in read_scored(
                self._run.files.episodes(name), hashed=self._hashed
            )
        except TorchcrossError:
            return False

    def _page_changes(self) -> dict[str, bool]:
        try:
            return changed_page_files(self._run.path)
        except TorchcrossError:
            return {}

    # -- what is there -----------------------------------------------------------------------------

    def _check(self, name: str) -> FileCheck:
        path = self._run.path / name
        if not path.is_file():
            return self._absent(name)
        return check_of_file(name, path, self._reader(name), hashed=self._hashed)

    def _absent(self, name: str) -> FileCheck:
        cell = self._expected.get(Path(name).stem)
        if cell is not None and name.startswith("rows/"):
            for failure in self._failures():
                if tuple(failure[key] for key in ("target", "algorithm", "seed")) == cell[:3]:
                    return FileCheck(name, "failed", failure["reason"])
            return FileCheck(name, "missing", "run the same again to make it")
        return FileCheck(name, "missing", "it is gone, or the run was stopped before it wrote it")

    def _failures(self) -> list[dict[str, str]]:
        try:
            return self._run.failures()
        except TorchcrossError:
            return []

    def _reader(self, name: str) -> Callable[[Path], bool] | None:
        """A function of the path that says whether the file has a hash; None for other files."""
        path = Path(name)
        part, depth = part_of(name, _PARTS), len(path.parts)
        if part == "run":
            return self._reader_of_run_file(name)
        if part == "train":
            return reader_of_training_file(path)
        if (part, depth, path.suffix) == ("episodes", 2, ".npz"):
            is_named = path.stem in self._plans or not self._expected
            return self._read_plans if is_named else None
        if part == "subgroups":
            return _read_subgroups if depth == 2 and path.suffix == ".json" else None
        suffix = _SUFFIXES[part]
        is_expected = path.stem in self._expected or not self._expected
        if depth != 2 or path.suffix != suffix or not is_expected:
            return None
        readers = {
            "rows": self._read_rows,
            "episodes": _read_episodes,
            "examples": self._read_example,
            "predictions": self._read_predictions,
        }
        return readers[part]

    def _reader_of_run_file(self, name: str) -> Callable[[Path], bool] | None:
        if name == EXPERIMENT:
            return self._read_experiment
        if name in (PROTOCOL, PROVENANCE, FAILURES, HASHES, ENVIRONMENT):
            return _read_json
        if name in (PAGE, *TABLES, *IMAGE_TABLES):
            return self._read_page_file
        return None

    def _read_experiment(self, path: Path) -> bool:
        _read_json(path)
        self._run.has_hashes  # noqa: B018 - raises where the file is not as a run writes it
        return _read_json(path)

    def _read_rows(self, path: Path) -> bool:
        self._run.rows(path)
        return read_hashed_records(path)[1]

    def _read_plans(self, path: Path) -> bool:
        read_plans(path, [record["digest"] for record in self._named_plans.get(path.stem, ())])
        return True

    def _read_example(self, path: Path) -> bool:
        example = read_example(path)
        if cell := self._expected.get(path.stem):
            check_example(example, target=cell[0], algorithm=cell[1])
        try:
            read_example(path, hashed=True)
        except DamageError:
            return False
        return True

    def _read_predictions(self, path: Path) -> bool:
        episodes = self._run.files.episodes(path.stem)
        if episodes.is_file():
            scored = read_scored(episodes, hashed=self._hashed)
            read_cell_predictions(self._run, path.stem, {PREDICTIONS: None, **scored})
        return read_hashed_predictions(path)[1]

    def _read_page_file(self, path: Path) -> bool:
        changes = self._page_changes()
        if changes.get(path.name, False):
            raise DamageError(
                f"it is not the one that was written together with {HASHES}: it is older, damaged"
                f" or was changed; `torchcross report {self._run.path}` writes it again"
            )
        return path.name in changes


def _read_json(path: Path) -> bool:
    return read_hashed_json(path)[1]


def _read_episodes(path: Path) -> bool:
    read_scored(path, hashed=False)
    return _read_json(path)


def _read_subgroups(path: Path) -> bool:
    read_subgroup_file(path, hashed=False)
    return _read_json(path)
