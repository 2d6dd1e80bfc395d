"""One page and its tables over the rows of several runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torchcross.cli.group import Parser

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of the runs")
    parser.add_argument(
        "--out", type=Path, default=Path("compared"), help="for the page (default: compared)"
    )
    parser.add_argument(
        "--metric", metavar="NAME", help="that leads the tables (default: that of all runs)"
    )


def run(options: argparse.Namespace) -> int:
    from torchcross.experiment import compared

    sys.stdout.write(f"{compared(options.folders, options.out, metric=options.metric)}\n")
    return 0
