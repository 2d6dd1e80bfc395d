"""A dataset of the Hugging Face hub, or a folder that save_to_disk wrote; needs the extra
`huggingface`.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from medimeta_adapter.commands.convert_options import (
    about,
    about_arguments,
    converted,
    how_arguments,
    options_of,
)
from torchcross.cli.group import Parser
from torchcross.errors import InputError, MissingExtraError

__all__ = ["EXAMPLE", "arguments", "run"]

EXAMPLE = (
    "torchcross data convert huggingface saved/beans --task labels --out data/mine --id beans"
    " --domain Leaves"
)

_SAVED = ("dataset_dict.json", "dataset_info.json", "state.json")


def arguments(parser: Parser) -> None:
    parser.add_argument("source", help="a name on the hub, or a saved folder")
    parser.add_argument("--config", metavar="NAME", help="of the hub's dataset")
    parser.add_argument("--revision", metavar="COMMIT", help="of the hub's dataset")
    parser.add_argument("--image", metavar="COLUMN", help="(default: the only column of images)")
    parser.add_argument(
        "--task",
        action="append",
        metavar="COLUMN[=KIND]",
        help=(
            "a label column, and its kind where it is binary or ordinal (default: all label"
            " columns)"
        ),
    )
    parser.add_argument("--subject", metavar="COLUMN", help="who an image is of")
    about_arguments(parser)
    how_arguments(parser)


def run(options: argparse.Namespace) -> int:
    from medimeta_adapter.convert import hugging_face

    return converted(
        options,
        hugging_face,
        _loaded(options),
        options.out,
        about(options),
        image=options.image,
        tasks=_tasks(options.task),
        subject=options.subject,
        options=options_of(options),
    )


def _tasks(given: list[str] | None) -> dict[str, str] | list[str] | None:
    if given is None or not any("=" in text for text in given):
        return given
    named = [text.partition("=") for text in given]
    return {column: kind or "multiclass" for column, _, kind in named}


def _loaded(options: argparse.Namespace) -> Any:
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
            f"{options.source}: neither a saved dataset nor one that the hub gives: {error}"
        ) from error
