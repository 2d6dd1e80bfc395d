"""Fetch the published datasets from their record, and open ones from package indexes; checked."""

from __future__ import annotations

from medimeta_adapter.fetch.client import Package, Run, run_client
from medimeta_adapter.fetch.open_datasets import fetch_open_data
from medimeta_adapter.fetch.outcomes import FetchOutcome, FetchReport
from medimeta_adapter.fetch.published_data import PublishedData, fetch_medimeta, read_published
from medimeta_adapter.fetch.published_record import PublishedRecord, RecordFile
from medimeta_adapter.fetch.published_sizes import PublishedDataset
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
    "PublishedData",
    "PublishedDataset",
    "PublishedRecord",
    "RecordFile",
    "Run",
    "fetch_medimeta",
    "fetch_open_data",
    "fetch_weights",
    "read_published",
    "run_client",
]
