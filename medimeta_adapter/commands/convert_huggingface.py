"""Convert a dataset of the Hugging Face hub, or a folder that `save_to_disk` wrote.

Needs the extra `huggingface`.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from medimeta_adapter.commands.convert_options import (
    conversion_options,
    dataset_arguments,
    dataset_description,
    image_arguments,
    run_conversion,
    task_class_names,
)
from torchcross._kit.argument_checks import repeated_names
from torchcross.cli.group import Parser
from torchcross.errors import InputError, MissingExtraError

EXAMPLE = (
    "torchcross data convert huggingface saved/beans --task labels --out data/mine --id beans"
    " --domain Leaves"
)

_SAVED = ("dataset_dict.json", "dataset_info.json", "state.json")


def arguments(parser: Parser) -> None:
    parser.add_argument("source", help="a dataset name on the hub, or a saved folder")
    parser.add_argument("--config", metavar="NAME", help="of the dataset on the hub")
    parser.add_argument("--revision", metavar="COMMIT", help="of the dataset on the hub")
    parser.add_argument("--image", metavar="COLUMN", help="(default: the only column of images)")
    parser.add_argument(
        "--task",
        action="append",
        metavar="COLUMN[=KIND]",
        help=(
            "a label column; add its kind if it is binary or ordinal (default: all label columns)"
        ),
    )
    parser.add_argument(
        "--labels",
        nargs=2,
        action="append",
        metavar=("COLUMN", "A,B,..."),
        help="names of labels, for a column of whole numbers or texts",
    )
    parser.add_argument("--subject", metavar="COLUMN", help="the column of subjects")
    dataset_arguments(parser)
    image_arguments(parser, are_files=True)


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.convert import hugging_face

    return run_conversion(
        options,
        hugging_face,
        _load(options),
        options.out,
        dataset_description(options),
        image=options.image,
        tasks=_tasks(options.task),
        labels=task_class_names(options, [column for column, _ in options.labels or ()]),
        subject=options.subject,
        options=conversion_options(options),
    )


def _tasks(texts: list[str] | None) -> dict[str, str] | None:
    if texts is None:
        return None
    parts = [text.partition("=") for text in texts]
    if twice := repeated_names(column for column, _, _ in parts):
        raise InputError(f"--task names {twice} more than once; give each column once")
    return {column: kind for column, _, kind in parts}


def _load(options: argparse.Namespace) -> Any:
    try:
        datasets = import_module("datasets")
    except ImportError as error:
        raise MissingExtraError(
            "convert huggingface needs datasets, which is not installed; run: pip install "
            "'torchcross-fewshot[huggingface]'"
        ) from error
    folder = Path(options.source)
    try:
        if any((folder / name).is_file() for name in _SAVED):
            return datasets.load_from_disk(options.source)
        return datasets.load_dataset(options.source, options.config, revision=options.revision)
    except (OSError, ValueError, ConnectionError) as error:
        raise InputError(
            f"{options.source} is neither a saved dataset nor one that the hub has: {error}"
        ) from error
