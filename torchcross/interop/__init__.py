"""Bridges to other libraries, each imported only when used."""

from __future__ import annotations

__all__ = [
    "EpisodeTaskset",
    "HuggingFaceSource",
    "MlflowTracker",
    "TasksetEpisodes",
    "TensorBoardTracker",
    "WandbTracker",
    "export_predictor",
    "lightning_module",
]

from torchcross.interop.deployment import export_predictor
from torchcross.interop.huggingface import HuggingFaceSource
from torchcross.interop.lightning import lightning_module
from torchcross.interop.tasksets import EpisodeTaskset, TasksetEpisodes
from torchcross.interop.trackers import MlflowTracker, TensorBoardTracker, WandbTracker
