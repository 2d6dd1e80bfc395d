"""Convert MedMNIST .npz files: v1 to v3, every size, all 2-D tasks, and volumes by a slice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.npz import Member, npz_members
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.parts import Parts
from medimeta_adapter.convert.rows import Decoded, Row, Rows
from medimeta_adapter.convert.tasks import LabelNames, encode_task
from medimeta_adapter.format.splits import SPLITS
from medimeta_adapter.preprocess import centred_slices
from torchcross._kit.arrays import Indices
from torchcross.errors import DatasetFileError, InputError

_TARGETS = {
    "multi-class": "multiclass",
    "binary-class": "binary",
    "multi-label, binary-class": "multilabel",
    "ordinal-regression": "ordinal",
}


def medmnist(
    source: str | Path,
    out: str | Path,
    about: About,
    *,
    kind: str,
    task: str = "class",
    labels: LabelNames = None,
    slices: Literal[0, 1, 2] | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Write `pathmnist.npz`, `chestmnist_224.npz`, ... as the dataset `out/<id>`.

    Images are read one row at a time, not the whole file. train, val and test are the original
    splits. The files do not name subjects. Without `Options.size`, images keep their size.

    kind     the task as MedMNIST calls it: "multi-class", "binary-class", "multi-label,
             binary-class" or "ordinal-regression"
    labels   label names in order, or by label value (default: numbers)
    slices   for volumes: the axis (0, 1, 2) of the middle slice
    """
    options = options or Options()
    check_target(out, about, options)
    if kind not in _TARGETS:
        raise InputError(
            f"{kind!r} is no kind of task of MedMNIST; there are {', '.join(map(repr, _TARGETS))}"
        )
    path = Path(source)
    images, values = _arrays(path)
    volumes = _volumes(path, images, slices)
    all_values = np.concatenate([member.read_all() for member in values])
    info, encoded = encode_task(task, _TARGETS[kind], all_values, labels)
    parts = Parts(dict(zip(SPLITS, images, strict=True)))
    rows = Rows(
        kind=path.name,
        path=path,
        tasks=(info,),
        labels={task: encoded},
        # `_volumes` has refused slices of images that are no volumes.
        read=lambda places: _read(images, places, slices),
        channels=3 if len(images[0].shape) == 4 and not volumes else 1,
        names=parts.row_names(),
        original_splits=parts.original_splits("the arrays' names"),
        content=" ".join(f"{member.crc:08x}" for member in images),
    )
    return build(rows, out, about, options.with_size_of(*_plane(images, slices)), progress)


def _plane(images: list[Member], slices: Literal[0, 1, 2] | None) -> tuple[int, int]:
    """(height, width) of an image or slice."""
    sides = [side for axis, side in enumerate(images[0].shape[1:]) if axis != slices]
    return sides[0], sides[1]


def _arrays(path: Path) -> tuple[list[Member], list[Member]]:
    """The images and labels of the three splits."""
    members = npz_members(path)
    names = [f"{split}_{kind}" for kind in ("images", "labels") for split in SPLITS]
    if missing := [name for name in names if name not in members]:
        raise DatasetFileError(
            f"{path} has no {', '.join(missing)}, only {', '.join(members) or 'nothing'}; is it"
            " MedMNIST?"
        )
    images, labels = ([members[name] for name in part] for part in (names[:3], names[3:]))
    for split, answers in zip(images, labels, strict=True):
        if len(split) != len(answers):
            raise DatasetFileError(
                f"{path}: {split.name} has {len(split)} images and {answers.name} {len(answers)}"
                " labels"
            )
        if split.shape[1:] != images[0].shape[1:] or split.dtype != np.uint8:
            raise DatasetFileError(
                f"{path}: {split.name} is {split.dtype} {split.shape}; expected uint8 (N, H, W) or"
                " (N, H, W, 3), the same in train, val and test"
            )
    return images, labels


def _volumes(path: Path, images: list[Member], slices: int | None) -> bool:
    """Whether the file holds volumes; raises if `slices` does not fit."""
    shape = images[0].shape[1:]
    three_d = len(shape) == 3 and shape[-1] != 3
    if len(shape) not in (2, 3):
        raise DatasetFileError(
            f"{path}: images of shape {shape}; expected (H, W), (H, W, 3) or volumes (D, H, W)"
        )
    if three_d and slices is None:
        raise InputError(
            f"{path} holds volumes of shape {shape}, and the format has images; give slices=0, 1 or"
            " 2 (--slices) to take the middle slice along that axis"
        )
    if slices is not None and (not three_d or slices not in (0, 1, 2)):
        raise InputError(
            f"slices={slices!r}; give 0, 1 or 2 for volumes, nothing for images: {path} has shape"
            f" {shape}"
        )
    return three_d


def _read(images: list[Member], places: Indices, slices: Literal[0, 1, 2] | None) -> Iterator[Row]:
    start = 0
    for member in images:
        inside = places[(places >= start) & (places < start + len(member))] - start
        for image in member.rows(inside):
            yield Decoded(image if slices is None else centred_slices(image, slices)[0])
        start += len(member)
