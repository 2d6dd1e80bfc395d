"""A dataset out of its zip: inside its folder, no larger than announced, all or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from medimeta_adapter.fetch.archive import Archive, open_archive
from torchcross.errors import FetchError

_INFO = "info.yaml"
_JUNK = ("__MACOSX", ".DS_Store")


def unpack_dataset(
    path: Path,
    folder: Path,
    *,
    most_bytes: int,
    most_members: int,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Unpack the dataset in a zip into an empty folder.

    The dataset is where the topmost info.yaml is: at the top of the zip, or in a folder.
    """
    with open_archive(path, most_bytes=most_bytes, most_members=most_members) as archive:
        members = _members_of_dataset(archive)
        total = sum(archive.sizes[name] for name in members)
        free = shutil.disk_usage(folder).free
        if total > free:
            raise FetchError(
                f"{path.name} takes {total:,} bytes when it is unpacked, and {folder.parent} has"
                f" {free:,} free; free some space, then run the same again"
            )
        done = 0
        for name, place in members.items():
            target = folder.joinpath(*place.parts)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                file = target.open("xb")
            except (FileExistsError, NotADirectoryError) as error:
                raise FetchError(
                    f"{path.name} holds {name!r} and another file that this disk takes for the same"
                ) from error
            with file:
                for block in archive.blocks(name):
                    file.write(block)
                    done += len(block)
                    progress(done, total)


def _members_of_dataset(archive: Archive) -> dict[str, PurePosixPath]:
    """Member -> its place in the dataset's folder."""
    paths = {
        name: PurePosixPath(name)
        for name in archive.sizes
        if not any(part in _JUNK for part in PurePosixPath(name).parts)
    }
    infos = [path for path in paths.values() if path.name == _INFO]
    if not infos:
        raise FetchError(f"{archive.path.name} holds no {_INFO}; it is no dataset of MedIMeta")
    depth = min(len(path.parts) for path in infos)
    roots = [path.parent for path in infos if len(path.parts) == depth]
    if len(roots) > 1:
        names = ", ".join(sorted(map(str, roots)))
        raise FetchError(f"{archive.path.name} holds several datasets ({names}); unpack it by hand")
    root = roots[0]
    return {
        name: path.relative_to(root) for name, path in paths.items() if path.is_relative_to(root)
    }
