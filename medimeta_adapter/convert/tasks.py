"""Labels of any origin -> a TaskInfo and an array of its label values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.columns import as_text
from medimeta_adapter.format.info import TaskInfo, TaskTarget
from torchcross.errors import InputError, LabelError

__all__ = ["LabelNames", "encoded_task", "kind_of", "label_names"]

LabelNames: TypeAlias = Mapping[int, str] | Sequence[str] | None
_SHOWN = 8


@dataclass(frozen=True)
class _Kind:
    """One kind of task: a column per label or one label per row, and whether names alone can be put
    in order.
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
        raise InputError(f"{name!r} is no kind of task; there are {', '.join(_KINDS)}")
    return _KINDS[name]


def label_names(labels: LabelNames) -> dict[int, str] | None:
    """Names by label value; of a sequence, by place."""
    if labels is None:
        return None
    if isinstance(labels, str):
        raise InputError(
            f"labels={labels!r} is one text; give a list of names, or a mapping from value to name"
        )
    return dict(labels) if isinstance(labels, Mapping) else dict(enumerate(labels))


def encoded_task(
    name: str,
    target: str,
    values: Any,
    labels: LabelNames,
    where: Callable[[int], str] = "label {}".format,
) -> tuple[TaskInfo, NDArray[np.int64]]:
    """The task, and the values as its label values: (N,), or (N, L) zeros and ones for a column per
    label.

    Values are numbers or names. Without `labels`, numbers name themselves, and names are sorted
    (not for an ordinal task, whose order the alphabet does not know). `where` says in errors where
    a row's label stands.
    """
    kind = kind_of(target)
    array = np.asarray(values)
    if array.dtype.kind in "OS":
        array = _as_texts(name, array)
    if array.ndim == 2 and array.shape[1] == 1 and not kind.columns:
        array = array[:, 0]
    if array.ndim != 1 + kind.columns:
        wanted = (
            "(N, L), a column of zeros and ones per label"
            if kind.columns
            else "(N,), one label per image"
        )
        raise LabelError(
            f"labels of {name!r} have the shape {array.shape}; a {target} task has {wanted}"
        )
    known = label_names(labels)
    if kind.columns:
        names = known or {column: str(column) for column in range(array.shape[1])}
        return TaskInfo(name, kind.target, names), _whole(name, array)
    if array.dtype.kind == "U":
        return _from_names(name, kind, array, known, where)
    return _from_numbers(name, kind, _whole(name, array), known, where)


def _as_texts(name: str, array: NDArray[Any]) -> NDArray[Any]:
    listed = array.ravel().tolist()
    for place, value in enumerate(listed):
        if value is None or value != value:
            raise LabelError(f"label {place} of {name!r} is {value}; give a label to every image")
    return np.asarray(
        [as_text(value, f"labels of {name!r}") for value in listed], dtype=str
    ).reshape(array.shape)


def _whole(name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype.kind not in "biuf":
        raise LabelError(
            f"labels of {name!r} have the dtype {array.dtype}; give whole numbers (or names)"
        )
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int64)
    wrong = np.argwhere(whole != array)
    if len(wrong):
        place = tuple(wrong[0].tolist())
        raise LabelError(
            f"label {place[0]} of {name!r} is {array[place]}; give whole numbers, and a label to"
            " every image"
        )
    return whole


def _from_numbers(
    name: str,
    kind: _Kind,
    values: NDArray[np.int64],
    known: dict[int, str] | None,
    where: Callable[[int], str],
) -> tuple[TaskInfo, NDArray[np.int64]]:
    present, codes = np.unique(values, return_inverse=True)
    if known is not None:
        unknown = [value for value in present.tolist() if value not in known]
        if unknown:
            place = int(np.argmax(values == unknown[0]))
            raise LabelError(
                f"{where(place)} of {name!r} is {unknown[0]}; the labels are {_some(list(known))}:"
                " name it, or mend it"
            )
        return TaskInfo(name, kind.target, known), values
    _refuse_one(name, present)
    names = {value: str(value) for value in present.tolist()}
    if kind.sortable and list(names) != list(range(len(names))):
        return TaskInfo(name, kind.target, dict(enumerate(names.values()))), codes.astype(np.int64)
    return TaskInfo(name, kind.target, names), values


def _from_names(
    name: str,
    kind: _Kind,
    values: NDArray[np.str_],
    known: dict[int, str] | None,
    where: Callable[[int], str],
) -> tuple[TaskInfo, NDArray[np.int64]]:
    present, codes = np.unique(values, return_inverse=True)
    if known is None and not kind.sortable:
        raise InputError(
            f"the labels of {name!r} are names ({_some(present.tolist())}) and their order is not"
            " known; give them in order: labels=[...], or labels={grade: name, ...} (--labels"
            " A,B,... or 0=A,4=B,...)"
        )
    if known is None:
        _refuse_one(name, present)
    names = known or dict(enumerate(present.tolist()))
    value_of = {label: value for value, label in names.items()}
    unknown = [label for label in present.tolist() if label not in value_of]
    if unknown:
        place = int(np.argmax(values == unknown[0]))
        raise LabelError(
            f"{where(place)} of {name!r} is {unknown[0]!r}; the labels are {_some(list(value_of))}:"
            " name it, or mend it"
        )
    found = np.array([value_of[label] for label in present.tolist()], dtype=np.int64)[codes]
    return TaskInfo(name, kind.target, names), found


def _refuse_one(name: str, present: NDArray[Any]) -> None:
    if len(present) == 1:
        raise LabelError(
            f"all labels of {name!r} are {present[0].item()!r}; name the others too: labels=[...]"
            " (--labels)"
        )


def _some(values: list[Any]) -> str:
    more = f", ... ({len(values)})" if len(values) > _SHOWN else ""
    return ", ".join(map(repr, values[:_SHOWN])) + more
