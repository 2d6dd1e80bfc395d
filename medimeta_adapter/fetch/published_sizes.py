"""The datasets of the record before they are fetched: what is known of them, and their room."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medimeta_adapter.fetch.published_record import RecordFile
from medimeta_adapter.synthetic import catalog
from torchcross.errors import FetchError

_SIDE = 224
_SPARE = 1 << 30
_MOST_MEMBERS = 1_000_000


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset of the record, before it is fetched.

    images, license and pixels (their bytes) are those of the catalogue: 0 and "" for what it does
    not know.
    """

    id: str
    file: RecordFile
    images: int
    license: str
    pixels: int

    @property
    def least_bytes(self) -> int:
        """Bytes that it takes on disk at least."""
        return max(self.file.size, self.pixels)

    @property
    def most_bytes(self) -> int:
        """Bytes that its zip may announce: images may be there twice, in two kinds of files."""
        return 4 * self.pixels + 20 * self.file.size + _SPARE

    @property
    def most_members(self) -> int:
        """Files that its zip may hold: each image twice, and some more."""
        return 2 * self.images + 1000 if self.images else _MOST_MEMBERS


def describe_dataset(name: str, file: RecordFile) -> PublishedDataset:
    """A file of the record with what the catalogue knows of the dataset in it."""
    entry = catalog.datasets.get(name)
    if entry is None:
        return PublishedDataset(name, file, 0, "", 0)
    images = entry.samples.total
    pixels = images * _SIDE * _SIDE * entry.channels
    return PublishedDataset(name, file, images, entry.license, pixels)


def part_of(downloads: Path, dataset: PublishedDataset) -> Path:
    """Where an unfinished download stands."""
    return downloads / f".{dataset.file.name}.part"


def check_room(
    downloads: Path, missing: Sequence[PublishedDataset], *, keep_archives: bool
) -> None:
    """Refuse before anything is fetched what cannot fit, by what is known of the sizes.

    Archives that are not kept go one by one, each before the next one is downloaded.
    """
    free = shutil.disk_usage(downloads).free
    taken = needed = 0
    for dataset in missing:
        arrived = _arrived_bytes(downloads, dataset)
        needed = max(needed, taken + dataset.file.size - arrived + dataset.least_bytes)
        taken += dataset.least_bytes - arrived
        if keep_archives:
            taken += dataset.file.size
    if needed > free:
        raise FetchError(
            f"{downloads.parent} has {free:,} bytes free, and it takes {needed:,} at least to fetch"
            f" {', '.join(dataset.id for dataset in missing)}; free some space, name some of them"
            " (--only), or give a folder on another disk"
        )


def _arrived_bytes(downloads: Path, dataset: PublishedDataset) -> int:
    paths = (part_of(downloads, dataset), downloads / dataset.file.name)
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    return min(max(sizes, default=0), dataset.file.size)
