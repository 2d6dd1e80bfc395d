"""Leave one domain out: train on the others, adapt, score, and write rows, tables and a page.

An interrupted run goes on when you give the same command again. Exit status 1: something failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torchcross.cli.experiment_flags import (
    add_engine_flags,
    add_flags,
    default_folder,
    experiment_of,
    say,
)
from torchcross.cli.group import Parser
from torchcross.messages import printable

EXAMPLE = """\
torchcross run experiment.toml
torchcross run experiment.toml --tuned tuning/experiment
torchcross run --data data/MedIMeta --targets oct,derm --algorithms mm-pt,protonet --shots 1,5"""

_COMPLETE, _FAILURES = 0, 1
_TUNED = "-tuned"


def arguments(parser: Parser) -> None:
    parser.add_argument("config", type=Path, nargs="?", help="a TOML file; flags win over the file")
    parser.add_argument(
        "--out",
        type=Path,
        help=(
            "folder of the run (default: runs/ and the name of the TOML file; without one, the name"
            " of the preset and a few digits that are the same for the same experiment)"
        ),
    )
    parser.add_argument(
        "--tuned",
        type=Path,
        metavar="FOLDER",
        help=(
            "folder of `torchcross tune`: each row has the settings that were chosen for it"
            f" (default folder of the run: its usual name and {_TUNED})"
        ),
    )
    parser.add_argument(
        "--settings",
        action="store_true",
        help="list every setting with its default, and run nothing",
    )
    add_flags(parser)
    add_engine_flags(parser)
    parser.add_argument("--quiet", action="store_true", help="write nothing until the end")


def run(options: argparse.Namespace) -> int:
    from torchcross.experiment import run_experiment, with_tuned, write_page
    from torchcross.training.world import leads_others

    if options.settings:
        return _list_settings()
    experiment, end = experiment_of(options), ""
    if options.tuned is not None:
        experiment, end = with_tuned(experiment, options.tuned), _TUNED
    out = options.out or default_folder("runs", experiment, options.config, end)
    if not leads_others():
        # The first of the processes that torchrun started speaks for all.
        run_experiment(experiment, out, progress=False)
        return _COMPLETE
    if options.quiet:
        outcome = run_experiment(experiment, out, progress=False, jobs=None)
        for failure in outcome.failures:
            say("failed: {algorithm} on {target}: {reason}".format(**failure))
    else:
        outcome = run_experiment(experiment, out, say=say, jobs=None)
    page = write_page(out)
    if len(outcome.records):
        sys.stdout.write((out / "table.md").read_text(encoding="utf-8") + "\n")
    sys.stdout.write(f"{printable(str(page))}\n")
    return _COMPLETE if outcome.complete else _FAILURES


def _list_settings() -> int:
    from torchcross.experiment.settings.listing import settings

    for setting in settings():
        sys.stdout.write(f"{setting.name} = {setting.default}\n    {setting.says}\n")
    return _COMPLETE
