"""Raw label containers -> compact, validated class codes. Parsed once at the boundary; everything behind it sees codes only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross.errors import LabelError, TargetError
from torchcross.losses import MISSING

Codes = NDArray[np.signedinteger[Any]]
MissingValue = int | str
NAN = "nan"


def normalise_classes(kind: str, classes: Sequence[str] | Mapping[int, str], fewest: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Class names and the raw label value of each: positions for a sequence of names, the keys for a mapping."""
    if isinstance(classes, str | bytes):
        raise TargetError(f"{kind} got the single string {classes!r} for its classes; pass a list of names, e.g. ['a', 'b']")
    try:
        names = tuple(classes.values()) if isinstance(classes, Mapping) else tuple(classes)
        values = tuple(classes) if isinstance(classes, Mapping) else tuple(range(len(names)))
    except TypeError:
        raise TargetError(
            f"{kind} got {classes!r} for its classes; pass a list of names or a mapping from label value to name"
        ) from None
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise TargetError(f"{kind} got {name!r} as a class name; every class needs a non-empty string")
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise TargetError(f"{kind} got the class names {repeated} more than once; names must be unique")
    if len(names) < fewest:
        raise TargetError(f"{kind} got {len(names)} class name(s), {list(names)}; it needs at least {fewest}")
    return names, normalise_values(kind, values)


def normalise_values(kind: str, values: Iterable[object]) -> tuple[int, ...]:
    """Label values as distinct Python integers."""
    given = tuple(values)
    for value in given:
        integral = isinstance(value, int | float | np.integer | np.floating) and float(value).is_integer()
        if not integral or isinstance(value, bool):
            raise TargetError(f"{kind} got {value!r} as the label value of a class; label values are distinct integers")
    whole = tuple(int(value) for value in given)  # type: ignore[call-overload]  # checked integral above
    if len(set(whole)) < len(whole):
        raise TargetError(f"{kind} got the label values {list(whole)}; each class needs a value of its own")
    return whole


def normalise_missing(kind: str, missing: object, values: tuple[int, ...], names: tuple[str, ...]) -> tuple[MissingValue, ...]:
    """Declared 'unknown' values as a sorted tuple of integers and strings; NaN (and None) is the string 'nan'."""
    declared = (missing,) if isinstance(missing, str | int | float) or missing is None else tuple(missing)  # type: ignore[arg-type]
    normal: set[MissingValue] = set()
    for value in declared:
        if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
            normal.add(NAN)
        elif isinstance(value, str):
            normal.add(NAN if value.lower() == NAN else value)
        elif isinstance(value, int | float | np.integer | np.floating) and float(value).is_integer():
            normal.add(int(value))
        else:
            raise TargetError(f"{kind} got missing={value!r}; declare integers, strings or NaN (float('nan') or 'nan')")
    clash = sorted(str(value) for value in normal if value in values or value in names)
    if clash:
        raise TargetError(f"{kind} got missing={clash}, which are also classes; a value is either a class or unknown")
    return tuple(sorted(normal, key=lambda value: (isinstance(value, str), value)))


def as_array(labels: Any, what: str) -> NDArray[Any]:
    """Any label container (numpy, torch, list, pandas column) as a numpy array, without changing a value."""
    tensor_like = hasattr(labels, "detach")
    try:
        if tensor_like:
            labels = labels.detach().cpu()
            labels = labels.double() if labels.is_floating_point() else labels
            return np.asarray(labels.numpy())
        return np.asarray(labels)
    except (ValueError, TypeError) as error:
        raise LabelError(
            f"{what} cannot be read as an array ({error}); expected a numpy array, a tensor or a list of equal-length rows"
        ) from error


def compact_dtype(highest: int) -> np.dtype[Any]:
    """The smallest signed integer type that holds -1..highest."""
    return np.min_scalar_type(-max(highest, 1) - 1)


def encode_single(labels: Any, kind: str, names: tuple[str, ...], values: tuple[int, ...], missing: tuple[MissingValue, ...], what: str) -> Codes:
    """One class per sample -> codes (N,), the position of the class, -1 where missing."""
    array = as_array(labels, what)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise LabelError(
            f"{what} has shape {array.shape}; a {kind} target takes one label per sample, shape (N,) or (N, 1)"
            + (": use MultiLabel for several labels per sample" if array.ndim == 2 else "")
        )
    if array.dtype.kind in "USO":
        return _encode_objects(array, kind, names, values, missing, what)
    return _encode_numbers(array, kind, names, values, missing, what)


