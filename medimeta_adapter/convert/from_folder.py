"""Convert a folder of images, one folder per class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.grey import common_channels
from medimeta_adapter.convert.left_out import passed_over_files
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.resumed import file_stamps
from medimeta_adapter.convert.rows import Encoded, Rows, Texts, lazy_file_reader
from medimeta_adapter.convert.splits import SPLIT_WORDS, merged_split_words, split_names
from medimeta_adapter.convert.tasks import LabelNames, encode_task
from medimeta_adapter.format.annotations import known_subject
from torchcross.data.sources.image_files import IMAGE_ENDINGS, list_image_files, list_some
from torchcross.errors import InputError


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
    follow_links: bool = False,
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
    follow_links   follow links that leave `source` too; otherwise they are an error. Links that
                   stay below it are followed

    Hidden files and folders (`.git`, `__MACOSX`, `Thumbs.db`) are passed over, as
    ImageFolderSource does.
    """
    options = options or Options()
    check_target(out, about, options)
    root = Path(source)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give one with a folder of images per class")
    listing = list_image_files(root, follow_links=follow_links)
    names = list(listing.images)
    if not names:
        raise InputError(
            f"{root} holds no images; expected folders of files that end in"
            f" {', '.join(IMAGE_ENDINGS)}"
        )
    first = np.array([name.partition("/")[0] for name in names])
    folders = np.unique(first).tolist()
    is_split = [folder.strip().lower() in SPLIT_WORDS for folder in folders]
    layout = _FolderLayout(root, all(is_split), nested, folders, is_split)
    classes = [layout.class_of(name) for name in names]
    info, values = encode_task(task, target, np.array(classes), labels, all_are_names=True)
    rows = Rows(
        kind=f"image folder {root.name}",
        path=root,
        tasks=(info,),
        labels={task: values},
        read=lazy_file_reader(root, names),
        channels=common_channels(len(names), lambda place: Encoded(root / names[place]).pixels()),
        names=names,
        subjects=subjects_from(names, subject),
        stamps=file_stamps(root, names),
        are_files=True,
        left_out=passed_over_files(listing),
        notes=layout.notes(first),
        original_splits=split_names(first, str(root)) if layout.has_splits else None,
    )
    return build(rows, out, about, options, progress)


def subjects_from(names: list[str], pattern: str | None) -> Texts | None:
    """The text that the first group of the pattern matches, "" without a match."""
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
    texts = ((match and match[1]) or "" for match in matches)
    return np.array([known_subject(text) for text in texts])


@dataclass(frozen=True)
class _FolderLayout:
    """Where the folders of classes are: on the first level, or below folders of splits."""

    root: Path
    has_splits: bool
    nested: bool
    folders: list[str]
    is_split: list[bool]

    def notes(self, first: Texts) -> tuple[str, ...]:
        """What a user should know of the folders of the first level."""
        if self.has_splits:
            return merged_split_words(first, f"{self.root}")
        splits = [folder for folder, is_split in self._pairs if is_split]
        if not splits:
            return ()
        return (
            f"note: {self.root}: {', '.join(splits)} became a class and no split, because there are"
            " folders beside it without the name of a split",
        )

    @property
    def _pairs(self) -> list[tuple[str, bool]]:
        return list(zip(self.folders, self.is_split, strict=True))

    def class_of(self, name: str) -> str:
        """The class of the image with this path below the root."""
        parts, path, level = name.split("/"), self.root / name, int(self.has_splits)
        if len(parts) < level + 2:
            raise InputError(
                f"{path} is in no class folder; expected {self.root}/<class>/<image> or"
                " <split>/<class>/<image>"
            )
        if len(parts) > level + 2 and not self.nested:
            raise InputError(self._describe_depth(path))
        return parts[level]

    def _describe_depth(self, path: Path) -> str:
        splits = [folder for folder, is_split in self._pairs if is_split]
        others = [folder for folder, is_split in self._pairs if not is_split]
        if splits and others:
            return (
                f"{self.root} has folders of splits ({', '.join(splits)}) and others"
                f" ({list_some(others)}), so that {path} is in no class for certain; if the others"
                " are splits too, give each a name of a split"
                f" ({', '.join(sorted(SPLIT_WORDS))}); move what is neither away"
            )
        return (
            f"{path} is deeper than {self.root}/<class>/<image>; give nested=True (--nested) if all"
            " files below a class folder belong to that class"
        )
