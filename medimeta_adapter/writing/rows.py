"""Checks of what is added: images, labels, splits, texts. What passes is ready to be written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medimeta_adapter.format.info import TaskInfo
from medimeta_adapter.format.splits import SPLITS
from medimeta_adapter.writing.draft import RESERVED_COLUMNS, DatasetDraft
from torchcross._kit.missing_labels import MISSING
from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError, LabelError
from torchcross.targets import Target

_MODES = {1: "L", 3: "RGB"}


class RowChecker:
    """Checks rows against a dataset's tasks and image size."""

    def __init__(self, draft: DatasetDraft) -> None:
        self._draft = draft
        self._targets: dict[str, tuple[TaskInfo, Target]] = {
            task.name: (task, task.target()) for task in draft.tasks
        }
        # One label at a time is looked up here first: an array of one costs ten times as much.
        self._values = {
            task.name: frozenset(() if task.multilabel else task.labels) for task in draft.tasks
        }
        task_columns = [column for name in self._targets for column in (name, f"tasks/{name}")]
        self._reserved = RESERVED_COLUMNS.union(task_columns)

    def images(self, images: Any, first: int, files: Sequence[Any]) -> NDArray[np.uint8]:
        """Return a batch of images as contiguous pixels."""
        shape = self._draft.image_shape
        try:
            array = np.asarray(images)
        except ValueError as error:
            raise InputError(
                f"{_row(first, files)}: the images make no array ({error}); give one size, {shape}"
            ) from None
        if len(shape) == 2 and array.ndim == 4 and array.shape[3] == 1:
            array = array[..., 0]
        if array.dtype != np.uint8 or array.ndim != len(shape) + 1 or array.shape[1:] != shape:
            row = _row(first, files)
            if array.ndim and len(array) > 1:
                row = f"{row} and the rows behind it"
            raise InputError(f"{row}: {_image_problem(array, shape)}")
        return np.ascontiguousarray(array)

    def image(self, image: Any, row: int, file: str) -> NDArray[np.uint8]:
        """Return one image, PIL or array, as a batch of one."""
        if isinstance(image, Image.Image):
            mode = _MODES[self._draft.input_size[0]]
            if image.mode != mode:
                raise InputError(
                    f"{_row(row, [file])}: the image has mode {image.mode}, the dataset takes"
                    f" {mode}; send it through a preprocess.Recipe, which says how it is converted"
                )
        return self.images(np.asarray(image)[None], row, [file])

    def journal_entry(
        self,
        rows: range,
        *,
        labels: Mapping[str, Any],
        splits: Sequence[Any],
        original_splits: Sequence[Any],
        original_filepaths: Sequence[Any],
        patient_ids: Sequence[Any],
        annotations: Mapping[str, Sequence[Any]],
        stamps: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """Return what the journal keeps of a batch; refuse what does not fit."""
        first, count = rows.start, len(rows)

        def check_each(check: Callable[..., Any], values: Sequence[Any], *name: str) -> list[Any]:
            return [check(value, first + place, *name) for place, value in enumerate(values)]

        files = check_each(_text, original_filepaths, "original_filepath")
        entry: dict[str, Any] = {
            "labels": self._labels(labels, first, count, files),
            "files": files,
            "splits": check_each(_split, splits),
            "original_splits": check_each(_split, original_splits),
            "patients": check_each(_patient, patient_ids),
            "more": self._annotations(annotations, first, count),
        }
        if stamps is not None:
            entry["stamps"] = check_each(_text, stamps, "stamp")
        for name, values in entry.items():
            if isinstance(values, list) and len(values) != count:
                raise InputError(
                    f"{name} has {len(values)} entries for {count} images; give one per image"
                )
        return entry

    def _labels(
        self, labels: Mapping[str, Any], first: int, count: int, files: list[str]
    ) -> dict[str, Any]:
        for name in labels:
            if name not in self._targets:
                raise LabelError(
                    f"{_row(first, files)}: {unknown_name('task', name, self._targets)}"
                )
        if missing := [name for name in self._targets if name not in labels]:
            raise LabelError(
                f"{_row(first, files)} has no label of {missing}; every row is labelled in every"
                " task"
            )
        entry = {}
        for name, (task, target) in self._targets.items():
            values = labels[name]
            is_one = isinstance(values, list) and len(values) == count == 1
            is_known = is_one and type(values[0]) is int and values[0] in self._values[name]
            if not is_known:
                values = _label_values(target, task, values, first, count, files).tolist()
            entry[name] = values
        return entry

    def _annotations(
        self, annotations: Mapping[str, Sequence[Any]], first: int, count: int
    ) -> dict[str, list[Any]]:
        columns = {}
        for name, values in annotations.items():
            if not isinstance(name, str) or not name.strip() or name in self._reserved:
                raise InputError(
                    f"{name!r} cannot be a column of annotations: the writer fills"
                    f" {sorted(self._reserved)} itself; give it another name"
                )
            _text(name, first, "the name of an annotation")
            if len(values) != count:
                raise InputError(
                    f"annotations {name!r} have {len(values)} entries for {count} images; give one"
                    " per image"
                )
            columns[name] = [
                _annotation(value, first + place, name) for place, value in enumerate(values)
            ]
        return columns


def per_row(value: Any, count: int, default: str | None = None) -> Sequence[Any]:
    """Return one value per row: a text, or the default for None, stands for all rows."""
    if value is None:
        value = default
    return [value] * count if value is None or isinstance(value, str) else value


# -- labels ----------------------------------------------------------------------------------------


def _label_values(
    target: Target, task: TaskInfo, labels: Any, first: int, count: int, files: list[str]
) -> NDArray[np.int64]:
    """Return validated label values (n,) or (n, L)."""
    try:
        codes = target.encode(labels)
    except LabelError as error:
        if hasattr(labels, "__len__") and len(labels) == count:
            _refuse_first_row(target, task, labels, first, files)
        raise LabelError(f"{_row(first, files)}, task {task.name!r}: {error}") from None
    if len(codes) != count:
        raise LabelError(
            f"task {task.name!r} has {len(codes)} labels for {count} images; give one per image"
        )
    values = target.decode(np.maximum(codes, 0))
    if task.missing_label is not None:
        values[codes == MISSING] = task.missing_label
    return values


def _refuse_first_row(
    target: Target, task: TaskInfo, labels: Any, first: int, files: list[str]
) -> None:
    """Raise the error of a batch as the error of its first wrong row."""
    for place in range(len(labels)):
        try:
            target.encode(labels[place : place + 1])
        except LabelError:
            value = np.asarray(labels[place]).tolist()
            expected = f"{task.num_labels} zeros and ones, for" if task.multilabel else "one of"
            raise LabelError(
                f"{_row(first, files, place)}, task {task.name!r}: the label is {value!r:.120};"
                f" expected {expected} {_label_list(task)}; if it is unknown, declare"
                " the value in the task (missing_label=-1), or leave the sample out"
            ) from None


def _label_list(task: TaskInfo) -> str:
    pairs = [f"{value} ({name})" for value, name in task.labels.items()]
    return ", ".join(pairs if len(pairs) <= 8 else [*pairs[:6], "...", pairs[-1]])


# -- texts of errors -------------------------------------------------------------------------------


def _row(first: int, files: Sequence[Any], place: int = 0) -> str:
    """Return `row 7`, with the original file where it is known."""
    file = f" ({files[place]!r:.120})" if place < len(files) and files[place] else ""
    return f"row {first + place}{file}"


def _image_problem(array: NDArray[Any], shape: tuple[int, ...]) -> str:
    mismatch = (
        f"the image is {array.dtype} of shape {array.shape[1:]}, the dataset takes uint8 {shape}"
    )
    if array.dtype != np.uint8:
        return f"{mismatch}; scale it to 8 bits with a preprocess.Recipe, which says how"
    if len(shape) == 3 and array.shape[1:] == (shape[2], *shape[:2]):
        return f"{mismatch}; its channels come first: move them last, image.transpose(1, 2, 0)"
    return f"{mismatch}; crop, resize or convert it with a preprocess.Recipe, which says how"


# -- single values ---------------------------------------------------------------------------------


def _split(value: Any, row: int) -> str | None:
    if value is None or value in SPLITS:
        return None if value is None else str(value)
    raise InputError(
        f"row {row}: {value!r:.60} is no split; give 'train', 'val', 'test', or None where there is"
        " none"
    )


def _text(value: Any, row: int, name: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InputError(f"row {row}: {name} is {value!r:.80}; give a text without NULs")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"row {row}: {name} {value!r:.80} is not Unicode text; rename it"
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
    return _text(value, row, "patient_id")


def _annotation(value: Any, row: int, name: str) -> Any:
    """Return a number, a truth value, a text or None, as JSON and CSV can hold them."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return _text(value, row, f"annotation {name!r}")
    if value is None or (isinstance(value, bool | int | float) and math.isfinite(value)):
        return value
    raise InputError(
        f"row {row}: annotation {name!r} is {value!r:.80}; give a text, a finite number, a truth"
        " value, or None where it is unknown"
    )
