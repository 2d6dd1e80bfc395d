"""Write one page and its tables over the rows of several runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torchcross._kit.plugin_files import load_plugins
from torchcross.cli.group import Parser
from torchcross.cli.options import add_plugin_flag, add_uncertainty
from torchcross.messages import printable


def arguments(parser: Parser) -> None:
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="run folders")
    parser.add_argument(
        "--out", type=Path, default=Path("compared"), help="folder for the page (default: compared)"
    )
    parser.add_argument(
        "--metric", metavar="NAME", help="metric that leads the tables (default: that of the runs)"
    )
    parser.add_argument(
        "--margin",
        type=float,
        metavar="D",
        help="difference that is too small to matter, in the metric's unit (default: the runs')",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a page of other runs that is there"
    )
    add_uncertainty(parser)
    add_plugin_flag(parser)


def run(options: argparse.Namespace) -> int:
    load_plugins(options.plugin or ())
    from torchcross.experiment import compare_runs

    page = compare_runs(
        options.folders,
        options.out,
        metric=options.metric,
        margin=options.margin,
        uncertainty=options.uncertainty,
        force=options.force,
    )
    sys.stdout.write(f"{printable(str(page))}\n")
    return 0
