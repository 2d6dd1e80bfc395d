"""Experiments: settings, a run folder with everything that came of them, and its page."""

from __future__ import annotations

from torchcross._kit.plugin_files import load_plugin
from torchcross.experiment.data_formats import Collection, open_collection
from torchcross.experiment.opened.opened_run import OpenedRun, open_run
from torchcross.experiment.opened.own_images import ImagePredictions, predict_images
from torchcross.experiment.opened.row_algorithm import RowAlgorithm
from torchcross.experiment.outcome import RunOutcome, run_experiment
from torchcross.experiment.page.pages import compare_runs, write_page
from torchcross.experiment.rows.method import Method
from torchcross.experiment.rows.methods import METHODS, add_row
from torchcross.experiment.run.file_checks import FileCheck, Verification
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.stored_predictions import run_predictions
from torchcross.experiment.run.verification import verify_run
from torchcross.experiment.settings.model_settings import (
    BackboneEntry,
    BackboneSettings,
    ModelSettings,
)
from torchcross.experiment.settings.presets import PRESETS
from torchcross.experiment.settings.reading import experiment_from_values, read_experiment
from torchcross.experiment.settings.schema import (
    DataSettings,
    EvaluationSettings,
    Experiment,
    MachineSettings,
)
from torchcross.experiment.settings.training_sections import (
    MetaTrainingSettings,
    PretrainingSettings,
)
from torchcross.experiment.settings.tune_settings import TuneSettings
from torchcross.experiment.tuning.folder import TuneFolder
from torchcross.experiment.tuning.outcome import TuneOutcome, tune_experiment, with_tuned
from torchcross.experiment.tuning.verification import verify_search

__all__ = [
    "METHODS",
    "PRESETS",
    "BackboneEntry",
    "BackboneSettings",
    "Collection",
    "DataSettings",
    "EvaluationSettings",
    "Experiment",
    "FileCheck",
    "ImagePredictions",
    "MachineSettings",
    "MetaTrainingSettings",
    "Method",
    "ModelSettings",
    "OpenedRun",
    "PretrainingSettings",
    "RowAlgorithm",
    "RunFolder",
    "RunOutcome",
    "TuneFolder",
    "TuneOutcome",
    "TuneSettings",
    "Verification",
    "add_row",
    "compare_runs",
    "experiment_from_values",
    "load_plugin",
    "open_collection",
    "open_run",
    "predict_images",
    "read_experiment",
    "run_experiment",
    "run_predictions",
    "tune_experiment",
    "verify_run",
    "verify_search",
    "with_tuned",
    "write_page",
]
