"""Names of files in a run's folder: unique, fit for every system, and those of unfinished files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from torchcross._kit.whole_files import UNFINISHED, UNFINISHED_NAME
from torchcross.experiment.settings.plain import digest

_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_=+-]")
"""What no key of a unit has."""


def file_name(key: tuple[object, ...]) -> str:
    """A file name: words for people, and a digest that makes it unique."""
    words = [re.sub(r"\W", "_", str(part))[:40] for part in key[:-1]]
    return f"{'-'.join(words)}-{digest([str(part) for part in key])[:12]}"


def key_text(name: str) -> str:
    """A file name as a part of the key of a unit."""
    return _FOREIGN.sub("_", name)


def unfinished_files(path: Path) -> Iterator[Path]:
    """The files that a process was writing when it was killed."""
    for pattern in ("*", "*/*", "train/*/*"):
        for file in path.glob(f"{pattern}{UNFINISHED}"):
            if is_unfinished(file):
                yield file


def is_unfinished(path: Path) -> bool:
    """Whether a process was writing the file when it was killed."""
    return bool(UNFINISHED_NAME.fullmatch(path.name))
