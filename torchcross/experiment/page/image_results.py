"""From the stored predictions of a run to results by class and subgroup."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from torchcross._kit.whole_files import write_whole
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.run.page_files import IMAGE_TABLES
from torchcross.experiment.run.stored_predictions import cells_with_predictions, run_predictions
from torchcross.experiment.run.subgroup_files import run_subgroups
from torchcross.experiment.settings.schema import EvaluationSettings
from torchcross.records import Predictions
from torchcross.report import ImageResults, class_values_csv, confusions_csv
from torchcross.report.calibration import (
    CalibrationResult,
    calibration_csv,
    calibration_latex,
    calibration_markdown,
    reliability_csv,
)
from torchcross.statistics import (
    Draws,
    calibration,
    calibration_intervals,
    class_values,
    confusion_matrix,
    set_values,
)

_NEVER = "an earlier version made this run, and stored none"


def image_results(
    run: RunFolder, draws: Mapping[tuple[str, int], Draws] | None = None
) -> ImageResults:
    """By class and subgroup, of all predictions that the run stored.

    `draws`, by (target, shots), make intervals over images.
    """
    evaluation = run.experiment["evaluation"]
    specificity = evaluation.get("specificity", EvaluationSettings.specificity)
    if not cells_with_predictions(run):
        absent = run.plain(PROTOCOL).get("predictions", _NEVER)
        return ImageResults(specificity=specificity, absent=absent)
    subgroups = run_subgroups(run)
    values, confusions, calibrations, sets = [], [], [], []
    predictions = run_predictions(run.path)
    for _, group in groupby(predictions, attrgetter("source", "algorithm", "shots")):
        several = list(group)
        first = several[0]
        values += class_values(
            several,
            subgroups=subgroups.get((first.source, first.split), ()),
            specificity=specificity,
            method=evaluation.get("interval", EvaluationSettings.interval),
            draws=None if draws is None else draws.get((first.source, first.shots)),
        )
        calibrations.append(_calibration(several, evaluation, draws))
        sets.append(
            set_values(
                several,
                method=evaluation.get("interval", EvaluationSettings.interval),
                draws=None if draws is None else draws.get((first.source, first.shots)),
            )
        )
        if (matrix := confusion_matrix(several)) is not None:
            confusions.append(matrix)
    known = [each for each in calibrations if each is not None]
    of_sets = [each for each in sets if each is not None]
    return ImageResults(values, confusions, specificity, calibrations=known, sets=of_sets)


def _calibration(
    several: Sequence[Predictions],
    evaluation: Mapping[str, Any],
    draws: Mapping[tuple[str, int], Draws] | None,
) -> CalibrationResult | None:
    """None where no prediction of a known label is finite."""
    first = several[0]
    if not any(map(_has_a_known_one, several)):
        return None
    intervals = calibration_intervals(
        several,
        method=evaluation.get("interval", EvaluationSettings.interval),
        draws=None if draws is None else draws.get((first.source, first.shots)),
    )
    return CalibrationResult(first.algorithm, calibration(several), intervals)


def _has_a_known_one(predictions: Predictions) -> bool:
    finite = np.isfinite(predictions.log_odds).all(axis=1)
    known = (predictions.labels >= 0).reshape(len(finite), -1).any(axis=1)
    return bool((finite & known).any())


def write_image_tables(results: ImageResults, out: Path) -> None:
    """Write the results as CSV; of a run without them, tables of an earlier page are removed."""
    tables: tuple[tuple[Sequence[Any], Callable[[Any], str]], ...] = (
        (results.values, class_values_csv),
        (results.confusions, confusions_csv),
        *(
            (results.calibrations, text_of)
            for text_of in (
                calibration_csv,
                reliability_csv,
                calibration_markdown,
                calibration_latex,
            )
        ),
    )
    for name, (contents, text_of) in zip(IMAGE_TABLES, tables, strict=True):
        _write_or_remove(out / name, bool(contents), text_of(contents))


def _write_or_remove(path: Path, has_rows: bool, text: str) -> None:
    if has_rows:
        write_whole(path, text)
    else:
        path.unlink(missing_ok=True)
