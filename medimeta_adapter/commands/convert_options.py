"""Arguments that every `torchcross data convert ...` takes: the dataset, and its images."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medimeta_adapter.commands.output import warnings_as_lines, write
from torchcross._kit.backgrounds import BACKGROUNDS, DEFAULT_BACKGROUND
from torchcross._kit.progress import ProgressBar
from torchcross.cli.group import Parser
from torchcross.errors import InputError

if TYPE_CHECKING:
    from medimeta_adapter.convert import About, Converted, Options


def dataset_arguments(parser: Parser) -> None:
    """`--out`, and the fields of info.yaml."""
    group = parser.add_argument_group("the dataset")
    group.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="write the dataset to FOLDER/ID"
    )
    group.add_argument("--id", required=True, help="short name; also the name of the folder")
    group.add_argument("--domain", required=True, help="imaging domain, e.g. 'Chest X-ray'")
    group.add_argument("--name", default="", help="(default: the id)")
    group.add_argument("--summary", default="")
    group.add_argument("--license", default="", help="licence of the images, e.g. 'CC BY 4.0'")
    group.add_argument("--doi", default="")
    group.add_argument(
        "--domain-overlaps", nargs="+", default=[], metavar="ID", help="datasets of the same domain"
    )
    group.add_argument(
        "--subject-overlaps",
        nargs="+",
        default=[],
        metavar="ID",
        help="datasets with the same subjects",
    )


def image_arguments(parser: Parser, *, size: str = "224", are_files: bool = False) -> None:
    """How images become rows.

    `size` is the default that the help text names, `are_files` whether each image is a file.
    """
    group = parser.add_argument_group("the images")
    group.add_argument(
        "--size", type=int, metavar="PIXELS", help=f"side of the square (default: {size})"
    )
    group.add_argument("--channels", type=int, choices=[1, 3], help="(default: as the images have)")
    group.add_argument(
        "--fit",
        choices=["crop", "pad"],
        default="crop",
        help="crop the centre square, or pad to a square",
    )
    group.add_argument(
        "--background",
        choices=BACKGROUNDS,
        default=DEFAULT_BACKGROUND,
        help="what stands behind transparent parts (default: white)",
    )
    depth = group.add_mutually_exclusive_group()
    depth.add_argument("--bits", type=int, metavar="N", help="scale values of N bits to 8")
    depth.add_argument(
        "--window",
        type=float,
        nargs=2,
        metavar=("LEVEL", "WIDTH"),
        help="scale this window of values to 8 bits",
    )
    _row_arguments(group, are_files=are_files)
    group.add_argument("--no-tiffs", action="store_true", help="write images.hdf5 only")
    group.add_argument(
        "--restart",
        action="store_true",
        help="start again instead of resuming an interrupted conversion",
    )
    group.add_argument("--overwrite", action="store_true", help="replace an existing dataset")


def _row_arguments(group: argparse._ArgumentGroup, *, are_files: bool) -> None:
    """Which rows there are, and their splits."""
    group.add_argument(
        "--splits",
        choices=["original", "new"],
        default="original",
        help="keep the source's splits, or draw new ones",
    )
    group.add_argument(
        "--fractions",
        type=float,
        nargs=3,
        default=[0.7, 0.1, 0.2],
        metavar=("TRAIN", "VAL", "TEST"),
    )
    group.add_argument("--seed", type=int, default=0, help="seed of new splits (default: 0)")
    group.add_argument(
        "--duplicates",
        choices=["keep", "drop"],
        default="keep",
        help="keep or drop rows with equal content",
    )
    if are_files:
        group.add_argument(
            "--skip-unreadable",
            action="store_true",
            help="leave out images that cannot be read, and list them in the end",
        )
    group.add_argument(
        "--limit", type=int, metavar="N", help="at most N images per class of the first task"
    )
    group.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="decoding threads (default: one per core, at most 8)",
    )


def dataset_description(options: argparse.Namespace) -> About:
    from medimeta_adapter.convert import About

    return About(
        id=options.id,
        domain=options.domain,
        name=options.name,
        summary=options.summary,
        license=options.license,
        doi=options.doi,
        domain_overlaps=tuple(options.domain_overlaps),
        subject_overlaps=tuple(options.subject_overlaps),
    )


def conversion_options(options: argparse.Namespace) -> Options:
    from medimeta_adapter.convert import Options
    from medimeta_adapter.preprocess import PreprocessingStep, ScaleByBits, Window

    depth: PreprocessingStep | None = None if options.bits is None else ScaleByBits(options.bits)
    if options.window is not None:
        depth = Window(*options.window)
    return Options(
        size=options.size,
        channels=options.channels,
        fit=options.fit,
        background=options.background,
        depth=depth,
        splits=options.splits,
        fractions=tuple(options.fractions),
        seed=options.seed,
        duplicates=options.duplicates,
        skip_unreadable=getattr(options, "skip_unreadable", False),
        limit=options.limit,
        threads=options.threads,
        tiffs=not options.no_tiffs,
        resume=not options.restart,
        overwrite=options.overwrite,
    )


def class_names(text: str | None) -> dict[int, str] | list[str] | None:
    """`benign,malignant`, or with values `0=no,4=some,8=much`."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    pairs = [part.partition("=") for part in parts]
    if not all(equals for _, equals, _ in pairs):
        return parts
    names: dict[int, str] = {}
    for value, _, name in pairs:
        try:
            number = int(value)
        except ValueError:
            raise InputError(
                f"label names {text!r}: give whole numbers before =, as in 0=no,4=some"
            ) from None
        if number in names:
            raise InputError(
                f"label names {text!r}: {number} is here twice; give each number one name"
            )
        names[number] = name.strip()
    return names


def task_class_names(options: argparse.Namespace, tasks: Sequence[str]) -> dict[str, Any]:
    """The label names of each task, from `--labels TASK NAMES`, which may be repeated."""
    texts: dict[str, str] = {}
    for task, text in options.labels or ():
        if task in texts:
            raise InputError(f"--labels names {task!r} twice; give its labels once")
        if task not in tasks:
            raise InputError(
                f"--labels {task!r} belongs to no --task; there are {', '.join(map(repr, tasks))}"
            )
        texts[task] = text
    return {task: class_names(texts.get(task)) for task in tasks}


def run_conversion(
    options: argparse.Namespace, convert: Callable[..., Converted], /, *arguments: Any, **more: Any
) -> int:
    """Run a converter with a progress bar and print its result."""
    bar = ProgressBar(name=options.id, unit="images", transient=False)
    with warnings_as_lines(), bar as progress:
        result = convert(*arguments, **more, progress=progress)
    write(f"{result.describe()}\n")
    return 0
