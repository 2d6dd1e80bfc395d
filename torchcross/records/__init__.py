"""Records: what is known of evaluated episodes and their images, its files, and published means."""

from __future__ import annotations

from torchcross.records.files import read_records
from torchcross.records.prediction_files import read_predictions
from torchcross.records.predictions import EpisodePredictions, Predictions
from torchcross.records.published_means import Means, read_means
from torchcross.records.records import EpisodeRecord, Records
from torchcross.records.shots import ALL_SHOTS

__all__ = [
    "ALL_SHOTS",
    "EpisodePredictions",
    "EpisodeRecord",
    "Means",
    "Predictions",
    "Records",
    "read_means",
    "read_predictions",
    "read_records",
]
