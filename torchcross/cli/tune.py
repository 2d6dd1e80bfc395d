"""Search for the settings of each row: the same number of trials for every row and target.

The section [tune] of the experiment says what is searched and how long. Trials are scored on the
validation splits of the target's sources; the target itself is not read. `torchcross run` takes
the result with --tuned.

An interrupted search goes on when you give the same command again. Exit status 1: something failed,
or a row has no choice.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchcross.cli.experiment_flags import (
    add_engine_flags,
    add_flags,
    default_folder,
    experiment_of,
    say,
)
from torchcross.cli.group import Parser
from torchcross.messages import printable

if TYPE_CHECKING:
    from torchcross.experiment import Experiment, TuneOutcome

EXAMPLE = """\
torchcross tune experiment.toml --plan
torchcross tune experiment.toml
torchcross tune experiment.toml --jobs 4
torchcross run experiment.toml --tuned tuning/experiment"""

_COMPLETE, _FAILURES = 0, 1
_FOLDER = "tuning"


def arguments(parser: Parser) -> None:
    parser.add_argument("config", type=Path, nargs="?", help="a TOML file; flags win over the file")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of the search (default: tuning/ and the name of the TOML file)",
    )
    parser.add_argument(
        "--plan", action="store_true", help="list the trials of every row, and run nothing"
    )
    add_flags(parser)
    add_engine_flags(parser)
    parser.add_argument("--quiet", action="store_true", help="write nothing until the end")


def run(options: argparse.Namespace) -> int:
    from torchcross.experiment import tune_experiment

    experiment = experiment_of(options)
    if options.plan:
        sys.stdout.writelines(f"{printable(line)}\n" for line in _plan(experiment))
        return _COMPLETE
    out = options.out or default_folder(_FOLDER, experiment, options.config)
    if options.quiet:
        outcome = tune_experiment(experiment, out, progress=False, jobs=None)
        for failure in outcome.failures:
            say("failed: {algorithm} for {target}: {reason}".format(**failure))
    else:
        outcome = tune_experiment(experiment, out, say=say, jobs=None)
    sys.stdout.writelines(f"{printable(line)}\n" for line in _table(outcome))
    if not options.quiet and outcome.complete:
        say(f"next: torchcross run with the same experiment and --tuned {out}")
    sys.stdout.write(f"{printable(str(outcome.folder.path / 'trials.csv'))}\n")
    return _COMPLETE if outcome.complete else _FAILURES


def _plan(experiment: Experiment) -> Iterator[str]:
    """The trials of every row; what cannot be searched is an error."""
    from torchcross.experiment.tuning.trials import tuning_plan

    plan = tuning_plan(experiment)
    for search in plan.searches:
        yield f"{search.row}: {len(search.trials)} trials for each target"
        for number, trial in enumerate(search.trials, start=1):
            yield f"  {number:>3}  {_in_words(trial)}"
    for row in plan.untuned:
        yield f"{row}: nothing to search; it keeps the values of the experiment"


def _table(outcome: TuneOutcome) -> Iterator[str]:
    """What was chosen for each target and row."""
    about = outcome.chosen["about"]
    results, chosen = about["results"], outcome.chosen["targets"]
    lines = [("target", "row", "trial", "score", "median", "chosen settings")]
    for target in about["order of targets"]:
        for row in about["order of rows"]:
            result, settings = results[target].get(row, {}), "none: no trial has a score"
            if row in chosen[target]:
                settings = _in_words(chosen[target][row])
            if not result:
                settings = "none: not all trials are done"
            numbers = [_number(result.get(name)) for name in ("score", "median")]
            lines.append((target, row, _number(result.get("trial")), *numbers, settings))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for *cells, settings in lines:
        padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=False)]
        yield "  ".join([*padded, settings])


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(value)


def _in_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={json.dumps(settings[name])}" for name in sorted(settings))
