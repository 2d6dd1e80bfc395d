"""The section "Prediction sets" of a page."""

from __future__ import annotations

from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.settings.schema import EvaluationSettings
from torchcross.report import ImageResults, PageTable
from torchcross.report.prediction_sets import prediction_set_tables


def tables_of_sets(run: RunFolder, images: ImageResults) -> list[PageTable]:
    """One table, or none where the experiment asks for no sets."""
    evaluation = run.experiment["evaluation"]
    method = evaluation.get("sets", EvaluationSettings.sets)
    level = evaluation.get("coverage", EvaluationSettings.coverage)
    return prediction_set_tables(images.sets, method, level, images.absent)
