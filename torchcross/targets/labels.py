"""Raw label containers -> compact, validated class codes. Everything else reads only codes."""

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

Codes = NDArray[np.signedinteger[Any]]

_NO_CODE = MISSING - 1
"""Stands for an entry that is neither a class nor declared missing."""

_CHUNK = 1 << 18
_MOST_EXAMPLES = 5


@dataclass(frozen=True)
class Legend:
    """The meaning of raw labels: `values[c]` or `names[c]` is class c, `missing` is unknown.

    All other values are errors. `columns` are the label names of a two-dimensional array.
    """

    kind: str
    values: tuple[int, ...]
    missing: tuple[MissingValue, ...]
    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The expected values, for errors."""
        entries = list(map(str, self.values))
        if self.names:
            entries = [f"{value} ({name})" for value, name in zip(entries, self.names, strict=True)]
        if len(entries) > 8:
            entries = [*entries[:4], "...", *entries[-2:]]
        text = ", ".join(entries)
        if self.names:
            text += ", as values or names"
        if self.missing:
            text += f"; declared missing: {', '.join(map(str, self.missing))}"
        return text


def as_array(labels: Any, name: str) -> NDArray[Any]:
    """A label container (numpy, torch, list, pandas column) as a numpy array of the same values."""
    if isinstance(labels, np.ma.MaskedArray) and np.ma.is_masked(labels):
        hidden = int(np.ma.getmaskarray(labels).sum())
        raise LabelError(
            f"{name} hold {hidden} masked entries; fill them with a value that the target declares"
            " missing"
        )
    try:
        if hasattr(labels, "detach"):
            labels = labels.detach().cpu()
            if labels.is_floating_point() and labels.dtype.itemsize < 4:
                # numpy has no bfloat16. As float32 every shorter float keeps its value.
                labels = labels.float()
            return np.asarray(labels.numpy())
        array = np.asarray(labels)
        if array.dtype.kind in "US" and not hasattr(labels, "dtype"):
            # numpy turns all entries of a list with a string into text, NaN too.
            return np.asarray(labels, dtype=object)
        return array
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise LabelError(
            f"{name} cannot be read as an array ({error}); give a numpy array, a dense tensor or a"
            " list of rows of equal length"
        ) from error


def encode_single(labels: Any, legend: Legend, name: str) -> Codes:
    """One class per sample -> codes (N,), the position of the class, -1 where missing."""
    array = as_array(labels, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise LabelError(
            f"{name} have shape {array.shape}; {legend.kind} takes one label per sample, shape (N,)"
            " or (N, 1)" + _advice_on_shape(array, labels, legend)
        )
    return _encode(array, legend, name)


def encode_multi(labels: Any, legend: Legend, name: str) -> Codes:
    """Zeros and ones (N, L) -> the same as int8, -1 where missing."""
    array, columns = as_array(labels, name), len(legend.columns)
    if array.ndim != 2 or array.shape[1] != columns:
        hint = ""
        if array.ndim == 1 and array.size:
            hint = "; one class per sample is a task for Binary, MultiClass or Ordinal"
            if columns == 1:
                hint += ", and one yes/no answer per sample fits as labels.reshape(-1, 1)"
        raise LabelError(
            f"{name} have shape {array.shape}; {legend.kind} with {columns} labels takes zeros and"
            f" ones of shape (N, {columns}){hint}"
        )
    return _encode(array, legend, name)


def _advice_on_shape(array: NDArray[Any], labels: Any, legend: Legend) -> str:
    if array.ndim == 0:
        return f"; got a single {type(labels).__name__}, put labels into a list or an array"
    if array.ndim != 2:
        return ""
    classes = "the label value of each row"
    if legend.values == tuple(range(len(legend.values))):
        classes = "labels.argmax(1)"
    return f"; for one-hot rows pass {classes}, for several labels per sample use MultiLabel"


def _encode(array: NDArray[Any], legend: Legend, name: str) -> Codes:
    read = _reader(array.dtype, legend)
    if read is None:
        raise LabelError(
            f"{name} have dtype {array.dtype}; expected booleans, integers, floats with integral"
            " values" + (", or class names" if legend.names else "")
        )
    codes = np.empty(array.shape, dtype=_compact_dtype(len(legend.values) - 1))
    # In chunks: no temporary array grows with the labels.
    rows = max(1, _CHUNK // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        codes[start : start + rows] = read(array[start : start + rows])
    outside = codes == _NO_CODE
    if outside.any():
        raise _label_error(array, outside, legend, name)
    return codes


def _compact_dtype(highest: int) -> np.dtype[Any]:
    """The smallest signed integer type that holds -2..highest."""
    return np.min_scalar_type(-max(highest, 1) - 1)


def _reader(dtype: np.dtype[Any], legend: Legend) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """A function from raw entries of this dtype to codes or `_NO_CODE`."""
    if dtype.kind in "OUST":
        return _object_reader(legend)
    integers = _integer_reader(legend)
    blank = MISSING if NAN in legend.missing else _NO_CODE
    match dtype.kind:
        case "u" if dtype.itemsize == 8:
            return lambda array: np.where(
                array <= np.iinfo(np.int64).max, integers(array.astype(np.int64)), _NO_CODE
            )
        case "b" | "i" | "u":
            return lambda array: integers(array.astype(np.int64))
        case "f":

            def read_floats(array: NDArray[Any]) -> NDArray[Any]:
                # Half precision cannot hold the bound 2^63.
                array = array.astype(np.result_type(array.dtype, np.float32), copy=False)
                whole = (np.floor(array) == array) & (np.abs(array) < 2.0**63)
                codes = integers(np.where(whole, array, 0).astype(np.int64))
                return np.where(whole, codes, np.where(np.isnan(array), blank, _NO_CODE))

            return read_floats
    return None


def _integer_reader(legend: Legend) -> Callable[[NDArray[np.int64]], NDArray[Any]]:
    """Looks values up in a sorted table: it is fast for many classes, and rounds no value."""
    code_of: dict[int, int] = {value: code for code, value in enumerate(legend.values)}
    code_of |= {value: MISSING for value in legend.missing if isinstance(value, int)}
    keys = np.array(sorted(code_of), dtype=np.int64)
    codes = np.array([code_of[key] for key in sorted(code_of)], dtype=np.int64)

    def read(array: NDArray[np.int64]) -> NDArray[Any]:
        places = np.minimum(np.searchsorted(keys, array), len(keys) - 1)
        return np.where(keys[places] == array, codes[places], _NO_CODE)

    return read


def _object_reader(legend: Legend) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Reads class names, or a mix of names, numbers, None and NaN. Bytes are UTF-8 text."""
    texts: dict[str, int] = {name: code for code, name in enumerate(legend.names)}
    texts |= {value: MISSING for value in legend.missing if isinstance(value, str)}
    code_of: dict[object, int] = {value: code for code, value in enumerate(legend.values)}
    code_of |= {value: MISSING for value in legend.missing if isinstance(value, int)}
    for text, code in texts.items():
        code_of[text] = code_of[text.encode()] = code
    blank = MISSING if NAN in legend.missing else _NO_CODE
    code_of[None] = blank

    def read_one(item: Any) -> int:
        try:
            code = code_of.get(item)
        except TypeError:
            return _NO_CODE
        if code is not None:
            return code
        return blank if is_blank(item) or _is_nan_text(item) else _NO_CODE

    def read(array: NDArray[Any]) -> NDArray[Any]:
        items = array.ravel().tolist()
        codes = np.fromiter(map(read_one, items), dtype=np.int64, count=len(items))
        return codes.reshape(array.shape)

    return read


