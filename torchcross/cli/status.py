"""How far a run is: what is done, what runs where, what failed and what is left.

Nothing is changed, and any machine that sees the folder may ask. Exit status 1: something failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torchcross.cli.group import Parser
from torchcross.messages import printable

EXAMPLE = "torchcross status runs/experiment"

_NONE_FAILED, _SOME_FAILED = 0, 1


def arguments(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="folder of a run")


def run(options: argparse.Namespace) -> int:
    from torchcross.experiment.run.run_status import run_status

    status = run_status(options.folder)
    for line in str(status).splitlines():
        sys.stdout.write(f"{printable(line)}\n")
    return _SOME_FAILED if status.job.failures else _NONE_FAILED
