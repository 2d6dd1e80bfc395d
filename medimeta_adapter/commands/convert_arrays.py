"""Convert .npy files: images (N, H, W) or (N, H, W, channels), and labels (N,).

Labels of a multilabel task are zeros and ones (N, L).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from medimeta_adapter.commands.convert_options import (
    conversion_options,
    dataset_arguments,
    dataset_description,
    image_arguments,
    run_conversion,
    task_class_names,
)
from torchcross._kit.npy_files import BROKEN_HEADER
from torchcross._kit.user_files import check_regular
from torchcross.cli.group import Parser
from torchcross.errors import InputError

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
            "kind: binary, multiclass, multilabel or ordinal; repeat it for every task, the primary"
            " task first"
        ),
    )
    parser.add_argument(
        "--labels",
        nargs=2,
        action="append",
        metavar=("TASK", "A,B,..."),
        help="names of the task's labels",
    )
    parser.add_argument("--subjects", metavar="FILE.npy", help="the subject of each image")
    parser.add_argument(
        "--given-splits",
        metavar="FILE.npy",
        help="the split to write for each image: train, val or test",
    )
    parser.add_argument(
        "--original-splits", metavar="FILE.npy", help="the original split of each image"
    )
    dataset_arguments(parser)
    image_arguments(parser, size="unchanged")


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.convert import ArrayTask, arrays

    names = task_class_names(options, [task for task, _, _ in options.task])
    tasks = [ArrayTask(task, kind, _load(file), names[task]) for task, kind, file in options.task]
    return run_conversion(
        options,
        arrays,
        _load(options.images, mapped=True),
        tasks,
        options.out,
        dataset_description(options),
        subjects=_load(options.subjects),
        splits=_load(options.given_splits),
        original_splits=_load(options.original_splits),
        options=conversion_options(options),
    )


def _load(file: str | None, *, mapped: bool = False) -> Any:
    """The array in a file, or None without a file."""
    if file is None:
        return None
    try:
        check_regular(file)
        # Mapped first: a header that claims more than the file holds is refused, not allocated.
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, *BROKEN_HEADER) as error:
        raise InputError(
            f"{file} cannot be read as an .npy file without pickles: {error}"
        ) from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{file} is an archive of arrays; give an .npy file with one array")
    return array if mapped else np.array(array)
