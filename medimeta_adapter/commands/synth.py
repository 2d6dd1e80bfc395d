"""Generate the whole catalogue with synthetic images.

Every dataset, task, label count and overlap of MedIMeta is there; no image is real.
"""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.output import write
from torchcross._kit.progress import ProgressBars
from torchcross.cli.group import Parser
from torchcross.cli.options import names_in_all

EXAMPLE = "torchcross data synth --out data/synthetic --scale tiny"


def arguments(parser: Parser) -> None:
    parser.add_argument("--out", required=True, metavar="FOLDER")
    parser.add_argument(
        "--scale",
        default="tiny",
        help="tiny, small, medium, or a fraction such as 0.1 (default: tiny)",
    )
    parser.add_argument(
        "--size", type=int, default=28, metavar="PIXELS", help="side of an image (default: 28)"
    )
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="ID",
        help="some of the datasets, separated by spaces or commas (default: all 19)",
    )
    parser.add_argument("--tiffs", action="store_true", help="also write one TIFF file per image")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="threads (default: 1)")
    parser.add_argument("--resume", action="store_true", help="resume an interrupted call")
    parser.add_argument("--overwrite", action="store_true", help="replace existing datasets")


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.synthetic import generate

    with ProgressBars() as progress:
        root = generate(
            options.out,
            scale=_scale(options.scale),
            size=options.size,
            seed=options.seed,
            only=names_in_all(options.only),
            tiffs=options.tiffs,
            resume=options.resume,
            overwrite=options.overwrite,
            workers=options.workers,
            progress=progress,
        )
    write(f"{root}: synthetic images; none of them is real\n")
    return 0


def _scale(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
