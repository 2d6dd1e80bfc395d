"""Values of options, from text."""

from __future__ import annotations

from collections.abc import Iterable

from torchcross.cli.group import Parser


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
