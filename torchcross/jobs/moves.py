"""Files and folders that get their places once, on file systems that several machines share."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from torchcross._kit.whole_files import UNFINISHED, unfinished_place, write_whole
from torchcross.errors import WriteError

_NO_HARD_LINKS: Final = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
)


def move_where_none_is(source: Path, place: Path) -> bool:
    """Whether the source got the place; False where something was there before."""
    try:
        return _link_or_rename(source, place)
    except FileNotFoundError:
        place.parent.mkdir(parents=True, exist_ok=True)
        return _link_or_rename(source, place)


def write_where_none_is(place: Path, content: str) -> bool:
    """Whether the whole file got the place; False where one was there before."""
    source = unfinished_place(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(source, content)
        return move_where_none_is(source, place)
    except OSError as error:
        raise WriteError(
            f"{place} cannot be written ({error.strerror or error}); make room, or let this process"
            " write to the folder"
        ) from error
    finally:
        with suppress(OSError):
            source.unlink(missing_ok=True)


def _link_or_rename(source: Path, place: Path) -> bool:
    if source.is_dir():
        return _move_folder(source, place)
    try:
        os.link(source, place)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # Without hard links two late owners can meet here. Both bring the same bytes.
        if place.exists():
            return False
        source_copy = unfinished_place(place)
        shutil.copyfile(source, source_copy)
        source_copy.replace(place)
    return True


def _move_folder(source: Path, place: Path) -> bool:
    try:
        # A folder that has files is never replaced by a rename.
        source.rename(place)
    except OSError:
        if place.is_dir():
            return False
        raise
    return True


def have_same_content(source: Path, place: Path) -> bool:
    """True also where the source was moved: another attempt of this process has published it."""
    if not source.exists():
        return True
    if not source.is_dir():
        return filecmp.cmp(source, place, shallow=False)
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    others = sorted(path.relative_to(place) for path in place.rglob("*") if path.is_file())
    return files == others and all(
        filecmp.cmp(source / path, place / path, shallow=False) for path in files
    )


def copy_whole_files(before: Path, attempt: Path) -> None:
    """Copy what is whole. Its owner may still be alive and remove or replace files meanwhile."""
    for path in sorted(before.rglob("*")):
        target = attempt / path.relative_to(before)
        with suppress(FileNotFoundError):
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif not path.name.endswith(UNFINISHED):
                target.parent.mkdir(parents=True, exist_ok=True)
                # Whole at once: whoever is killed here leaves no part of a checkpoint.
                copy = unfinished_place(target)
                shutil.copyfile(path, copy)
                copy.replace(target)
