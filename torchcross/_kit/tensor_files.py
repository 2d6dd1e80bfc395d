"""Named tensors in safetensors files: read and checked, written whole, never unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from torchcross._kit.whole_files import write_whole
from torchcross.errors import InputError, ReadError

Tensors = dict[str, Tensor]


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors; the file appears whole or not at all.

    safetensors orders several metadata entries at random; give one entry where the file's bytes
    must repeat.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save

    # Copies, because safetensors refuses views and tensors that share their storage.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    try:
        data = save(plain, dict(metadata))
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        kinds = ", ".join(sorted({str(value.dtype) for value in plain.values()}))
        raise InputError(
            f"{path.name} cannot be written: safetensors files do not hold some of {kinds}"
            f" ({_short(error)}); convert them first."
        ) from error
    write_whole(path, data)


def read(path: Path) -> tuple[Tensors, dict[str, str]]:
    """(tensors, metadata) of a file; a ReadError says what is wrong with it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(
            f"{path} cannot be read ({error.strerror or error}); give the path of a local file."
        ) from error
    return parse(path, data)


def parse(path: Path, data: bytes) -> tuple[Tensors, dict[str, str]]:
    """(tensors, metadata) of the bytes of a file; `path` is for the error text."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
        metadata = _header_of(data).get("__metadata__") or {}
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ReadError(
            f"{path} is no safetensors file that can be read: {_short(error)}. It is cut off or"
            " damaged; fetch it again, or save it again."
        ) from error
    return tensors, metadata


def _header_of(data: bytes) -> dict[str, Any]:
    """The header of a file that safetensors has read, where no name may stand twice."""
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length], object_pairs_hook=_without_twins)
    return header


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name stands twice in its header")
    return table


def _short(error: Exception) -> str:
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return line if len(line) <= 160 else f"{line[:157]}..."