def encode_multi(labels: Any, kind: str, names: tuple[str, ...], missing: tuple[MissingValue, ...], what: str) -> Codes:
    """Zeros and ones (N, L) -> the same as int8, -1 where missing."""
    array = as_array(labels, what)
    if array.ndim != 2 or array.shape[1] != len(names):
        raise LabelError(
            f"{what} has shape {array.shape}; a {kind} target with {len(names)} labels takes zeros and ones of shape (N, {len(names)})"
        )
    if array.dtype.kind in "USO":
        raise LabelError(f"{what} has dtype {array.dtype}; a {kind} target takes zeros and ones, as numbers or booleans")
    return _encode_numbers(array, kind, ("absent", "present"), (0, 1), missing, what)


def _encode_numbers(
    array: NDArray[Any], kind: str, names: tuple[str, ...], values: tuple[int, ...], missing: tuple[MissingValue, ...], what: str
) -> Codes:
    if array.dtype.kind not in "biuf":
        raise LabelError(f"{what} has dtype {array.dtype}; expected booleans, integers, floats with integral values, or class names")
    is_missing = np.isin(array, [value for value in missing if isinstance(value, int)]) if _has_integers(missing) else None
    if array.dtype.kind == "f":
        is_nan = np.isnan(array)
        if is_nan.any():
            if NAN not in missing:
                raise LabelError(
                    f"{what} holds {int(is_nan.sum())} NaN, the first at {_where(is_nan)}; if NaN means unknown, "
                    f"declare it: {kind}(..., missing=float('nan'))"
                )
            is_missing = is_nan if is_missing is None else is_missing | is_nan
        broken = ~is_nan & (~np.isfinite(array) | (np.floor(array) != array))
        if broken.any():
            raise LabelError(
                f"{what} holds {array[broken][0]!r} at {_where(broken)}; labels must be integral ({_values_text(names, values)})"
            )
    codes = np.full(array.shape, MISSING, dtype=compact_dtype(len(values) - 1))
    known = np.zeros(array.shape, dtype=bool) if is_missing is None else is_missing.copy()
    if values == tuple(range(len(values))):
        inside = (array >= 0) & (array < len(values))
        if is_missing is not None:
            inside &= ~is_missing
        np.copyto(codes, array, where=inside, casting="unsafe")
        known |= inside
    else:
        for position, value in enumerate(values):
            hit = array == value
            codes[hit] = position
            known |= hit
    if not known.all():
        raise _unknown_values(array[~known], _where(~known), kind, names, values, missing, what)
    return codes


def _encode_objects(
    array: NDArray[Any], kind: str, names: tuple[str, ...], values: tuple[int, ...], missing: tuple[MissingValue, ...], what: str
) -> Codes:
    """Class names (or a mix of names, numbers, None and NaN, as a table column may hold)."""
    code_of: dict[object, int] = {value: position for position, value in enumerate(values)}
    code_of |= {name: position for position, name in enumerate(names)}
    code_of |= dict.fromkeys(missing, MISSING)
    items = [
        NAN if item is None or (isinstance(item, float) and math.isnan(item)) else item for item in array.tolist()
    ]
    try:
        unknown = [position for position, item in enumerate(items) if item not in code_of]
    except TypeError:
        raise LabelError(f"{what} holds items that are neither names nor numbers; expected {_values_text(names, values)}") from None
    if unknown:
        found = np.array([items[position] for position in unknown], dtype=object)
        raise _unknown_values(found, f"index {unknown[0]}", kind, names, values, missing, what)
    return np.fromiter((code_of[item] for item in items), dtype=compact_dtype(len(values) - 1), count=len(items))


def _unknown_values(
    found: NDArray[Any], where: str, kind: str, names: tuple[str, ...], values: tuple[int, ...], missing: tuple[MissingValue, ...], what: str
) -> LabelError:
    distinct = list(dict.fromkeys(str(item) for item in found[:10_000].tolist()))
    shown = ", ".join(distinct[:5]) + (", ..." if len(distinct) > 5 else "")
    declared = f"; declared missing: {', '.join(map(str, missing))}" if missing else ""
    return LabelError(
        f"{what} holds {len(found)} value(s) outside the classes: {shown} (the first at {where}); expected "
        f"{_values_text(names, values)}{declared}. If such a value means unknown, declare it: {kind}(..., missing=...)"
    )


def _values_text(names: tuple[str, ...], values: tuple[int, ...]) -> str:
    pairs = [f"{value} ({name})" for value, name in zip(values, names, strict=True)]
    return ", ".join(pairs if len(pairs) <= 8 else [*pairs[:4], "...", *pairs[-2:]])


def _has_integers(missing: tuple[MissingValue, ...]) -> bool:
    return any(isinstance(value, int) for value in missing)


def _where(mask: NDArray[np.bool_]) -> str:
    first = np.unravel_index(int(np.argmax(mask)), mask.shape)
    return f"index {int(first[0])}" if mask.ndim == 1 else f"row {int(first[0])}, column {int(first[1])}"
