"""Texts per row from whatever stands there, and who a row is of where nothing says so."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.rows import Texts
from medimeta_adapter.format.annotations import subjects_of
from torchcross.errors import InputError

__all__ = ["as_text", "is_somebody", "subjects", "texts"]


def texts(given: Any, what: str) -> Texts | None:
    """One text per row."""
    if given is None:
        return None
    array = np.asarray(given)
    if array.ndim != 1:
        raise InputError(f"{what} has the shape {array.shape}; give one per image")
    return _joined([as_text(value, what) for value in array.tolist()])


def subjects(given: Any, what: str) -> Texts | None:
    """As the reader has them: where nobody is named ("", NaN, None, n/a, ...), the row is a subject
    of its own.
    """
    found = texts(given, what)
    return None if found is None else _joined(subjects_of(found).tolist())


def is_somebody(text: str) -> bool:
    """Whether the reader takes a text for the name of a subject."""
    column = np.array([text], dtype=object)
    return bool(subjects_of(column)[0] == text.strip())


def as_text(value: Any, what: str) -> str:
    """Bytes as UTF-8; whole floats, which a column of numbers becomes by a gap, as whole
    numbers.
    """
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InputError(
                f"{what} holds {value!r}, which is no UTF-8 text; decode it first"
            ) from None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _joined(found: list[str]) -> NDArray[np.str_]:
    return np.array(found, dtype=str)
