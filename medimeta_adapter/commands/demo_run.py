"""Generate synthetic data and run the main job on it: six domains are left out in turn.

The images are made up: the numbers show that the software works, and answer no medical question.
An interrupted demo goes on when you give the same command again.
"""

from __future__ import annotations

import argparse
import sys
from importlib.resources import as_file, files
from pathlib import Path

from torchcross._kit.lost_readers import write_line
from torchcross.cli import main
from torchcross.cli.experiment_flags import whole_number
from torchcross.cli.group import Parser
from torchcross.cli.options import names_in
from torchcross.messages import printable

EXAMPLE = """\
torchcross demo
torchcross demo --out demo --jobs 2 --seeds 0,1,2"""

SETTINGS = files("medimeta_adapter.commands") / "demo.toml"
"""The experiment, without the folder of its data."""

_SCALE = "small"


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/demo"),
        metavar="FOLDER",
        help="folder of the run (default: runs/demo)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="folder of the generated data, about 12,500 images (default: that of --out and -data)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes on this machine (default: what the cores allow)",
    )
    parser.add_argument(
        "--seeds",
        metavar="I,J",
        help=(
            "training seeds (default: 0). With one, nobody knows how much a result owes to that"
            " training, and its marks are grey; 0,1,2 takes about three times as long"
        ),
    )


def run(options: argparse.Namespace) -> int:
    # Refused before minutes of work, not after them.
    for part in names_in(options.seeds or ""):
        whole_number(part, "--seeds")
    folder = options.data or options.out.with_name(f"{options.out.name}-data")
    write_line(
        sys.stderr,
        printable(
            f"generating synthetic images in {folder}; then six domains are left out in turn"
        ),
    )
    status = main(["data", "synth", "--scale", _SCALE, "--resume", "--out", str(folder)])
    if status:
        return status
    values = {"jobs": options.jobs, "seeds": options.seeds}
    flags = [f"--{name}={value}" for name, value in values.items() if value is not None]
    with as_file(SETTINGS) as settings:
        return main(["run", str(settings), f"--data={folder}", f"--out={options.out}", *flags])