def is_blank(item: Any) -> bool:
    """Whether the item is None, NaN of any kind, NaT or pandas' NA."""
    try:
        # NaN and NaT do not equal themselves.
        return item is None or bool(item != item)
    except (TypeError, ValueError, ArithmeticError):
        # Comparing pandas' NA gives NA, which is neither true nor false.
        return type(item).__name__ == "NAType"


def _is_nan_text(item: Any) -> bool:
    return isinstance(item, str) and item.lower() == NAN


def _label_error(
    array: NDArray[Any], outside: NDArray[np.bool_], legend: Legend, name: str
) -> LabelError:
    """The error says which kind of entry is no label, where the first one is, and what to do."""
    blank, fractional = _blanks(array, outside), np.zeros_like(outside)
    if array.dtype.kind == "f":
        fractional = outside & ~blank & ~(np.isfinite(array) & (np.floor(array) == array))
    if blank.any():
        return LabelError(
            f"{name} hold {int(blank.sum())} NaN or None, the first at {_place(blank, legend)}; if"
            f" that means unknown, declare it: {legend.kind}(..., missing=float('nan'))"
        )
    if fractional.any():
        return LabelError(
            f"{name} hold {float(array[fractional][0])!r} at {_place(fractional, legend)}; labels"
            f" must be integral: {legend}"
        )
    distinct = list(dict.fromkeys(map(reprlib.repr, array[outside][:1000].tolist())))
    examples = ", ".join(distinct[:_MOST_EXAMPLES])
    if len(distinct) > _MOST_EXAMPLES:
        examples += ", ..."
    return LabelError(
        f"{name} hold {int(outside.sum())} value(s) outside the classes: {examples} (the first at"
        f" {_place(outside, legend)}); expected {legend}. If such a value means unknown, declare"
        f" it: {legend.kind}(..., missing=...)"
    )


def _blanks(array: NDArray[Any], outside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    blank = np.zeros_like(outside)
    if array.dtype.kind == "f":
        blank[outside] = np.isnan(array[outside])
    elif array.dtype.kind in "OT":
        blank[outside] = list(map(is_blank, array[outside].tolist()))
    return blank


def _place(mask: NDArray[np.bool_], legend: Legend) -> str:
    first = np.unravel_index(int(np.argmax(mask)), mask.shape)
    if mask.ndim == 1:
        return f"index {int(first[0])}"
    return f"row {int(first[0])}, column {int(first[1])} ({legend.columns[int(first[1])]})"
