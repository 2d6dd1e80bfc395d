"""Convert arrays: in memory, memory-mapped, or any object with rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.columns import subjects as subjects_in
from medimeta_adapter.convert.columns import texts
from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.rows import Decoded, Row, Rows, Texts
from medimeta_adapter.convert.splits import merged_split_words, refuse_new_splits, split_names
from medimeta_adapter.convert.tasks import LabelNames, encode_task
from torchcross._kit.arrays import Indices
from torchcross.errors import InputError


@dataclass(frozen=True)
class ArrayTask:
    """A task and its labels: numbers or names (N,), or zeros and ones (N, L) for "multilabel"."""

    name: str
    target: str
    values: Any
    labels: LabelNames = None


def arrays(
    images: Any,
    tasks: Sequence[ArrayTask],
    out: str | Path,
    about: About,
    *,
    subjects: Any = None,
    splits: Any = None,
    original_splits: Any = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Write images (N, H, W) or (N, H, W, channels) as the dataset `out/<id>`.

    A memory map is read one row at a time.

    subjects          the subject of each image, (N,)
    splits            the split to write for each image: train, val or test
    original_splits   the original split of each image; `Options.splits` says whether they stay
    """
    options = options or Options()
    check_target(out, about, options)
    shape: tuple[int, ...] = getattr(images, "shape", None) or ()
    dimensions = len(shape)
    if dimensions not in (3, 4) or (dimensions == 4 and shape[-1] not in (1, 3, 4)):
        raise InputError(
            f"images of shape {shape or None} cannot be converted; give (N, H, W) or"
            " (N, H, W, 1, 3 or 4), channels last"
        )
    if not tasks:
        raise InputError("a dataset needs at least one task; give ArrayTask(name, target, values)")
    encoded = [encode_task(task.name, task.target, task.values, task.labels) for task in tasks]
    if splits is not None:
        refuse_new_splits(options, "original_splits= (--original-splits)")
    notes = (
        *_merged_splits(splits, "splits"),
        *_merged_splits(original_splits, "original_splits"),
    )
    rows = Rows(
        kind="arrays",
        tasks=tuple(info for info, _ in encoded),
        labels={info.name: values for info, values in encoded},
        read=lambda places: _read(images, places),
        channels=1 if dimensions == 3 or shape[-1] == 1 else 3,
        names=[f"images[{place}]" for place in range(shape[0])],
        subjects=subjects_in(subjects, "subjects"),
        splits=_splits(splits, "splits"),
        original_splits=_splits(original_splits, "original_splits"),
        notes=notes,
    )
    return build(rows, out, about, options.with_size_of(*shape[1:3]), progress)


def _splits(values: Any, what: str) -> Texts | None:
    column = texts(values, what)
    return None if column is None else split_names(column, what)


def _merged_splits(values: Any, what: str) -> tuple[str, ...]:
    column = texts(values, what)
    if column is None:
        return ()
    split_names(column, what)
    return merged_split_words(column, what)


def _read(images: Any, places: Indices) -> Iterator[Row]:
    for place in places.tolist():
        image: NDArray[Any] = np.asarray(images[place])
        yield Decoded(image)
