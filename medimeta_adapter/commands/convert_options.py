"""What every `torchcross data convert ...` takes: where to, what the dataset is, and how images
become rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medimeta_adapter.commands.output import write
from torchcross._kit.progress import ProgressBar
from torchcross.cli.group import Parser
from torchcross.errors import InputError

if TYPE_CHECKING:
    from medimeta_adapter.convert import About, Converted, Options

__all__ = [
    "about",
    "about_arguments",
    "class_names",
    "classes_of",
    "converted",
    "how_arguments",
    "options_of",
    "pairs",
]


def about_arguments(parser: Parser) -> None:
    """`--out` and what info.yaml says."""
    group = parser.add_argument_group("the dataset")
    group.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the dataset becomes FOLDER/ID"
    )
    group.add_argument("--id", required=True, help="short name, also of its folder")
    group.add_argument(
        "--domain", required=True, help="what kind of image it is, e.g. 'Chest X-ray'"
    )
    group.add_argument("--name", default="", help="(default: the id)")
    group.add_argument("--summary", default="")
    group.add_argument(
        "--license", default="", help="who may do what with the images, e.g. 'CC BY 4.0'"
    )
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


def how_arguments(parser: Parser, *, size: str = "224") -> None:
    """How images become rows; `size` says what happens without one."""
    group = parser.add_argument_group("the images")
    group.add_argument(
        "--size", type=int, metavar="PIXELS", help=f"side of the square (default: {size})"
    )
    group.add_argument(
        "--channels", type=int, choices=[1, 3], help="(default: what the images have)"
    )
    group.add_argument(
        "--fit",
        choices=["crop", "pad"],
        default="crop",
        help="the centre square, or all with margins",
    )
    depth = group.add_mutually_exclusive_group()
    depth.add_argument("--bits", type=int, metavar="N", help="values of N bits become 8")
    depth.add_argument(
        "--window",
        type=float,
        nargs=2,
        metavar=("LEVEL", "WIDTH"),
        help="this window becomes 8 bits",
    )
    group.add_argument(
        "--splits",
        choices=["original", "new"],
        default="original",
        help="keep the source's, or draw new",
    )
    group.add_argument(
        "--fractions",
        type=float,
        nargs=3,
        default=[0.7, 0.1, 0.2],
        metavar=("TRAIN", "VAL", "TEST"),
    )
    group.add_argument("--seed", type=int, default=0, help="of the drawn splits (default: 0)")
    group.add_argument(
        "--duplicates", choices=["keep", "drop"], default="keep", help="rows with equal content"
    )
    group.add_argument(
        "--limit", type=int, metavar="N", help="images per class of the first task at most"
    )
    group.add_argument(
        "--threads", type=int, metavar="N", help="that decode (default: one per core, 8 at most)"
    )
    group.add_argument("--no-tiffs", action="store_true", help="images.hdf5 only")
    group.add_argument(
        "--restart",
        action="store_true",
        help="from the start, where an interrupted conversion would go on",
    )
    group.add_argument(
        "--overwrite", action="store_true", help="replace a dataset that is already there"
    )


def about(options: argparse.Namespace) -> About:
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


def options_of(options: argparse.Namespace) -> Options:
    from medimeta_adapter.convert import Options
    from medimeta_adapter.preprocess import PreprocessingStep, ScaleByBits, Window

    depth: PreprocessingStep | None = None if options.bits is None else ScaleByBits(options.bits)
    if options.window is not None:
        depth = Window(*options.window)
    return Options(
        size=options.size,
        channels=options.channels,
        fit=options.fit,
        depth=depth,
        splits=options.splits,
        fractions=tuple(options.fractions),
        seed=options.seed,
        duplicates=options.duplicates,
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
    named = [part.partition("=") for part in parts]
    if not all(equals for _, equals, _ in named):
        return parts
    try:
        return {int(value): name.strip() for value, _, name in named}
    except ValueError:
        raise InputError(
            f"label names {text!r}: what stands before = must be whole numbers, as in 0=no,4=some"
        ) from None


def pairs(given: Sequence[Sequence[str]] | None, flag: str) -> dict[str, str]:
    """`--labels TASK NAMES` given several times, by task."""
    found: dict[str, str] = {}
    for task, text in given or ():
        if task in found:
            raise InputError(f"{flag} names {task!r} twice")
        found[task] = text
    return found


def classes_of(options: argparse.Namespace, tasks: Sequence[str]) -> dict[str, Any]:
    """The label names of each task."""
    found = pairs(options.labels, "--labels")
    if strange := sorted(set(found) - set(tasks)):
        raise InputError(
            f"--labels {strange[0]!r} belongs to no --task; there are {', '.join(map(repr, tasks))}"
        )
    return {task: class_names(found.get(task)) for task in tasks}


def converted(
    given: argparse.Namespace, convert: Callable[..., Converted], /, *arguments: Any, **more: Any
) -> int:
    """Runs a converter with a progress bar and says what came of it."""
    with ProgressBar(name=given.id, unit="images", transient=False) as progress:
        result = convert(*arguments, **more, progress=progress)
    write(f"{result}\n")
    return 0
