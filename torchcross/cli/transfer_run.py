"""Fine-tune the network of every source on every target, fold by fold, and write tables.

An interrupted study goes on when you give the same command again, and several of them in one folder
share the work. Exit status 1: something failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from torchcross.cli.experiment_flags import add_engine_flags, override_of, say
from torchcross.cli.group import InterruptWithAdvice, Parser
from torchcross.cli.options import add_plugin_flag
from torchcross.errors import InputError
from torchcross.messages import printable

if TYPE_CHECKING:
    from torchcross.experiment.studies import Study

EXAMPLE = """\
torchcross transfer run --settings
torchcross transfer run study.toml
torchcross transfer run study.toml --jobs 2 --out studies/open --set study.folds=3"""

_COMPLETE, _FAILURES = 0, 1


def arguments(parser: Parser) -> None:
    parser.add_argument("config", type=Path, nargs="?", help="a TOML file; flags win over the file")
    parser.add_argument(
        "--out", type=Path, help="folder of the study (default: studies/ and the file's name)"
    )
    parser.add_argument(
        "--settings",
        action="store_true",
        help="list every setting with its default, and run nothing",
    )
    add_engine_flags(parser)
    add_plugin_flag(parser)
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda or cuda:1 (default: a GPU if there is one)"
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
    from torchcross.experiment.studies import read_study

    if options.settings:
        return _list_settings()
    if options.config is None:
        raise InputError("give the TOML file of a study; `--settings` lists what it may say")
    flags = {
        "engine.jobs": options.jobs,
        "engine.name": options.engine,
        "machine.device": options.device,
        "plugins": options.plugin,
    }
    overrides = {name: value for name, value in flags.items() if value is not None}
    study = read_study(options.config, overrides | dict(map(override_of, options.set)))
    out = options.out or Path("studies") / options.config.stem
    return make_study(study, out, quiet=options.quiet)


def _list_settings() -> int:
    from torchcross.experiment.settings.listing import settings, settings_text
    from torchcross.experiment.studies import StudyFile

    sys.stdout.write(settings_text(settings(StudyFile)))
    return _COMPLETE


def make_study(study: Study, out: Path, *, quiet: bool) -> int:
    """Make a study or go on with it, print its report, and return the exit status.

    Ctrl-C is said after the report of what there is.
    """
    from torchcross.experiment.studies import engine_of_study
    from torchcross.transfer.page import STUDY_PAGE
    from torchcross.transfer.studies import run_study, write_study_report

    report: Callable[[str], None] = (lambda line: None) if quiet else say
    outcome = run_study(
        study.settings,
        study.data,
        out,
        engine_of_study(study, out),
        say=report,
        machine=study.machine,
        plugins=study.plugins,
    )
    for failure in outcome.failures:
        say(f"failed: {failure.key}: {failure.kind}: {failure.reason}")
    path = write_study_report(outcome.folder)
    sys.stdout.write(path.read_text(encoding="utf-8") + f"\n{printable(str(path))}\n")
    sys.stdout.write(f"{printable(str(path.with_name(STUDY_PAGE)))}\n")
    if outcome.stopped:
        raise InterruptWithAdvice("run the same command again to go on")
    return _FAILURES if outcome.failures else _COMPLETE
