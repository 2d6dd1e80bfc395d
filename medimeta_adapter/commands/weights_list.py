"""List the pretrained weights that can be fetched."""

from __future__ import annotations

import argparse

from rich.markup import escape

from medimeta_adapter.commands.output import say
from torchcross._kit.listing_table import listing_table
from torchcross.cli.group import Parser


def arguments(parser: Parser) -> None:
    """This command takes no arguments."""


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.fetch import WEIGHTS

    listing = listing_table("", "name", "backbone", "package", "MB", "licence", right=("MB",))
    for name, entry in WEIGHTS.items():
        package = entry.package
        row = (name, entry.backbone, str(package), str(package.megabytes), entry.license)
        listing.add_row(*map(escape, row))
    say(listing)
    return 0
