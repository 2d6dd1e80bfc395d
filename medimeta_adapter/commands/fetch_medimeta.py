"""Fetch the published MedIMeta datasets from their record, check them and unpack them.

What is there, its sizes and licences are listed first. An interrupted download goes on where it
stopped when the same command is run again. If a dataset cannot be fetched, the exit status is 1 and
the other datasets are written all the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from medimeta_adapter.commands.output import say, write
from torchcross._kit.listing_table import listing_table
from torchcross._kit.progress import ProgressBars
from torchcross.cli.group import Parser
from torchcross.cli.options import names_in_all
from torchcross.errors import FetchError
from torchcross.messages import printable

if TYPE_CHECKING:
    from medimeta_adapter.fetch import PublishedData, PublishedDataset

EXAMPLE = "torchcross data fetch medimeta --only oct,derm --out data/MedIMeta"

_MEGA = 1_000_000


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="write each dataset to FOLDER/ID"
    )
    parser.add_argument(
        "--list", action="store_true", help="list what the record has, and fetch nothing"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="ID",
        help="some of the datasets, separated by spaces or commas (default: all)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing datasets")
    parser.add_argument(
        "--keep-archives", action="store_true", help="keep the zip files in FOLDER/.downloads"
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="address of the record's server, or of a copy of it (default: https://zenodo.org)",
    )
    parser.add_argument(
        "--record", metavar="NUMBER", help="number of the record (default: the published one)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=60,
        metavar="SECONDS",
        help="limit for the server to answer, or to send a byte (default: 60)",
    )


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.fetch import read_published

    only = names_in_all(options.only)
    chosen = {name: getattr(options, name) for name in ("server", "record")}
    place = {name: value for name, value in chosen.items() if value is not None}
    try:
        published = read_published(options.out, only=only, timeout=options.timeout, **place)
        datasets = published.datasets(only)
        _list(published, datasets)
        if options.list:
            return 0
        with ProgressBars(unit="MB") as bars:
            report = published.fetch(
                only,
                overwrite=options.overwrite,
                keep_archives=options.keep_archives,
                progress=lambda name, done, total: bars(name, done // _MEGA, -(-total // _MEGA)),
            )
    except FetchError as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        return 1
    for outcome in report.outcomes:
        if outcome in report.failures:
            sys.stderr.write(f"{printable(str(outcome))}\n")
        else:
            write(f"{outcome}\n")
    return 1 if report.failures else 0


def _list(published: PublishedData, datasets: Sequence[PublishedDataset]) -> None:
    record = published.record
    version = f", version {record.version}" if record.version else ""
    licence = f", licence of the record: {record.license}" if record.license else ""
    write(f"{record.doi or record.id}{version}{licence}\n")
    if not published.is_online:
        write("the server cannot be reached: the description is that in FOLDER/.downloads\n")
    right = ("images", "MB to fetch", "MB on disk at least")
    listing = listing_table("", "id", *right, "licence", right=right)
    for dataset in datasets:
        images = f"{dataset.images:,}" if dataset.images else "?"
        sizes = (_in_megabytes(dataset.file.size), _in_megabytes(dataset.least_bytes))
        licence = dataset.license or "not in the catalogue: see its LICENSE"
        listing.add_row(*map(escape, (dataset.id, images, *sizes, licence)))
    totals = (
        _in_megabytes(sum(dataset.file.size for dataset in datasets)),
        _in_megabytes(sum(dataset.least_bytes for dataset in datasets)),
    )
    if len(datasets) > 1:
        listing.add_row(f"{len(datasets)} datasets", "", *totals, "")
    say(listing)


def _in_megabytes(size: int) -> str:
    return f"{-(-size // _MEGA):,}"
