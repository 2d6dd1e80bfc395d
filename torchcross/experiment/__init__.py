"""Experiments: a configuration, a folder with everything that came of it, and its page."""

from __future__ import annotations

from torchcross.experiment.collections import Collection, open_collection
from torchcross.experiment.config import experiment, read_experiment
from torchcross.experiment.folder import RunFolder
from torchcross.experiment.methods import METHODS
from torchcross.experiment.pages import compared, page
from torchcross.experiment.presets import PRESETS
from torchcross.experiment.runner import Outcome, run_experiment
from torchcross.experiment.sections import (
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
    "page",
    "read_experiment",
    "run_experiment",
]
