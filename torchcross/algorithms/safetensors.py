"""Tensors in the safetensors format: eight bytes of length, a JSON header, raw little-endian data. Nothing is
unpickled.

What is read is checked before it is used: lengths, names, dtypes, shapes, and that the data is covered without gaps.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchcross.errors import InputError, ReadError

__all__ = ["read_tensors", "write_tensors"]

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_MOST_HEADER = 100_000_000


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write to a temporary name, then rename: the file appears whole or not at all."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    chunks, at = [], 0
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        if value.dtype not in _NAMES:
            raise InputError(f"the tensor {name!r} is {value.dtype}, which safetensors files do not hold.")
        chunks.append(_bytes_of(value))
        header[name] = {
            "dtype": _NAMES[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [at, at + len(chunks[-1])],
        }
        at += len(chunks[-1])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _bytes_of(value: Tensor) -> bytes:
    if sys.byteorder != "little":
        raise InputError("safetensors files are little-endian and this machine is not.")
    return value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a file, or a ReadError that says what is wrong with it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ReadError(f"{path} cannot be read: {error.strerror or error}") from error
    header, data = _header_of(path, raw)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "its metadata is not a table of strings")
    spans, tensors = [], {}
    for name, entry in header.items():
        dtype, shape, start, stop = _entry_of(path, name, entry, len(data))
        spans.append((start, stop))
        # A copy, so that the tensor is writable and owns its bytes.
        tensors[name] = (
            torch.frombuffer(bytearray(data[start:stop]), dtype=dtype).reshape(shape)
            if stop > start
            else (torch.empty(shape, dtype=dtype))
        )
    at = 0
    for start, stop in sorted(spans):
        if start != at:
            raise _damaged(path, f"its tensors overlap or leave a gap at byte {at}")
        at = stop
    if at != len(data):
        raise _damaged(path, f"it has {len(data)} bytes of data and its tensors take {at}")
    return tensors, metadata


def _header_of(path: Path, raw: bytes) -> tuple[dict[str, Any], memoryview]:
    length = int.from_bytes(raw[:8], "little") if len(raw) >= 8 else -1
    if not 2 <= length <= min(_MOST_HEADER, len(raw) - 8):
        raise _damaged(path, "its header is cut off or missing")
    try:
        header = json.loads(raw[8 : 8 + length], object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is no JSON ({error})") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no table")
    return header, memoryview(raw)[8 + length :]


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name stands twice")
    return table


def _entry_of(path: Path, name: str, entry: Any, size: int) -> tuple[torch.dtype, list[int], int, int]:
    match entry:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(start), int(stop)]} if kind in _DTYPES:
            whole = all(type(side) is int and side >= 0 for side in shape)
            length = math.prod(shape) * _DTYPES[kind].itemsize if whole else -1
            if 0 <= start <= stop <= size and stop - start == length:
                return _DTYPES[kind], shape, start, stop
    raise _damaged(path, f"the entry {name!r} does not fit the data: {str(entry)[:120]}")


def _damaged(path: Path, what: str) -> ReadError:
    return ReadError(f"{path} is no safetensors file that can be used: {what}. Copy or save it again.")
