"""Checks of a target's classes: their names, label values and declared unknown values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from operator import index
from typing import Any

import numpy as np

from torchcross.errors import TargetError

MissingValue = int | str
NAN = "nan"
_INT64 = np.iinfo(np.int64)
_EXAMPLES = (
    "a list of names, e.g. ['a', 'b'], or a mapping from label value to name, e.g. {0: 'a', 4: 'b'}"
)


def normalise_classes(
    kind: str, classes: Any, fewest: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Class names and their raw label values: positions in a sequence, or keys of a mapping."""
    if isinstance(classes, str | bytes | set | frozenset):
        reason = " (a set has no order)" if isinstance(classes, set | frozenset) else ""
        raise TargetError(f"{kind} got {classes!r} for its classes{reason}; pass {_EXAMPLES}")
    keys: Iterable[object]
    if isinstance(classes, Mapping):
        keys, labels = classes.keys(), tuple(classes.values())
    else:
        labels = _as_tuple(kind, "its classes", classes, _EXAMPLES)
        keys = range(len(labels))
    for name in labels:
        if not isinstance(name, str) or not name.strip():
            raise TargetError(
                f"{kind} got {name!r} as a class name; pass {_EXAMPLES}, with a non-empty string"
                " for each"
            )
    # `str.__str__`: members of a string enumeration become plain strings.
    names = tuple(map(str.__str__, labels))
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise TargetError(
            f"{kind} got the class names {repeated} more than once; give every class a name of"
            " its own"
        )
    if len(names) < fewest:
        raise TargetError(
            f"{kind} got {len(names)} class name(s), {list(names)}; give at least {fewest}"
        )
    return names, normalise_values(kind, keys)


def normalise_values(kind: str, values: Iterable[object]) -> tuple[int, ...]:
    """Label values as distinct Python integers."""
    integers = []
    for value in _as_tuple(kind, "its label values", values, "one integer per class"):
        integer = _integer(value)
        if integer is None:
            raise TargetError(
                f"{kind} got {value!r} as the label value of a class; give distinct (64-bit)"
                " integers"
            )
        integers.append(integer)
    if len(set(integers)) < len(integers):
        raise TargetError(
            f"{kind} got the label values {integers}; give every class a value of its own"
        )
    return tuple(integers)


def normalise_missing(
    kind: str, missing: object, values: tuple[int, ...], names: tuple[str, ...]
) -> tuple[MissingValue, ...]:
    """Declared unknown values, sorted: integers and strings. NaN and None are the string 'nan'."""
    expected = "integers, strings or float('nan'), which also stands for None; () declares nothing"
    if missing is None:
        raise TargetError(
            f"{kind} got missing=None, which may mean NaN or nothing; declare {expected}"
        )
    if isinstance(missing, str | int | float | np.number):
        missing = (missing,)
    normal: set[MissingValue] = set()
    for value in _as_tuple(kind, "missing", missing, expected):
        integer = _integer(value)
        if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
            normal.add(NAN)
        elif isinstance(value, str):
            normal.add(NAN if value.lower() == NAN else str.__str__(value))
        elif integer is not None:
            normal.add(integer)
        else:
            raise TargetError(f"{kind} got missing={value!r}; declare {expected}")
    clash = sorted(str(value) for value in normal if value in values or value in names)
    if clash:
        raise TargetError(
            f"{kind} got missing={clash}, which are also classes; a value is either a class or"
            " unknown"
        )
    return tuple(sorted(normal, key=lambda value: (isinstance(value, str), value)))


def class_positions(
    classes: Iterable[int | str], names: tuple[str, ...], target: object
) -> tuple[int, ...]:
    """Names or positions of classes of a target -> ascending positions."""
    items = (classes,) if isinstance(classes, str) else tuple(classes)
    positions = sorted(_position(item, names, target) for item in items)
    if len(set(positions)) < len(positions):
        raise TargetError(f"{list(items)} name a class of {target!r} twice; name each once")
    return tuple(positions)


def _position(item: int | str, names: tuple[str, ...], target: object) -> int:
    if isinstance(item, str) and item in names:
        return names.index(item)
    try:
        position = -1 if isinstance(item, str | bool) else index(item)
    except TypeError:
        position = -1
    if not 0 <= position < len(names):
        raise TargetError(
            f"{item!r} is not a class of {target!r}; give names or positions 0..{len(names) - 1}"
        )
    return position


def _as_tuple(kind: str, argument: str, values: Any, expected: str) -> tuple[Any, ...]:
    try:
        return tuple(values)
    except TypeError:
        raise TargetError(f"{kind} got {values!r} for {argument}; pass {expected}") from None


def _integer(value: object) -> int | None:
    """The 64-bit integer that equals `value`, if there is one."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    if isinstance(value, float | np.floating) and not float(value).is_integer():
        return None
    integer = int(value)
    return integer if _INT64.min <= integer <= _INT64.max else None


def first_items(items: Iterable[str]) -> str:
    """The first six items, and dots if there are more."""
    first = list(islice(items, 7))
    return ", ".join(first if len(first) < 7 else [*first[:6], "..."])
