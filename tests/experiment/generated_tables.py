"""A part of docs/experiments.md that a module makes, between two comments of the page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "experiments.md"


def page_with(name: str, part: str) -> str:
    """The page with this part in the place of the one that it has."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    return f"{before}{begin}\n{part}\n{end}{rest.split(end)[1]}"


def main(name: str, rendered: Callable[[], str]) -> None:
    """Print the part; with `--write`, write it into the page."""
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page_with(name, rendered()), encoding="utf-8")
    else:
        sys.stdout.write(rendered())
