"""The pretrained weights that can be fetched."""

from __future__ import annotations

import argparse

from rich.markup import escape

from medimeta_adapter.commands.output import say, table
from torchcross.cli.group import Parser

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """None."""


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.fetch import WEIGHTS

    made = table("", "name", "backbone", "package", "MB", "licence", right=("MB",))
    for name, entry in WEIGHTS.items():
        row = (
            name,
            entry.backbone,
            str(entry.package),
            str(entry.package.megabytes),
            entry.license,
        )
        made.add_row(*map(escape, row))
    say(made)
    return 0
