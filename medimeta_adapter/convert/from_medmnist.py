"""MedMNIST .npz files: v1, v2 and v3, every size, the four kinds of 2-D task, and volumes by a
middle slice.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.npz import Member, npz_members
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.rows import Decoded, Row, Rows
from medimeta_adapter.convert.tasks import LabelNames, encoded_task
from medimeta_adapter.preprocess import centred_slices
from torchcross._kit.arrays import Indices
from torchcross.errors import DatasetFileError, InputError

__all__ = ["medmnist"]

_SPLITS = ("train", "val", "test")
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
    """`pathmnist.npz`, `chestmnist_224.npz`, ... -> `out/<id>`; images are read a row at a time,
    not the whole file.

    kind     the task as MedMNIST calls it: "multi-class", "binary-class", "multi-label,
             binary-class" or "ordinal-regression"
    labels   label names in order, or by label value; numbered where not given
    slices   for volumes: the axis (0, 1, 2) across which the middle slice is taken

    train, val and test are the original splits. The files do not say who an image is of. The images
    stay as large as they are where no size is given.
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
    info, encoded = encoded_task(
        task, _TARGETS[kind], np.concatenate([member.whole() for member in values]), labels
    )
    offsets = np.cumsum([0, *map(len, images)])
    rows = Rows(
        kind=path.name,
        tasks=(info,),
        labels={task: encoded},
        read=lambda places: _read(images, offsets, places, slices if volumes else None),
        channels=3 if len(images[0].shape) == 4 and not volumes else 1,
        names=[
            f"{split}[{place}]"
            for split, member in zip(_SPLITS, images, strict=True)
            for place in range(len(member))
        ],
        original_splits=np.repeat(np.array(_SPLITS), np.diff(offsets)),
        content=" ".join(f"{member.crc:08x}" for member in images),
    )
    return build(rows, out, about, options.sized(*_plane(images, slices)), progress)


def _plane(images: list[Member], slices: Literal[0, 1, 2] | None) -> tuple[int, int]:
    """(height, width) of what becomes an image."""
    sides = [side for axis, side in enumerate(images[0].shape[1:]) if axis != slices]
    return sides[0], sides[1]


def _arrays(path: Path) -> tuple[list[Member], list[Member]]:
    """The images and labels of the three splits."""
    found = npz_members(path)
    names = [f"{split}_{what}" for what in ("images", "labels") for split in _SPLITS]
    if missing := [name for name in names if name not in found]:
        raise DatasetFileError(
            f"{path} has no {', '.join(missing)}, only {', '.join(found) or 'nothing'}; is it"
            " MedMNIST?"
        )
    images, labels = ([found[name] for name in part] for part in (names[:3], names[3:]))
    for these, those in zip(images, labels, strict=True):
        if len(these) != len(those):
            raise DatasetFileError(
                f"{path}: {these.name} has {len(these)} images and {those.name} {len(those)} labels"
            )
        if these.shape[1:] != images[0].shape[1:] or these.dtype != np.uint8:
            raise DatasetFileError(
                f"{path}: {these.name} is {these.dtype} {these.shape}; expected uint8 (N, H, W) or"
                " (N, H, W, 3), the same in train, val and test"
            )
    return images, labels


def _volumes(path: Path, images: list[Member], slices: int | None) -> bool:
    """Whether the file holds volumes, refused where nothing says how to slice them."""
    shape = images[0].shape[1:]
    three_d = len(shape) == 3 and shape[-1] != 3
    if len(shape) not in (2, 3):
        raise DatasetFileError(
            f"{path}: images of shape {shape}; expected (H, W), (H, W, 3) or volumes (D, H, W)"
        )
    if three_d and slices is None:
        raise InputError(
            f"{path} holds volumes of shape {shape}, and the format has images; say slices=0, 1 or"
            " 2 (--slices) to take the middle slice across that axis"
        )
    if slices is not None and (not three_d or slices not in (0, 1, 2)):
        raise InputError(
            f"slices={slices!r}; give 0, 1 or 2 for volumes, nothing for images: {path} has shape"
            f" {shape}"
        )
    return three_d


def _read(
    images: list[Member], offsets: Indices, places: Indices, slices: Literal[0, 1, 2] | None
) -> Iterator[Row]:
    for member, start in zip(images, offsets[:-1].tolist(), strict=True):
        wanted = places[(places >= start) & (places < start + len(member))] - start
        for image in member.rows(wanted):
            yield Decoded(image if slices is None else centred_slices(image, slices)[0])
