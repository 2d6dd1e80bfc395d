"""What commands write to standard output: text and what rich renders."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.segment import Segment, Segments
from rich.table import Table

from torchcross._kit.listing_table import keep_words_whole
from torchcross.errors import TorchcrossWarning
from torchcross.messages import printable

_NO_WRAPPING = 4000
"""Columns of an output that is not a terminal: one line stays one line, so that grep works."""


def write(text: str) -> None:
    """Write to standard output.

    Control characters, and characters that its encoding lacks, become ASCII escapes.
    """
    text = printable(text)
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Write the library's warnings to standard error in the end, a line each, without code."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TorchcrossWarning)
        try:
            yield
        finally:
            for warning in caught:
                sys.stderr.write(f"torchcross: warning: {printable(str(warning.message))}\n")


def say(content: RenderableType) -> None:
    """Print with colours and wrapping on a terminal, as plain long lines elsewhere."""
    if sys.stdout.isatty():
        terminal = Console(highlight=False)
        if isinstance(content, Table):
            keep_words_whole(content, terminal.width)
        terminal.print(Segments(map(_printable_segment, terminal.render(content))), end="")
        return
    console = Console(file=sys.stdout, width=_NO_WRAPPING, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(content)
    write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _printable_segment(segment: Segment) -> Segment:
    """The segment without the controls of its text; those of its style are rich's own."""
    return segment._replace(text=printable(segment.text))
