"""The names that rows have on a page and in its tables, with a mark where they saw the test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from torchcross.experiment.rows.tuning_words import marked_rows
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.settings.row_names import algorithm_of
from torchcross.records import Records
from torchcross.report import Curve, Example, Failure, ImageResults
from torchcross.report.calibration import CalibrationResult
from torchcross.report.episode_answers import EpisodeAnswers
from torchcross.statistics import ClassValue, Confusion, SetValues

Named = TypeVar(
    "Named",
    Curve,
    Example,
    EpisodeAnswers,
    Failure,
    ClassValue,
    Confusion,
    CalibrationResult,
    SetValues,
)


class RowNames:
    """The names of the rows of a run; in a comparison also with the name of the run."""

    def __init__(self, run: RunFolder, suffix: str = "") -> None:
        self._marked = marked_rows(run.experiment.get("tuned", {}))
        self._suffix = f" ({suffix})" if suffix else ""

    def __getitem__(self, row: str) -> str:
        return f"{self._marked.get(row, row)}{self._suffix}"

    def head(self, row: str) -> str:
        """The algorithm of a row, with the marks of the row."""
        return self[row].replace(row, algorithm_of(row), 1)

    def of_records(self, records: Records) -> Records:
        columns: dict[str, Any] = dict(records.columns)
        columns["algorithm"] = [self[name] for name in columns["algorithm"].tolist()]
        return Records(columns)

    def of_episodes(
        self, episodes: Mapping[tuple[str, str, int], str]
    ) -> dict[tuple[str, str, int], str]:
        return {(self[row], target, shots): text for (row, target, shots), text in episodes.items()}

    def of_trainings(self, trainings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{**each, "algorithm": self[each["algorithm"]]} for each in trainings]

    def of_all(self, named: Iterable[Named]) -> list[Named]:
        """Curves, examples, failures, or results of images."""
        renamed = []
        for each in named:
            field = "label" if isinstance(each, Curve) else "algorithm"
            changes: dict[str, Any] = {field: self[getattr(each, field)]}
            renamed.append(replace(each, **changes))
        return renamed

    def of_images(self, results: ImageResults) -> ImageResults:
        values, confusions = self.of_all(results.values), self.of_all(results.confusions)
        calibrations = self.of_all(results.calibrations)
        return replace(
            results,
            values=values,
            confusions=confusions,
            calibrations=calibrations,
            sets=self.of_all(results.sets),
        )
