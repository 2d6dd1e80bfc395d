"""Functions of torch written in Python, with their own calls within reach of a mode."""

from __future__ import annotations

import functools
import types
from typing import Any


@functools.cache
def body_of(func: Any) -> Any:
    """The function without its own look for modes, which would stop at the function itself."""
    names = {**func.__globals__, "has_torch_function": _no, "has_torch_function_unary": _no}
    body = types.FunctionType(func.__code__, names, func.__name__, func.__defaults__)
    body.__kwdefaults__ = func.__kwdefaults__
    return body


def _no(*tensors: Any) -> bool:
    return False
