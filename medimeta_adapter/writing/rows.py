"""Checks of what is added: images, labels, splits, texts. What passes is ready to be written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medimeta_adapter.format.info import TaskInfo
from medimeta_adapter.writing.draft import SPLITS, DatasetDraft
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError, LabelError
from torchcross.targets import Target

__all__ = ["Columns", "Rows", "encoded", "spread"]

RESERVED = frozenset({"filepath", "split", "original_filepath", "original_split", "patient_id"})
_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class Columns:
    """What is told about a batch of rows, one entry per row."""

    labels: Mapping[str, Any]
    splits: Sequence[Any]
    original_splits: Sequence[Any]
    original_filepaths: Sequence[Any]
    patient_ids: Sequence[Any]
    annotations: Mapping[str, Sequence[Any]]
    stamps: Sequence[Any] | None = None


class Rows:
    """Knows a dataset's tasks and image size."""

    def __init__(self, draft: DatasetDraft) -> None:
        self._draft = draft
        self._targets: dict[str, tuple[TaskInfo, Target]] = {
            task.name: (task, task.target()) for task in draft.tasks
        }
        # One label at a time is looked up here first: an array of one costs ten times as much.
        self._values = {
            task.name: frozenset(() if task.multilabel else task.labels) for task in draft.tasks
        }
        self._taken = (
            RESERVED
            | {task.name for task in draft.tasks}
            | {f"tasks/{task.name}" for task in draft.tasks}
        )

    def images(self, images: Any, first: int, names: Sequence[Any]) -> NDArray[np.uint8]:
        """A batch of images as contiguous pixels."""
        shape = self._draft.image_shape
        try:
            array = np.asarray(images)
        except ValueError as error:
            raise InputError(
                f"{_row(first, names)}: the images make no array ({error}); give one size, {shape}"
            ) from None
        if len(shape) == 2 and array.ndim == 4 and array.shape[3] == 1:
            array = array[..., 0]
        if array.dtype != np.uint8 or array.ndim != len(shape) + 1 or array.shape[1:] != shape:
            row = _row(first, names)
            if array.ndim and len(array) > 1:
                row = f"{row} and those behind it"
            raise InputError(f"{row}: {_wrong_image(array, shape)}")
        return np.ascontiguousarray(array)

    def image(self, image: Any, row: int, name: str) -> NDArray[np.uint8]:
        """One image, PIL or array, as a batch of one."""
        if isinstance(image, Image.Image):
            mode = _MODES[self._draft.input_size[0]]
            if image.mode != mode:
                raise InputError(
                    f"{_row(row, [name])}: the image has mode {image.mode}, the dataset takes"
                    f" {mode}; send it through a preprocess.Recipe, which says how it is converted"
                )
        return self.images(np.asarray(image)[None], row, [name])

    def entry(self, columns: Columns, first: int, count: int) -> dict[str, Any]:
        """What the journal keeps of a batch; refuses what does not fit."""
        files = [
            _text(value, "original_filepath", first + n)
            for n, value in enumerate(columns.original_filepaths)
        ]
        known: dict[str, Any] = {
            "labels": self._labels(columns.labels, first, count, files),
            "files": files,
        }
        known["splits"] = [_split(value, first + n) for n, value in enumerate(columns.splits)]
        known["original_splits"] = [
            _split(value, first + n) for n, value in enumerate(columns.original_splits)
        ]
        known["patients"] = [
            _patient(value, first + n) for n, value in enumerate(columns.patient_ids)
        ]
        known["more"] = self._annotations(columns.annotations, first, count)
        if columns.stamps is not None:
            known["stamps"] = [
                _text(value, "stamp", first + n) for n, value in enumerate(columns.stamps)
            ]
        for name, values in known.items():
            if isinstance(values, list) and len(values) != count:
                raise InputError(
                    f"{name} has {len(values)} entries for {count} images; give one per image"
                )
        return known

    def _labels(
        self, labels: Mapping[str, Any], first: int, count: int, files: list[str]
    ) -> dict[str, Any]:
        if labels.keys() != self._targets.keys():
            for name in labels:
                if name not in self._targets:
                    raise LabelError(
                        f"{_row(first, files)}: no task {name!r}; {suggest(name, self._targets)}"
                    )
            missing = [name for name in self._targets if name not in labels]
            raise LabelError(
                f"{_row(first, files)} has no label of {missing}; every row is labelled in every"
                " task"
            )
        found = {}
        for name, (task, target) in self._targets.items():
            given = labels[name]
            if (
                count == 1
                and isinstance(given, list)
                and type(given[0]) is int
                and given[0] in self._values[name]
            ):
                found[name] = given
            else:
                found[name] = _encoded(target, task, given, first, count, files).tolist()
        return found

    def _annotations(
        self, given: Mapping[str, Sequence[Any]], first: int, count: int
    ) -> dict[str, list[Any]]:
        found = {}
        for name, values in given.items():
            if not isinstance(name, str) or not name.strip() or name in self._taken:
                raise InputError(
                    f"{name!r} cannot be a column of annotations: the writer fills"
                    f" {sorted(self._taken)} itself; give it another name"
                )
            _text(name, "the name of an annotation", first)
            if len(values) != count:
                raise InputError(
                    f"annotations {name!r} have {len(values)} entries for {count} images"
                )
            found[name] = [_plain(value, name, first + n) for n, value in enumerate(values)]
        return found


