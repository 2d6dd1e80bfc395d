"""Fetch real images and weights from package indexes, and check their hashes."""

from __future__ import annotations

from medimeta_adapter.fetch.client import Package, Run, run_client
from medimeta_adapter.fetch.open_datasets import FetchOutcome, FetchReport, fetch_open_data
from medimeta_adapter.fetch.registry import DATASETS, WEIGHTS, OpenDataset, OpenWeights
from medimeta_adapter.fetch.weight_files import fetch_weights

__all__ = [
    "DATASETS",
    "WEIGHTS",
    "FetchOutcome",
    "FetchReport",
    "OpenDataset",
    "OpenWeights",
    "Package",
    "Run",
    "fetch_open_data",
    "fetch_weights",
    "run_client",
]
