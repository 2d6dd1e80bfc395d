"""A folder of images, one folder per class."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from medimeta_adapter.convert.columns import is_somebody
from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.grey import channels_of
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.resumed import file_stamps
from medimeta_adapter.convert.rows import Encoded, Rows, Texts, readable_later
from medimeta_adapter.convert.splits import split_names
from medimeta_adapter.convert.tasks import LabelNames, encoded_task
from torchcross.errors import InputError

__all__ = ["image_folder", "subjects_from"]

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


def image_folder(
    source: str | Path,
    out: str | Path,
    about: About,
    *,
    task: str = "class",
    target: str = "multiclass",
    labels: LabelNames = None,
    nested: bool = False,
    subject: str | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Converted:
    """`source/disc/a.png`, `source/star/b.jpg`, ... -> `out/<id>`.

    Where the first level is train, val or test (or what else people call them), these are the
    original splits.

    task, target   the task's name, and its kind: "multiclass", "binary" or "ordinal"
    labels         folder names in the order of their labels, or by label value; sorted where not
                   given
    nested         folders within a class folder belong to the class; otherwise they are refused
    subject        pattern searched in the path below `source`; what its first group matches is the
                   subject, and an image without a match is a subject of its own
    """
    options = options or Options()
    check_target(out, about, options)
    root = Path(source)
    if not root.is_dir():
        raise InputError(f"{root} is no folder; give one with a folder of images per class")
    files = list(_files(root))
    names = [name for name in files if name.lower().endswith(ENDINGS)]
    if not names:
        raise InputError(
            f"{root} holds no images; expected folders of files that end in {', '.join(ENDINGS)}"
        )
    first = np.array([name.partition("/")[0] for name in names])
    split_level = {folder.lower() for folder in np.unique(first).tolist()} <= _SPLIT_FOLDERS
    classes = [_class_of(root, name, int(split_level), nested) for name in names]
    info, values = encoded_task(task, target, np.array(classes), labels)
    rows = Rows(
        kind=f"image folder {root.name}",
        tasks=(info,),
        labels={task: values},
        read=readable_later(root, names),
        channels=channels_of(len(names), lambda place: Encoded(root / names[place]).pixels()),
        names=names,
        subjects=subjects_from(names, subject),
        stamps=file_stamps(root, names),
        original_splits=split_names(first, str(root)) if split_level else None,
    )
    return replace(build(rows, out, about, options, progress), passed_over=len(files) - len(names))


def subjects_from(names: list[str], pattern: str | None) -> Texts | None:
    """What the first group of the pattern matches; the name itself where nothing does."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"subject={pattern!r} is no pattern: {error}") from error
    if compiled.groups < 1:
        raise InputError(
            f"subject={pattern!r} has no group; put the part that names the subject in brackets"
        )
    matches = [compiled.search(name) for name in names]
    if not any(matches):
        raise InputError(
            f"subject={pattern!r} is found in none of {len(names)} paths such as {names[0]!r}"
        )
    found = [(match and match[1]) or "" for match in matches]
    return np.array(
        [text if is_somebody(text) else name for name, text in zip(names, found, strict=True)]
    )


def _files(folder: Path) -> Iterator[str]:
    """All files below but hidden ones, sorted; links to folders are not followed, images out of the
    folder refused.
    """
    inside = folder.resolve()
    for base, folders, files in os.walk(folder):
        folders.sort()
        below = "" if Path(base) == folder else Path(base).relative_to(folder).as_posix() + "/"
        for name in sorted(files):
            if name.startswith("."):
                continue
            path = Path(base, name)
            is_image = name.lower().endswith(ENDINGS)
            if is_image and path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise InputError(
                    f"{path} is a link out of {folder}; copy the image itself, or leave it out"
                )
            yield below + name


def _class_of(root: Path, name: str, level: int, nested: bool) -> str:
    parts, shown = name.split("/"), root / name
    if len(parts) < level + 2:
        raise InputError(
            f"{shown} stands in no class folder; expected {root}/<class>/<image> or"
            " <split>/<class>/<image>"
        )
    if len(parts) > level + 2 and not nested:
        raise InputError(
            f"{shown} stands deeper than {root}/<class>/<image>; say nested=True (--nested) if all"
            " below a class folder belongs to that class"
        )
    return parts[level]
