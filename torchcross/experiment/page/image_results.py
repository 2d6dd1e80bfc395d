"""From the stored predictions of a run to results by class and subgroup."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from torchcross._kit.whole_files import write_whole
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.run.page_files import IMAGE_TABLES
from torchcross.experiment.run.stored_predictions import cells_with_predictions, run_predictions
from torchcross.experiment.run.subgroup_files import run_subgroups
from torchcross.experiment.settings.schema import EvaluationSettings
from torchcross.report import ImageResults, class_values_csv, confusions_csv
from torchcross.statistics import Draws, class_values, confusion_matrix

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
    values, confusions = [], []
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
        if (matrix := confusion_matrix(several)) is not None:
            confusions.append(matrix)
    return ImageResults(values, confusions, specificity)


def write_image_tables(results: ImageResults, out: Path) -> None:
    """Write the results as CSV; of a run without them, tables of an earlier page are removed."""
    by_class, confusion = IMAGE_TABLES
    _write_or_remove(out / by_class, bool(results.values), class_values_csv(results.values))
    _write_or_remove(out / confusion, bool(results.confusions), confusions_csv(results.confusions))


def _write_or_remove(path: Path, has_rows: bool, text: str) -> None:
    if has_rows:
        write_whole(path, text)
    else:
        path.unlink(missing_ok=True)
