"""Convert a Hugging Face dataset: an Image column, and tasks from ClassLabel columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.columns import subjects
from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.from_dataset import as_pixels
from medimeta_adapter.convert.grey import common_channels
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.parts import Parts, read_one_by_one
from medimeta_adapter.convert.rows import Decoded, Encoded, Row, Rows
from medimeta_adapter.convert.tasks import LabelNames, encode_task, kind_of
from medimeta_adapter.format.info import TaskInfo
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError, LabelError


def hugging_face(
    source: Any,
    out: str | Path,
    about: About,
    *,
    image: str | None = None,
    tasks: Mapping[str, str] | Sequence[str] | None = None,
    labels: Mapping[str, LabelNames] | None = None,
    subject: str | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Write a `datasets.Dataset` or `DatasetDict` as the dataset `out/<id>`.

    train, validation and test of a `DatasetDict` are the original splits.

    image     the column of images (default: the only one with the feature Image)
    tasks     label columns, or {column: kind} if a ClassLabel, or a column of whole numbers or
              texts, is "binary", "multiclass" or "ordinal"; "" is the kind of its feature
              (default: all columns with the feature ClassLabel, "multiclass", or a list of it,
              "multilabel")
    labels    names of labels, by column: for columns of whole numbers or texts, which have none
    subject   the column of subjects
    """
    options = options or Options()
    check_target(out, about, options)
    if isinstance(source, Mapping):
        parts = Parts({name: _checked_part(part) for name, part in source.items()})
    else:
        parts = Parts(_checked_part(source))
    datasets = list(parts.by_name.values())
    if not datasets:
        raise InputError("a DatasetDict without a split has no rows; give one with train, say")
    features = datasets[0].features
    if any(part.features != features for part in datasets):
        raise InputError("the splits have different features; cast them to those of one")
    column = _image_column(features, image)
    kinds = _task_kinds(features, tasks)
    names_by_task = _label_names(features, kinds, labels or {})
    encoded = [
        _encode(datasets, features, name, kind, names_by_task.get(name))
        for name, kind in kinds.items()
    ]
    encoded_images = [_without_decoding(part, column) for part in datasets]

    def row(place: int) -> Row:
        number, place_in_part = parts.locate(place)
        return _row(encoded_images[number][place_in_part][column])

    rows = Rows(
        kind="Hugging Face dataset",
        tasks=tuple(info for info, _ in encoded),
        labels={info.name: values for info, values in encoded},
        read=read_one_by_one(row),
        channels=common_channels(len(parts), lambda place: row(place).pixels()),
        names=parts.row_names(),
        subjects=(
            None if subject is None else subjects(_values(datasets, features, subject), subject)
        ),
        original_splits=parts.original_splits("the splits' names"),
        are_files=True,
        notes=parts.notes("the splits' names"),
    )
    return build(rows, out, about, options, progress)


def _checked_part(part: Any) -> Any:
    if not all(hasattr(part, name) for name in ("features", "with_format", "__len__")):
        raise InputError(
            f"a {type(part).__name__} is not a datasets.Dataset; give one loaded without streaming,"
            " or use dataset()"
        )
    return part.with_format(None)


def _without_decoding(part: Any, column: str) -> Any:
    """With images as file contents: decoding here detects 16-bit colours and can use threads."""
    feature = part.features[column]
    if getattr(feature, "mode", None):
        return part
    return part.cast_column(column, type(feature)(decode=False))


def _row(value: Any) -> Row:
    if not isinstance(value, Mapping):
        return Decoded(as_pixels(value))
    content = value.get("bytes") or value.get("path")
    if not content:
        raise InputError("there is no image; leave the row out")
    return Encoded(content if isinstance(content, bytes) else Path(content))


def _has_feature(feature: Any, name: str) -> bool:
    return type(feature).__name__ == name


def _is_plain_column(feature: Any) -> bool:
    """Whether a column holds booleans, whole numbers or texts."""
    dtype = str(getattr(feature, "dtype", ""))
    return _has_feature(feature, "Value") and (
        dtype in ("bool", "string", "large_string") or dtype.startswith(("int", "uint"))
    )


