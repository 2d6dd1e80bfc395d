"""Experiments: a configuration, a folder with everything that came of it, and its page."""

from __future__ import annotations

from torchcross.experiment.data_formats import Collection, open_collection
from torchcross.experiment.page.pages import compared, write_page
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.runner import Outcome, run_experiment
from torchcross.experiment.settings.presets import PRESETS
from torchcross.experiment.settings.reading import experiment, read_experiment
from torchcross.experiment.settings.schema import (
    Data,
    Evaluation,
    Experiment,
    Machine,
    MetaTraining,
    Model,
    Pretraining,
)

__all__ = [
    "METHODS",
    "PRESETS",
    "Collection",
    "Data",
    "Evaluation",
    "Experiment",
    "Machine",
    "MetaTraining",
    "Model",
    "Outcome",
    "Pretraining",
    "RunFolder",
    "compared",
    "experiment",
    "open_collection",
    "read_experiment",
    "run_experiment",
    "write_page",
]
