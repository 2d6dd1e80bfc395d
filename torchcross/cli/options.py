"""Values of options, from text."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from torchcross.cli.group import Parser
from torchcross.errors import InputError


def names_in(text: str) -> list[str]:
    """Split "a, b" at its commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def names_in_all(texts: Iterable[str] | None) -> list[str] | None:
    """The names of an option that takes several values, each of which may have commas in it."""
    return None if texts is None else [name for text in texts for name in names_in(text)]


def add_uncertainty(parser: Parser) -> None:
    """The option that says what intervals and marks are about."""
    parser.add_argument(
        "--uncertainty",
        choices=("images", "episodes"),
        help=(
            "what intervals and marks are about where episodes share images: images, other images"
            " like these; episodes, other episodes of these images (default: the run's)"
        ),
    )


def add_plugin_flag(parser: Parser) -> None:
    """The option for files that add rows and the like."""
    parser.add_argument(
        "--plugin",
        action="append",
        metavar="FILE.py",
        help="a Python file that adds rows, backbones, targets or losses; may be repeated",
    )


def check_out_file(path: Path, *, force: bool) -> None:
    """Refuse a file that cannot be written at the end, before any work is done for it."""
    folder = path.parent
    if path.is_dir():
        problem = f"{path} is a folder; give the path of a file"
    elif not folder.is_dir():
        problem = f"{path}: there is no folder {folder}; make it, or give another --out"
    elif not os.access(folder, os.W_OK):
        problem = f"{path}: {folder} may not be written to; give another --out"
    elif path.exists() and not force:
        problem = f"{path} is there already; give another --out, or --force"
    else:
        return
    raise InputError(problem)
