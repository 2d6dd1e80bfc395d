"""Checks of arguments. An error says what was given and what is expected."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np

from torchcross.errors import InputError
from torchcross.messages import without_middle

_LONGEST_BITS = 256
_LONGEST_VALUE = 200


def is_integer(value: object) -> TypeGuard[int | np.integer[Any]]:
    """Whether a value is an integer of Python or numpy; True and False are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is an integer or a float of Python or numpy; True and False are not."""
    return is_integer(value) or isinstance(value, float | np.floating)


def as_int(name: str, value: object, least: int = 1) -> int:
    """Return an integer of Python or numpy as an int of at least `least`."""
    return checked_int(name, int(value) if isinstance(value, np.integer) else value, least)


def checked_int(name: str, value: object, least: int = 1, most: float = math.inf) -> int:
    """Return a value that is an int from `least` to `most`, and no integer of numpy."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    limits = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
    raise InputError(f"{name}={as_text(value)} is not an integer {limits}")


def checked_number(
    name: str, value: object, *, least: float = -math.inf, above: float = -math.inf
) -> float:
    """Return a finite number of Python, at least `least` and above `above`, as a float."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and least <= value < math.inf and value > above:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    limits = f"above {above:g}" if above > -math.inf else f"of at least {least:g}"
    raise InputError(f"{name}={as_text(value)} is not a finite number {limits}")


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse a value that is none of the choices; 1.0 and True are not the choice 1."""
    for choice in choices:
        same_kind = isinstance(value, bool) == isinstance(choice, bool)
        if same_kind and isinstance(value, type(choice)) and value == choice:
            return
    raise InputError(f"{name}={as_text(value)} is not one of {', '.join(map(repr, choices))}")


def checked_text(name: str, value: object) -> str:
    """Return a text that is not empty."""
    if isinstance(value, str) and value:
        return value
    raise InputError(f"{name}={as_text(value)} is not a text, or an empty one")


def as_text(value: object) -> str:
    """Write a value for an error text, its middle left out where it is long.

    Python refuses to write integers of thousands of digits.
    """
    if isinstance(value, int) and value.bit_length() > _LONGEST_BITS:
        return f"<an integer of {value.bit_length()} bits>"
    return without_middle(repr(value), _LONGEST_VALUE)


def repeated_names(names: Iterable[str]) -> list[str]:
    """Return the names that stand twice or more, sorted, in one pass."""
    return sorted(name for name, count in Counter(names).items() if count > 1)
