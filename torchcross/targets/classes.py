"""The description of a target's classes -> names, label values and declared unknown values,
normalised and checked.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from torchcross.errors import TargetError

__all__ = ["NAN", "MissingValue", "normalise_classes", "normalise_missing", "normalise_values"]

MissingValue = int | str
NAN = "nan"
_INT64 = np.iinfo(np.int64)
_EXAMPLES = (
    "a list of names, e.g. ['a', 'b'], or a mapping from label value to name, e.g. {0: 'a', 4: 'b'}"
)


def normalise_classes(
    kind: str, classes: Any, fewest: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Class names and the raw label value of each: positions for a sequence of names, the keys for
    a mapping.
    """
    if isinstance(classes, str | bytes | set | frozenset):
        why = " (a set has no order)" if isinstance(classes, set | frozenset) else ""
        raise TargetError(f"{kind} got {classes!r} for its classes{why}; pass {_EXAMPLES}")
    given = _listed(
        kind,
        "its classes",
        classes.values() if isinstance(classes, Mapping) else classes,
        _EXAMPLES,
    )
    keys = tuple(classes) if isinstance(classes, Mapping) else range(len(given))
    for name in given:
        if not isinstance(name, str) or not name.strip():
            raise TargetError(
                f"{kind} got {name!r} as a class name; pass {_EXAMPLES}, with a non-empty string"
                " for each"
            )
    names = tuple(str.__str__(name) for name in given)
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
    whole = []
    for value in _listed(kind, "its label values", values, "one integer per class"):
        integer = _integer(value)
        if integer is None:
            raise TargetError(
                f"{kind} got {value!r} as the label value of a class; give distinct (64-bit)"
                " integers"
            )
        whole.append(integer)
    if len(set(whole)) < len(whole):
        raise TargetError(
            f"{kind} got the label values {whole}; give every class a value of its own"
        )
    return tuple(whole)


def normalise_missing(
    kind: str, missing: object, values: tuple[int, ...], names: tuple[str, ...]
) -> tuple[MissingValue, ...]:
    """Declared 'unknown' values as a sorted tuple of integers and strings; NaN (and None) is the
    string 'nan'.
    """
    how = "integers, strings or float('nan'), which also stands for None; () declares nothing"
    if missing is None:
        raise TargetError(f"{kind} got missing=None, which may mean NaN or nothing; declare {how}")
    single = isinstance(missing, str | int | float | np.number)
    normal: set[MissingValue] = set()
    for value in (missing,) if single else _listed(kind, "missing", missing, how):
        integer = _integer(value)
        if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
            normal.add(NAN)
        elif isinstance(value, str):
            normal.add(NAN if value.lower() == NAN else str.__str__(value))
        elif integer is not None:
            normal.add(integer)
        else:
            raise TargetError(f"{kind} got missing={value!r}; declare {how}")
    clash = sorted(str(value) for value in normal if value in values or value in names)
    if clash:
        raise TargetError(
            f"{kind} got missing={clash}, which are also classes; a value is either a class or"
            " unknown"
        )
    return tuple(sorted(normal, key=lambda value: (isinstance(value, str), value)))


def _listed(kind: str, what: str, given: Any, expected: str) -> tuple[Any, ...]:
    try:
        return tuple(given)
    except TypeError:
        raise TargetError(f"{kind} got {given!r} for {what}; pass {expected}") from None


def _integer(value: object) -> int | None:
    """The 64-bit integer that `value` is, if it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    if isinstance(value, float | np.floating) and not float(value).is_integer():
        return None
    whole = int(value)
    return whole if _INT64.min <= whole <= _INT64.max else None
