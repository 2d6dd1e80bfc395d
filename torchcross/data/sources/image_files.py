"""Which files below a folder are its images: one rule for links, hidden files and folders.

Links that stay below the folder are followed. A link that leaves it is refused by name, unless the
user follows all links. Links that lead nowhere or into a circle are always refused. Names that
begin with a dot, and those that systems and programs make (`SYSTEM_NAMES`), are hidden: they are
passed over, with all that they hold.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchcross._kit.counts import count_text
from torchcross.errors import SourceError

IMAGE_ENDINGS = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pgm"),
    *(".png", ".ppm", ".tif", ".tiff", ".webp"),
)
SYSTEM_NAMES = frozenset(
    {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir"}
)
"""Names, in lower case, that are hidden although they begin with no dot."""

_MOST_WAYS = 1000
_SHOWN = 10


@dataclass(frozen=True)
class ImageFiles:
    """What a folder holds, by paths below it with "/": files before folders, each sorted.

    images    files with the ending of an image
    others    all other files
    folders   all folders that are not hidden
    hidden    hidden files, and hidden folders with a "/" at the end
    """

    images: tuple[str, ...]
    others: tuple[str, ...]
    folders: tuple[str, ...]
    hidden: tuple[str, ...]

    @property
    def folders_without_images(self) -> tuple[str, ...]:
        """Folders without an image at any depth, without those inside such a folder."""
        full = {""}
        for name in self.images:
            folder = name.rpartition("/")[0]
            while folder not in full:
                full.add(folder)
                folder = folder.rpartition("/")[0]
        return tuple(
            folder
            for folder in self.folders
            if folder not in full and folder.rpartition("/")[0] in full
        )

    def describe_passed_over(self) -> str:
        """What a person should hear of: other files and hidden folders, or "" without any."""
        hidden_folders = [name for name in self.hidden if name.endswith("/")]
        others = f"{count_text(len(self.others), 'files')} without the ending of an image"
        groups = {others: self.others, f"{len(hidden_folders)} hidden": hidden_folders}
        return "; ".join(f"{kind}: {list_some(names)}" for kind, names in groups.items() if names)


def is_hidden(name: str) -> bool:
    """Whether the name of a file or folder, without its path, is hidden."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def list_some(names: Sequence[str], most: int = _SHOWN) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def list_image_files(root: Path, *, follow_links: bool = False) -> ImageFiles:
    """All files below a folder; raises SourceError that names every link that cannot be followed.

    With `follow_links`, links that leave the folder are followed too.
    """
    walk = _Walk(root, follow_links)
    walk.run()
    if walk.problems:
        raise SourceError(_describe_problems(root, walk.problems))
    return ImageFiles(
        tuple(walk.images), tuple(walk.others), tuple(walk.folders), tuple(walk.hidden)
    )


class _Walk:
    """A walk through a folder, and what it came across."""

    def __init__(self, root: Path, follow_links: bool) -> None:
        self.images: list[str] = []
        self.others: list[str] = []
        self.folders: list[str] = []
        self.hidden: list[str] = []
        self.problems: list[tuple[str, str]] = []
        self._root = root
        self._inside = os.path.realpath(root)
        self._follow_links = follow_links
        # How many ways led to each folder, by its real path.
        self._ways: Counter[str] = Counter()
        self._is_endless = False

    def run(self) -> None:
        # A folder's path below the root, and the real paths of it and of those that hold it.
        waiting: list[tuple[str, tuple[str, ...]]] = [("", (self._inside,))]
        while waiting and not self._is_endless:
            folder, holders = waiting.pop()
            waiting += reversed(self._look(folder, holders))

    def _look(self, folder: str, holders: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
        """Note what lies in one folder, and return the folders in it."""
        inner = []
        for entry in _entries(holders[-1], self._root / folder):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if is_hidden(entry.name):
                self.hidden.append(f"{name}/" if _is_folder(entry) else name)
                continue
            is_image = entry.name.lower().endswith(IMAGE_ENDINGS)
            real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if problem := self._problem(entry, real, holders, is_image=is_image):
                self.problems.append((name, problem))
            elif _is_folder(entry):
                self.folders.append(name)
                inner.append((name, (*holders, real)))
            else:
                (self.images if is_image else self.others).append(name)
        return inner

    def _problem(
        self, entry: os.DirEntry[str], real: str, holders: tuple[str, ...], *, is_image: bool
    ) -> str:
        """Why an entry can be neither followed nor passed over, or ""."""
        is_folder = _is_folder(entry)
        if entry.is_symlink():
            is_broken = not os.path.exists(real)  # noqa: PTH110
            leaves = not Path(real).is_relative_to(self._inside)
            if is_broken:
                # One that is named as an image is an image that cannot be read.
                return "" if is_image else f"is a link that leads nowhere, to {real}"
            if leaves and not self._follow_links and (is_folder or is_image):
                return f"is a link that leaves the folder, to {real}"
            if real in holders:
                return "is a link to a folder that holds it"
        if is_image and not is_folder and not entry.is_file():
            return "is named as an image, and is a pipe or a device"
        if is_folder:
            self._ways[real] += 1
        if self._ways[real] > _MOST_WAYS:
            self._is_endless = True
            return f"leads to {real}, to which {_MOST_WAYS} other ways lead"
        return ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links alone
        return False


def _entries(folder: str, name: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise SourceError(
            f"{name} cannot be listed: {error.strerror or error}; make it readable, or move it away"
        ) from error


def _describe_problems(root: Path, problems: list[tuple[str, str]]) -> str:
    follow = ""
    if any("leaves" in problem for _, problem in problems):
        follow = "; follow_links=True (--follow-links) follows links that leave the folder"
    if len(problems) == 1:
        name, problem = problems[0]
        return f"{root / name} {problem}; remove it, or put a copy in its place{follow}"
    lines = [f"\n  {name} {problem}" for name, problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"\n  and {len(problems) - _SHOWN} more")
    return (
        f"{len(problems)} entries of {root} cannot be used; remove them, or put copies in their"
        f" place{follow}:{''.join(lines)}"
    )
