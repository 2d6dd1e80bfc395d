"""What a backbone's layers are and how they are configured, in words that can be compared.

Two networks may have tensors of the same names and shapes and compute something else. What stands
in the code of a `forward` alone cannot be seen here.
"""

from __future__ import annotations

import functools
import hashlib
from types import BuiltinFunctionType, FunctionType

import torch
from torch import nn

_LONGEST = 1000
_DROPOUT = nn.modules.dropout._DropoutNd
_NOT_CONFIGURATION = {"training"}


def described_layers(module: nn.Module) -> dict[str, str]:
    """The class and configuration of each layer, by its name.

    A layer says of itself what its `extra_repr` returns. Layers that are not torch's own, or that
    say nothing, are also described by their attributes: numbers, texts, functions and classes, and
    lists of them. Rates of dropout do not count.
    """
    return {name: _description(layer) for name, layer in module.named_modules()}


def different_layers(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """In words, each difference between two descriptions."""
    differences = []
    for name in (*then, *(name for name in now if name not in then)):
        before, after = then.get(name, "not there"), now.get(name, "not there")
        if before != after:
            differences.append(f"{name or 'the module'!r} was {before} and is {after}")
    return differences


def _description(layer: nn.Module) -> str:
    kind = type(layer)
    if isinstance(layer, _DROPOUT):
        return f"{kind.__name__}()"
    said = layer.extra_repr()
    parts = [said] if said else []
    if not said or not kind.__module__.startswith("torch.nn."):
        parts += _attributes(layer)
    text = f"{kind.__name__}({', '.join(parts)})"
    if len(text) <= _LONGEST:
        return text
    # Long texts differ somewhere behind the end that is shown: their digest says that they do.
    return f"{text[:_LONGEST]}... {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _attributes(layer: nn.Module) -> list[str]:
    own = {name: value for name, value in vars(layer).items() if not name.startswith("_")}
    texts = {name: _plain_text(value) for name, value in own.items()}
    return [
        f"{name}={text}"
        for name, text in sorted(texts.items())
        if text is not None and name not in _NOT_CONFIGURATION
    ]


def _plain_text(value: object) -> str | None:
    """A value as text that is the same in every process; None where there is none."""
    if value is None or isinstance(value, bool | int | float | str | torch.dtype):
        return repr(value)
    if isinstance(value, list | tuple):
        texts = [_plain_text(item) for item in value]
        return None if None in texts else f"({', '.join(map(str, texts))})"
    if isinstance(value, functools.partial):
        return _plain_text(value.func)
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return value.__name__
    return None
