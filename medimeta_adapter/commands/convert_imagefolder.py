"""A folder with a folder of images per class; train, val and test above them are the original
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
    'torchcross data convert imagefolder scans --out data/mine --id scans --domain "Chest X-ray"'
    ' --license "CC BY 4.0"'
)


def arguments(parser: Parser) -> None:
    parser.add_argument("source", help="the folder")
    parser.add_argument("--task", default="class", metavar="NAME", help="(default: class)")
    parser.add_argument(
        "--target", choices=["multiclass", "binary", "ordinal"], default="multiclass"
    )
    parser.add_argument(
        "--labels",
        metavar="A,B,...",
        help="folder names in the order of their labels (default: sorted)",
    )
    parser.add_argument(
        "--nested", action="store_true", help="folders within a class folder belong to the class"
    )
    parser.add_argument(
        "--subject", metavar="PATTERN", help="its first group, found in the path, names the subject"
    )
    about_arguments(parser)
    how_arguments(parser)


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.convert import image_folder

    return converted(
        options,
        image_folder,
        options.source,
        options.out,
        about(options),
        task=options.task,
        target=options.target,
        labels=class_names(options.labels),
        nested=options.nested,
        subject=options.subject,
        options=options_of(options),
    )
