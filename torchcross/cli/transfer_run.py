"""Fine-tune the network of every source on every target, fold by fold, and write tables.

An interrupted study goes on when you give the same command again, and several of them in one folder
share the work. Exit status 1: something failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from torchcross.cli.experiment_flags import override_of, say
from torchcross.cli.group import Parser
from torchcross.messages import printable

EXAMPLE = """\
torchcross transfer run study.toml
torchcross transfer run study.toml --jobs 2 --out studies/open --set study.folds=3"""

_COMPLETE, _FAILURES, _STOPPED = 0, 1, 130


def arguments(parser: Parser) -> None:
    parser.add_argument("config", type=Path, help="a TOML file; flags win over the file")
    parser.add_argument(
        "--out", type=Path, help="folder of the study (default: studies/ and the file's name)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes of this machine, each with one thread (default: one for each core)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value of a setting, such as study.folds=3; may be repeated",
    )
    parser.add_argument("--quiet", action="store_true", help="write nothing until the end")


def run(options: argparse.Namespace) -> int:
    from torchcross.experiment.studies import engine_of_study, read_study
    from torchcross.transfer.studies import run_study, write_study_report

    study = read_study(options.config, dict(map(override_of, options.set)))
    out = options.out or Path("studies") / options.config.stem
    report: Callable[[str], None] = (lambda line: None) if options.quiet else say
    outcome = run_study(
        study.settings,
        study.data,
        out,
        engine_of_study(study, out, options.jobs),
        say=report,
    )
    for failure in outcome.failures:
        say(f"failed: {failure.key}: {failure.kind}: {failure.reason}")
    path = write_study_report(outcome.folder)
    sys.stdout.write(path.read_text(encoding="utf-8") + f"\n{printable(str(path))}\n")
    if outcome.stopped:
        return _STOPPED
    return _FAILURES if outcome.failures else _COMPLETE
