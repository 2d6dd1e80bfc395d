"""Options of backbones, checked where they come in: by hand, or from a description in a file."""

from __future__ import annotations

import math

from torchcross.errors import InputError


def positive_int(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name}={value!r} is not an integer of at least 1")
    return value


def positive_float(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"{name}={value!r} is not a finite number above 0")
    return float(value)


def one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if not any(
        value is choice or (type(value) is type(choice) and value == choice) for choice in allowed
    ):
        raise InputError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")


def text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{name}={value!r} is not a text")
    return value
