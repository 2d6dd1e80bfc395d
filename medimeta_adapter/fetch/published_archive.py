"""The zip of one dataset: kept and checked by pooch, downloaded by a client that goes on."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medimeta_adapter.fetch.published_sizes import PublishedDataset, part_of
from medimeta_adapter.fetch.resumed_download import (
    HttpClient,
    Unreachable,
    download,
    remove_part,
)
from torchcross.errors import FetchError, MissingExtraError

# What pooch calls files that it has not checked yet.
_UNCHECKED = re.compile(r"tmp[a-z0-9_]{8}")


def fetch_archive(
    client: HttpClient,
    downloads: Path,
    dataset: PublishedDataset,
    progress: Callable[[int, int], object],
) -> Path:
    """The checked zip: pooch decides by its hash whether it has to be downloaded."""
    pooch = import_pooch()
    for path in downloads.iterdir():
        if _UNCHECKED.fullmatch(path.name):
            path.unlink()
    file, target = dataset.file, downloads / dataset.file.name
    was_there = target.is_file()
    part = part_of(downloads, dataset)

    def bring(url: str, output: str, _: object) -> None:
        download(client, url, part, file.size, progress)
        part.replace(output)

    registry = pooch.create(
        path=downloads,
        base_url="",
        registry={file.name: file.checksum},
        urls={file.name: file.url},
    )
    try:
        with _quiet():
            registry.fetch(file.name, downloader=bring)
    except Unreachable as error:
        other = f" The {file.name} there has another checksum." if was_there else ""
        raise FetchError(
            f"{error}. What has arrived is kept: run the same again to go on, or fetch"
            f" {file.url} elsewhere and put it at {target}.{other}"
        ) from error
    except ValueError as error:
        remove_part(part)
        raise FetchError(
            f"{file.url} came with another checksum than {file.checksum}, which the record"
            " states; it is not used. Run the same again, and if that does not help, look at"
            f" the page of the record ({error.__class__.__name__})"
        ) from error
    return target


@contextmanager
def _quiet() -> Iterator[None]:
    """Without pooch's own messages of progress."""
    logger = import_pooch().get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def import_pooch() -> Any:
    try:
        import pooch
    except ImportError as error:
        raise MissingExtraError(
            "fetching MedIMeta needs pooch; install torchcross-fewshot[download]"
        ) from error
    return pooch
