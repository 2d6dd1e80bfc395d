"""Records: what is known of evaluated episodes, its files, and published means."""

from __future__ import annotations

from torchcross.records.files import read_records
from torchcross.records.published_means import Means, read_means
from torchcross.records.records import EpisodeRecord, Records

__all__ = [
    "EpisodeRecord",
    "Means",
    "Records",
    "read_means",
    "read_records",
]
