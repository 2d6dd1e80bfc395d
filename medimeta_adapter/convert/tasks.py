"""From labels of any origin to a TaskInfo and an array of its label values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.columns import as_text
from medimeta_adapter.convert.label_checks import (
    other_places,
    refuse_doubtful_texts,
    refuse_negative_numbers,
    refuse_words_among_numbers,
)
from medimeta_adapter.format.info import TaskInfo
from medimeta_adapter.format.problems import TaskTarget
from torchcross.errors import InputError, LabelError

LabelNames: TypeAlias = Mapping[int, str] | Sequence[str] | None
_SHOWN = 8


@dataclass(frozen=True)
class _Kind:
    """A kind of task: its target, whether it has a column per label, and whether sorted names are a
    valid order of its labels.
    """

    target: TaskTarget
    columns: bool = False
    sortable: bool = True


_KINDS: dict[str, _Kind] = {
    "binary": _Kind(TaskTarget.BINARY_CLASSIFICATION),
    "multiclass": _Kind(TaskTarget.MULTICLASS_CLASSIFICATION),
    "multilabel": _Kind(TaskTarget.MULTILABEL_CLASSIFICATION, columns=True),
    "ordinal": _Kind(TaskTarget.ORDINAL_REGRESSION, sortable=False),
}
_KINDS |= {kind.target.value: kind for kind in _KINDS.values()}


def kind_of(name: str) -> _Kind:
    """The kind of task of this name, short or as in info.yaml."""
    if name not in _KINDS:
        raise InputError(f"{name!r} is not a kind of task; there are {', '.join(_KINDS)}")
    return _KINDS[name]


def label_names(labels: LabelNames) -> dict[int, str] | None:
    """Names by label value; the places of a sequence are its values."""
    if labels is None:
        return None
    if isinstance(labels, str):
        raise InputError(
            f"labels={labels!r} is one text; give a list of names, or a mapping from value to name"
        )
    return dict(labels) if isinstance(labels, Mapping) else dict(enumerate(labels))


def encode_task(
    name: str,
    target: str,
    values: Any,
    labels: LabelNames,
    where: Callable[[int], str] = "label {}".format,
    *,
    unknown: str = "leave such images out",
    all_are_names: bool = False,
) -> tuple[TaskInfo, NDArray[np.int64]]:
    """The task, and its label values: (N,), or (N, L) zeros and ones for a column per label.

    Values are numbers or names. Without `labels`, numbers are their own names and names are sorted
    (not for an ordinal task, whose order is not alphabetical). Texts that hardly are
    classes, such as "1.5", and negative numbers are refused without `labels`, unless
    `all_are_names`. `where` describes the place of a row's label in errors, and `unknown` says
    there what to do with an unknown label.
    """
    kind = kind_of(target)
    array = np.asarray(values)
    if array.dtype.kind in "OS":
        array = _as_texts(name, array)
    if array.ndim == 2 and array.shape[1] == 1 and not kind.columns:
        array = array[:, 0]
    if array.ndim != 1 + kind.columns:
        shapes = ("(N,), one label per image", "(N, L), a column of zeros and ones per label")
        raise LabelError(
            f"labels of {name!r} have the shape {array.shape}; a {target} task has"
            f" {shapes[kind.columns]}"
        )
    names = label_names(labels)
    if names and not kind.sortable:
        # A command line cannot begin a value with a negative grade.
        names = dict(sorted(names.items()))
    if kind.columns:
        names = names or {column: str(column) for column in range(array.shape[1])}
        return TaskInfo(name, kind.target, names), _whole_numbers(name, array)
    if array.dtype.kind == "U":
        if names is not None:
            refuse_words_among_numbers(name, array, names.values(), where, unknown)
        elif not all_are_names:
            refuse_doubtful_texts(name, array, where, unknown)
        return _encode_names(name, kind, array, names, where)
    numbers = _whole_numbers(name, array)
    refuse_negative_numbers(name, numbers, names or (), where, unknown)
    return _encode_numbers(name, kind, numbers, names, where)


def _as_texts(name: str, array: NDArray[Any]) -> NDArray[Any]:
    values = array.ravel().tolist()
    for place, value in enumerate(values):
        # NaN is the only value that differs from itself.
        if value is None or value != value:
            raise LabelError(f"label {place} of {name!r} is {value}; give a label to every image")
    texts = [as_text(value, f"labels of {name!r}") for value in values]
    return np.asarray(texts, dtype=str).reshape(array.shape)


def _whole_numbers(name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype.kind not in "biuf":
        raise LabelError(
            f"labels of {name!r} have the dtype {array.dtype}; give whole numbers (or names)"
        )
    with np.errstate(invalid="ignore"):
        numbers = array.astype(np.int64)
    fractional = np.argwhere(numbers != array)
    if len(fractional):
        place = tuple(fractional[0].tolist())
        raise LabelError(
            f"label {place[0]} of {name!r} is {array[place]}; give whole numbers, and a label to"
            " every image"
        )
    return numbers


def _encode_numbers(
    name: str,
    kind: _Kind,
    values: NDArray[np.int64],
    names: dict[int, str] | None,
    where: Callable[[int], str],
) -> tuple[TaskInfo, NDArray[np.int64]]:
    present, codes = np.unique(values, return_inverse=True)
    if names is not None:
        for value in present.tolist():
            if value not in names:
                raise _unknown_label_error(name, values, value, list(names), where)
        return TaskInfo(name, kind.target, names), values
    _check_several(name, present)
    names = {value: str(value) for value in present.tolist()}
    if kind.sortable and list(names) != list(range(len(names))):
        return TaskInfo(name, kind.target, dict(enumerate(names.values()))), codes.astype(np.int64)
    return TaskInfo(name, kind.target, names), values


def _encode_names(
    name: str,
    kind: _Kind,
    values: NDArray[np.str_],
    names: dict[int, str] | None,
    where: Callable[[int], str],
) -> tuple[TaskInfo, NDArray[np.int64]]:
    present, codes = np.unique(values, return_inverse=True)
    if names is None and not kind.sortable:
        raise InputError(
            f"the labels of {name!r} are names ({_some(present.tolist())}) and their order is"
            " unknown; give them in order: labels=[...], or labels={grade: name, ...} (--labels"
            " A,B,... or 0=A,4=B,...)"
        )
    if names is None:
        _check_several(name, present)
    names = names or dict(enumerate(present.tolist()))
    value_of = {label: value for value, label in names.items()}
    for label in present.tolist():
        if label not in value_of:
            raise _unknown_label_error(name, values, label, list(value_of), where)
    label_values = np.array([value_of[label] for label in present.tolist()], dtype=np.int64)
    return TaskInfo(name, kind.target, names), label_values[codes]


def _unknown_label_error(
    name: str,
    values: NDArray[Any],
    unknown: object,
    labels: list[Any],
    where: Callable[[int], str],
) -> LabelError:
    places = np.flatnonzero(~np.isin(values, np.array(labels))).tolist()
    place = int(np.argmax(values == unknown))
    others = other_places(values, [other for other in places if other != place], where)
    return LabelError(
        f"{where(place)} of {name!r} is {unknown!r}; the labels are {_some(labels)}: add it to the"
        f" labels, or correct it{others}"
    )


def _check_several(name: str, present: NDArray[Any]) -> None:
    if len(present) == 1:
        raise LabelError(
            f"all labels of {name!r} are {present[0].item()!r}; name the other labels too:"
            " labels=[...] (--labels)"
        )


def _some(values: list[Any]) -> str:
    more = f", ... ({len(values)})" if len(values) > _SHOWN else ""
    return ", ".join(map(repr, values[:_SHOWN])) + more
