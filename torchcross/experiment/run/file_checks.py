"""What a verification says: each file of a folder with its state, and a table of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torchcross._kit.lock import MARKER
from torchcross.errors import TorchcrossError
from torchcross.experiment.rows.trackers import TRACKERS
from torchcross.experiment.run.file_names import is_unfinished
from torchcross.experiment.run.folder import SET_ASIDE

State = Literal[
    "whole", "no hash", "damaged", "missing", "failed", "unfinished", "set aside", "not ours"
]
_COUNTED: tuple[State, ...] = ("whole", "no hash", "damaged", "missing")
_PROBLEMS = ("damaged", "missing")
NO_HASH = "an earlier version wrote it without a content hash"


@dataclass(frozen=True)
class FileCheck:
    """A file of a run or a search by its name in the folder, its state, and the reason."""

    name: str
    state: State
    detail: str = ""


@dataclass(frozen=True)
class Verification:
    """What `verify_run` or `verify_search` saw in a folder; as text, a table of its parts.

    What is wrong stands under the table. The first part is the files beside the folders. `notes`
    say what a reader must know of the plugin files of the run.
    """

    folder: Path
    checks: tuple[FileCheck, ...]
    parts: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether no file is damaged, and none is missing."""
        return not any(check.state in _PROBLEMS for check in self.checks)

    def __str__(self) -> str:
        rows = [("", "files", *_COUNTED, "other")]
        for part in self.parts:
            states = [
                check.state for check in self.checks if part_of(check.name, self.parts) == part
            ]
            counts = Counter(states)
            other = len(states) - sum(counts[state] for state in _COUNTED)
            rows.append(
                (part, *map(str, (len(states), *(counts[state] for state in _COUNTED), other)))
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for first, *cells in rows:
            numbers = [f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)]
            lines.append("  ".join([f"{first:<{widths[0]}}", *numbers]))
        listed = [check for check in self.checks if check.state not in ("whole", "no hash")]
        listed.sort(key=lambda check: (check.state not in _PROBLEMS, check.state))
        lines += [f"{check.state}: {check.name}: {check.detail}" for check in listed]
        if any(check.state == "no hash" for check in self.checks):
            lines.append(f"no hash: {NO_HASH}; damage to its values would not be noticed")
        verdict = "whole" if self.holds else "not whole"
        return "\n".join([*lines, *self.notes, f"{self.folder}: {verdict}"])


def written_files(folder: Path, *under_way: str) -> Iterator[Path]:
    """The files of a run or a search: not its lock, and not what trackers write there.

    `under_way` names the folders of what is not done yet.
    """
    for path in folder.rglob("*"):
        is_lock = path.name in ("lock", f"lock{MARKER}")
        part = path.relative_to(folder).parts[0]
        if path.is_file() and not is_lock and part not in (TRACKERS, *under_way):
            yield path


def part_of(name: str, parts: tuple[str, ...]) -> str:
    """The folder that a file lies in; the first part for the files beside the folders."""
    inner = Path(name).parts[:-1]
    return inner[0] if inner and inner[0] in parts[1:] else parts[0]


def check_of_file(
    name: str, path: Path, read: Callable[[Path], bool] | None, *, hashed: bool
) -> FileCheck:
    """The check of a file that is there.

    `read` checks its content and says whether it has a hash; it is None for a name that nothing is
    written under. `hashed`: it must have one.
    """
    if path.name.endswith(SET_ASIDE):
        return FileCheck(name, "set aside", "it was damaged, and was made again")
    if is_unfinished(path):
        return FileCheck(name, "unfinished", "a process was writing it; the next call removes it")
    if read is None:
        return FileCheck(name, "not ours", "nothing is written under this name")
    try:
        has_hash = read(path)
    except (TorchcrossError, OSError) as error:
        return FileCheck(name, "damaged", str(error))
    if has_hash:
        return FileCheck(name, "whole")
    if hashed and "tensorboard" not in Path(name).parts:
        return FileCheck(name, "damaged", "its content hash is gone")
    return FileCheck(name, "no hash", NO_HASH)
