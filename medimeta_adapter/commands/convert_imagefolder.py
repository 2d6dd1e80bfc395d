"""Convert a folder with one folder of images per class.

Folders called train, val and test above the class folders are the original splits. Hidden files
and folders (names with a dot in front, __MACOSX, Thumbs.db, ...) are passed over. Links that stay
below the folder are followed.
"""

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
        help="class folders in the order of their labels (default: sorted by name)",
    )
    parser.add_argument(
        "--nested", action="store_true", help="folders inside a class folder belong to the class"
    )
    parser.add_argument(
        "--subject",
        metavar="PATTERN",
        help="regular expression; its first group in the path names the subject",
    )
    parser.add_argument(
        "--follow-links", action="store_true", help="follow links that leave the folder too"
    )
    dataset_arguments(parser)
    image_arguments(parser, are_files=True)


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.convert import image_folder

    return run_conversion(
        options,
        image_folder,
        options.source,
        options.out,
        dataset_description(options),
        task=options.task,
        target=options.target,
        labels=class_names(options.labels),
        nested=options.nested,
        subject=options.subject,
        follow_links=options.follow_links,
        options=conversion_options(options),
    )
