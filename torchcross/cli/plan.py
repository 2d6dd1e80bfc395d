"""What `torchcross run` would have to do, and about how long it would take; nothing is kept.

A few training steps and episodes of each row are made and measured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torchcross.cli.experiment_flags import add_flags, default_folder, experiment_of, whole_number
from torchcross.cli.group import Parser
from torchcross.errors import InputError
from torchcross.messages import printable

EXAMPLE = """\
torchcross plan experiment.toml
torchcross plan experiment.toml --jobs 1,2,8,64"""

_DONE = 0


def arguments(parser: Parser) -> None:
    parser.add_argument("config", type=Path, nargs="?", help="a TOML file; flags win over the file")
    parser.add_argument(
        "--out", type=Path, help="folder of the run, where it has begun (default: its usual name)"
    )
    parser.add_argument(
        "--jobs",
        dest="counts",
        default="",
        metavar="M,N",
        help="numbers of processes to say the time for (default: 1 and what the cores allow)",
    )
    add_flags(parser)


def run(options: argparse.Namespace) -> int:
    from torchcross.cli.options import names_in
    from torchcross.experiment.run.engine_choice import default_jobs
    from torchcross.experiment.run.run_plan import plan_run

    experiment = experiment_of(options)
    out = options.out or default_folder("runs", experiment, options.config)
    counts = [whole_number(part, "--jobs") for part in names_in(options.counts)]
    if any(count < 1 for count in counts):
        raise InputError(f"--jobs got {options.counts!r}; give numbers of processes from 1")
    counts = counts or sorted({1, default_jobs(experiment)})
    for line in str(plan_run(experiment, out, counts)).splitlines():
        sys.stdout.write(f"{printable(line)}\n")
    return _DONE
