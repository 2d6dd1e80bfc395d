"""Predict your own images with a row of a run: it adapts to a few labelled ones first.

The support folder has a folder of images for each class, and the query folder holds images, flat or
nested. Images are read in the size and the channels of the run's target. A row that reads texts
needs no support folder: without one, its classes are those of the target.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from torchcross._kit.backgrounds import BACKGROUNDS, DEFAULT_BACKGROUND
from torchcross._kit.plugin_files import load_plugins
from torchcross.cli.experiment_flags import say
from torchcross.cli.group import Parser
from torchcross.cli.options import add_plugin_flag, check_out_file
from torchcross.messages import printable

if TYPE_CHECKING:
    from torchcross.experiment.opened.own_images import ImagePredictions

EXAMPLE = """\
torchcross predict runs/demo --row mm-pt --support mine/classes --query mine/new --out new.csv
torchcross predict runs/demo --row mm-pt --target oct --seed 1 --support a --query b --out c.csv
torchcross predict runs/clip --row text --target oct --query mine/new --out new.csv"""


def arguments(parser: Parser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of `torchcross run`")
    parser.add_argument("--row", required=True, metavar="NAME", help="row of its table")
    parser.add_argument(
        "--support",
        type=Path,
        metavar="FOLDER",
        help="labelled images to adapt to: a folder for each class; without it, a row that reads"
        " texts knows the classes of the target by their names",
    )
    parser.add_argument(
        "--query", type=Path, required=True, metavar="FOLDER", help="images to predict"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.csv",
        help="file to write: image, class, and the probability of each class",
    )
    parser.add_argument(
        "--target",
        metavar="NAME",
        help="which target the row was trained without; needed where the run has several, and the"
        " row is another for each",
    )
    parser.add_argument(
        "--seed", type=int, metavar="I", help="training seed; needed where the run has several"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="where the run's data is now, if it was moved"
    )
    parser.add_argument(
        "--bits",
        type=int,
        metavar="N",
        help="how many bits, 8 to 16, the values of 16-bit image files have: 12 for most scanners"
        " (default: 16, with a warning where the values say fewer)",
    )
    parser.add_argument(
        "--background",
        choices=BACKGROUNDS,
        default=DEFAULT_BACKGROUND,
        help=f"what is behind transparent parts of images (default: {DEFAULT_BACKGROUND})",
    )
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda or cuda:1 (default: the run's)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    add_plugin_flag(parser)


def run(options: argparse.Namespace) -> int:
    load_plugins(options.plugin or ())
    check_out_file(options.out, force=options.force)

    from torchcross.experiment import open_run, predict_images

    predictions = predict_images(
        open_run(options.run, data=options.data, device=options.device),
        options.row,
        options.support,
        options.query,
        target=options.target,
        seed=options.seed,
        bits=options.bits,
        background=options.background,
        say=say,
    )
    predictions.write(options.out)
    count = len(predictions.images)
    sys.stdout.write(
        f"{printable(str(options.out))}: {count} image{'s' if count > 1 else ''}, by"
        f" {options.row}{_origin(predictions)}\n"
    )
    return 0


def _origin(predictions: ImagePredictions) -> str:
    if predictions.zero_shot:
        return f" with the classes of {predictions.target}, from no labelled image"
    return f", {predictions.origin}" if predictions.origin else ""
