"""Trackers of known libraries, each of which is imported when its tracker is made."""

from __future__ import annotations

from torchcross.interop.trackers.mlflow import MlflowTracker
from torchcross.interop.trackers.tensorboard import TensorBoardTracker
from torchcross.interop.trackers.wandb import WandbTracker

__all__ = ["MlflowTracker", "TensorBoardTracker", "WandbTracker"]
