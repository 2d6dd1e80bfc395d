"""What a backbone's layers are and how they are configured, in words that can be compared.

Two networks may have tensors of the same names and shapes and compute something else. What stands
in the code of a `forward` alone cannot be seen here.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import nn

from torchcross._kit.tensor_bytes import tensor_bytes

_LONGEST = 1000
_DIGITS = 16
_DROPOUT = nn.modules.dropout._DropoutNd
_NOT_CONFIGURATION = {"training"}


def described_layers(module: nn.Module) -> dict[str, str]:
    """The class and configuration of each layer, by its name.

    A layer says of itself what its `extra_repr` returns. Layers that are not torch's own, or that
    say nothing, are also described by their attributes: numbers, texts, tensors, functions with
    bound arguments, classes, and lists and tables of them. Rates of dropout do not count, and what
    a layer keeps between calls, in an attribute that is called a cache.
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
    return f"{text[:_LONGEST]}... {hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"


def _attributes(layer: nn.Module) -> list[str]:
    own = {name: value for name, value in vars(layer).items() if not name.startswith("_")}
    texts = {name: _plain_text(value) for name, value in own.items()}
    return [
        f"{name}={text}"
        for name, text in sorted(texts.items())
        if text is not None and name not in _NOT_CONFIGURATION and "cache" not in name
    ]


def _plain_text(value: object) -> str | None:
    """A value as text that is the same in every process; None where there is none."""
    if value is None or isinstance(value, bool | int | float | str | torch.dtype):
        return repr(value)
    if isinstance(value, list | tuple):
        texts = [_plain_text(item) for item in value]
        return None if None in texts else f"({', '.join(map(str, texts))})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(_items(value))}}}"
    if isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_meta:
        digest = hashlib.sha256(tensor_bytes(value)).hexdigest()[:_DIGITS]
        return f"{value.dtype} {tuple(value.shape)} {digest}"
    if isinstance(value, functools.partial):
        parts = [_text_or_kind(value.func), *map(_text_or_kind, value.args)]
        parts += _items(value.keywords)
        return parts[0] if len(parts) == 1 else f"partial({', '.join(parts)})"
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return value.__name__
    return None


def _items(table: Mapping[Any, object]) -> list[str]:
    """The entries of a table, in the order of their names."""
    texts = {_text_or_kind(name): _text_or_kind(value) for name, value in table.items()}
    return [f"{name}={texts[name]}" for name in sorted(texts)]


def _text_or_kind(value: object) -> str:
    """A value as text, and one that is no plain value by its class."""
    text = _plain_text(value)
    return type(value).__name__ if text is None else text
