"""The published catalogue: datasets, tasks and counts of MedIMeta (the paper's Table 2)."""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.output import write
from torchcross.cli.group import Parser


def arguments(parser: Parser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--csv", action="store_true", help="comma-separated values")
    which.add_argument("--markdown", action="store_true", help="a Markdown table")


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.synthetic import catalog

    table = catalog.table()
    if options.csv:
        write(table.csv())
    elif options.markdown:
        write(table.markdown())
    else:
        write(table.text())
        totals = catalog.totals
        counts = (
            f"{totals.datasets} datasets, {totals.tasks} tasks, {totals.domains} domains,"
            f" {totals.images:,} images"
        )
        write(f"{counts}\n")
    return 0
