"""Published results: tables of sources and targets that somebody else has made."""

from __future__ import annotations

from torchcross.transfer.published.extra_tables import with_tables
from torchcross.transfer.published.page_of_tables import published_contents, write_published_page
from torchcross.transfer.published.pair_files import read_pair_numbers
from torchcross.transfer.published.results_file import read_results

__all__ = [
    "published_contents",
    "read_pair_numbers",
    "read_results",
    "with_tables",
    "write_published_page",
]
