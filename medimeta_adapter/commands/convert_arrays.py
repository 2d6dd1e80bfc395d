""".npy files: images (N, H, W) or (N, H, W, channels), and labels (N,), or (N, L) zeros and ones
for multilabel.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.commands.convert_options import (
    about,
    about_arguments,
    classes_of,
    converted,
    how_arguments,
    options_of,
)
from torchcross.cli.group import Parser
from torchcross.errors import InputError

__all__ = ["EXAMPLE", "arguments", "run"]

EXAMPLE = (
    "torchcross data convert arrays images.npy --task finding binary labels.npy --labels finding"
    ' no,yes --out data/mine --id mine --domain "Fundus"'
)


def arguments(parser: Parser) -> None:
    parser.add_argument("images", help="an .npy file; it is read a row at a time")
    parser.add_argument(
        "--task",
        nargs=3,
        action="append",
        required=True,
        metavar=("NAME", "KIND", "FILE.npy"),
        help=(
            "kind: binary, multiclass, multilabel or ordinal; once for every task, the primary one"
            " first"
        ),
    )
    parser.add_argument(
        "--labels",
        nargs=2,
        action="append",
        metavar=("TASK", "A,B,..."),
        help="names of its labels",
    )
    parser.add_argument("--subjects", metavar="FILE.npy", help="who each image is of")
    parser.add_argument(
        "--given-splits",
        metavar="FILE.npy",
        help="train, val or test for each image, as they are to be",
    )
    parser.add_argument("--original-splits", metavar="FILE.npy", help="the same, as they were")
    about_arguments(parser)
    how_arguments(parser, size="as large as they are")


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.convert import ArrayTask, arrays

    names = classes_of(options, [task for task, _, _ in options.task])
    tasks = [ArrayTask(task, kind, _loaded(file), names[task]) for task, kind, file in options.task]
    return converted(
        options,
        arrays,
        _loaded(options.images, mapped=True),
        tasks,
        options.out,
        about(options),
        subjects=_loaded(options.subjects) if options.subjects else None,
        splits=_loaded(options.given_splits) if options.given_splits else None,
        original_splits=_loaded(options.original_splits) if options.original_splits else None,
        options=options_of(options),
    )


def _loaded(file: str, *, mapped: bool = False) -> NDArray[Any]:
    try:
        found = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{file} cannot be read as an .npy file without pickles: {error}"
        ) from error
    if not isinstance(found, np.ndarray):
        raise InputError(f"{file} is an archive of arrays; give an .npy file with one")
    return found
