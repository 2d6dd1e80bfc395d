"""Leave one domain out: train on the others, adapt, score, and write rows, tables and a page.

An interrupted run goes on when you give the same command again. Exit status 1: something failed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from torchcross._kit.counts import count_text
from torchcross._kit.suggestions import unknown_name
from torchcross.cli.experiment_flags import (
    add_engine_flags,
    add_flags,
    default_folder,
    experiment_of,
    preset_names,
    say,
)
from torchcross.cli.group import Parser
from torchcross.cli.terminal_table import write_table
from torchcross.errors import InputError
from torchcross.messages import printable

if TYPE_CHECKING:
    from torchcross.experiment import Experiment

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
    add_flags(parser, with_studies=True)
    add_engine_flags(parser)
    parser.add_argument("--quiet", action="store_true", help="write nothing until the end")


def run(options: argparse.Namespace) -> int:
    if not options.settings:
        # What is imported for it takes seconds.
        _say_in_a_terminal(f"reading {options.config or 'the experiment'}", options)
    from torchcross.experiment import run_experiment, with_tuned, write_page
    from torchcross.experiment.settings.study_presets import STUDY_PRESETS
    from torchcross.training.world import leads_others

    if options.settings:
        return _list_settings()
    if options.preset in STUDY_PRESETS:
        from torchcross.cli.preset_study import run_preset_study

        return run_preset_study(options)
    if options.preset not in (None, *(known := preset_names(with_studies=True))):
        raise InputError(unknown_name("preset", options.preset, known))
    experiment, end = experiment_of(options), ""
    if options.tuned is not None:
        experiment, end = with_tuned(experiment, options.tuned), _TUNED
    out = options.out or default_folder("runs", experiment, options.config, end)
    if not leads_others():
        # The first of the processes that torchrun started speaks for all.
        run_experiment(experiment, out, progress=False)
        return _COMPLETE
    _say_in_a_terminal(_summary_of(experiment, out), options)
    if options.quiet:
        outcome = run_experiment(experiment, out, progress=False, jobs=None)
        for failure in outcome.failures:
            say("failed: {algorithm} on {target}: {reason}".format(**failure))
    else:
        outcome = run_experiment(experiment, out, say=say, jobs=None)
    _say_in_a_terminal("writing tables and the page", options)
    page = write_page(out)
    if len(outcome.records):
        write_table((out / "table.md").read_text(encoding="utf-8"))
    sys.stdout.write(f"{printable(str(page))}\n")
    return _COMPLETE if outcome.complete else _FAILURES


def _say_in_a_terminal(line: str, options: argparse.Namespace) -> None:
    """Say what is done now to a person who waits; logs get what came of it."""
    # Of the processes that torchrun started, the first one speaks.
    if sys.stderr.isatty() and not options.quiet and os.environ.get("RANK", "0") == "0":
        say(line)


def _summary_of(experiment: Experiment, out: Path) -> str:
    targets = len(experiment.data.targets)
    parts = [
        count_text(len(experiment.algorithms), "rows"),
        count_text(targets, "targets") if targets else "every dataset as a target",
        f"shots {', '.join(map(str, experiment.shots))}",
        count_text(len(experiment.seeds), "training seeds"),
    ]
    return f"{out}: {'; '.join(parts)}; looking at {experiment.data.folder}"


def _list_settings() -> int:
    from torchcross.experiment.settings.listing import settings, settings_text

    sys.stdout.write(settings_text(settings()))
    return _COMPLETE
