"""Generate the whole catalogue with synthetic images.

Every dataset, task, label count and overlap of MedIMeta is there; no image is real.
"""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.output import write
from torchcross._kit.progress import ProgressBars
from torchcross.cli.group import InterruptWithAdvice, Parser
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
    from medimeta_adapter.synthetic import catalog, generate

    names = names_in_all(options.only)
    done: dict[str, bool] = {}
    try:
        with ProgressBars() as bars:

            def progress(dataset: str, images: int, of: int) -> None:
                # All images are done only when the dataset has its name.
                done[dataset] = images == of
                bars(dataset, images, of)

            root = generate(
                options.out,
                scale=_scale(options.scale),
                size=options.size,
                seed=options.seed,
                only=names,
                tiffs=options.tiffs,
                resume=options.resume,
                overwrite=options.overwrite,
                workers=options.workers,
                progress=progress,
            )
    except KeyboardInterrupt:
        count = len(catalog.datasets) if names is None else len(set(names))
        raise InterruptWithAdvice(_what_stays(options, done, count)) from None
    write(f"{root}: synthetic images; none of them is real\n")
    return 0


def _what_stays(options: argparse.Namespace, done: dict[str, bool], count: int) -> str:
    """After Ctrl-C: what is there, and how to go on."""
    stays = f"{sum(done.values())} of {count} datasets are complete and stay in {options.out}"
    begun = [name for name, is_complete in done.items() if not is_complete]
    if options.resume:
        images = f", and so do the images of {begun[-1]} that are written" if begun else ""
        return f"{stays}{images}; run the same command again to go on"
    if options.overwrite:
        return f"{stays}; run the same command again to generate all of them again"
    return f"{stays}; run the same command with --resume to go on"


def _scale(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
