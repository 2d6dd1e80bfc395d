"""An .npz file of MedMNIST (v1, v2, v3, every size); its train, val and test are the original
splits.
"""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.convert_options import (
    about,
    about_arguments,
    class_names,
    converted,
    how_arguments,
    options_of,
)
from torchcross.cli.group import Parser

__all__ = ["EXAMPLE", "arguments", "run"]

EXAMPLE = (
    "torchcross data convert medmnist pathmnist.npz --kind multi-class --out data/mine --id path "
    "--domain Histopathology"
)


def arguments(parser: Parser) -> None:
    parser.add_argument("source", help="the .npz file")
    parser.add_argument(
        "--kind",
        required=True,
        choices=["multi-class", "binary-class", "multi-label, binary-class", "ordinal-regression"],
        help="as MedMNIST calls the task",
    )
    parser.add_argument("--task", default="class", metavar="NAME", help="(default: class)")
    parser.add_argument(
        "--labels", metavar="A,B,...", help="names of the labels (default: numbers)"
    )
    parser.add_argument(
        "--slices", type=int, choices=[0, 1, 2], help="volumes: the middle slice across this axis"
    )
    about_arguments(parser)
    how_arguments(parser, size="as large as they are")


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.convert import medmnist

    return converted(
        options,
        medmnist,
        options.source,
        options.out,
        about(options),
        kind=options.kind,
        task=options.task,
        labels=class_names(options.labels),
        slices=options.slices,
        options=options_of(options),
    )
