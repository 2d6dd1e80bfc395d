"""How far a run, a search or a transfer study is: what is done, runs, failed and is left.

Nothing is changed, and any machine that sees the folder may ask. Exit status 1: something failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torchcross._kit.plugin_files import load_plugins
from torchcross.cli.group import Parser
from torchcross.cli.options import add_plugin_flag
from torchcross.errors import InputError
from torchcross.messages import printable

if TYPE_CHECKING:
    from torchcross.experiment.run.run_status import RunStatus
    from torchcross.experiment.study_status import StudyStatus
    from torchcross.experiment.tuning.search_status import SearchStatus

EXAMPLE = "torchcross status runs/experiment"

_NONE_FAILED, _SOME_FAILED = 0, 1


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="folder of `torchcross run`, `tune` or `transfer run`",
    )
    add_plugin_flag(parser)


def run(options: argparse.Namespace) -> int:
    load_plugins(options.plugin or ())
    status = _status(options.folder)
    for line in str(status).splitlines():
        sys.stdout.write(f"{printable(line)}\n")
    return _SOME_FAILED if status.job.failures else _NONE_FAILED


def _status(folder: Path) -> RunStatus | SearchStatus | StudyStatus:
    from torchcross.experiment.run.experiment_record import EXPERIMENT
    from torchcross.experiment.run.run_status import run_status
    from torchcross.experiment.study_status import study_status
    from torchcross.experiment.tuning.folder import TUNING
    from torchcross.experiment.tuning.search_status import search_status
    from torchcross.transfer.studies import STUDY

    kinds: Mapping[str, Callable[[Path], RunStatus | SearchStatus | StudyStatus]] = {
        TUNING: search_status,
        STUDY: study_status,
        EXPERIMENT: run_status,
    }
    for name, status_of in kinds.items():
        if (folder / name).is_file():
            return status_of(folder)
    raise InputError(
        f"{folder} is no run, search or study: it has no {', '.join(kinds)}; give the folder that"
        " `torchcross run`, `tune` or `transfer run` wrote"
    )
