"""A Hugging Face dataset: an Image column, and tasks from ClassLabel columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.columns import subjects
from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.from_dataset import as_pixels
from medimeta_adapter.convert.grey import channels_of
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.rows import Decoded, Encoded, Failed, Row, Rows
from medimeta_adapter.convert.splits import split_names
from medimeta_adapter.convert.tasks import encoded_task, kind_of
from medimeta_adapter.format.info import TaskInfo
from torchcross._kit.arrays import Indices
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError, LabelError

__all__ = ["hugging_face"]


def hugging_face(
    source: Any,
    out: str | Path,
    about: About,
    *,
    image: str | None = None,
    tasks: Mapping[str, str] | Sequence[str] | None = None,
    subject: str | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Converted:
    """A `datasets.Dataset`, or a `DatasetDict` whose train, validation and test are the original
    splits -> `out/<id>`.

    image     the column of images; where not given, the only one with the feature Image
    tasks     label columns, or {column: kind} where a ClassLabel, or a column of whole numbers or
              texts, is "binary", "multiclass" or "ordinal"; where not given, all with the feature
              ClassLabel ("multiclass") or a list of it ("multilabel")
    subject   the column that says who an image is of
    """
    options = options or Options()
    check_target(out, about, options)
    parts = {
        name: _plain(part)
        for name, part in (source if isinstance(source, Mapping) else {"": source}).items()
    }
    if not parts:
        raise InputError("a DatasetDict without a split has no rows; give one with train, say")
    features = next(iter(parts.values())).features
    if any(part.features != features for part in parts.values()):
        raise InputError("the splits have different features; cast them to those of one")
    column = _image_column(features, image)
    encoded = [
        _encoded(parts, features, name, kind) for name, kind in _kinds(features, tasks).items()
    ]
    offsets = np.cumsum([0, *map(len, parts.values())])
    listed = [_undecoded(part, column) for part in parts.values()]

    def row(place: int) -> Row:
        part = int(np.searchsorted(offsets, place, side="right")) - 1
        return _row(listed[part][place - int(offsets[part])][column])

    def read(places: Indices) -> Iterator[Row]:
        for place in places.tolist():
            try:
                yield row(place)
            except Exception as error:  # noqa: BLE001  # told later, with all others
                yield Failed(error)

    original = np.repeat(np.array(list(parts), dtype=str), np.diff(offsets))
    rows = Rows(
        kind="Hugging Face dataset",
        tasks=tuple(info for info, _ in encoded),
        labels={info.name: values for info, values in encoded},
        read=read,
        channels=channels_of(int(offsets[-1]), lambda place: row(place).pixels()),
        names=[f"{name}[{place}]" for name, part in parts.items() for place in range(len(part))],
        subjects=None if subject is None else subjects(_values(parts, features, subject), subject),
        original_splits=(
            split_names(original, "the splits' names") if isinstance(source, Mapping) else None
        ),
    )
    return build(rows, out, about, options, progress)


def _plain(part: Any) -> Any:
    if (
        not hasattr(part, "features")
        or not hasattr(part, "with_format")
        or not hasattr(part, "__len__")
    ):
        raise InputError(
            f"a {type(part).__name__} is no datasets.Dataset; give one loaded without streaming, or"
            " use dataset()"
        )
    return part.with_format(None)


def _undecoded(part: Any, column: str) -> Any:
    """With the images as files, which are decoded here: 16-bit colours are noticed, and threads
    decode.
    """
    feature = part.features[column]
    return (
        part
        if getattr(feature, "mode", None)
        else part.cast_column(column, type(feature)(decode=False))
    )


def _row(value: Any) -> Row:
    if not isinstance(value, Mapping):
        return Decoded(as_pixels(value))
    content = value.get("bytes") or value.get("path")
    if not content:
        raise InputError("there is no image; leave the row out")
    return Encoded(content if isinstance(content, bytes) else Path(content))


def _is(feature: Any, name: str) -> bool:
    return type(feature).__name__ == name


def _is_plain(feature: Any) -> bool:
    """Whether a column holds truth values, whole numbers or texts."""
    dtype = str(getattr(feature, "dtype", ""))
    return _is(feature, "Value") and (
        dtype in ("bool", "string", "large_string") or dtype.startswith(("int", "uint"))
    )


def _inner(feature: Any) -> Any:
    """What a list holds: Sequence(ClassLabel), List(ClassLabel) or [ClassLabel]."""
    if isinstance(feature, list):
        return feature[0] if len(feature) == 1 else None
    return getattr(feature, "feature", None)


def _image_column(features: Mapping[str, Any], given: str | None) -> str:
    images = [name for name, feature in features.items() if _is(feature, "Image")]
    if given is not None and given not in images:
        raise InputError(f"{given!r} is no column with the feature Image; {suggest(given, images)}")
    if given is None and len(images) != 1:
        raise InputError(
            f"{len(images)} columns have the feature Image: {images}; say which: image='...'"
            " (--image)"
        )
    return given or images[0]


def _kinds(
    features: Mapping[str, Any], given: Mapping[str, str] | Sequence[str] | None
) -> dict[str, str]:
    """The kind of task of each label column."""
    possible = {
        name: "multiclass" for name, feature in features.items() if _is(feature, "ClassLabel")
    }
    possible |= {
        name: "multilabel"
        for name, feature in features.items()
        if _is(_inner(feature), "ClassLabel")
    }
    if given is None and possible:
        return possible
    possible |= {name: "multiclass" for name, feature in features.items() if _is_plain(feature)}
    if isinstance(given, str):
        given = [given]
    wanted = (
        dict(given)
        if isinstance(given, Mapping)
        else {name: possible.get(name, "") for name in given or ()}
    )
    if not wanted:
        raise InputError(
            f"no column of {list(features)} has the feature ClassLabel; cast one:"
            " ds.class_encode_column(...)"
        )
    for name, kind in wanted.items():
        if name not in possible:
            raise InputError(
                f"{name!r} is no column of ClassLabel, lists of it, whole numbers or texts"
                f"; {suggest(name, possible)}"
            )
        if kind_of(possible[name]).columns != kind_of(kind).columns:
            raise InputError(
                f"the column {name!r} is {possible[name]} by its feature, and cannot be {kind!r}"
            )
    return wanted


def _encoded(
    parts: Mapping[str, Any], features: Mapping[str, Any], name: str, kind: str
) -> tuple[TaskInfo, NDArray[np.int64]]:
    values = _values(parts, features, name)
    if not kind_of(kind).columns:
        plain = _is_plain(features[name])
        if any(value is None or (not plain and value < 0) for value in values):
            raise LabelError(f"the column {name!r} has rows without a label; filter them out first")
        if plain:
            return encoded_task(name, kind, np.array(values), None)
        return encoded_task(
            name, kind, np.array(values, dtype=np.int64), list(features[name].names)
        )
    names = list(_inner(features[name]).names)
    columns = np.zeros((len(values), len(names)), dtype=np.int64)
    for row, held in enumerate(values):
        if held is None or any(label is None or not 0 <= label < len(names) for label in held):
            raise LabelError(
                f"row {row} of the column {name!r} holds {held}; expected label numbers"
                f" 0..{len(names) - 1}"
            )
        columns[row, held] = 1
    return encoded_task(name, kind, columns, names)


def _values(parts: Mapping[str, Any], features: Mapping[str, Any], name: str) -> list[Any]:
    if name not in features:
        raise InputError(f"there is no column {name!r}; {suggest(name, features)}")
    return [value for part in parts.values() for value in list(part[name])]
