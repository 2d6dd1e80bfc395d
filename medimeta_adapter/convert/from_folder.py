"""Convert a folder of images, one folder per class."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from medimeta_adapter.convert.columns import names_a_subject
from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.grey import common_channels
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.resumed import file_stamps
from medimeta_adapter.convert.rows import Encoded, Rows, Texts, lazy_file_reader
from medimeta_adapter.convert.splits import split_names
from medimeta_adapter.convert.tasks import LabelNames, encode_task
from torchcross.errors import InputError

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
    """Write `source/disc/a.png`, `source/star/b.jpg`, ... as the dataset `out/<id>`.

    If the first level is train, val or test (or a common synonym), these are the original splits.

    task, target   the task's name, and its kind: "multiclass", "binary" or "ordinal"
    labels         folder names in the order of their labels, or by label value (default: sorted)
    nested         folders inside a class folder belong to the class; otherwise they are an error
    subject        regular expression that is searched in the path below `source`; its first group
                   is the subject, and an image without a match is a subject of its own
    """
    options = options or Options()
    check_target(out, about, options)
    root = Path(source)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give one with a folder of images per class")
    files = list(_files(root))
    names = [name for name in files if name.lower().endswith(ENDINGS)]
    if not names:
        raise InputError(
            f"{root} holds no images; expected folders of files that end in {', '.join(ENDINGS)}"
        )
    first = np.array([name.partition("/")[0] for name in names])
    split_level = {folder.lower() for folder in np.unique(first).tolist()} <= _SPLIT_FOLDERS
    classes = [_class_of(root, name, int(split_level), nested) for name in names]
    info, values = encode_task(task, target, np.array(classes), labels)
    rows = Rows(
        kind=f"image folder {root.name}",
        tasks=(info,),
        labels={task: values},
        read=lazy_file_reader(root, names),
        channels=common_channels(len(names), lambda place: Encoded(root / names[place]).pixels()),
        names=names,
        subjects=subjects_from(names, subject),
        stamps=file_stamps(root, names),
        original_splits=split_names(first, str(root)) if split_level else None,
    )
    return replace(build(rows, out, about, options, progress), passed_over=len(files) - len(names))


def subjects_from(names: list[str], pattern: str | None) -> Texts | None:
    """The text that the first group of the pattern matches, or the name itself without a match."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"subject={pattern!r} is not a regular expression: {error}") from error
    if compiled.groups < 1:
        raise InputError(
            f"subject={pattern!r} has no group; put the part that names the subject in parentheses"
        )
    matches = [compiled.search(name) for name in names]
    if not any(matches):
        raise InputError(
            f"subject={pattern!r} is found in none of {len(names)} paths such as {names[0]!r}"
        )
    texts = [(match and match[1]) or "" for match in matches]
    pairs = zip(names, texts, strict=True)
    return np.array([text if names_a_subject(text) else name for name, text in pairs])


def _files(folder: Path) -> Iterator[str]:
    """All files below a folder except hidden ones, sorted.

    Links to folders are not followed. A link to an image outside the folder is an error.
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
                    f"{path} is a link that leaves {folder}; copy the image itself, or leave it out"
                )
            yield below + name


def _class_of(root: Path, name: str, level: int, nested: bool) -> str:
    parts, path = name.split("/"), root / name
    if len(parts) < level + 2:
        raise InputError(
            f"{path} is in no class folder; expected {root}/<class>/<image> or"
            " <split>/<class>/<image>"
        )
    if len(parts) > level + 2 and not nested:
        raise InputError(
            f"{path} is deeper than {root}/<class>/<image>; give nested=True (--nested) if all"
            " files below a class folder belong to that class"
        )
    return parts[level]
