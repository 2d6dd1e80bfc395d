"""Check every file of a run or a search: hashes, rows against episodes, missing and foreign files.

Nothing is changed. Exit status 1: a file is damaged or missing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torchcross._kit.plugin_files import load_plugins
from torchcross.cli.group import Parser
from torchcross.cli.options import add_plugin_flag

EXAMPLE = "torchcross verify runs/demo"

_WHOLE, _NOT_WHOLE = 0, 1


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="folder of a run, or of a search by `torchcross tune`",
    )
    add_plugin_flag(parser)


def run(options: argparse.Namespace) -> int:
    load_plugins(options.plugin or ())
    from torchcross.experiment import verify_run, verify_search
    from torchcross.experiment.tuning.folder import TUNING

    is_search = (options.folder / TUNING).is_file()
    verification = (verify_search if is_search else verify_run)(options.folder)
    sys.stdout.write(f"{verification}\n")
    return _WHOLE if verification.holds else _NOT_WHOLE