def spread(value: Any, count: int) -> Sequence[Any]:
    """One for all rows, or one per row."""
    return [value] * count if value is None or isinstance(value, str) else value


def encoded(entry: Mapping[str, Any], first: int, count: int) -> bytes:
    """A journal line."""
    return (
        json.dumps({"row": first, "rows": count, **entry}, separators=(",", ":")).encode() + b"\n"
    )


def _encoded(
    target: Target, task: TaskInfo, labels: Any, first: int, count: int, files: list[str]
) -> NDArray[np.int64]:
    """Validated label values (n,) or (n, L)."""
    try:
        codes = target.encode(labels)
        if len(codes) == count:
            return target.decode(codes)
    except LabelError as error:
        raise _refused(target, task, labels, first, count, files, error) from None
    raise LabelError(
        f"task {task.name!r} has {len(codes)} labels for {count} images; give one per image"
    )


def _refused(
    target: Target,
    task: TaskInfo,
    labels: Any,
    first: int,
    count: int,
    files: list[str],
    error: LabelError,
) -> LabelError:
    """The error of a batch as the error of its first wrong row."""
    advice = (
        "the format has no unknown labels, so leave such a sample out, or declare a class for it in"
        " the task"
    )
    if not hasattr(labels, "__len__") or len(labels) != count:
        return LabelError(f"{_row(first, files)}, task {task.name!r}: {error}")
    for n in range(count):
        try:
            target.encode(labels[n : n + 1])
        except LabelError:
            value = np.asarray(labels[n]).tolist()
            expected = f"{task.num_labels} zeros and ones, for" if task.multilabel else "one of"
            return LabelError(
                f"row {first + n}{_named(files, n)}, task {task.name!r}: the label is"
                f" {value!r:.120}; expected {expected} {_shown(task)}; {advice}"
            )
    return LabelError(f"{_row(first, files)}, task {task.name!r}: {error}")


def _shown(task: TaskInfo) -> str:
    pairs = [f"{value} ({name})" for value, name in task.labels.items()]
    return ", ".join(pairs if len(pairs) <= 8 else [*pairs[:6], "...", pairs[-1]])


def _row(first: int, names: Sequence[Any]) -> str:
    return f"row {first}{_named(names, 0)}"


def _named(names: Sequence[Any], place: int) -> str:
    return f" ({names[place]!r:.120})" if place < len(names) and names[place] else ""


def _wrong_image(array: NDArray[Any], shape: tuple[int, ...]) -> str:
    given = (
        f"the image is {array.dtype} of shape {array.shape[1:]}, the dataset takes uint8 {shape}"
    )
    if array.dtype != np.uint8:
        return f"{given}; scale it to 8 bits with a preprocess.Recipe, which says how"
    if len(shape) == 3 and array.shape[1:] == (shape[2], *shape[:2]):
        return f"{given}; its channels come first: move them last, image.transpose(1, 2, 0)"
    return f"{given}; crop, resize or convert it with a preprocess.Recipe, which says how"


def _split(value: Any, row: int) -> str | None:
    if value is None or value in SPLITS:
        return None if value is None else str(value)
    raise InputError(
        f"row {row}: {value!r:.60} is no split; give 'train', 'val', 'test', or None where there is"
        " none"
    )


def _text(value: Any, what: str, row: int) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InputError(f"row {row}: {what} is {value!r:.80}; give a text without NULs")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"row {row}: {what} {value!r:.80} is not Unicode text; rename it"
        ) from None
    return str(value)


def _patient(value: Any, row: int) -> str | None:
    if value is None:
        return None
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            f"row {row}: patient_id is {value!r:.80}; give a text or an integer, None where unknown"
        )
    return _text(value, "patient_id", row)


def _plain(value: Any, name: str, row: int) -> Any:
    """A number, a truth value, a text or None, as JSON and CSV can hold them."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return _text(value, f"annotation {name!r}", row)
    if value is None or (isinstance(value, bool | int | float) and math.isfinite(value)):
        return value
    raise InputError(
        f"row {row}: annotation {name!r} is {value!r:.80}; give a text, a finite number, a truth"
        " value, or None where it is unknown"
    )
