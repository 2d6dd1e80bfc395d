"""Arrays: in memory, memory-mapped, or anything with rows."""

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
from medimeta_adapter.convert.splits import split_names
from medimeta_adapter.convert.tasks import LabelNames, encoded_task
from torchcross._kit.arrays import Indices
from torchcross.errors import InputError

__all__ = ["ArrayTask", "arrays"]


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
    """Images (N, H, W) or (N, H, W, channels) -> `out/<id>`. A memory map is read a row at a time.

    subjects          who each image is of, (N,)
    splits            train, val or test for each image, as they are to be, and are
    original_splits   as they were; `Options.splits` says whether they stay
    """
    options = options or Options()
    check_target(out, about, options)
    shape = getattr(images, "shape", None)
    if (
        shape is None
        or len(shape) not in (3, 4)
        or (len(shape) == 4 and shape[-1] not in (1, 3, 4))
    ):
        raise InputError(
            f"images of shape {shape} cannot be converted; give (N, H, W) or (N, H, W, 1, 3 or 4),"
            " channels last"
        )
    if not tasks:
        raise InputError("a dataset needs at least one task; give ArrayTask(name, target, values)")
    encoded = [encoded_task(task.name, task.target, task.values, task.labels) for task in tasks]
    rows = Rows(
        kind="arrays",
        tasks=tuple(info for info, _ in encoded),
        labels={info.name: values for info, values in encoded},
        read=lambda places: _read(images, places),
        channels=1 if len(shape) == 3 or shape[-1] == 1 else 3,
        names=[f"images[{place}]" for place in range(shape[0])],
        subjects=subjects_in(subjects, "subjects"),
        splits=_splits(splits, "splits"),
        original_splits=_splits(original_splits, "original_splits"),
    )
    return build(rows, out, about, options.sized(*shape[1:3]), progress)


def _splits(given: Any, what: str) -> Texts | None:
    found = texts(given, what)
    return None if found is None else split_names(found, what)


def _read(images: Any, places: Indices) -> Iterator[Row]:
    for place in places.tolist():
        image: NDArray[Any] = np.asarray(images[place])
        yield Decoded(image)
