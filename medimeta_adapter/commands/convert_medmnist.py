"""Convert an .npz file of MedMNIST (v1, v2, v3, every size). It holds the original splits."""

from __future__ import annotations

import argparse

from medimeta_adapter.commands.convert_options import (
    class_names,
    conversion_options,
    dataset_arguments,
    dataset_description,
    image_arguments,
    run_conversion,
)
from torchcross.cli.group import Parser

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
        help="the kind of task, as MedMNIST calls it",
    )
    parser.add_argument("--task", default="class", metavar="NAME", help="(default: class)")
    parser.add_argument(
        "--labels", metavar="A,B,...", help="names of the labels (default: numbers)"
    )
    parser.add_argument(
        "--slices",
        type=int,
        choices=[0, 1, 2],
        help="volumes: take the middle slice along this axis",
    )
    dataset_arguments(parser)
    image_arguments(parser, size="unchanged")


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.convert import medmnist

    return run_conversion(
        options,
        medmnist,
        options.source,
        options.out,
        dataset_description(options),
        kind=options.kind,
        task=options.task,
        labels=class_names(options.labels),
        slices=options.slices,
        options=conversion_options(options),
    )
