"""Raw label containers -> compact, validated class codes. Parsed once here; all behind it sees
codes only.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross.errors import LabelError
from torchcross.losses import MISSING
from torchcross.targets.classes import NAN, MissingValue

__all__ = ["Codes", "Legend", "as_array", "encode_multi", "encode_single"]

Codes = NDArray[np.signedinteger[Any]]

_STRANGER = MISSING - 1
_CHUNK = 1 << 18
_SHOWN = 5


@dataclass(frozen=True)
class Legend:
    """How raw labels are read: `values[c]` (or `names[c]`) is class c, `missing` is unknown, all
    else is an error.

    `columns` are the label names of a two-dimensional array, for errors.
    """

    kind: str
    values: tuple[int, ...]
    missing: tuple[MissingValue, ...]
    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What is expected, for errors."""
        pairs = (
            [f"{value} ({name})" for value, name in zip(self.values, self.names, strict=True)]
            if self.names
            else None
        )
        entries = pairs or [str(value) for value in self.values]
        shown = ", ".join(entries if len(entries) <= 8 else [*entries[:4], "...", *entries[-2:]])
        unknown = f"; declared missing: {', '.join(map(str, self.missing))}" if self.missing else ""
        return shown + (", as values or names" if self.names else "") + unknown


def as_array(labels: Any, what: str) -> NDArray[Any]:
    """Any label container (numpy, torch, list, pandas column) as a numpy array, without changing a
    value.
    """
    if isinstance(labels, np.ma.MaskedArray) and np.ma.is_masked(labels):
        hidden = int(np.ma.getmaskarray(labels).sum())
        raise LabelError(
            f"{what} hold {hidden} masked entries; fill them with a value that the target declares"
            " missing"
        )
    try:
        if hasattr(labels, "detach"):
            labels = labels.detach().cpu()
            # numpy has no bfloat16; to float32 every shorter float is exact.
            shorter = labels.is_floating_point() and labels.dtype.itemsize < 4
            return np.asarray((labels.float() if shorter else labels).numpy())
        array = np.asarray(labels)
        if array.dtype.kind in "US" and not hasattr(labels, "dtype"):
            # In a list numpy would turn all that stands beside a string into text, NaN included.
            return np.asarray(labels, dtype=object)
        return array
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise LabelError(
            f"{what} cannot be read as an array ({error}); give a numpy array, a dense tensor or a"
            " list of rows of equal length"
        ) from error


def encode_single(labels: Any, legend: Legend, what: str) -> Codes:
    """One class per sample -> codes (N,), the position of the class, -1 where missing."""
    array = as_array(labels, what)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise LabelError(
            f"{what} have shape {array.shape}; {legend.kind} takes one label per sample, shape (N,)"
            " or (N, 1)" + _advice_on_shape(array, labels, legend)
        )
    return _encode(array, legend, what)


def encode_multi(labels: Any, legend: Legend, what: str) -> Codes:
    """Zeros and ones (N, L) -> the same as int8, -1 where missing."""
    array, columns = as_array(labels, what), len(legend.columns)
    if array.ndim != 2 or array.shape[1] != columns:
        hint = ""
        if array.ndim == 1 and array.size:
            hint = "; one class per sample is a task for Binary, MultiClass or Ordinal" + (
                ", and one yes/no answer per sample fits as labels.reshape(-1, 1)"
                if columns == 1
                else ""
            )
        raise LabelError(
            f"{what} have shape {array.shape}; {legend.kind} with {columns} labels takes zeros and"
            f" ones of shape (N, {columns}){hint}"
        )
    return _encode(array, legend, what)


def _advice_on_shape(array: NDArray[Any], labels: Any, legend: Legend) -> str:
    if array.ndim == 0:
        return f"; got a single {type(labels).__name__}, put labels into a list or an array"
    if array.ndim != 2:
        return ""
    one_hot = (
        "labels.argmax(1)"
        if legend.values == tuple(range(len(legend.values)))
        else "the label value of each row"
    )
    return f"; for one-hot rows pass {one_hot}, for several labels per sample use MultiLabel"


