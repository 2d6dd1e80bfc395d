"""Named tensors in safetensors files: read and checked, written whole, never unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from torchcross._kit.content_hash import damage_error
from torchcross._kit.whole_files import open_whole
from torchcross.errors import InputError, ReadError

Tensors = dict[str, Tensor]

HASH = "torchcross-sha256"
"""The metadata entry with the hash of the file, as the file is with 64 zeros in its place."""

_PLACE = f'"{HASH}":"'.encode()
_NO_HASH = b"0" * 64
_ADVICE = "fetch it again, or save it again."


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors with a content hash; the file appears whole or not at all."""
    from safetensors import SafetensorError
    from safetensors.torch import save

    # Copies, because safetensors refuses views and tensors that share their storage.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    try:
        data = save(plain)
        parts = _with_metadata(data, metadata)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        kinds = ", ".join(sorted({str(value.dtype) for value in plain.values()}))
        raise InputError(
            f"{path.name} cannot be written: safetensors files do not hold some of {kinds}"
            f" ({_short(error)}); convert them first."
        ) from error
    with open_whole(path) as file:
        for part in parts:
            file.write(part)


def read(path: Path) -> tuple[Tensors, dict[str, str]]:
    """(tensors, metadata) of a file; a ReadError says what is wrong with it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(
            f"{path} cannot be read ({error.strerror or error}); give the path of a local file."
        ) from error
    return parse(path, data)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a file, without its tensors: their hash is not looked at."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            header = _header_of(start + file.read(int.from_bytes(start, "little")))
        metadata: dict[str, str] = dict(header.get("__metadata__") or {})
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise ReadError(
            f"{path} is no safetensors file that can be read: {_short(error)}. {_ADVICE}"
        ) from error
    return metadata


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
    if HASH in metadata:
        _check_hash(path, data, metadata[HASH])
    return tensors, metadata


def _with_metadata(data: bytes, metadata: Mapping[str, str]) -> list[bytes | memoryview]:
    """The bytes of a file of tensors, with metadata and the content hash, in parts.

    The header is written here, because safetensors orders metadata entries at random.
    """
    values = memoryview(data)[8 + int.from_bytes(data[:8], "little") :]
    entries = {**metadata, HASH: _NO_HASH.decode()}
    header = {"__metadata__": entries, **_header_of(data)}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # Values begin at a multiple of 8.
    text += b" " * (-len(text) % 8)
    length = len(text).to_bytes(8, "little")
    place = text.index(_PLACE) + len(_PLACE)
    digest = _digest_of((length, text, values))
    return [length, text[:place] + digest + text[place + len(_NO_HASH) :], values]


def _check_hash(path: Path, data: bytes, digest: str) -> None:
    place = data.find(_PLACE) + len(_PLACE)
    whole = memoryview(data)
    parts = (whole[:place], _NO_HASH, whole[place + len(_NO_HASH) :])
    written = data[place : place + len(_NO_HASH)]
    if not digest.encode() == written == _digest_of(parts):
        raise damage_error(path, _ADVICE)


def _digest_of(parts: Iterable[bytes | memoryview]) -> bytes:
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest().encode()


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