def _list_feature(feature: Any) -> Any:
    """What a list holds: Sequence(ClassLabel), List(ClassLabel) or [ClassLabel]."""
    if isinstance(feature, list):
        return feature[0] if len(feature) == 1 else None
    return getattr(feature, "feature", None)


def _image_column(features: Mapping[str, Any], name: str | None) -> str:
    images = [column for column, feature in features.items() if _has_feature(feature, "Image")]
    if name is not None and name not in images:
        raise InputError(f"{name!r} is no column with the feature Image; {suggest(name, images)}")
    if name is None and len(images) != 1:
        raise InputError(
            f"{len(images)} columns have the feature Image: {images}; name one: image='...'"
            " (--image)"
        )
    return name or images[0]


def _task_kinds(
    features: Mapping[str, Any], tasks: Mapping[str, str] | Sequence[str] | None
) -> dict[str, str]:
    """The kind of task of each label column."""
    labels = [name for name, feature in features.items() if _has_feature(feature, "ClassLabel")]
    lists = [name for name in features if _has_feature(_list_feature(features[name]), "ClassLabel")]
    possible = dict.fromkeys(labels, "multiclass") | dict.fromkeys(lists, "multilabel")
    if tasks is None and possible:
        return possible
    for name, feature in features.items():
        if _is_plain_column(feature):
            possible[name] = "multiclass"
    if not isinstance(tasks, Mapping):
        tasks = dict.fromkeys([tasks] if isinstance(tasks, str) else tasks or (), "")
    kinds = {name: kind or possible.get(name, "") for name, kind in tasks.items()}
    if not kinds:
        raise InputError(
            f"no column of {list(features)} has the feature ClassLabel; cast one:"
            " ds.class_encode_column(...)"
        )
    for name, kind in kinds.items():
        if name not in possible:
            raise InputError(
                f"{name!r} is no column of ClassLabel, lists of it, whole numbers or texts"
                f"; {suggest(name, possible)}"
            )
        if kind_of(possible[name]).columns != kind_of(kind).columns:
            raise InputError(
                f"the column {name!r} is {possible[name]} by its feature, and cannot be {kind!r}"
            )
    return kinds


def _label_names(
    features: Mapping[str, Any], kinds: Mapping[str, str], labels: Mapping[str, LabelNames]
) -> Mapping[str, LabelNames]:
    """The given names of labels, if their columns are tasks without names of their own."""
    for name in labels:
        if name not in kinds:
            raise InputError(f"labels of {name!r} belong to no task; {suggest(name, kinds)}")
        if not _is_plain_column(features[name]):
            raise InputError(
                f"the column {name!r} has names of its labels; give labels (--labels) for columns"
                " of whole numbers or texts alone"
            )
    return labels


def _encode(
    parts: Sequence[Any],
    features: Mapping[str, Any],
    name: str,
    kind: str,
    labels: LabelNames,
) -> tuple[TaskInfo, NDArray[np.int64]]:
    values = _values(parts, features, name)
    if not kind_of(kind).columns:
        plain = _is_plain_column(features[name])
        if any(value is None or (not plain and value < 0) for value in values):
            raise LabelError(f"the column {name!r} has rows without a label; filter them out first")
        if plain:
            return encode_task(name, kind, np.array(values), labels)
        return encode_task(name, kind, np.array(values, dtype=np.int64), list(features[name].names))
    names = list(_list_feature(features[name]).names)
    columns = np.zeros((len(values), len(names)), dtype=np.int64)
    for row, held in enumerate(values):
        if held is None or any(label is None or not 0 <= label < len(names) for label in held):
            raise LabelError(
                f"row {row} of the column {name!r} holds {held}; expected label numbers"
                f" 0..{len(names) - 1}"
            )
        columns[row, held] = 1
    return encode_task(name, kind, columns, names)


def _values(parts: Sequence[Any], features: Mapping[str, Any], name: str) -> list[Any]:
    if name not in features:
        raise InputError(f"there is no column {name!r}; {suggest(name, features)}")
    return [value for part in parts for value in list(part[name])]
