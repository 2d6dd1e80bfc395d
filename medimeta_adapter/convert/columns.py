"""Columns of texts, one per row, and columns of subjects."""

from __future__ import annotations

from typing import Any

import numpy as np

from medimeta_adapter.convert.rows import Texts
from medimeta_adapter.format.annotations import known_subject
from torchcross.errors import InputError


def texts(values: Any, what: str) -> Texts | None:
    """One text per row."""
    if values is None:
        return None
    array = np.asarray(values)
    if array.ndim != 1:
        raise InputError(f"{what} has the shape {array.shape}; give one per image")
    return np.array([as_text(value, what) for value in array.tolist()], dtype=str)


def subjects(values: Any, what: str) -> Texts | None:
    """The subject of each row, "" where it is unknown (NaN, None, n/a, ...)."""
    column = texts(values, what)
    return None if column is None else np.array(list(map(known_subject, column.tolist())), str)


def as_text(value: Any, what: str) -> str:
    """Bytes as UTF-8, and whole floats as whole numbers: one gap turns a column of whole numbers
    into floats.
    """
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InputError(
                f"{what} holds {value!r}, which is not UTF-8 text; decode it first"
            ) from None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
