"""Labels that hardly are classes: each is refused with its place, unless names declare it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.annotations import means_unknown
from torchcross.errors import LabelError

Where = Callable[[int], str]

WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
# A decimal number with digits behind its point that are not all zeros, or with an exponent.
_FRACTION = re.compile(r"[+-]?([0-9]*\.0*[1-9][0-9]*|[0-9]*\.?[0-9]+[eE][+-]?[0-9]+)")
_LIKE_UNKNOWN = frozenset(
    {
        "unknown",
        "unk",
        "missing",
        "undefined",
        "unspecified",
        "unlabelled",
        "unlabeled",
        "not known",
    }
    | {"not available", "not applicable", "no label", "tbd", "#n/a", "<na>", "nil"}
)
_SHOWN = 8
_NAME_IT = "if it is the name of a class, give all names: labels=[...] (--labels)"


def refuse_doubtful_texts(name: str, texts: NDArray[np.str_], where: Where, unknown: str) -> None:
    """Refuse texts that no names declare and that hardly are classes.

    These are markers of an unknown label ("n/a"), numbers that are not whole ("1.5"), words among
    whole numbers, and negative numbers. `unknown` says what to do with an unknown label.
    """
    values = texts.tolist()
    markers = np.array([means_unknown(text) for text in values], dtype=bool)
    if markers.any():
        raise LabelError(
            f"{_first(name, texts, markers, where)}, which stands for an unknown label: {unknown};"
            f" {_NAME_IT}{_others(texts, markers, where)}"
        )
    fractions = np.array([bool(_FRACTION.fullmatch(text.strip())) for text in values], dtype=bool)
    if fractions.any():
        raise LabelError(
            f"{_first(name, texts, fractions, where)}, a number that is not whole"
            f" ({int(fractions.sum())} of {len(texts)} labels are); correct it, or, {_NAME_IT}"
            f"{_others(texts, fractions, where)}"
        )
    refuse_words_among_numbers(name, texts, (), where, unknown)
    if all(map(WHOLE.fullmatch, map(str.strip, values))):
        negative = np.array([text.strip().startswith("-") for text in values], dtype=bool)
        _refuse_negative(name, texts, negative, where, unknown, _NAME_IT)


def refuse_words_among_numbers(
    name: str, texts: NDArray[np.str_], names: Collection[str], where: Where, unknown: str
) -> None:
    """Refuse a few words where most labels are whole numbers that are no names."""
    values = [text.strip() for text in texts.tolist()]
    whole = np.array([bool(WHOLE.fullmatch(text)) for text in values], dtype=bool)
    count = int(whole.sum())
    if count == len(values) or 2 * count <= len(values) or not set(values).isdisjoint(names):
        return
    raise LabelError(
        f"{_first(name, texts, ~whole, where)}, and {count} of {len(values)} labels are whole"
        f" numbers: correct it; if the label is unknown, {unknown}; {_NAME_IT}"
        f"{_others(texts, ~whole, where)}"
    )


def refuse_negative_numbers(
    name: str, values: NDArray[np.int64], names: Collection[int], where: Where, unknown: str
) -> None:
    """Refuse negative labels without a name."""
    negative = (values < 0) & ~np.isin(values, np.array(list(names), dtype=np.int64))
    name_it = "if it is a class, name all: labels={0: name, -1: name} (--labels 0=NAME,-1=NAME)"
    _refuse_negative(name, values, negative, where, unknown, name_it)


def looks_unknown(name: str) -> bool:
    """Whether the name of a class is like a word for an unknown label, such as "?"."""
    text = name.strip().lower()
    is_marker = means_unknown(text) or text in _LIKE_UNKNOWN
    return is_marker or not any(sign.isalnum() for sign in text)


def other_places(values: NDArray[Any], places: list[int], where: Where) -> str:
    """Lines with the labels at some places, of which the first few are shown."""
    shown = "".join(f"\n  {where(place)} is {values[place].item()!r}" for place in places[:_SHOWN])
    return shown + (f"\n  and {len(places) - _SHOWN} more" if len(places) > _SHOWN else "")


def _refuse_negative(
    name: str,
    values: NDArray[Any],
    negative: NDArray[np.bool_],
    where: Where,
    unknown: str,
    name_it: str,
) -> None:
    if negative.any():
        raise LabelError(
            f"{_first(name, values, negative, where)}: a negative number is often an unknown label:"
            f" {unknown}; {name_it}{_others(values, negative, where)}"
        )


def _first(name: str, values: NDArray[Any], wrong: NDArray[np.bool_], where: Where) -> str:
    place = int(np.argmax(wrong))
    return f"{where(place)} of {name!r} is {values[place].item()!r}"


def _others(values: NDArray[Any], wrong: NDArray[np.bool_], where: Where) -> str:
    return other_places(values, np.flatnonzero(wrong).tolist()[1:], where)