def _encode(array: NDArray[Any], legend: Legend, what: str) -> Codes:
    reader = _reader(array.dtype, legend)
    if reader is None:
        raise LabelError(
            f"{what} have dtype {array.dtype}; expected booleans, integers, floats with integral"
            " values" + (", or class names" if legend.names else "")
        )
    codes = np.empty(array.shape, dtype=_compact_dtype(len(legend.values) - 1))
    # In chunks, so that no temporary grows with the labels.
    rows = max(1, _CHUNK // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        codes[start : start + rows] = reader(array[start : start + rows])
    strange = codes == _STRANGER
    if strange.any():
        raise _refusal(array, strange, legend, what)
    return codes


def _compact_dtype(highest: int) -> np.dtype[Any]:
    """The smallest signed integer type that holds -2..highest."""
    return np.min_scalar_type(-max(highest, 1) - 1)


def _reader(dtype: np.dtype[Any], legend: Legend) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """From raw entries of this dtype to codes, `_STRANGER` where an entry is neither a class nor
    declared missing.
    """
    if dtype.kind in "OUST":
        return _object_reader(legend)
    integers = _integer_reader(legend)
    blank = MISSING if NAN in legend.missing else _STRANGER
    match dtype.kind:
        case "u" if dtype.itemsize == 8:
            return lambda array: np.where(
                array <= np.iinfo(np.int64).max, integers(array.astype(np.int64)), _STRANGER
            )
        case "b" | "i" | "u":
            return lambda array: integers(array.astype(np.int64))
        case "f":

            def floats(array: NDArray[Any]) -> NDArray[Any]:
                # Half precision cannot hold the bound.
                array = array.astype(np.result_type(array.dtype, np.float32), copy=False)
                whole = (np.floor(array) == array) & (np.abs(array) < 2.0**63)
                codes = integers(np.where(whole, array, 0).astype(np.int64))
                return np.where(whole, codes, np.where(np.isnan(array), blank, _STRANGER))

            return floats
    return None


def _integer_reader(legend: Legend) -> Callable[[NDArray[np.int64]], NDArray[Any]]:
    """Looks values up in a sorted table, so that the number of classes hardly matters and no value
    is rounded.
    """
    code_of: dict[int, int] = {value: code for code, value in enumerate(legend.values)}
    code_of |= {value: MISSING for value in legend.missing if isinstance(value, int)}
    keys = np.array(sorted(code_of), dtype=np.int64)
    codes = np.array([code_of[key] for key in sorted(code_of)], dtype=np.int64)

    def read(array: NDArray[np.int64]) -> NDArray[Any]:
        at = np.minimum(np.searchsorted(keys, array), len(keys) - 1)
        return np.where(keys[at] == array, codes[at], _STRANGER)

    return read


def _object_reader(legend: Legend) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Class names, or a mix of names, numbers, None and NaN, as a table column may hold. Bytes are
    UTF-8 text.
    """
    texts: dict[str, int] = {name: code for code, name in enumerate(legend.names)}
    texts |= {value: MISSING for value in legend.missing if isinstance(value, str)}
    code_of: dict[object, int] = {value: code for code, value in enumerate(legend.values)}
    code_of |= {value: MISSING for value in legend.missing if isinstance(value, int)}
    for text, code in texts.items():
        code_of[text] = code_of[text.encode()] = code
    blank = MISSING if NAN in legend.missing else _STRANGER
    code_of[None] = blank

    def read_one(item: Any) -> int:
        try:
            code = code_of.get(item)
        except TypeError:
            return _STRANGER
        if code is not None:
            return code
        return blank if is_blank(item) or _is_blank_text(item) else _STRANGER

    def read(array: NDArray[Any]) -> NDArray[Any]:
        items = array.ravel().tolist()
        return np.fromiter(map(read_one, items), dtype=np.int64, count=len(items)).reshape(
            array.shape
        )

    return read


def is_blank(item: Any) -> bool:
    """None, or what does not equal itself: NaN of any kind, NaT. Comparing pandas' NA gives NA,
    which has no truth.
    """
    try:
        return item is None or bool(item != item)
    except (TypeError, ValueError, ArithmeticError):
        return type(item).__name__ == "NAType"


def _is_blank_text(item: Any) -> bool:
    return isinstance(item, str) and item.lower() == NAN


def _refusal(
    array: NDArray[Any], strange: NDArray[np.bool_], legend: Legend, what: str
) -> LabelError:
    """Says what kind of entry does not belong, where the first one is, and what to do."""
    blank, broken = _blanks(array, strange), np.zeros_like(strange)
    if array.dtype.kind == "f":
        broken = strange & ~blank & ~(np.isfinite(array) & (np.floor(array) == array))
    if blank.any():
        return LabelError(
            f"{what} hold {int(blank.sum())} NaN or None, the first at {_where(blank, legend)}; if"
            f" that means unknown, declare it: {legend.kind}(..., missing=float('nan'))"
        )
    if broken.any():
        return LabelError(
            f"{what} hold {float(array[broken][0])!r} at {_where(broken, legend)}; labels must be"
            f" integral: {legend}"
        )
    examples = array[strange][:1000].tolist()
    distinct = list(dict.fromkeys(map(reprlib.repr, examples)))
    shown = ", ".join(distinct[:_SHOWN]) + (", ..." if len(distinct) > _SHOWN else "")
    return LabelError(
        f"{what} hold {int(strange.sum())} value(s) outside the classes: {shown} (the first at"
        f" {_where(strange, legend)}); expected {legend}. If such a value means unknown, declare"
        f" it: {legend.kind}(..., missing=...)"
    )


def _blanks(array: NDArray[Any], strange: NDArray[np.bool_]) -> NDArray[np.bool_]:
    blank = np.zeros_like(strange)
    if array.dtype.kind == "f":
        blank[strange] = np.isnan(array[strange])
    elif array.dtype.kind in "OT":
        blank[strange] = [is_blank(item) for item in array[strange].tolist()]
    return blank


def _where(mask: NDArray[np.bool_], legend: Legend) -> str:
    first = np.unravel_index(int(np.argmax(mask)), mask.shape)
    if mask.ndim == 1:
        return f"index {int(first[0])}"
    return f"row {int(first[0])}, column {int(first[1])} ({legend.columns[int(first[1])]})"
